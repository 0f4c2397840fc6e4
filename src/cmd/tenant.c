/* cmd/tenant.c: `tenon tenant …`: the customers, workspaces or sites that must never see each other
 */
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/queries.h"

static tn_exit
create(tn_command_line *line, tn_session *session, const tn_rows **rows)
{
    const char *name = line->arguments[0];
    const tn_error *error =
        tn_session_run(session, line->arena, tn_sql_tenant_create.sql, TN_PARAMS(name), rows);

    if (error == NULL)
        return TN_EXIT_OK;
    if (strcmp(error->code, "unique_violation") == 0)
        return tn_command_fail(line, TN_EXIT_FAILED, "tenant_exists", NULL,
                               "there is a tenant %s already", name);
    if (strcmp(error->code, "check_violation") == 0)
        return tn_command_fail(
            line, TN_EXIT_FAILED, "tenant_name_wrong", NULL,
            "the name of a tenant is up to 100 letters, digits, blanks and . _ -, "
            "begins with a letter or digit, and is not an id");
    return tn_command_error(line, error);
}

/* SQL that somebody types into psql is about the first tenant unless it says otherwise: the owner's
 * login keeps that as a setting of its own. */
static tn_exit
remember_first(tn_command_line *line, tn_session *session, const char *id)
{
    const tn_rows *rows;
    const tn_error *error;

    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_tenant_is_only, TN_NO_PARAMS, NULL, &rows));
    if (!tn_rows_bool(rows, 0, 0))
        return TN_EXIT_OK;
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_act_as_login, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_tenant_login_text, TN_PARAMS(id), NULL, &rows));
    error = tn_session_run(session, line->arena, tn_rows_text(rows, 0, 0), TN_NO_PARAMS, NULL);
    return error == NULL ? TN_EXIT_OK : tn_command_error(line, error);
}

static tn_exit
run_create(tn_command_line *line)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(create(line, session, &rows));
    TN_COMMAND_TRY(remember_first(line, session, tn_rows_text(rows, 0, 1)));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s\n", tn_rows_text(rows, 0, 1));
    return TN_EXIT_OK;
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {
        {"ID", "id"},     {"NAME", "name"},          {"STATUS", "status"}, {"USERS", "users"},
        {"KEYS", "keys"}, {"CREATED", "created_at"}, {.title = NULL}};
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_tenant_list, TN_NO_PARAMS, NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

static tn_exit
set_status(tn_command_line *line, const char *status)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    const char *id;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_tenant(line, config, session, line->arguments[0], &id));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_tenant_set_status, TN_PARAMS(id, status),
                                    "the tenant is gone", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s is %s\n", line->arguments[0], status);
    return TN_EXIT_OK;
}

static tn_exit
run_suspend(tn_command_line *line)
{
    return set_status(line, "suspended");
}

static tn_exit
run_activate(tn_command_line *line)
{
    return set_status(line, "active");
}

/* --- budgets ---------------------------------------------------------------------------------- */

static tn_exit
list_budgets(tn_command_line *line, tn_session *session, const char *tenant)
{
    static const tn_column columns[] = {{"OF", "subject"},         {"ID", "subject_id"},
                                        {"PERIOD", "period"},      {"CAP", "cap_micros"},
                                        {"SPENT", "spent_micros"}, {"RESERVED", "reserved_micros"},
                                        {"RESETS", "resets_at"},   {.title = NULL}};
    const tn_rows *rows;

    TN_COMMAND_TRY(
        tn_command_query(line, session, &tn_sql_budget_list, TN_PARAMS(tenant), NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

struct budget {
    const char *tenant, *subject, *subject_id, *period, *cap;
};

static tn_exit
change_budget(tn_command_line *line, tn_session *session, const struct budget *budget)
{
    const tn_rows *rows;

    if (strcmp(budget->cap, "none") == 0) {
        TN_COMMAND_TRY(tn_command_query(
            line, session, &tn_sql_budget_remove,
            TN_PARAMS(budget->tenant, budget->subject, budget->subject_id, budget->period),
            "there is no such budget", &rows));
        tn_command_print(line, tn_rows_text(rows, 0, 0), "no cap any more\n");
        return TN_EXIT_OK;
    }
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_budget_set,
        TN_PARAMS(budget->tenant, budget->subject, budget->subject_id, budget->period, budget->cap),
        NULL, &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "at most %s micro-dollars per %s\n",
                     budget->cap, budget->period);
    return TN_EXIT_OK;
}

static tn_exit
run_budget(tn_command_line *line)
{
    const char *user = tn_command_option(line, "user"), *key = tn_command_option(line, "key");
    struct budget budget = {.period = tn_command_option(line, "period"),
                            .cap = tn_command_option(line, "cap")};
    const tn_config *config;
    tn_session *session;
    int64_t micros = 0;

    if (budget.cap != NULL && strcmp(budget.cap, "none") != 0)
        TN_COMMAND_TRY(tn_command_number(line, "cap", 0, INT64_MAX / 2, &micros));
    if (budget.period == NULL)
        budget.period = "month";
    if (strcmp(budget.period, "day") != 0 && strcmp(budget.period, "month") != 0 &&
        strcmp(budget.period, "total") != 0)
        return tn_command_fail(line, TN_EXIT_USAGE, "period_wrong", NULL,
                               "--period is day, month or total");
    if (user != NULL && key != NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "a budget is of a --user or of a --key, not of both");
    budget.subject = user != NULL ? "user" : key != NULL ? "key" : "tenant";
    budget.subject_id = user != NULL ? user : key;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_tenant(line, config, session, line->arguments[0], &budget.tenant));
    if (budget.cap == NULL)
        return list_budgets(line, session, budget.tenant);
    return change_budget(line, session, &budget);
}

static const tn_option budget_options[] = {
    {"cap", "MICROS", "micro-dollars that may be spent; `none` lifts the cap"},
    {"period", "PERIOD", "day, month (the default) or total; days and months are UTC"},
    {"user", "ID", "of one user, instead of the whole tenant"},
    {"key", "ID", "of one key"},
    {.name = NULL},
};

const tn_command tn_tenant_commands[] = {
    {"tenant create", "NAME", 1, 1, "Make a tenant and print its id",
     "The first one also becomes the tenant in which the login of database.owner_url acts in "
     "psql.\n",
     NULL, run_create},
    {"tenant list", .summary = "All tenants", .run = run_list},
    {"tenant suspend", "TENANT", 1, 1, "Refuse all requests of a tenant; nothing is deleted", NULL,
     NULL, run_suspend},
    {"tenant activate", "TENANT", 1, 1, "Let a suspended tenant in again", NULL, NULL,
     run_activate},
    {"tenant budget", "TENANT", 1, 1, "What a tenant may spend on AI calls",
     "Without --cap: lists the tenant's budgets. A call is refused when it would pass any cap that "
     "applies to it.\n",
     budget_options, run_budget},
    {.name = NULL},
};
