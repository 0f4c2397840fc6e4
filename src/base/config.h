/* base/config.h: every setting, read once into an immutable snapshot
 *
 * tenon.conf is an INI file; a setting is `section.key`, and the environment variable
 * TENON_SECTION_KEY overrides it (data.schemas: TENON_DATA_SCHEMAS). Providers are sections
 * [provider NAME] and [oauth NAME], overridden by TENON_PROVIDER_<NAME>_KEY and so on. A setting
 * that is not in the table of settings.c is an error, never ignored. A value `@/path` for a secret
 * means: read it from that file.
 *
 * Threads: a snapshot is read-only after tn_config_load() and may be read from any thread.
 * Errors:  tn_config_load() returns a text that names file, line, setting, and what was expected.
 */
#ifndef TN_BASE_CONFIG_H
#define TN_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"

/* One pool of workers (DESIGN: pools are bulkheads). */
typedef struct tn_pool_config {
    int64_t processes;   /* 0: one per core */
    int64_t threads;     /* at most, per process; they are started when needed */
    int64_t connections; /* to the database, at most, per process */
    int64_t stack_kib;   /* of each thread */
} tn_pool_config;

typedef enum tn_provider_kind { TN_OPENAI, TN_ANTHROPIC, TN_ECHO } tn_provider_kind;

typedef struct tn_model_config {
    const char *name;       /* as the provider knows it */
    int64_t context_tokens; /* window: input and output together */
    int64_t output_tokens;  /* asked for at most */
} tn_model_config;

typedef struct tn_provider_config {
    const char *name; /* of the section */
    tn_provider_kind kind;
    const char *base_url;          /* without a final slash; NULL for echo */
    const char *key;               /* secret; NULL: none is sent */
    const tn_model_config *models; /* may be empty: any */
    size_t model_count;
    int64_t context_tokens, output_tokens; /* for models that are not listed or name none */
    int64_t connect_timeout_ms, first_byte_timeout_ms, silence_timeout_ms, total_timeout_ms;
    int64_t retries;    /* after 429, 5xx and broken connections, before the first byte */
    bool allow_private; /* base_url may resolve to loopback and private addresses */
    int64_t delay_ms;   /* echo only: between two words */
} tn_provider_config;

/* A provider with whose accounts people sign in: a section [oauth NAME]. No text is NULL. */
typedef struct tn_oauth_config {
    const char *name;
    const char *client_id, *secret;
    const char *issuer;    /* of OpenID Connect */
    const char *scopes;    /* besides the provider's usual ones, separated by blanks */
    const char *audiences; /* comma-separated: further client ids of id tokens */
    const char *authorize_url, *token_url, *userinfo_url, *jwks_url; /* instead of its own */
    const char *team_id, *key_id; /* Apple: `secret` is the private key then, in PEM */
    bool allow_private, email_optional, skip_nonce;
} tn_oauth_config;

typedef enum tn_captcha { TN_CAPTCHA_NONE, TN_CAPTCHA_HCAPTCHA, TN_CAPTCHA_TURNSTILE } tn_captcha;

/* How transactions of the data API end, and whether `Prefer: tx=` may choose. */
typedef enum tn_tx_end {
    TN_TX_END_COMMIT,
    TN_TX_END_COMMIT_OVERRIDE,
    TN_TX_END_ROLLBACK,
    TN_TX_END_ROLLBACK_OVERRIDE
} tn_tx_end;

/* What the description of the data API shows. */
typedef enum tn_openapi_mode {
    TN_OPENAPI_FOLLOW_PRIVILEGES,
    TN_OPENAPI_IGNORE_PRIVILEGES,
    TN_OPENAPI_DISABLED
} tn_openapi_mode;

/* Whether the connection to the mail server is encrypted by STARTTLS (RFC 3207). */
typedef enum tn_mail_tls {
    TN_MAIL_TLS_REQUIRED,
    TN_MAIL_TLS_OPPORTUNISTIC,
    TN_MAIL_TLS_OFF
} tn_mail_tls;

#define TN_SECRET_FILES_MAX 64

