/* base/settings.c: what can be set, and the two documents that say so */
#include "base/settings_private.h"

#include <assert.h>
#include <string.h>

#include "base/config.h"

#define AT(member) offsetof(tn_config, member)
#define PROVIDER_AT(member) offsetof(tn_provider_config, member)
#define OAUTH_AT(member) offsetof(tn_oauth_config, member)
#define WIDTH 98 /* of a comment in the file */

#define DAY_S INT64_C(86400)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)

static const struct section {
    const char *name, *explanation;
} sections[] = {
    {"server", "The master process and what holds for every request."},
    {"database",
     "PostgreSQL. The workers' login may do nothing by itself: each transaction takes a "
     "role and a tenant. The owner's login is used by the tenon command only."},
    {"log", "One JSON line per event. `tenon reload` and SIGUSR1 reopen the file."},
    {"api", "The pool for short requests."},
    {"stream",
     "The pool for what waits on an AI provider or holds a response open. A slow provider "
     "can use it up and the other pools never notice."},
    {"jobs", "The pool for work in the background; it also serves /metrics."},
    {"auth", "Accounts, passwords and tokens."},
    {"hooks", "Functions of your app that are asked at certain moments: a PostgreSQL function as "
              "pg-functions://postgres/SCHEMA/NAME, or an https URL that is sent signed JSON."},
    {"data", "The data API and whose data it is."},
    {"chat", "Conversations with a model."},
    {"limits", "How often one caller may ask. A rate is written count/seconds:burst."},
    {"mail",
     "Mails to people. They are sent by SMTP when url is set, and laid into a maildir otherwise."},
    {"storage", "Files: where they are, how large they may be, and what is done to them."},
    {TN_PROVIDER_SECTION,
     "An AI provider; repeat the section under other names for more. Without any there is one "
     "named echo, of kind echo. `TENON_PROVIDER_<NAME>_<KEY>` overrides a setting, and "
     "`TENON_PROVIDER_<NAME>_KIND` adds a provider that is not in the file."},
    {TN_OAUTH_SECTION,
     "A provider with whose accounts people sign in; repeat the section under other names for "
     "more. github, google, apple, azure and discord are known by their names, any other is found "
     "by its issuer (OpenID Connect). Give it PUBLIC_URL/auth/v1/callback as redirect address. "
     "`TENON_OAUTH_<NAME>_CLIENT_ID` adds one that is not in the file."},
};

