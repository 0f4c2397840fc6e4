/* cmd/key.c: `tenon key …`: API keys, which are shown once and stored as their hash */
#include "identity/key.h"

#include "base/crypto.h"
#include "cmd/key.h"
#include "cmd/queries.h"

tn_fresh_key
tn_fresh_key_new(tn_arena *arena, const char *kind)
{
    tn_fresh_key key = {.text = tn_key_new(arena, kind)};

    if (key.text == NULL)
        return key;
    key.hash_hex = tn_sha256_hex(arena, key.text);
    key.hint = key.text + strlen(key.text) - 4;
    return key;
}

void
tn_fresh_key_print(const tn_command_line *line, const char *row, const char *key)
{
    tn_command_print(
        line,
        tn_arena_printf(line->arena, "%.*s, \"key\": \"%s\"}", (int)strlen(row) - 1, row, key),
        "%s\n", key);
    if (!line->json)
        fputs("This is the only time the key is shown.\n", stderr);
}

/* A publishable key is kept as well, sealed, because clients of S3 sign with it; nothing without a
 * usable server.secret. */
static const char *
seal_publishable(const tn_command_line *line, const tn_config *config, const char *kind,
                 const char *text)
{
    uint8_t key[32];

    if (strcmp(kind, "publishable") != 0 || config->server.secret == NULL ||
        strspn(config->server.secret, "0123456789abcdefABCDEF") != 64 ||
        strlen(config->server.secret) != 64)
        return NULL;
    tn_derive_server_key(config->server.secret, TN_PUBLISHABLE_PURPOSE, key);
    return tn_seal_text(line->arena, key, TN_PUBLISHABLE_PURPOSE, text);
}

static tn_exit
check_kind(tn_command_line *line, const char *kind)
{
    const bool is_agent = kind != NULL && strcmp(kind, "agent") == 0;

    if (kind == NULL || tn_key_new(line->arena, kind) == NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "kind_wrong", NULL,
                               "--kind is publishable, secret, agent or platform");
    if (is_agent && (tn_command_option(line, "scopes") == NULL ||
                     tn_command_option(line, "expires-in") == NULL))
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "an agent's key needs --scopes and --expires-in");
    if (!is_agent &&
        (tn_command_option(line, "scopes") != NULL || tn_command_option(line, "user") != NULL))
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "only an agent's key has --scopes and a --user");
    return TN_EXIT_OK;
}

static tn_exit
run_create(tn_command_line *line)
{
    const char *kind = tn_command_option(line, "kind"), *name = tn_command_option(line, "name");
    const char *lifetime = tn_command_option(line, "expires-in"), *tenant;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    tn_fresh_key key;

    TN_COMMAND_TRY(check_kind(line, kind));
    key = tn_fresh_key_new(line->arena, kind);
    if (name == NULL)
        name = kind;
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    if (strcmp(kind, "platform") == 0) {
        if (tn_command_option(line, "tenant") != NULL)
            return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                                   "a platform key belongs to no tenant");
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_key_create_platform,
                                        TN_PARAMS(name, key.hash_hex, key.hint, lifetime), NULL,
                                        &rows));
    } else {
        TN_COMMAND_TRY(
            tn_command_tenant(line, config, session, tn_command_option(line, "tenant"), &tenant));
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_key_create,
                                        TN_PARAMS(tenant, kind, name, key.hash_hex, key.hint,
                                                  tn_command_option(line, "scopes"),
                                                  tn_command_option(line, "user"), lifetime,
                                                  seal_publishable(line, config, kind, key.text)),
                                        NULL, &rows));
    }
    tn_fresh_key_print(line, tn_rows_text(rows, 0, 0), key.text);
    return TN_EXIT_OK;
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"ID", "id"},
                                        {"TENANT", "tenant"},
                                        {"KIND", "kind"},
                                        {"NAME", "name"},
                                        {"KEY", "shown"},
                                        {"STATE", "state"},
                                        {"EXPIRES", "expires_at"},
                                        {"LAST USED", "last_used_at"},
                                        {.title = NULL}};
    const char *wanted = tn_command_option(line, "tenant"), *tenant = NULL;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    if (wanted != NULL)
        TN_COMMAND_TRY(tn_command_tenant(line, config, session, wanted, &tenant));
    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_key_list, TN_PARAMS(tenant), NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

