/* cmd/user.c: `tenon user …`: people, by the operator's hand */
#include "auth/auth.h"
#include "base/crypto.h"
#include "cmd/cmd.h"
#include "cmd/queries.h"

#define PASSWORD_BYTES 18 /* of a password that we make: 144 random bits */
#define PASSWORD_LINE_MAX 4096
#define LIST_DEFAULT "100"

/* --password-stdin reads a line; without it a password is made. It is never an option's value:
 * other processes can read the command line. */
static tn_exit
read_password(tn_command_line *line, const char **password, bool *is_made)
{
    char text[PASSWORD_LINE_MAX];
    uint8_t random[PASSWORD_BYTES];

    *is_made = tn_command_option(line, "password-stdin") == NULL;
    if (*is_made) {
        tn_random(random, sizeof random);
        *password = tn_base64url(line->arena, random, sizeof random);
        return TN_EXIT_OK;
    }
    if (fgets(text, sizeof text, stdin) == NULL || text[strcspn(text, "\n")] != '\n')
        return tn_command_fail(line, TN_EXIT_USAGE, "password_missing", NULL,
                               "there is no line with a password on standard input");
    text[strcspn(text, "\n")] = '\0';
    *password = tn_arena_text(line->arena, text);
    explicit_bzero(text, sizeof text);
    return TN_EXIT_OK;
}

/* The result with the password that was made for it, which is shown this once. */
static void
print_with_password(const tn_command_line *line, const char *object, const char *password,
                    bool is_made)
{
    const char *json = object;

    if (is_made)
        json = tn_arena_printf(line->arena, "{\"password\": \"%s\", %s", password, object + 1);
    tn_command_print(line, json, "%s%s", is_made ? password : "done", "\n");
    if (is_made && !line->json)
        fputs("This is the only time the password is shown.\n", stderr);
}

struct target {
    const tn_config *config;
    tn_session *session;
    const char *tenant, *user, *email;
};

/* The tenant of --tenant, and the person of the first argument when `wants_user`. */
static tn_exit
find_tenant(tn_command_line *line, struct target *target)
{
    TN_COMMAND_TRY(tn_command_open(line, &target->config, &target->session));
    return tn_command_tenant(line, target->config, target->session,
                             tn_command_option(line, "tenant"), &target->tenant);
}

static tn_exit
find_user(tn_command_line *line, struct target *target)
{
    const char *wanted = line->arguments[0];
    const tn_rows *rows;

    TN_COMMAND_TRY(find_tenant(line, target));
    TN_COMMAND_TRY(tn_command_query(
        line, target->session, &tn_sql_user_find, TN_PARAMS(target->tenant, wanted),
        tn_arena_printf(line->arena, "there is no user %s in this tenant", wanted), &rows));
    target->user = tn_rows_text(rows, 0, 0);
    target->email = tn_rows_text(rows, 0, 1);
    return TN_EXIT_OK;
}

static tn_exit
run_create(tn_command_line *line)
{
    struct target target;
    const char *password, *user = NULL;
    const tn_error *error;
    bool is_made;

    TN_COMMAND_TRY(read_password(line, &password, &is_made));
    TN_COMMAND_TRY(find_tenant(line, &target));
    error = tn_auth_create_user(target.session, line->arena, target.config, target.tenant,
                                line->arguments[0], password, tn_command_option(line, "metadata"),
                                &user);
    if (error != NULL)
        return tn_command_error(line, error);
    print_with_password(line, user, password, is_made);
    return TN_EXIT_OK;
}