static const char *const captchas[] = {"none", "hcaptcha", "turnstile", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const tx_ends[] = {"commit", "commit-allow-override", "rollback",
                                      "rollback-allow-override", NULL};
static const char *const openapi_modes[] = {"follow-privileges", "ignore-privileges", "disabled",
                                            NULL};
static const char *const mail_tls[] = {"required", "opportunistic", "off", NULL};
static const char *const provider_kinds[] = {"openai", "anthropic", "echo", NULL};

const tn_setting tn_settings[] = {
    {"server", "run_dir", TN_SETTING_TEXT, AT(server.run_dir), "/run/tenon", 1, 90, NULL,
     "Folder of the sockets, the pid file and the shared memory."},
    {"server", "user", TN_SETTING_TEXT, AT(server.user), "www-data", 0, 32, NULL,
     "Workers become this user when the server is started as root. It is nginx's, so that uploads "
     "need not be copied. Empty: they stay what they are."},
    {"server", "secret", TN_SETTING_SECRET, AT(server.secret), "", 64, 64, NULL,
     "64 hexadecimal digits (openssl rand -hex 32), or @/path of a file that holds them. Seals the "
     "signing keys in the database; losing it ends every session."},
    {"server", "public_url", TN_SETTING_URL, AT(server.public_url), "http://127.0.0.1:8080", 0, 512,
     NULL, "The address that clients see, without a path. Tokens name it as their issuer."},
    {"server", "drain_timeout_s", TN_SETTING_INT, AT(server.drain_timeout_s), "30", 0, 3600, NULL,
     "On stop and reload, how long a worker may go on with requests that it has begun."},
    {"server", "request_timeout_s", TN_SETTING_INT, AT(server.request_timeout_s), "60", 1, 3600,
     NULL,
     "How long a request of the api pool may take. Streams have the limits of their provider."},
    {"server", "body_max", TN_SETTING_INT, AT(server.body_max), "1048576", KIB, 1024 * MIB, NULL,
     "Bytes of a JSON body; more is answered with 413."},
    {"server", "header_max", TN_SETTING_INT, AT(server.header_max), "65536", KIB, MIB, NULL,
     "Bytes of a request's path, query and headers together; more is answered with 431."},
    {"server", "database_wait_ms", TN_SETTING_INT, AT(server.database_wait_ms), "2000", 0, 60000,
     NULL, "How long a request waits for a database connection before it is answered with 503."},

    {"database", "url", TN_SETTING_SECRET, AT(database.url),
     "postgresql:///tenon?host=/run/postgresql&user=tenon_authenticator", 0, 4096, NULL,
     "The workers' login, as libpq takes it (a URL or name=value pairs), or @/path."},
    {"database", "owner_url", TN_SETTING_SECRET, AT(database.owner_url),
     "postgresql:///tenon?host=/run/postgresql&user=tenon_admin", 0, 4096, NULL,
     "The operator's login, for `tenon migrate` and its siblings, or @/path. The server itself "
     "does not need it."},
    {"database", "listen_url", TN_SETTING_SECRET, AT(database.listen_url), "", 0, 4096, NULL,
     "Where to LISTEN when database.url leads to a pooler in transaction mode. Empty: "
     "database.url."},
    {"database", "statement_timeout_ms", TN_SETTING_INT, AT(database.statement_timeout_ms), "15000",
     0, 3600000, NULL, "PostgreSQL ends a statement of a request after this time. 0: never."},
    {"database", "lock_timeout_ms", TN_SETTING_INT, AT(database.lock_timeout_ms), "5000", 0,
     3600000, NULL, "How long a statement waits for a lock. 0: for ever."},
    {"database", "statements_max", TN_SETTING_INT, AT(database.statements_max), "200", 0, 2000,
     NULL,
     "How many different queries of the data API each connection keeps prepared; the one not used "
     "for longest goes first. 0: none."},

    {"log", "file", TN_SETTING_TEXT, AT(log.file), "", 0, 4096, NULL,
     "The file that is appended to. Empty: standard error, which systemd keeps in the journal."},
    {"log", "level", TN_SETTING_CHOICE, AT(log.level), "info", 0, 0, log_levels,
     "The least that is written: debug, info, warn or error."},

    {"api", "processes", TN_SETTING_INT, AT(api.processes), "0", 0, 256, NULL,
     "Processes of the pool. 0: one per processor core."},
    {"api", "threads", TN_SETTING_INT, AT(api.threads), "16", 1, 4096, NULL,
     "Requests at once per process."},
    {"api", "connections", TN_SETTING_INT, AT(api.connections), "4", 1, 1024, NULL,
     "Database connections per process; fewer than threads, for a request holds one only while it "
     "is in a transaction."},
    {"api", "stack_kib", TN_SETTING_INT, AT(api.stack_kib), "512", 128, 65536, NULL,
     "Stack of each thread, in KiB."},

    {"stream", "processes", TN_SETTING_INT, AT(stream.processes), "2", 0, 256, NULL,
     "Processes of the pool. 0: one per processor core."},
    {"stream", "threads", TN_SETTING_INT, AT(stream.threads), "1200", 1, 16384, NULL,
     "Open streams at once per process. A thread is started when it is needed."},
    {"stream", "connections", TN_SETTING_INT, AT(stream.connections), "8", 1, 1024, NULL,
     "Database connections per process. None is held while a provider is waited for."},
    {"stream", "stack_kib", TN_SETTING_INT, AT(stream.stack_kib), "256", 128, 65536, NULL,
     "Stack of each thread, in KiB."},

    {"jobs", "processes", TN_SETTING_INT, AT(jobs.processes), "1", 1, 16, NULL,
     "Processes of the pool."},
    {"jobs", "threads", TN_SETTING_INT, AT(jobs.threads), "4", 1, 256, NULL,
     "Jobs at once per process."},
    {"jobs", "connections", TN_SETTING_INT, AT(jobs.connections), "2", 1, 256, NULL,
     "Database connections per process."},
    {"jobs", "stack_kib", TN_SETTING_INT, AT(jobs.stack_kib), "512", 128, 65536, NULL,
     "Stack of each thread, in KiB."},

    {"auth", "autoconfirm", TN_SETTING_BOOL, AT(auth.autoconfirm), "off", 0, 0, NULL,
     "New addresses count as confirmed at once. Only for development: anyone can sign up with "
     "anyone's address."},
    {"auth", "signup", TN_SETTING_BOOL, AT(auth.signup), "on", 0, 0, NULL,
     "People may sign up by themselves."},
    {"auth", "anonymous", TN_SETTING_BOOL, AT(auth.anonymous), "off", 0, 0, NULL,
     "People may sign up without an address, as anonymous users."},
    {"auth", "jwt_secret", TN_SETTING_SECRET, AT(auth.jwt_secret), "", 32, 4096, NULL,
     "Tokens and older API keys signed with HS256 and this secret (32 bytes or more, or @/path) "
     "are accepted. Empty: refused."},
    {"auth", "jwt_ttl_s", TN_SETTING_INT, AT(auth.jwt_ttl_s), "3600", 30, 7 * DAY_S, NULL,
     "How long an access token is good."},
    {"auth", "issuer", TN_SETTING_TEXT, AT(auth.issuer), "", 0, 512, NULL,
     "The issuer (iss) in access tokens. Empty: server.public_url with /auth/v1 behind it."},
    {"auth", "audience", TN_SETTING_TEXT, AT(auth.audience), "authenticated", 1, 512, NULL,
     "The audience (aud) in access tokens."},
    {"auth", "password_min", TN_SETTING_INT, AT(auth.password_min), "6", 6, 72, NULL,
     "Characters that a password has at least."},
    {"auth", "hash_parallel", TN_SETTING_INT, AT(auth.hash_parallel), "0", 0, 256, NULL,
     "Passwords that a process hashes at once, so that a flood of logins leaves processors to "
     "others. 0: half the cores, at least one."},
    {"auth", "argon2_memory_kib", TN_SETTING_INT, AT(auth.argon2_memory_kib), "19456", KIB, 4 * MIB,
     NULL, "argon2id: memory of one hash, in KiB. The defaults are what OWASP recommends."},
    {"auth", "argon2_passes", TN_SETTING_INT, AT(auth.argon2_passes), "2", 1, 100, NULL,
     "argon2id: passes over the memory."},
    {"auth", "argon2_lanes", TN_SETTING_INT, AT(auth.argon2_lanes), "1", 1, 16, NULL,
     "argon2id: lanes."},
    {"auth", "password_required", TN_SETTING_TEXT, AT(auth.password_required), "", 0, 1024, NULL,
     "Sets of characters, separated by colons, of each of which a new password must have one: "
     "abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789. A colon in a set is "
     "written \\:."},
    {"auth", "leaked_passwords", TN_SETTING_TEXT, AT(auth.leaked_passwords), "", 0, 4096, NULL,
     "A file of passwords that nobody may choose: one a line, or the sorted list of SHA-1 hashes "
     "from Have I Been Pwned. The package brings passwords/common.txt. Empty: no check."},
    {"auth", "captcha_provider", TN_SETTING_CHOICE, AT(auth.captcha_provider), "none", 0, 0,
     captchas,
     "Who says that a person is there before an account is made, a password tried or a mail sent: "
     "hcaptcha, turnstile or none."},
    {"auth", "captcha_secret", TN_SETTING_SECRET, AT(auth.captcha_secret), "", 0, 4096, NULL,
     "The secret that the provider has given you, or @/path."},
    {"auth", "captcha_url", TN_SETTING_URL, AT(auth.captcha_url), "", 0, 2048, NULL,
     "Where tokens are verified. Empty: at the provider's own address."},
    {"auth", "captcha_allow_private", TN_SETTING_BOOL, AT(auth.captcha_allow_private), "off", 0, 0,
     NULL, "captcha_url may lead to loopback and private addresses."},
    {"auth", "reuse_interval_s", TN_SETTING_INT, AT(auth.reuse_interval_s), "10", 0, 3600, NULL,
     "A refresh token that has been used may be sent again within this time, as two tabs of a "
     "browser do. Later it ends the session."},
    {"auth", "session_ttl_s", TN_SETTING_INT, AT(auth.session_ttl_s), "0", 0, 3650 * DAY_S, NULL,
     "A session ends this long after the sign-in. 0: never."},
    {"auth", "site_url", TN_SETTING_URL, AT(auth.site_url), "", 0, 2048, NULL,
     "The app's own address, to which links and sign-ins lead when they name no other that is "
     "allowed. Empty: server.public_url."},
    {"auth", "redirect_urls", TN_SETTING_TEXT, AT(auth.redirect_urls), "", 0, 8192, NULL,
     "Where else they may lead: URLs, separated by commas. * stands for anything but . and /, ** "
     "for anything."},
    {"auth", "otp_length", TN_SETTING_INT, AT(auth.otp_length), "6", 6, 10, NULL,
     "Digits of a one-time password."},
    {"auth", "otp_ttl_s", TN_SETTING_INT, AT(auth.otp_ttl_s), "3600", 60, DAY_S, NULL,
     "How long one that was sent by mail is good, and the link beside it."},
    {"auth", "manual_linking", TN_SETTING_BOOL, AT(auth.manual_linking), "off", 0, 0, NULL,
     "People may add accounts of other providers to theirs, and take them away "
     "(linkIdentity, unlinkIdentity)."},
    {"auth", "email", TN_SETTING_BOOL, AT(auth.email), "on", 0, 0, NULL,
     "People sign up and in with e-mail addresses."},
    {"auth", "phone", TN_SETTING_BOOL, AT(auth.phone), "off", 0, 0, NULL,
     "People sign up and in with telephone numbers. Text messages are sent by hooks.send_sms."},
    {"auth", "phone_autoconfirm", TN_SETTING_BOOL, AT(auth.phone_autoconfirm), "off", 0, 0, NULL,
     "New telephone numbers count as confirmed at once. Only for development."},
    {"auth", "mail_interval_s", TN_SETTING_INT, AT(auth.mail_interval_s), "60", 0, DAY_S, NULL,
     "Nobody is sent a mail of the same kind more often than this."},
    {"auth", "sms_interval_s", TN_SETTING_INT, AT(auth.sms_interval_s), "60", 0, DAY_S, NULL,
     "Nobody is sent a code by text message more often than this."},
    {"auth", "sms_otp_ttl_s", TN_SETTING_INT, AT(auth.sms_otp_ttl_s), "60", 10, DAY_S, NULL,
     "How long a code that was sent by text message is good."},
    {"auth", "inactivity_ttl_s", TN_SETTING_INT, AT(auth.inactivity_ttl_s), "0", 0, 3650 * DAY_S,
     NULL, "A session ends when it has not been refreshed for this long. 0: never."},
    {"auth", "single_session", TN_SETTING_BOOL, AT(auth.single_session), "off", 0, 0, NULL,
     "Only the newest session of a person can be refreshed."},
    {"auth", "teams_max", TN_SETTING_INT, AT(auth.teams_max), "20", 0, 100000, NULL,
     "Teams that one person may own. 0: only a secret key makes teams."},
    {"auth", "team_members_max", TN_SETTING_INT, AT(auth.team_members_max), "500", 1, 1000000, NULL,
     "Members that a team may have."},
    {"auth", "team_invitations_per_hour", TN_SETTING_INT, AT(auth.team_invitations_per_hour), "20",
     0, 10000, NULL, "Invitations into teams that one person may send in an hour."},
    {"auth", "team_invitation_ttl_s", TN_SETTING_INT, AT(auth.team_invitation_ttl_s), "604800", 60,
     365 * DAY_S, NULL, "How long an invitation is good."},
    {"auth", "mfa_totp", TN_SETTING_BOOL, AT(auth.mfa_totp), "on", 0, 0, NULL,
     "Authenticator apps (TOTP) may be second factors."},
    {"auth", "mfa_phone", TN_SETTING_BOOL, AT(auth.mfa_phone), "off", 0, 0, NULL,
     "Telephones may be second factors. Wants the send_sms hook."},
    {"auth", "mfa_webauthn", TN_SETTING_BOOL, AT(auth.mfa_webauthn), "on", 0, 0, NULL,
     "Security keys and the like (WebAuthn) may be second factors."},
    {"auth", "mfa_recovery_codes", TN_SETTING_BOOL, AT(auth.mfa_recovery_codes), "on", 0, 0, NULL,
     "Who has a second factor may have recovery codes."},
    {"auth", "mfa_max_factors", TN_SETTING_INT, AT(auth.mfa_max_factors), "10", 1, 100, NULL,
     "Second factors of one person, at most."},
    {"auth", "passkeys", TN_SETTING_BOOL, AT(auth.passkeys), "on", 0, 0, NULL,
     "People may sign in with passkeys."},
    {"auth", "passkeys_aal2", TN_SETTING_BOOL, AT(auth.passkeys_aal2), "off", 0, 0, NULL,
     "A sign-in with a passkey counts as one with two factors (aal2). Off: as one, as in Supabase "
     "Auth."},
    {"auth", "webauthn_rp_id", TN_SETTING_TEXT, AT(auth.webauthn_rp_id), "", 0, 253, NULL,
     "The domain that passkeys and security keys are made for; they are lost when it changes. "
     "Empty: the host of auth.site_url."},
    {"auth", "webauthn_rp_name", TN_SETTING_TEXT, AT(auth.webauthn_rp_name), "", 0, 64, NULL,
     "The name that browsers show beside it. Empty: the domain."},
    {"auth", "webauthn_origins", TN_SETTING_TEXT, AT(auth.webauthn_origins), "", 0, 4096, NULL,
     "Where they may be used: origins such as https://app.example.com, separated by commas. Empty: "
     "that of auth.site_url."},
    {"auth", "secure_email_change", TN_SETTING_BOOL, AT(auth.secure_email_change), "on", 0, 0, NULL,
     "A new mail address has to be confirmed from the old one too."},
    {"auth", "secure_password_change", TN_SETTING_BOOL, AT(auth.secure_password_change), "off", 0,
     0, NULL,
     "To change the password in a session older than a day takes a code that is sent first "
     "(reauthenticate)."},
    {"auth", "require_current_password", TN_SETTING_BOOL, AT(auth.require_current_password), "off",
     0, 0, NULL, "To change the password takes the one so far, except after a recovery."},
    {"auth", "audit_keep_days", TN_SETTING_INT, AT(auth.audit_keep_days), "365", 0, 36500, NULL,
     "Days after which entries of the audit log are deleted. 0: never."},
    {"auth", "agents_max", TN_SETTING_INT, AT(auth.agents_max), "50", 0, 1000000, NULL,
     "How many agents in force a person may have. 0: people make none."},
    {"auth", "agent_ttl_s", TN_SETTING_INT, AT(auth.agent_ttl_s), "2592000", 60, 3650 * DAY_S, NULL,
     "How long an agent lives that is made without expires_in."},
    {"auth", "agent_ttl_max_s", TN_SETTING_INT, AT(auth.agent_ttl_max_s), "31536000", 60,
     3650 * DAY_S, NULL, "How long an agent may live at most."},
    {"auth", "exchange_ttl_s", TN_SETTING_INT, AT(auth.exchange_ttl_s), "300", 1, 3600, NULL,
     "How long a token lives that was exchanged for another, if that one does not end before."},
    {"auth", "cache_ttl_s", TN_SETTING_INT, AT(auth.cache_ttl_s), "60", 0, 3600, NULL,
     "How long a process remembers keys and tokens that it has verified. Revoked keys are "
     "forgotten at once all the same, because the database notifies every process."},

    {"hooks", "custom_access_token", TN_SETTING_TEXT, AT(hooks.custom_access_token), "", 0, 2048,
     NULL, "Changes the claims of each access token before it is signed."},
    {"hooks", "send_email", TN_SETTING_TEXT, AT(hooks.send_email), "", 0, 2048, NULL,
     "Sends mails in the server's stead."},
    {"hooks", "send_sms", TN_SETTING_TEXT, AT(hooks.send_sms), "", 0, 2048, NULL,
     "Sends text messages; without it there are none."},
    {"hooks", "mfa_verification_attempt", TN_SETTING_TEXT, AT(hooks.mfa_verification_attempt), "",
     0, 2048, NULL, "Is told of each answer to a second factor, and may refuse it."},
    {"hooks", "password_verification_attempt", TN_SETTING_TEXT,
     AT(hooks.password_verification_attempt), "", 0, 2048, NULL,
     "Is told of each password that is tried for an account, right or wrong, and may refuse it."},
    {"hooks", "before_user_created", TN_SETTING_TEXT, AT(hooks.before_user_created), "", 0, 2048,
     NULL, "Is asked before an account is made, and may refuse it."},
    {"hooks", "after_user_created", TN_SETTING_TEXT, AT(hooks.after_user_created), "", 0, 2048,
     NULL, "Is told when an account has been made."},
    {"hooks", "secrets", TN_SETTING_SECRET, AT(hooks.secrets), "", 0, 4096, NULL,
     "What HTTP hooks are signed with (Standard Webhooks): v1,whsec_ and 24 to 64 bytes in base64, "
     "or @/path. Several are separated by |, so that one can be replaced by another."},
    {"hooks", "timeout_ms", TN_SETTING_INT, AT(hooks.timeout_ms), "5000", 100, 60000, NULL,
     "How long a hook may take, a second attempt included."},
    {"hooks", "allow_private", TN_SETTING_BOOL, AT(hooks.allow_private), "off", 0, 0, NULL,
     "URLs of hooks may lead to loopback and private addresses, and begin with http://."},

    {"data", "schemas", TN_SETTING_TEXT, AT(data.schemas), "public,ai", 1, 1024, NULL,
     "Schemas that the data API shows, separated by commas. The first is the one of requests "
     "that name none (Accept-Profile, Content-Profile)."},
    {"data", "require_rls", TN_SETTING_BOOL, AT(data.require_rls), "on", 0, 0, NULL,
     "Only relations that keep tenants apart are shown: tables with row security and the policy "
     "that "
     "tenon.protect() makes, and views over such tables. off: whatever the roles may read."},
    {"data", "default_tenant", TN_SETTING_TEXT, AT(data.default_tenant), "", 0, 255, NULL,
     "Name or id of the tenant to which a token without a tenant belongs, and in which a data "
     "request without key and token acts as anon. Empty: both are refused."},
    {"data", "max_rows", TN_SETTING_INT, AT(data.max_rows), "10000", 0, 1000000000, NULL,
     "Rows of a JSON answer at most, and of each embed in it; exports as CSV or NDJSON have no "
     "such limit. 0: none."},
    {"data", "answer_max", TN_SETTING_INT, AT(data.answer_max), "67108864", 0, 1024 * MIB, NULL,
     "Bytes of an answer; more is 413 before it leaves PostgreSQL. Exports as CSV or NDJSON have "
     "no "
     "such limit. 0: none."},
    {"data", "body_max", TN_SETTING_INT, AT(data.body_max), "10485760", KIB, 1024 * MIB, NULL,
     "Bytes of a body; more is answered with 413. nginx has a limit of its own, "
     "client_max_body_size."},
    {"data", "json_depth", TN_SETTING_INT, AT(data.json_depth), "64", 1, 1000, NULL,
     "How deep arrays and objects of a JSON body may nest."},
    {"data", "max_filters", TN_SETTING_INT, AT(data.max_filters), "200", 1, 100000, NULL,
     "Filters of a request, those within and() and or() included."},
    {"data", "max_items", TN_SETTING_INT, AT(data.max_items), "100000", 1, 10000000, NULL,
     "Items of select, order or columns, and values of one in.() list."},
    {"data", "max_embed_depth", TN_SETTING_INT, AT(data.max_embed_depth), "10", 0, 100, NULL,
     "How deep embeds may nest in select."},
    {"data", "max_logic_depth", TN_SETTING_INT, AT(data.max_logic_depth), "20", 1, 500, NULL,
     "How deep and() and or() may nest."},
    {"data", "anon_timeout_ms", TN_SETTING_INT, AT(data.anon_timeout_ms), "8000", 0, 3600000, NULL,
     "PostgreSQL ends a statement of the role anon after this time. `alter role … set "
     "statement_timeout` comes before it. 0: database.statement_timeout_ms."},
    {"data", "authenticated_timeout_ms", TN_SETTING_INT, AT(data.authenticated_timeout_ms), "0", 0,
     3600000, NULL, "The same for people, agents and the app's own roles."},
    {"data", "service_timeout_ms", TN_SETTING_INT, AT(data.service_timeout_ms), "0", 0, 3600000,
     NULL, "The same for secret keys."},
    {"data", "lock_timeout_ms", TN_SETTING_INT, AT(data.lock_timeout_ms), "0", 0, 3600000, NULL,
     "How long a statement of the data API waits for a lock. 0: database.lock_timeout_ms."},
    {"data", "tx_end", TN_SETTING_CHOICE, AT(data.tx_end), "commit", 0, 0, tx_ends,
     "How a request's transaction ends: commit, or rollback for a server that only tries things "
     "out. With -allow-override the client may choose the other (Prefer: tx=)."},
    {"data", "aggregates", TN_SETTING_BOOL, AT(data.aggregates), "off", 0, 0, NULL,
     "select may have count(), sum(), avg(), min() and max()."},
    {"data", "aggregate_max_rows", TN_SETTING_INT, AT(data.aggregate_max_rows), "1000000", 0,
     1000000000, NULL, "Rows that a request with aggregates may read. 0: any number."},
    {"data", "aggregate_timeout_ms", TN_SETTING_INT, AT(data.aggregate_timeout_ms), "5000", 0,
     3600000, NULL,
     "PostgreSQL ends a statement with aggregates after this time, if none shorter holds. 0: as "
     "any other."},
    {"data", "export_timeout_ms", TN_SETTING_INT, AT(data.export_timeout_ms), "600000", 0, 3600000,
     NULL,
     "PostgreSQL ends a statement that gives rows as CSV or NDJSON after this time, whoever asks "
     "but anon. A large answer that its client has not taken by then is cut off. 0: "
     "database.statement_timeout_ms."},
    {"data", "openapi", TN_SETTING_CHOICE, AT(data.openapi), "follow-privileges", 0, 0,
     openapi_modes,
     "The description of the data API at /rest/v1/: what the caller's role may use, everything, or "
     "none."},
    {"data", "plan", TN_SETTING_BOOL, AT(data.plan), "off", 0, 0, NULL,
     "Clients may ask for the plan of their query (Accept: application/vnd.pgrst.plan). Only for "
     "development: it tells of tables and policies, and runs what it explains."},
    {"data", "batch_max", TN_SETTING_INT, AT(data.batch_max), "100", 1, 1000, NULL,
     "Operations of a batch."},
    {"data", "batch_result_max", TN_SETTING_INT, AT(data.batch_result_max), "67108864", KIB,
     1024 * MIB, NULL, "Bytes of the results of a batch, all together."},
    {"data", "idempotency_body_max", TN_SETTING_INT, AT(data.idempotency_body_max), "1048576", 0,
     1024 * MIB, NULL,
     "Bytes of an answer to a write with an Idempotency-Key that are kept for a day. Of a larger "
     "one only that it was done."},
    {"data", "pre_request", TN_SETTING_TEXT, AT(data.pre_request), "", 0, 128, NULL,
     "A function without arguments that each transaction of the data API calls first: schema.name. "
     "It may raise, or set response.status and response.headers. Empty: none."},
    {"data", "extra_search_path", TN_SETTING_TEXT, AT(data.extra_search_path), "public,extensions",
     0, 1024, NULL,
     "Schemas, separated by commas, in which names are looked up behind the schema of the "
     "request."},

    {"chat", "provider", TN_SETTING_TEXT, AT(chat.provider), "", 0, 63, NULL,
     "The provider that answers when a request names none. Empty: the first of the file."},
    {"chat", "model", TN_SETTING_TEXT, AT(chat.model), "", 0, 255, NULL,
     "The model that answers when a request names none. Empty: the provider's first."},
    {"chat", "fallback", TN_SETTING_TEXT, AT(chat.fallback), "", 0, 1024, NULL,
     "Providers, separated by commas, that are asked in turn when the first cannot answer."},
    {"chat", "flush_ms", TN_SETTING_INT, AT(chat.flush_ms), "500", 10, 60000, NULL,
     "How often the text of a running reply is stored, for clients that come back to it."},
    {"chat", "heartbeat_s", TN_SETTING_INT, AT(chat.heartbeat_s), "15", 1, 300, NULL,
     "A silent stream sends a comment this often, so that nothing in between closes it."},
    {"chat", "message_max", TN_SETTING_INT, AT(chat.message_max), "1048576", 1, 64 * MIB, NULL,
     "Bytes of a user's message."},
    {"chat", "history_messages", TN_SETTING_INT, AT(chat.history_messages), "200", 1, 100000, NULL,
     "Messages of a conversation that are sent to the provider at most; its context window bounds "
     "them further."},
    {"chat", "finish_without_client", TN_SETTING_BOOL, AT(chat.finish_without_client), "on", 0, 0,
     NULL, "A reply is finished and stored although the client has gone."},
    {"chat", "reply_max", TN_SETTING_INT, AT(chat.reply_max), "1048576", KIB, 64 * MIB, NULL,
     "Bytes of a reply; a provider that sends more is cut off."},

    {"limits", "enabled", TN_SETTING_BOOL, AT(limits.enabled), "on", 0, 0, NULL,
     "Whether callers are limited at all."},
    {"limits", "exempt", TN_SETTING_TEXT, AT(limits.exempt), "", 0, 4096, NULL,
     "Addresses that are never limited: CIDR blocks, separated by commas."},
    {"limits", "read", TN_SETTING_TEXT, AT(limits.read), "1200/60:300", 1, 64, NULL,
     "Requests that read, per user or key."},
    {"limits", "write", TN_SETTING_TEXT, AT(limits.write), "600/60:150", 1, 64, NULL,
     "Requests that write, per user or key."},
    {"limits", "chat", TN_SETTING_TEXT, AT(limits.chat), "60/60:30", 1, 64, NULL,
     "Messages to a model, per user or key."},
    {"limits", "signup", TN_SETTING_TEXT, AT(limits.signup), "30/300:30", 1, 64, NULL,
     "Sign-ups, per address."},
    {"limits", "anonymous", TN_SETTING_TEXT, AT(limits.anonymous), "30/3600:30", 1, 64, NULL,
     "Anonymous sign-ups, per address."},
    {"limits", "token", TN_SETTING_TEXT, AT(limits.token), "150/300:30", 1, 64, NULL,
     "Sign-ins and refreshed tokens, per address."},
    {"limits", "otp", TN_SETTING_TEXT, AT(limits.otp), "30/300:30", 1, 64, NULL,
     "One-time passwords asked for, per address."},
    {"limits", "magiclink", TN_SETTING_TEXT, AT(limits.magiclink), "30/300:30", 1, 64, NULL,
     "Magic links asked for, per address."},
    {"limits", "recover", TN_SETTING_TEXT, AT(limits.recover), "30/300:30", 1, 64, NULL,
     "Password recoveries asked for, per address."},
    {"limits", "resend", TN_SETTING_TEXT, AT(limits.resend), "30/300:30", 1, 64, NULL,
     "Mails asked for again, per address."},
    {"limits", "verify", TN_SETTING_TEXT, AT(limits.verify), "30/300:30", 1, 64, NULL,
     "Links and one-time passwords redeemed, per address."},
    {"limits", "user_update", TN_SETTING_TEXT, AT(limits.user_update), "30/300:30", 1, 64, NULL,
     "Changes of one's own account, per address."},
    {"limits", "factor", TN_SETTING_TEXT, AT(limits.factor), "15/60:30", 1, 64, NULL,
     "Challenges and answers of a second factor or passkey, per address."},
    {"limits", "authorize", TN_SETTING_TEXT, AT(limits.authorize), "60/300:60", 1, 64, NULL,
     "Sign-ins by way of another provider, per address."},
    {"limits", "password", TN_SETTING_TEXT, AT(limits.password), "10/300:20", 1, 64, NULL,
     "Wrong passwords for one account, from wherever they come."},
    {"limits", "mail", TN_SETTING_TEXT, AT(limits.mail), "30/3600:30", 1, 64, NULL,
     "Mails that people cause, per tenant. None counts while auth.autoconfirm is on."},
    {"limits", "sms", TN_SETTING_TEXT, AT(limits.sms), "30/3600:30", 1, 64, NULL,
     "Text messages that people cause, per tenant."},

    {"mail", "url", TN_SETTING_TEXT, AT(mail.url), "", 0, 512, NULL,
     "The mail server: smtp://host:587, smtps://host:465. Empty: mails are laid into "
     "mail.maildir."},
    {"mail", "user", TN_SETTING_TEXT, AT(mail.user), "", 0, 255, NULL,
     "Name at the mail server. Empty: no authentication."},
    {"mail", "password", TN_SETTING_SECRET, AT(mail.password), "", 0, 4096, NULL,
     "Password at the mail server, or @/path."},
    {"mail", "from", TN_SETTING_TEXT, AT(mail.from), "", 0, 255, NULL,
     "The address that mails come from. It is needed when mail.url is set."},
    {"mail", "from_name", TN_SETTING_TEXT, AT(mail.from_name), "", 0, 128, NULL,
     "The name beside it: the app's."},
    {"mail", "tls", TN_SETTING_CHOICE, AT(mail.tls), "required", 0, 0, mail_tls,
     "STARTTLS on smtp:// URLs: required, opportunistic (where the server offers it; no password "
     "is sent then) or off. Certificates are always verified; smtps:// is always encrypted."},
    {"mail", "ca_file", TN_SETTING_TEXT, AT(mail.ca_file), "", 0, 4096, NULL,
     "A file of certificates in PEM that are trusted beside the system's, for a private server."},
    {"mail", "maildir", TN_SETTING_TEXT, AT(mail.maildir), "", 0, 4096, NULL,
     "The folder for mails without mail.url. Empty: mail in server.run_dir."},
    {"mail", "connect_timeout_s", TN_SETTING_INT, AT(mail.connect_timeout_s), "10", 1, 300, NULL,
     "How long connecting to the mail server may take."},
    {"mail", "timeout_s", TN_SETTING_INT, AT(mail.timeout_s), "60", 1, 600, NULL,
     "How long sending one mail may take altogether."},
    {"mail", "senders", TN_SETTING_INT, AT(mail.senders), "2", 1, 16, NULL,
     "Mails that are sent at once, by each jobs process."},

    {"storage", "dir", TN_SETTING_TEXT, AT(storage.dir), "/var/lib/tenon/storage", 1, 512, NULL,
     "Where files are. nginx spools uploads to its folder spool and sends downloads from its "
     "folder objects, so it must belong to the user of both, on one filesystem."},
    {"storage", "object_max", TN_SETTING_INT, AT(storage.object_max), "5368709120", 1,
     INT64_C(5) * 1024 * MIB * 1024, NULL,
     "Bytes of one file, at most. Buckets can have a smaller limit. nginx has one of its own: "
     "client_max_body_size in tenon_upload_max.conf."},
    {"storage", "tenant_quota", TN_SETTING_INT, AT(storage.tenant_quota), "0", 0, INT64_MAX, NULL,
     "Bytes that each tenant may store; `tenon storage quota` sets another number for one. 0: any "
     "number."},
    {"storage", "user_quota", TN_SETTING_INT, AT(storage.user_quota), "0", 0, INT64_MAX, NULL,
     "Bytes that each person may store. 0: any number."},
    {"storage", "image_source_max", TN_SETTING_INT, AT(storage.image_source_max), "26214400", 1,
     1024 * MIB, NULL, "Bytes of an image that can be transformed."},
    {"storage", "image_pixels_max", TN_SETTING_INT, AT(storage.image_pixels_max), "50000000", 1,
     INT64_C(10000000000), NULL, "Pixels of an image that can be transformed."},
    {"storage", "image_memory_mib", TN_SETTING_INT, AT(storage.image_memory_mib), "512", 64, 65536,
     NULL, "Memory of one process that transforms images."},
    {"storage", "image_timeout_s", TN_SETTING_INT, AT(storage.image_timeout_s), "20", 1, 600, NULL,
     "How long transforming one image may take."},
    {"storage", "image_processes", TN_SETTING_INT, AT(storage.image_processes), "2", 1, 64, NULL,
     "Images that are transformed at once."},
    {"storage", "image_cache_max", TN_SETTING_INT, AT(storage.image_cache_max), "1073741824", 0,
     INT64_MAX, NULL, "Bytes of transformed images that are kept."},
    {"storage", "master_key", TN_SETTING_SECRET, AT(storage.master_key), "", 0, 128, NULL,
     "64 hexadecimal digits under which the keys of encrypted buckets are sealed (openssl rand "
     "-hex "
     "32). It is not in the database: without it their files are lost."},
    {"storage", "old_master_keys", TN_SETTING_SECRET, AT(storage.old_master_keys), "", 0, 4096,
     NULL,
     "Earlier ones, separated by commas, until `tenon storage rotate-master` has sealed everything "
     "anew."},
    {"storage", "s3_region", TN_SETTING_TEXT, AT(storage.s3_region), "us-east-1", 1, 64, NULL,
     "The region that clients of S3 sign for."},
    {"storage", "backend_url", TN_SETTING_TEXT, AT(storage.backend_url), "", 0, 512, NULL,
     "A store that speaks S3, with its bucket: https://s3.example.com/tenon. Empty: files are on "
     "the disk."},
    {"storage", "backend_region", TN_SETTING_TEXT, AT(storage.backend_region), "us-east-1", 1, 64,
     NULL, "The region of that store."},
    {"storage", "backend_key_id", TN_SETTING_TEXT, AT(storage.backend_key_id), "", 0, 256, NULL,
     "The access key for that store."},
    {"storage", "backend_secret", TN_SETTING_SECRET, AT(storage.backend_secret), "", 0, 256, NULL,
     "Its secret."},
    {"storage", "backend_allow_private", TN_SETTING_BOOL, AT(storage.backend_allow_private), "off",
     0, 0, NULL, "That store may be at a loopback or private address."},
    {"storage", "backend_writes", TN_SETTING_BOOL, AT(storage.backend_writes), "on", 0, 0, NULL,
     "New files go to that store; off: to the disk. Files are read from both places either way, "
     "and "
     "`tenon storage migrate` moves them."},
    {"storage", "clamd", TN_SETTING_TEXT, AT(storage.clamd), "", 0, 256, NULL,
     "Where clamd listens, unix:/run/clamav/clamd.ctl or host:port. Uploads are scanned then "
     "before "
     "anybody sees them. Empty: they are not."},
    {"storage", "clamd_timeout_s", TN_SETTING_INT, AT(storage.clamd_timeout_s), "120", 1, 3600,
     NULL, "How long scanning one file may take. An upload that cannot be scanned is refused."},
    {"storage", "clamd_max", TN_SETTING_INT, AT(storage.clamd_max), "26214400", 1, INT64_MAX, NULL,
     "Bytes of a file that clamd takes (its StreamMaxLength)."},
    {"storage", "clamd_oversize", TN_SETTING_BOOL, AT(storage.clamd_oversize), "on", 0, 0, NULL,
     "Files larger than clamd_max are stored without a scan; off: they are refused."},
    {"storage", "upload_ttl_s", TN_SETTING_INT, AT(storage.upload_ttl_s), "86400", 60, 30 * DAY_S,
     NULL, "How long an upload in parts (tus, S3) may stand still before it is given up."},
    {"storage", "upload_url_ttl_s", TN_SETTING_INT, AT(storage.upload_url_ttl_s), "7200", 1,
     30 * DAY_S, NULL, "How long a signed URL for an upload is good."},
    {"storage", "trash_grace_s", TN_SETTING_INT, AT(storage.trash_grace_s), "60", 0, 30 * DAY_S,
     NULL,
     "How long bytes stay after their file has been deleted or replaced, for those who are "
     "reading them."},
    {"storage", "sweep_interval_s", TN_SETTING_INT, AT(storage.sweep_interval_s), "10", 1, DAY_S,
     NULL, "How often the sweeper looks."},
    {"storage", "orphan_age_s", TN_SETTING_INT, AT(storage.orphan_age_s), "86400", 1, 365 * DAY_S,
     NULL, "Files that no row names are removed when they are older than this."},

    {TN_PROVIDER_SECTION, "kind", TN_SETTING_CHOICE, PROVIDER_AT(kind), "openai", 0, 0,
     provider_kinds,
     "What it speaks: openai (also Ollama, vLLM, llama.cpp and most others), anthropic, or echo, "
     "which is built in and repeats what it is told."},
    {TN_PROVIDER_SECTION, "base_url", TN_SETTING_URL, PROVIDER_AT(base_url), "", 0, 2048, NULL,
     "Where it is. Empty: https://api.openai.com/v1 or https://api.anthropic.com, by kind."},
    {TN_PROVIDER_SECTION, "key", TN_SETTING_SECRET, PROVIDER_AT(key), "", 0, 4096, NULL,
     "Its API key, or @/path. Empty: none is sent."},
    {TN_PROVIDER_SECTION, "models", TN_SETTING_MODELS, PROVIDER_AT(models), "", 0, 8192, NULL,
     "Models that may be asked for, separated by commas: name, or name:context:output with the "
     "tokens of its window and of a reply at most. Empty: any."},
    {TN_PROVIDER_SECTION, "context_tokens", TN_SETTING_INT, PROVIDER_AT(context_tokens), "32768",
     256, 100000000, NULL, "Context window of models that say nothing else."},
    {TN_PROVIDER_SECTION, "output_tokens", TN_SETTING_INT, PROVIDER_AT(output_tokens), "4096", 1,
     10000000, NULL, "Tokens of a reply at most, for models that say nothing else."},
    {TN_PROVIDER_SECTION, "connect_timeout_ms", TN_SETTING_INT, PROVIDER_AT(connect_timeout_ms),
     "5000", 1, 600000, NULL, "How long connecting may take."},
    {TN_PROVIDER_SECTION, "first_byte_timeout_ms", TN_SETTING_INT,
     PROVIDER_AT(first_byte_timeout_ms), "60000", 1, 3600000, NULL,
     "How long the answer may take to begin."},
    {TN_PROVIDER_SECTION, "silence_timeout_ms", TN_SETTING_INT, PROVIDER_AT(silence_timeout_ms),
     "60000", 1, 3600000, NULL, "How long the answer may pause."},
    {TN_PROVIDER_SECTION, "total_timeout_ms", TN_SETTING_INT, PROVIDER_AT(total_timeout_ms),
     "600000", 1, 86400000, NULL, "How long the whole answer may take."},
    {TN_PROVIDER_SECTION, "retries", TN_SETTING_INT, PROVIDER_AT(retries), "2", 0, 10, NULL,
     "How often a call is tried again after 429, 5xx or a broken connection, before its first "
     "byte."},
    {TN_PROVIDER_SECTION, "allow_private", TN_SETTING_BOOL, PROVIDER_AT(allow_private), "off", 0, 0,
     NULL, "base_url may lead to loopback and private addresses, as for a model on this machine."},
    {TN_PROVIDER_SECTION, "delay_ms", TN_SETTING_INT, PROVIDER_AT(delay_ms), "0", 0, 60000, NULL,
     "echo only: pause between two words."},

    {TN_OAUTH_SECTION, "client_id", TN_SETTING_TEXT, OAUTH_AT(client_id), "", 0, 1024, NULL,
     "What this server is called there."},
    {TN_OAUTH_SECTION, "secret", TN_SETTING_SECRET, OAUTH_AT(secret), "", 0, 65536, NULL,
     "The client secret, or @/path. For apple with key_id and team_id: the private key (.p8), of "
     "which secrets are made. Empty: none is sent."},
    {TN_OAUTH_SECTION, "issuer", TN_SETTING_URL, OAUTH_AT(issuer), "", 0, 2048, NULL,
     "Issuer of OpenID Connect; what else must be known is read from its "
     "/.well-known/openid-configuration. Empty: the one of google, apple or azure. For azure with "
     "one tenant https://login.microsoftonline.com/TENANT/v2.0."},
    {TN_OAUTH_SECTION, "scopes", TN_SETTING_TEXT, OAUTH_AT(scopes), "", 0, 4096, NULL,
     "What is asked for besides the usual, separated by blanks."},
    {TN_OAUTH_SECTION, "audiences", TN_SETTING_TEXT, OAUTH_AT(audiences), "", 0, 4096, NULL,
     "Further client ids, separated by commas, for which id tokens may have been issued: those of "
     "your app on phones."},
    {TN_OAUTH_SECTION, "authorize_url", TN_SETTING_URL, OAUTH_AT(authorize_url), "", 0, 2048, NULL,
     "Where people are sent, if not where the provider says."},
    {TN_OAUTH_SECTION, "token_url", TN_SETTING_URL, OAUTH_AT(token_url), "", 0, 2048, NULL,
     "Where codes are exchanged, likewise."},
    {TN_OAUTH_SECTION, "userinfo_url", TN_SETTING_URL, OAUTH_AT(userinfo_url), "", 0, 2048, NULL,
     "Where profiles are read, likewise."},
    {TN_OAUTH_SECTION, "jwks_url", TN_SETTING_URL, OAUTH_AT(jwks_url), "", 0, 2048, NULL,
     "Where the keys of id tokens are, likewise."},
    {TN_OAUTH_SECTION, "team_id", TN_SETTING_TEXT, OAUTH_AT(team_id), "", 0, 64, NULL,
     "apple only: the team."},
    {TN_OAUTH_SECTION, "key_id", TN_SETTING_TEXT, OAUTH_AT(key_id), "", 0, 64, NULL,
     "apple only: the name of the private key."},
    {TN_OAUTH_SECTION, "allow_private", TN_SETTING_BOOL, OAUTH_AT(allow_private), "off", 0, 0, NULL,
     "The provider may be at loopback and private addresses, and without TLS."},
    {TN_OAUTH_SECTION, "email_optional", TN_SETTING_BOOL, OAUTH_AT(email_optional), "off", 0, 0,
     NULL,
     "People may sign in although the provider has not verified an e-mail address of theirs; their "
     "account has none then."},
    {TN_OAUTH_SECTION, "skip_nonce", TN_SETTING_BOOL, OAUTH_AT(skip_nonce), "off", 0, 0, NULL,
     "The nonce of id tokens that apps bring (signInWithIdToken) is not compared, for systems that "
     "put in one which the app does not know."},
    {.key = NULL},
};
static_assert(TN_COUNT(tn_settings) <= TN_SETTINGS_MAX, "config.c counts on it");

const tn_setting *
tn_setting_find(const char *section, const char *key)
{
    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++)
        if (strcmp(setting->section, section) == 0 && strcmp(setting->key, key) == 0)
            return setting;
    return NULL;
}

