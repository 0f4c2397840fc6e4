# Unit tests (cmocka, TAP) and fuzz targets: t/unit/x.c becomes the executable t/unit/x.
#
# A fuzz target is built twice over: with --enable-fuzzers (and CC=clang) it searches for input that
# breaks its property (make fuzz), otherwise it replays t/fuzz/corpus/<name>/ as a test.
unit_tests = t/unit/arena t/unit/buffer t/unit/config t/unit/crypto t/unit/error t/unit/fetch \
	t/unit/json t/unit/log t/unit/loop t/unit/metrics t/unit/route t/unit/text t/unit/uuid
fuzz_targets = t/fuzz/base64url t/fuzz/config t/fuzz/json t/fuzz/text

# What tests are linked with; `tenon` itself has its own list.
AM_CPPFLAGS += -I$(top_srcdir) -DTN_SOURCE_DIR='"$(abs_top_srcdir)"'
LDADD = libtenon.a $(DEPS_LIBS) $(FCGI_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS = t/lint/document
EXTRA_PROGRAMS =
if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
endif

t_unit_fetch_SOURCES = t/unit/fetch.c t/unit/server.c

t_fuzz_base64url_SOURCES = t/fuzz/base64url.c $(fuzz_main)
t_fuzz_config_SOURCES = t/fuzz/config.c $(fuzz_main)
t_fuzz_json_SOURCES = t/fuzz/json.c $(fuzz_main)
t_fuzz_text_SOURCES = t/fuzz/text.c $(fuzz_main)
if FUZZERS
fuzz_main =
AM_LDFLAGS += -fsanitize=fuzzer-no-link
EXTRA_PROGRAMS += $(fuzz_targets)
t_fuzz_base64url_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_config_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_json_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_text_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = t/fuzz/replay.c
check_PROGRAMS += $(fuzz_targets)
endif

# Each target searches for that long, starting from its corpus; findings are left in the build folder.
FUZZ_SECONDS = 20
fuzz: $(fuzz_targets)
	@for target in $(fuzz_targets); do \
		mkdir -p $$target.found && ./$$target -max_total_time=$(FUZZ_SECONDS) -timeout=5 \
			-max_len=4096 -verbosity=0 -print_final_stats=1 -artifact_prefix=$$target.found/ \
			$$target.found $(srcdir)/t/fuzz/corpus/$${target##*/} || exit 1; \
	done

# The two documents that come from the table of settings; t/lint/settings.sh compares them.
settings: t/lint/document
	t/lint/document conf >$(srcdir)/etc/tenon.conf
	$(MKDIR_P) $(srcdir)/docs/reference
	t/lint/document markdown >$(srcdir)/docs/reference/settings.md

.PHONY: fuzz settings
