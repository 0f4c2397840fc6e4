/* cmd/signing_key.c: `tenon signing-key …`: the ES256 keys that sign access tokens
 *
 * One key is `active` and signs. One is `next`: published, so that whoever caches the JWKS knows it
 * before it signs. `previous` ones still verify. Rotation moves all of them one on.
 */
#include "base/crypto.h"
#include "cmd/queries.h"
#include "cmd/schema.h"
#include "identity/token.h"

tn_exit
tn_command_secret(tn_command_line *line, const tn_config *config)
{
    uint8_t bytes[32];

    if (config->server.secret != NULL && tn_hex_decode(config->server.secret, bytes, sizeof bytes))
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_CONFIG, "config_wrong", "Make one: openssl rand -hex 32",
                           "server.secret must be 64 hexadecimal digits");
}

tn_exit
tn_signing_key_add(tn_command_line *line, const tn_config *config, tn_session *session,
                   const char *status)
{
    const char *kid, *jwk;
    const void *sealed;
    size_t length;
    char *hex;

    tn_signing_key_new(line->arena, config->server.secret, &kid, &jwk, &sealed, &length);
    hex = tn_arena_alloc(line->arena, length * 2 + 1, 1);
    tn_hex(sealed, length, hex);
    return tn_command_query(line, session, &tn_sql_signing_key_add,
                            TN_PARAMS(kid, jwk, hex, status), NULL, NULL);
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"KID", "kid"},          {"ALG", "alg"},
                                        {"STATUS", "status"},    {"CREATED", "created_at"},
                                        {"SINCE", "updated_at"}, {.title = NULL}};
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_signing_key_list, TN_NO_PARAMS, NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

/* In one transaction: the key that signs is never missing. */
static tn_exit
rotate(tn_command_line *line, const tn_config *config, tn_session *session, const tn_rows **rows)
{
    const char *ttl_s = tn_arena_number(line->arena, config->auth.jwt_ttl_s);

    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_transaction_begin, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_signing_key_lock, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(tn_signing_key_add(line, config, session, "next")); /* if there was none */
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_signing_key_retire_old, TN_PARAMS(ttl_s),
                                    NULL, NULL));
    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_signing_key_step_down, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_signing_key_step_up, TN_NO_PARAMS,
                                    "there is no next signing key", rows));
    TN_COMMAND_TRY(tn_signing_key_add(line, config, session, "next"));
    return tn_command_query(line, session, &tn_sql_transaction_commit, TN_NO_PARAMS, NULL, NULL);
}

static tn_exit
run_rotate(tn_command_line *line)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_secret(line, config));
    TN_COMMAND_TRY(rotate(line, config, session, &rows));
    tn_command_print(line,
                     tn_arena_printf(line->arena, "{\"active\":\"%s\"}", tn_rows_text(rows, 0, 0)),
                     "%s signs now; tokens signed before stay valid\n", tn_rows_text(rows, 0, 0));
    return TN_EXIT_OK;
}

static tn_exit
run_retire(tn_command_line *line)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_signing_key_retire, TN_PARAMS(line->arguments[0]),
        "no previous or next key has this kid; the active one must be rotated first", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0),
                     "retired: tokens that it signed are refused\n");
    return TN_EXIT_OK;
}

const tn_command tn_signing_key_commands[] = {
    {"signing-key list", .summary = "The keys that sign access tokens", .run = run_list},
    {"signing-key rotate", .summary = "Let the next key sign, and make another next one",
     .help = "Nobody is signed out: the key that signed until now still verifies. It is retired by "
             "a later rotation,\n"
             "once all its tokens have expired, or at once by `tenon signing-key retire`.\n",
     .run = run_rotate},
    {"signing-key retire", "KID", 1, 1, "Refuse from now on what a previous key has signed",
     "A KID that begins with - goes behind --: tenon signing-key retire -- -abc\n", NULL,
     run_retire},
    {.name = NULL},
};