bool
tn_setting_section_exists(const char *section)
{
    for (size_t i = 0; i < TN_COUNT(sections); i++)
        if (strcmp(sections[i].name, section) == 0)
            return true;
    return false;
}

/* Levenshtein's distance, one row of the table at a time. */
static size_t
edit_distance(tn_arena *arena, const char *a, const char *b)
{
    const size_t width = strlen(b);
    size_t *row = tn_arena_alloc(arena, width + 1, sizeof(*row));

    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[width];
}

const char *
tn_setting_nearest(tn_arena *arena, const char *section, const char *word)
{
    const size_t length = strlen(word);
    size_t best = length / 2 + 1; /* more than half of it wrong is another word */
    const char *nearest = NULL;

    if (length > 64)
        return NULL;
    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
        const char *candidate = section == NULL ? setting->section : setting->key;
        size_t distance;

        if (section != NULL && strcmp(setting->section, section) != 0)
            continue;
        distance = edit_distance(arena, word, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

static void
print_upper(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        (void)fputc(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text, out);
}

/* The text as lines of a comment, broken between words. */
static void
print_comment(FILE *out, const char *text)
{
    size_t column = 0;

    while (*text != '\0') {
        const size_t length = strcspn(text, " ");

        if (column == 0 || column + 1 + length > WIDTH) {
            (void)fputs(column == 0 ? "#" : "\n#", out);
            column = 1;
        }
        (void)fprintf(out, " %.*s", (int)length, text);
        column += 1 + length;
        text += length;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

/* Whether a section comes several times, each under a name. */
static bool
is_named(const char *section)
{
    return strcmp(section, TN_PROVIDER_SECTION) == 0 || strcmp(section, TN_OAUTH_SECTION) == 0;
}

void
tn_config_document(FILE *out)
{
    print_comment(out,
                  "Tenon: every setting with its default. Take away the # in front of a line to "
                  "change it; `tenon reload` makes it take effect. The environment variable "
                  "TENON_SECTION_KEY (TENON_SERVER_RUN_DIR) overrides a setting. A setting that "
                  "does not exist is an error. Comments stand on lines of their own.");
    for (size_t i = 0; i < TN_COUNT(sections); i++) {
        (void)fputc('\n', out);
        print_comment(out, sections[i].explanation);
        (void)fprintf(out, "%s[%s%s]\n", is_named(sections[i].name) ? "#" : "", sections[i].name,
                      strcmp(sections[i].name, TN_PROVIDER_SECTION) == 0 ? " openai"
                      : is_named(sections[i].name)                       ? " github"
                                                                         : "");
        for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
            if (strcmp(setting->section, sections[i].name) != 0)
                continue;
            (void)fputc('\n', out);
            print_comment(out, setting->explanation);
            (void)fprintf(out, "#%s =%s%s\n", setting->key, setting->fallback[0] == '\0' ? "" : " ",
                          setting->fallback);
        }
    }
}

static void
print_values(FILE *out, const tn_setting *setting)
{
    switch (setting->type) {
    case TN_SETTING_INT:
        (void)fprintf(out, "%lld to %lld", (long long)setting->min, (long long)setting->max);
        break;
    case TN_SETTING_BOOL:
        (void)fputs("on, off", out);
        break;
    case TN_SETTING_CHOICE:
        for (size_t i = 0; setting->choices[i] != NULL; i++)
            (void)fprintf(out, "%s%s", i == 0 ? "" : ", ", setting->choices[i]);
        break;
    case TN_SETTING_SECRET:
        (void)fputs("secret", out);
        break;
    case TN_SETTING_URL:
        (void)fputs("URL", out);
        break;
    case TN_SETTING_TEXT:
    case TN_SETTING_MODELS:
        (void)fputs("text", out);
        break;
    }
}

void
tn_config_document_markdown(FILE *out)
{
    (void)fputs(
        "# Settings\n\n"
        "Generated from the table in `src/base/settings.c` by `make settings`.\n\n"
        "Settings stand in `tenon.conf`, as `key = value` under their `[section]`. The "
        "environment variable beside each\noverrides it. A setting that does not exist is an "
        "error, and so is a variable that looks like one. Where a secret is\nwanted, "
        "`@/path` means: the content of that file. `tenon reload` makes changes take effect.\n",
        out);
    for (size_t i = 0; i < TN_COUNT(sections); i++) {
        (void)fprintf(out,
                      "\n## [%s%s]\n\n%s\n\n| setting | default | values | what it is |\n"
                      "|---|---|---|---|\n",
                      sections[i].name, is_named(sections[i].name) ? " NAME" : "",
                      sections[i].explanation);
        for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
            if (strcmp(setting->section, sections[i].name) != 0)
                continue;
            (void)fprintf(out, "| `%s`<br>`TENON_", setting->key);
            print_upper(out, setting->section);
            (void)fputs(is_named(setting->section) ? "_<NAME>_" : "_", out);
            print_upper(out, setting->key);
            (void)fprintf(out, setting->fallback[0] == '\0' ? "` | %s| " : "` | `%s` | ",
                          setting->fallback);
            print_values(out, setting);
            (void)fprintf(out, " | %s |\n", setting->explanation);
        }
    }
}
