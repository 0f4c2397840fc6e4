/* cmd/agent.c: `tenon agent …`: agents of people and of tenants, by the operator's hand */
#include "base/uuid.h"
#include "cmd/key.h"
#include "cmd/queries.h"

enum { ADDED_ID, ADDED_TENANT };
enum { REVOKED_ROW, REVOKED_TENANT };

struct terms {
    int64_t rate, budget; /* below 0: none */
};

static tn_exit
check_options(tn_command_line *line, struct terms *terms)
{
    const char *period = tn_command_option(line, "period");

    *terms = (struct terms){-1, -1};
    TN_COMMAND_TRY(tn_command_number(line, "rate", 1, 1000000, &terms->rate));
    TN_COMMAND_TRY(tn_command_number(line, "budget", 0, INT64_MAX / 1000, &terms->budget));
    if (tn_command_option(line, "name") == NULL || tn_command_option(line, "scopes") == NULL ||
        tn_command_option(line, "expires-in") == NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "an agent needs --name, --scopes and --expires-in");
    if (period != NULL &&
        (terms->budget < 0 || (strcmp(period, "day") != 0 && strcmp(period, "month") != 0 &&
                               strcmp(period, "total") != 0)))
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "--period is day, month or total, of a --budget");
    return TN_EXIT_OK;
}

static tn_exit
check_scopes(tn_command_line *line, tn_session *session)
{
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_problem,
                                    TN_PARAMS(tn_command_option(line, "scopes")), NULL, &rows));
    if (tn_rows_text(rows, 0, 0) == NULL)
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_USAGE, "scope_wrong", "data:notes:read,ai:chat",
                           "this is no scope: %s", tn_rows_text(rows, 0, 0));
}

/* The agent, its budget and its first key, in one transaction. */
static tn_exit
add_agent(tn_command_line *line, tn_session *session, const char *tenant, const struct terms *terms,
          const tn_fresh_key *key, const char **id)
{
    const char *name = tn_command_option(line, "name"), *period = tn_command_option(line, "period");
    const tn_rows *rows;

    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_transaction_begin, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_agent_add,
        TN_PARAMS(tenant, name, tn_command_option(line, "scopes"), tn_command_option(line, "user"),
                  tn_command_option(line, "expires-in"),
                  terms->rate > 0 ? tn_arena_number(line->arena, terms->rate) : NULL),
        NULL, &rows));
    *id = tn_rows_text(rows, 0, ADDED_ID);
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_key_add,
                                    TN_PARAMS(tenant, *id, name, key->hash_hex, key->hint), NULL,
                                    NULL));
    if (terms->budget >= 0)
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_budget_set,
                                        TN_PARAMS(tenant, *id, period != NULL ? period : "month",
                                                  tn_arena_number(line->arena, terms->budget)),
                                        NULL, NULL));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_audit,
                                    TN_PARAMS(tenant, *id, "agent_created"), NULL, NULL));
    return tn_command_query(line, session, &tn_sql_transaction_commit, TN_NO_PARAMS, NULL, NULL);
}

static tn_exit
run_create(tn_command_line *line)
{
    const tn_fresh_key key = tn_fresh_key_new(line->arena, "agent");
    const tn_config *config;
    const char *tenant, *id;
    tn_session *session;
    struct terms terms;
    const tn_rows *rows;

    TN_COMMAND_TRY(check_options(line, &terms));
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(
        tn_command_tenant(line, config, session, tn_command_option(line, "tenant"), &tenant));
    TN_COMMAND_TRY(check_scopes(line, session));
    TN_COMMAND_TRY(add_agent(line, session, tenant, &terms, &key, &id));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_get, TN_PARAMS(id), NULL, &rows));
    tn_fresh_key_print(line, tn_rows_text(rows, 0, 0), key.text);
    return TN_EXIT_OK;
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"ID", "id"},
                                        {"TENANT", "tenant"},
                                        {"NAME", "name"},
                                        {"ACTS FOR", "user"},
                                        {"SCOPES", "scope"},
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
        tn_command_query(line, session, &tn_sql_agent_rows, TN_PARAMS(tenant), NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

static tn_exit
read_id(tn_command_line *line, tn_uuid *id)
{
    if (tn_uuid_parse(line->arguments[0], id))
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_USAGE, "id_wrong", "`tenon agent list` shows the ids.",
                           "this takes the id of an agent");
}

static tn_exit
run_show(tn_command_line *line)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    const char *row;
    tn_uuid id;

    TN_COMMAND_TRY(read_id(line, &id));
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_get, TN_PARAMS(id.text),
                                    "no agent has this id", &rows));
    row = tn_rows_text(rows, 0, 0);
    tn_command_print(line, row, "%s\n", row);
    return TN_EXIT_OK;
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
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_agent_end, TN_PARAMS(id.text),
                                    "no agent with this id is in force", &rows));
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_agent_audit,
        TN_PARAMS(tn_rows_text(rows, 0, REVOKED_TENANT), id.text, "agent_revoked"), NULL, NULL));
    tn_command_print(line, tn_rows_text(rows, 0, REVOKED_ROW), "revoked\n");
    return TN_EXIT_OK;
}

static const tn_option create_options[] = {
    {"tenant", "TENANT", "name or id (else data.default_tenant)"},
    {"name", "NAME", "what the audit log calls it"},
    {"scopes", "LIST", "data:notes:read,ai:chat,…"},
    {"expires-in", "TIME", "'30 days', '12 hours'"},
    {"user", "ID", "the person for whom it acts (else it is a service account)"},
    {"rate", "NUMBER", "requests per minute (else any)"},
    {"budget", "MICROS", "micro-dollars that it may spend (else any)"},
    {"period", "PERIOD", "of the budget: day, month or total (else month)"},
    {.name = NULL},
};
static const tn_option list_options[] = {{"tenant", "TENANT", "only this tenant's"},
                                         {.name = NULL}};

const tn_command tn_agent_commands[] = {
    {"agent create", .summary = "Make an agent and print its first key, the only time it is shown",
     .help = "An agent may do what its person may, within its scopes and its budget. Further keys\n"
             "for it, and all else, are at /auth/v1/agents.\n",
     .options = create_options, .run = run_create},
    {"agent list", .summary = "Agents, whom they act for and what they may do",
     .options = list_options, .run = run_list},
    {"agent show", "ID", 1, 1, "One agent with its keys and what it has spent", NULL, NULL,
     run_show},
    {"agent revoke", "ID", 1, 1, "End an agent with all its keys, from the next request on", NULL,
     NULL, run_revoke},
    {.name = NULL},
};
