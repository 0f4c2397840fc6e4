# Unit tests (cmocka, TAP) and fuzz targets: t/unit/x.c becomes the executable t/unit/x.
#
# A fuzz target searches for input that breaks its property when it is built with --enable-fuzzers (and
# CC=clang); otherwise it replays t/fuzz/corpus/<name>/. t/run knows which of the two it has.
unit_tests = t/unit/data_accept t/unit/data_body t/unit/data_error t/unit/data_header t/unit/data_prefer \
	t/unit/data_query t/unit/data_range t/unit/data_version \
	t/unit/address t/unit/arena t/unit/buffer t/unit/cache t/unit/catalog t/unit/cipher t/unit/clamd t/unit/config t/unit/crypto \
	t/unit/db_dynamic t/unit/data_call t/unit/data_nearest t/unit/data_plan t/unit/data_relate t/unit/data_sql t/unit/db_error t/unit/db_listen t/unit/db_migration t/unit/db_pool t/unit/db_script t/unit/db_stream \
	t/unit/db_transaction t/unit/db_work t/unit/duration t/unit/error \
	t/unit/estimate t/unit/event_stream t/unit/mail_mime t/unit/mail_template t/unit/message t/unit/model t/unit/provider \
	t/unit/fetch t/unit/field t/unit/flow t/unit/gate t/unit/image_layout t/unit/json t/unit/key t/unit/limit t/unit/log t/unit/loop \
	t/unit/metrics t/unit/principal t/unit/object_condition t/unit/object_digest t/unit/object_names \
	t/unit/object_range t/unit/object_store t/unit/object_type t/unit/one_time t/unit/redirect t/unit/refresh_token t/unit/route t/unit/s3_signature t/unit/multipart t/unit/signed t/unit/text t/unit/token t/unit/totp t/unit/uuid t/unit/vault t/unit/view
thread_tests = t/threads/catalog t/threads/db_pool t/threads/live t/threads/oauth t/unit/cache t/unit/catalog t/unit/db_listen t/unit/db_pool t/unit/gate t/unit/limit t/unit/loop
fuzz_targets = t/fuzz/access_token t/fuzz/auth_form t/fuzz/base64url t/fuzz/cipher t/fuzz/config \
	t/fuzz/data_batch t/fuzz/data_body t/fuzz/data_header t/fuzz/data_prefer t/fuzz/data_query t/fuzz/data_range t/fuzz/data_select t/fuzz/event_stream t/fuzz/field t/fuzz/id_token t/fuzz/json t/fuzz/mail_template t/fuzz/multipart t/fuzz/password_hash \
	t/fuzz/oauth_callback t/fuzz/provider_answer t/fuzz/range t/fuzz/redirect t/fuzz/refresh_token t/fuzz/request t/fuzz/s3_signature t/fuzz/s3_xml t/fuzz/script t/fuzz/text t/fuzz/tus_header t/fuzz/view t/fuzz/webauthn

# What tests are linked with; `tenon` itself has its own list.
AM_CPPFLAGS += -I$(top_srcdir) -DTN_SOURCE_DIR='"$(abs_top_srcdir)"'
LDADD = libtenon.a $(DEPS_LIBS) $(FCGI_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS = t/lint/document $(fuzz_targets)
if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests) t/threads/catalog t/threads/db_pool t/threads/live t/threads/oauth
endif

t_unit_fetch_SOURCES = t/unit/fetch.c t/unit/server.c

t_fuzz_access_token_SOURCES = t/fuzz/access_token.c $(fuzz_main)
t_fuzz_auth_form_SOURCES = t/fuzz/auth_form.c $(fuzz_main)
t_fuzz_base64url_SOURCES = t/fuzz/base64url.c $(fuzz_main)
t_fuzz_cipher_SOURCES = t/fuzz/cipher.c $(fuzz_main)
t_fuzz_config_SOURCES = t/fuzz/config.c $(fuzz_main)
t_fuzz_data_batch_SOURCES = t/fuzz/data_batch.c $(fuzz_main)
t_fuzz_data_body_SOURCES = t/fuzz/data_body.c $(fuzz_main)
t_fuzz_data_header_SOURCES = t/fuzz/data_header.c $(fuzz_main)
t_fuzz_data_prefer_SOURCES = t/fuzz/data_prefer.c $(fuzz_main)
t_fuzz_data_query_SOURCES = t/fuzz/data_query.c $(fuzz_main)
t_fuzz_data_range_SOURCES = t/fuzz/data_range.c $(fuzz_main)
t_fuzz_data_select_SOURCES = t/fuzz/data_select.c $(fuzz_main)
t_fuzz_event_stream_SOURCES = t/fuzz/event_stream.c $(fuzz_main)
t_fuzz_multipart_SOURCES = t/fuzz/multipart.c $(fuzz_main)
t_fuzz_password_hash_SOURCES = t/fuzz/password_hash.c $(fuzz_main)
t_fuzz_oauth_callback_SOURCES = t/fuzz/oauth_callback.c $(fuzz_main)
t_fuzz_provider_answer_SOURCES = t/fuzz/provider_answer.c $(fuzz_main)
t_fuzz_field_SOURCES = t/fuzz/field.c $(fuzz_main)
t_fuzz_id_token_SOURCES = t/fuzz/id_token.c $(fuzz_main)
t_fuzz_json_SOURCES = t/fuzz/json.c $(fuzz_main)
t_fuzz_mail_template_SOURCES = t/fuzz/mail_template.c $(fuzz_main)
t_fuzz_range_SOURCES = t/fuzz/range.c $(fuzz_main)
t_fuzz_redirect_SOURCES = t/fuzz/redirect.c $(fuzz_main)
t_fuzz_refresh_token_SOURCES = t/fuzz/refresh_token.c $(fuzz_main)
t_fuzz_request_SOURCES = t/fuzz/request.c $(fuzz_main)
t_fuzz_s3_signature_SOURCES = t/fuzz/s3_signature.c $(fuzz_main)
t_fuzz_s3_xml_SOURCES = t/fuzz/s3_xml.c $(fuzz_main)
t_fuzz_script_SOURCES = t/fuzz/script.c $(fuzz_main)
t_fuzz_text_SOURCES = t/fuzz/text.c $(fuzz_main)
t_fuzz_tus_header_SOURCES = t/fuzz/tus_header.c $(fuzz_main)
t_fuzz_view_SOURCES = t/fuzz/view.c $(fuzz_main)
t_fuzz_webauthn_SOURCES = t/fuzz/webauthn.c $(fuzz_main)
if FUZZERS
fuzz_main =
AM_LDFLAGS += -fsanitize=fuzzer-no-link
t_fuzz_access_token_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_auth_form_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_base64url_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_cipher_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_config_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_batch_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_body_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_header_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_prefer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_query_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_range_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_data_select_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_event_stream_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_multipart_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_password_hash_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_oauth_callback_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_provider_answer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_field_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_id_token_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_json_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_mail_template_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_range_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_redirect_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_refresh_token_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_request_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_s3_signature_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_s3_xml_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_script_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_text_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_tus_header_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_view_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_webauthn_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = t/fuzz/replay.c
endif

# What `bench/run auth` measures beside the server; made when it is asked for.
EXTRA_PROGRAMS = bench/cost

# The two documents that come from the table of settings; t/lint/settings.sh compares them.
settings: t/lint/document
	t/lint/document conf >$(srcdir)/etc/tenon.conf
	$(MKDIR_P) $(srcdir)/docs/reference
	t/lint/document markdown >$(srcdir)/docs/reference/settings.md

.PHONY: settings