/* The argument as an id: a key pasted in its place must not end up in an error of the database. */
static tn_exit
read_id(tn_command_line *line, tn_uuid *id)
{
    if (tn_uuid_parse(line->arguments[0], id))
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_USAGE, "id_wrong", "`tenon key list` shows the ids.",
                           tn_key_is_formed(line->arguments[0])
                               ? "this takes the id of the key, not the key"
                               : "this takes the id of a key");
}

static tn_exit
run_revoke(tn_command_line *line)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    tn_uuid id;

    TN_COMMAND_TRY(read_id(line, &id));
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_key_revoke, TN_PARAMS(id.text),
                                    "no key with this id is in force", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "revoked\n");
    return TN_EXIT_OK;
}

static tn_exit
run_rotate(tn_command_line *line)
{
    const char *overlap = tn_command_option(line, "overlap"), *kind;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    tn_fresh_key key;
    tn_uuid id;

    TN_COMMAND_TRY(read_id(line, &id));
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_key_get, TN_PARAMS(id.text),
                                    "no key with this id is in force", &rows));
    kind = tn_rows_text(rows, 0, 0);
    key = tn_fresh_key_new(line->arena, kind);
    if (overlap == NULL)
        overlap = "0";
    if (strcmp(kind, "platform") == 0)
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_key_rotate_platform,
                                        TN_PARAMS(id.text, key.hash_hex, key.hint, overlap),
                                        "no key with this id is in force", &rows));
    else
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_key_rotate,
                                        TN_PARAMS(id.text, key.hash_hex, key.hint, overlap,
                                                  seal_publishable(line, config, kind, key.text)),
                                        "no key with this id is in force", &rows));
    tn_fresh_key_print(line, tn_rows_text(rows, 0, 0), key.text);
    return TN_EXIT_OK;
}

static const tn_option create_options[] = {
    {"tenant", "TENANT", "name or id (else data.default_tenant)"},
    {"kind", "KIND", "publishable, secret, agent or platform"},
    {"name", "NAME", "to tell keys apart (else the kind)"},
    {"expires-in", "TIME", "'30 days', '12 hours' (else never; agents need it)"},
    {"scopes", "LIST", "agents: chat:read,chat:write,…"},
    {"user", "ID", "agents: the person for whom the agent acts"},
    {.name = NULL},
};
static const tn_option list_options[] = {{"tenant", "TENANT", "only this tenant's"},
                                         {.name = NULL}};
static const tn_option rotate_options[] = {
    {"overlap", "TIME", "how long the old key still works: 24h, '7 days' (else not at all)"},
    {.name = NULL}};

const tn_command tn_key_commands[] = {
    {"key create", .summary = "Make a key and print it, the only time it is shown",
     .help = "publishable  tnp_…  may be in a browser or an app; acts as anon\n"
             "secret       tns_…  for the tenant's own server; sees all of its tenant\n"
             "agent        tna_…  scoped and expiring, acts for one user; see also `tenon agent "
             "create`\n"
             "platform     tnx_…  the operator's, of no tenant\n",
     .options = create_options, .run = run_create},
    {"key list", .summary = "Keys, without the keys themselves", .options = list_options,
     .run = run_list},
    {"key revoke", "ID", 1, 1, "End a key; workers forget it within a second", NULL, NULL,
     run_revoke},
    {"key rotate", "ID", 1, 1, "Replace a key by a new one with the same rights", NULL,
     rotate_options, run_rotate},
    {.name = NULL},
};