typedef struct tn_config {
    struct {
        const char *run_dir;    /* sockets, pid file, scoreboard */
        const char *user;       /* workers become this user when started as root; empty: stay */
        const char *secret;     /* 64 hexadecimal digits: seals keys at rest, derives others */
        const char *public_url; /* what clients see, without a final slash */
        int64_t drain_timeout_s, request_timeout_s, body_max, header_max;
        int64_t database_wait_ms; /* how long a request waits for a connection before 503 */
    } server;
    struct {
        const char *url;        /* login tenon_authenticator */
        const char *owner_url;  /* login tenon_admin: migrate and the operator's command */
        const char *listen_url; /* session connection for LISTEN; empty: database.url */
        int64_t statement_timeout_ms, lock_timeout_ms;
        int64_t statements_max; /* dynamic ones prepared per connection */
    } database; /* not db: TENON_DB_URL in quickstart's tenon.env is the owner's login */
    struct {
        const char *file; /* empty: standard error */
        tn_log_level level;
    } log;
    tn_pool_config api, stream, jobs;
    struct {
        bool autoconfirm, signup, anonymous;
        const char *jwt_secret; /* HS256 tokens and older API keys; empty: refused */
        int64_t jwt_ttl_s;      /* of access tokens */
        const char *issuer;     /* empty: server.public_url + /auth/v1 */
        const char *audience;
        int64_t password_min, hash_parallel; /* hash_parallel 0: half the cores, at least 1 */
        int64_t argon2_memory_kib, argon2_passes, argon2_lanes;
        const char *password_required; /* sets of characters, separated by colons */
        const char *leaked_passwords;  /* a file; empty: no check */
        tn_captcha captcha_provider;
        const char *captcha_secret;
        const char *captcha_url; /* empty: the provider's */
        bool captcha_allow_private;
        int64_t reuse_interval_s, session_ttl_s; /* session_ttl_s 0: for ever */
        const char *site_url;      /* where links lead in the end; empty: server.public_url */
        const char *redirect_urls; /* comma-separated patterns that redirect_to may match */
        int64_t otp_length, otp_ttl_s;
        bool mfa_totp, mfa_phone, mfa_webauthn, mfa_recovery_codes; /* second factors offered */
        int64_t mfa_max_factors;                                    /* of a person */
        bool passkeys, passkeys_aal2;
        const char *webauthn_rp_id, *webauthn_rp_name; /* empty: the host of the site's URL */
        const char *webauthn_origins; /* comma-separated; empty: that of the site's URL */
        bool email, phone, phone_autoconfirm, single_session;
        int64_t mail_interval_s, sms_interval_s, sms_otp_ttl_s, inactivity_ttl_s;
        bool manual_linking;                 /* people may add and remove identities themselves */
        int64_t teams_max, team_members_max; /* of one owner; of one team */
        int64_t team_invitations_per_hour, team_invitation_ttl_s;
        bool secure_email_change, secure_password_change, require_current_password;
        int64_t audit_keep_days;                          /* 0: for ever */
        int64_t agents_max, agent_ttl_s, agent_ttl_max_s; /* of one person; seconds */
        int64_t exchange_ttl_s;
        int64_t cache_ttl_s; /* verified keys and tokens, in the process */
    } auth;
    struct {
        /* each: pg-functions://postgres/<schema>/<name>, an http(s) URL, or empty */
        const char *custom_access_token, *send_email, *send_sms, *mfa_verification_attempt,
            *password_verification_attempt, *before_user_created, *after_user_created;
        const char *secrets; /* v1,whsec_<base64>, separated by |; sign what is sent by HTTP */
        int64_t timeout_ms;  /* of all attempts together */
        bool allow_private;  /* URLs may lead to loopback and private addresses, and be http */
    } hooks;
    struct {
        const char *schemas;        /* comma-separated; exposed by the data API */
        bool require_rls;           /* relations without walls between tenants are closed */
        const char *default_tenant; /* name or id; empty: none */
        int64_t max_rows;           /* of an answer; 0: any number */
        int64_t answer_max;         /* bytes of an answer that is no export; 0: any number */
        int64_t body_max, json_depth;
        int64_t max_filters, max_items, max_embed_depth, max_logic_depth;
        /* of a statement, by role; 0: as database.* says */
        int64_t anon_timeout_ms, authenticated_timeout_ms, service_timeout_ms, lock_timeout_ms;
        tn_tx_end tx_end;
        bool aggregates, plan;
        int64_t aggregate_max_rows, aggregate_timeout_ms; /* 0: any */
        tn_openapi_mode openapi;
        int64_t export_timeout_ms;           /* 0: as database.* says */
        int64_t batch_max, batch_result_max; /* operations, and bytes of their results together */
        int64_t idempotency_body_max;        /* bytes of an answer that are kept for replays */
        const char *pre_request;             /* function, "schema.name"; empty: none */
        const char *extra_search_path;       /* comma-separated, behind the request's schema */
    } data;
    struct {
        const char *provider; /* default provider; it exists */
        const char *model;    /* default model; empty: the provider's first */
        const char *fallback; /* comma-separated providers tried when the first cannot answer */
        int64_t flush_ms, heartbeat_s, message_max, history_messages;
        bool finish_without_client; /* a run goes on when its client has gone */
        int64_t reply_max;          /* bytes of a reply that are kept */
    } chat;
    struct {
        bool enabled;
        const char *exempt; /* comma-separated CIDR blocks that are never limited */
        /* `count/seconds:burst` texts, parsed by identity/limit.c */
        const char *read, *write, *chat, *signup, *anonymous, *token, *otp, *magiclink, *recover,
            *resend, *verify, *user_update, *factor, *authorize, *password, *mail, *sms;
    } limits;
    struct {
        const char *url; /* smtp://host:port or smtps://host:port; empty: into the maildir */
        const char *user, *password;
        const char *from, *from_name;
        tn_mail_tls tls;
        const char *ca_file; /* certificates that are trusted beside the system's; may be empty */
        const char *maildir; /* never empty */
        int64_t connect_timeout_s, timeout_s;
        int64_t senders; /* threads */
    } mail;
    struct {
        const char *dir;                  /* objects/, staging/, spool/, images/, quarantine/ */
        int64_t object_max;               /* bytes of one object */
        int64_t tenant_quota, user_quota; /* bytes; 0: any number */
        int64_t image_source_max;         /* bytes of an image that is transformed */
        int64_t image_pixels_max, image_memory_mib, image_timeout_s, image_processes;
        int64_t image_cache_max;     /* bytes of transformed images that are kept */
        const char *master_key;      /* 64 hexadecimal digits; empty: no bucket can be encrypted */
        const char *old_master_keys; /* comma-separated; still open what they have sealed */
        const char *s3_region;       /* what clients of S3 sign for */
        const char *backend_url;     /* of a remote store: https://host/bucket; empty: disk */
        const char *backend_region, *backend_key_id, *backend_secret;
        bool backend_allow_private, backend_writes;
        const char *clamd; /* unix:/path or host:port; empty: nothing is scanned */
        int64_t clamd_timeout_s, clamd_max;
        bool clamd_oversize;      /* what is larger than clamd_max is stored unscanned */
        int64_t upload_ttl_s;     /* of uploads in parts that do not go on */
        int64_t upload_url_ttl_s; /* of signed upload URLs */
        int64_t trash_grace_s;    /* bytes without a row stay so long */
        int64_t sweep_interval_s, orphan_age_s;
    } storage;
    const tn_provider_config *providers;
    size_t provider_count;
    const tn_oauth_config *oauths;
    size_t oauth_count;
    const char *path;                              /* of the file that was read, or NULL */
    const char *secret_files[TN_SECRET_FILES_MAX]; /* what @/path has named */
    size_t secret_file_count;
} tn_config;

/* Reads `path` (NULL: defaults and environment only). The snapshot lives in `arena`. On success the
 * result is NULL, otherwise the text of what is wrong, ready to print. */
const char *tn_config_load(tn_arena *arena, const char *path, tn_config *config) TN_MUST_CHECK;

/* The same from texts: the file's content and an environment (NAME=value, NULL-terminated). */
typedef struct tn_config_source {
    const char *path; /* for messages; may be NULL */
    const char *text;
    size_t length;
    const char *const *environment;
} tn_config_source;
const char *tn_config_read(tn_arena *arena, const tn_config_source *source,
                           tn_config *config) TN_MUST_CHECK;

/* The provider of that name, or NULL. */
const tn_provider_config *tn_config_provider(const tn_config *config, const char *name);
const tn_oauth_config *tn_config_oauth(const tn_config *config, const char *name);

/* Prints every setting with its default and explanation, as etc/tenon.conf has it. */
void tn_config_document(FILE *out);

/* The same as tables in Markdown: docs/reference/settings.md. */
void tn_config_document_markdown(FILE *out);

#endif
