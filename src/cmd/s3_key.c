/* cmd/s3_key.c: `tenon s3-key …`: access keys for clients of S3 */
#include "base/crypto.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/queries.h"
#include "cmd/schema.h"
#include "identity/key.h"

#define ID_LETTERS 16
#define SECRET_BYTES 30 /* 40 characters, as AWS has them */

/* Whose key it is; both NULL: the tenant's own. */
struct holder {
    const char *kind, *user_id, *agent_id;
};

static tn_exit
find_holder(tn_command_line *line, tn_session *session, const char *tenant, struct holder *holder)
{
    const char *user = tn_command_option(line, "user"), *agent = tn_command_option(line, "agent");
    const tn_rows *rows;
    tn_uuid id;

    *holder = (struct holder){.kind = "service"};
    if (user != NULL && agent != NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "a key is of a --user or of an --agent");
    if (user != NULL) {
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_user_find, TN_PARAMS(tenant, user),
                                        "the tenant has no such user", &rows));
        *holder = (struct holder){.kind = "user", .user_id = tn_rows_text(rows, 0, 0)};
    }
    if (agent != NULL) {
        if (!tn_uuid_parse(agent, &id))
            return tn_command_fail(line, TN_EXIT_USAGE, "id_wrong",
                                   "`tenon agent list` shows the ids.",
                                   "--agent takes the id of an agent");
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_s3_key_agent,
                                        TN_PARAMS(tenant, id.text),
                                        "the tenant has no such agent in force", &rows));
        *holder = (struct holder){.kind = "agent", .agent_id = tn_rows_text(rows, 0, 0)};
    }
    return TN_EXIT_OK;
}

/* "TNS3" and 16 letters and digits, as clients expect them. */
static const char *
new_access_key_id(tn_arena *arena)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t bytes[ID_LETTERS];
    char text[ID_LETTERS + 1] = "";

    tn_random(bytes, sizeof(bytes));
    for (size_t i = 0; i < ID_LETTERS; i++)
        text[i] = letters[bytes[i] % 32];
    return tn_arena_printf(arena, "TNS3%s", text);
}

static const char *
new_secret(tn_arena *arena)
{
    uint8_t bytes[SECRET_BYTES];

    tn_random(bytes, sizeof(bytes));
    return tn_base64url(arena, bytes, sizeof(bytes));
}

static tn_exit
run_create(tn_command_line *line)
{
    const char *name = tn_command_option(line, "name"), *tenant, *row;
    const char *id = new_access_key_id(line->arena), *secret = new_secret(line->arena);
    const tn_config *config;
    tn_session *session;
    struct holder holder;
    const tn_rows *rows;
    uint8_t key[32];

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_secret(line, config));
    TN_COMMAND_TRY(
        tn_command_tenant(line, config, session, tn_command_option(line, "tenant"), &tenant));
    TN_COMMAND_TRY(find_holder(line, session, tenant, &holder));
    tn_derive_server_key(config->server.secret, TN_S3_KEY_PURPOSE, key);
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_s3_key_create,
        TN_PARAMS(tenant, id, tn_seal_text(line->arena, key, TN_S3_KEY_PURPOSE, secret),
                  holder.kind, holder.user_id, holder.agent_id, name != NULL ? name : holder.kind,
                  tn_command_option(line, "expires-in")),
        NULL, &rows));
    row = tn_rows_text(rows, 0, 0);
    tn_command_print(line,
                     tn_arena_printf(line->arena, "%.*s, \"secret_access_key\": \"%s\"}",
                                     (int)strlen(row) - 1, row, secret),
                     "access key id      %s\nsecret access key  %s\n", id, secret);
    if (!line->json)
        fputs("This is the only time the secret is shown.\n", stderr);
    return TN_EXIT_OK;
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"ACCESS KEY ID", "access_key_id"},
                                        {"TENANT", "tenant"},
                                        {"NAME", "name"},
                                        {"KIND", "kind"},
                                        {"ACTS AS", "acts_as"},
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
        tn_command_query(line, session, &tn_sql_s3_key_list, TN_PARAMS(tenant), NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

static tn_exit
run_revoke(tn_command_line *line)
{
    const char *wanted = tn_command_option(line, "tenant"), *tenant = NULL;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    if (wanted != NULL)
        TN_COMMAND_TRY(tn_command_tenant(line, config, session, wanted, &tenant));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_s3_key_revoke,
                                    TN_PARAMS(line->arguments[0], tenant),
                                    "no access key with this id is in force", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "revoked\n");
    return TN_EXIT_OK;
}

static const tn_option create_options[] = {
    {"tenant", "TENANT", "name or id (else data.default_tenant)"},
    {"user", "USER", "id or address: acts as this person, within the policies"},
    {"agent", "ID", "acts as this agent, within its scopes and policies"},
    {"name", "NAME", "to tell keys apart (else the kind)"},
    {"expires-in", "TIME", "'30 days', '12 hours' (else never)"},
    {.name = NULL},
};
static const tn_option tenant_options[] = {{"tenant", "TENANT", "only this tenant's"},
                                           {.name = NULL}};

const tn_command tn_s3_key_commands[] = {
    {"s3-key create",
     .summary = "Make an access key for S3 and print it, the only time it is shown",
     .help =
         "Without --user and --agent it acts as the tenant's secret key does: no policy holds it "
         "back.\n",
     .options = create_options, .run = run_create},
    {"s3-key list", .summary = "Access keys for S3, without their secrets",
     .options = tenant_options, .run = run_list},
    {"s3-key revoke", "ID", 1, 1, "End an access key; workers forget it within a second", NULL,
     tenant_options, run_revoke},
    {.name = NULL},
};