static tn_exit
run_password(tn_command_line *line)
{
    struct target target;
    const char *password;
    const tn_error *error;
    bool is_made;

    TN_COMMAND_TRY(read_password(line, &password, &is_made));
    TN_COMMAND_TRY(find_user(line, &target));
    error = tn_auth_set_password(target.session, line->arena, target.config, target.tenant,
                                 target.user, password);
    if (error != NULL)
        return tn_command_error(line, error);
    print_with_password(line, tn_arena_printf(line->arena, "{\"id\": \"%s\"}", target.user),
                        password, is_made);
    return TN_EXIT_OK;
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"ID", "id"},
                                        {"EMAIL", "email"},
                                        {"STATE", "state"},
                                        {"CREATED", "created_at"},
                                        {"LAST SIGN-IN", "last_sign_in_at"},
                                        {.title = NULL}};
    const char *limit = tn_command_option(line, "limit");
    struct target target;
    const tn_rows *rows;
    int64_t number = 0;

    TN_COMMAND_TRY(tn_command_number(line, "limit", 1, 1000000, &number));
    TN_COMMAND_TRY(find_tenant(line, &target));
    TN_COMMAND_TRY(tn_command_query(line, target.session, &tn_sql_user_list,
                                    TN_PARAMS(target.tenant, limit == NULL ? LIST_DEFAULT : limit),
                                    NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

static tn_exit
run_delete(tn_command_line *line)
{
    struct target target;
    const tn_rows *rows;

    TN_COMMAND_TRY(find_user(line, &target));
    TN_COMMAND_TRY(tn_command_query(line, target.session, &tn_sql_user_delete,
                                    TN_PARAMS(target.tenant, target.user),
                                    "the user is gone already", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "deleted, with everything that was theirs\n");
    return TN_EXIT_OK;
}

/* A lifetime of NULL lifts the ban. Sessions end with a ban, so that refresh tokens are refused
 * too. */
static tn_exit
ban(tn_command_line *line, const char *lifetime)
{
    struct target target;
    const tn_rows *rows;

    TN_COMMAND_TRY(find_user(line, &target));
    TN_COMMAND_TRY(tn_command_query(line, target.session, &tn_sql_user_ban,
                                    TN_PARAMS(target.tenant, target.user, lifetime),
                                    "the user is gone", &rows));
    if (lifetime != NULL)
        TN_COMMAND_TRY(tn_command_query(line, target.session, &tn_sql_user_sign_out,
                                        TN_PARAMS(target.tenant, target.user), NULL, NULL));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s\n",
                     lifetime == NULL ? "no longer banned" : "banned");
    return TN_EXIT_OK;
}

static tn_exit
run_ban(tn_command_line *line)
{
    const char *lifetime = tn_command_option(line, "for");

    if (lifetime != NULL && strcmp(lifetime, "none") == 0)
        return ban(line, NULL);
    return ban(line, lifetime == NULL ? "100 years" : lifetime);
}

static tn_exit
run_unban(tn_command_line *line)
{
    return ban(line, NULL);
}

#define OPTION_TENANT                                               \
    {                                                               \
        "tenant", "TENANT", "name or id (else data.default_tenant)" \
    }
#define OPTION_PASSWORD                                                          \
    {                                                                            \
        "password-stdin", NULL,                                                  \
            "read the password from standard input (else one is made and shown)" \
    }

static const tn_option tenant_options[] = {OPTION_TENANT, {.name = NULL}};
static const tn_option create_options[] = {OPTION_TENANT,
                                           OPTION_PASSWORD,
                                           {"metadata", "JSON", "an object for user_metadata"},
                                           {.name = NULL}};
static const tn_option password_options[] = {OPTION_TENANT, OPTION_PASSWORD, {.name = NULL}};
static const tn_option list_options[] = {
    OPTION_TENANT, {"limit", "N", "the newest N (100)"}, {.name = NULL}};
static const tn_option ban_options[] = {
    OPTION_TENANT,
    {"for", "TIME", "24h, '30 days', none to end it (else for good)"},
    {.name = NULL}};

const tn_command tn_user_commands[] = {
    {"user create", "EMAIL", 1, 1, "Make a user who can sign in at once", NULL, create_options,
     run_create},
    {"user list", .summary = "The users of a tenant, newest first", .options = list_options,
     .run = run_list},
    {"user password", "USER", 1, 1, "Give a user a new password and end their sessions", NULL,
     password_options, run_password},
    {"user ban", "USER", 1, 1, "Sign a user out and keep them out", NULL, ban_options, run_ban},
    {"user unban", "USER", 1, 1, "Let a banned user in again", NULL, tenant_options, run_unban},
    {"user delete", "USER", 1, 1, "Delete a user and everything that is theirs",
     "USER is an id or an address, here and in the other commands.\n", tenant_options, run_delete},
    {.name = NULL},
};
