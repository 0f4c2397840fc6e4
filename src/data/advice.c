/* data/advice.c: what to do about an error, where PostgREST and PostgreSQL do not say */
#include "data/advice.h"

#include <string.h>

#include "base/text.h"
#include "data/nearest.h"

/* --- what only depends on the error ----------------------------------------------------------- */

static const struct saying {
    const char *code, *beginning; /* of the message; "": any */
    const char *hint;
} sayings[] = {
    {"PGRST102", "Empty or invalid json",
     "Send JSON (RFC 8259); its names and texts stand in double quotes."},
    {"PGRST102", "All object keys must match", "Say what to write: columns=a,b"},
    {"PGRST106", "", "data.schemas says which schemas are shown."},
    {"PGRST123", "", "data.aggregates = on allows them."},
    {"PGRST200", "", "A foreign key between the two would be one."},
    {"25006", "", "Call a function that writes by POST."},
    {"42P10", "",
     "on_conflict names all columns of a primary key or unique constraint, and no others."},
    {"precondition_failed", "", "Read it again."},
    {"57014", "canceling statement due to statement timeout",
     "Ask for less, or filter by columns that have an index."},
};

static const char *
saying_of(const tn_error *error)
{
    for (size_t i = 0; i < TN_COUNT(sayings); i++)
        if (strcmp(sayings[i].code, error->code) == 0 &&
            tn_text_starts(error->message, sayings[i].beginning))
            return sayings[i].hint;
    return NULL;
}

static bool
lacks_operator(const tn_error *error)
{
    return error->details != NULL && strstr(error->details, "\"not\" or operator") != NULL;
}

/* --- rights ----------------------------------------------------------------------------------- */

static const char *
privilege_of(const tn_data_request *r)
{
    static const struct {
        const char *method, *privilege;
    } privileges[] = {
        {"POST", "insert"},
        {"PUT", "select, insert, update"},
        {"PATCH", "update"},
        {"DELETE", "delete"},
    };

    for (size_t i = 0; !r->is_call && i < TN_COUNT(privileges); i++)
        if (strcmp(privileges[i].method, r->http->method) == 0)
            return privileges[i].privilege;
    return "select";
}

/* "permission denied for view titles". */
static const char *
grant_of(const tn_data_request *r, const char *object)
{
    static const struct {
        const char *kind, *privilege, *on;
    } kinds[] = {
        {"table ", NULL, ""},
        {"view ", NULL, ""},
        {"materialized view ", "select", ""},
        {"foreign table ", NULL, ""},
        {"function ", "execute", "function "},
        {"schema ", "usage", "schema "},
        {"sequence ", "usage", "sequence "},
    };

    for (size_t i = 0; i < TN_COUNT(kinds); i++) {
        const char *name = object + strlen(kinds[i].kind);
        const char *privilege = kinds[i].privilege;

        if (!tn_text_starts(object, kinds[i].kind))
            continue;
        if (privilege == NULL)
            privilege = privilege_of(r);
        return tn_arena_printf(r->c->arena, "%sgrant %s on %s%s to %s;",
                               r->is_anonymous ? "Sign in, or: " : "", privilege, kinds[i].on, name,
                               r->role);
    }
    return NULL;
}

static const char *
right_of(const tn_data_request *r, const char *message)
{
    static const char denied[] = "permission denied for ";
    static const char by_policy[] = "new row violates row-level security policy ";

    if (tn_text_starts(message, denied))
        return grant_of(r, message + sizeof(denied) - 1);
    if (!tn_text_starts(message, by_policy))
        return NULL;
    message += sizeof(by_policy) - 1;
    if (tn_text_starts(message, "\"tenon_agent_") && r->name != NULL)
        return tn_arena_printf(r->c->arena, "The agent's key needs the scope data:%s:write.",
                               r->name);
    if (tn_text_starts(message, "for table "))
        return tn_arena_printf(r->c->arena,
                               "A policy has to let the role %s write such a row: create policy … "
                               "on %s to %s with check (…);",
                               r->role, message + strlen("for table "), r->role);
    return NULL;
}

/* --- names ------------------------------------------------------------------------------------ */

static const char *
similar_column(const tn_data_request *r, const tn_relation *relation, const char *name)
{
    const char **names = tn_arena_alloc(r->c->arena, relation->attribute_count, sizeof(*names));
    size_t count = 0;
    const char *similar;

    for (size_t i = 0; i < relation->attribute_count; i++)
        if (!relation->attributes[i].is_hidden)
            names[count++] = relation->attributes[i].name;
    similar = tn_nearest(r->c->arena, name, names, count, false);
    return similar == NULL
               ? NULL
               : tn_arena_printf(r->c->arena, "Perhaps you meant the column '%s'.", similar);
}

/* The first column that is written and not there. `curl -d` without a type sends a form. */
static const char *
column_of(const tn_data_request *r)
{
    const tn_relation *relation =
        r->name != NULL ? tn_snapshot_relation(r->snapshot, r->schema, r->name) : NULL;
    const tn_payload *payload = &r->body.payload;
    const bool is_named = r->query.column_count > 0;
    const char *const *names = is_named ? r->query.columns : payload->keys;
    const size_t count = is_named ? r->query.column_count : payload->key_count;

    for (size_t i = 0; relation != NULL && i < count; i++) {
        if (tn_relation_attribute(relation, names[i]) != NULL)
            continue;
        if (!is_named && strpbrk(names[i], "{[") == names[i])
            return "The body was read as a form. Send Content-Type: application/json.";
        return similar_column(r, relation, names[i]);
    }
    return NULL;
}

/* `user_id uuid not null default auth.uid()`, and nobody is signed in. */
static const char *
missing_person(const tn_data_request *r, const char *message)
{
    const tn_relation *relation = r->name != NULL && !r->is_call
                                      ? tn_snapshot_relation(r->snapshot, r->schema, r->name)
                                      : NULL;

    for (size_t i = 0; relation != NULL && i < relation->attribute_count; i++) {
        const tn_attribute *column = &relation->attributes[i];

        if (column->default_sql != NULL && strcmp(column->default_sql, "auth.uid()") == 0 &&
            tn_text_starts(message, tn_arena_printf(r->c->arena, "null value in column \"%s\" ",
                                                    column->name)))
            return "Its default is auth.uid(), which is null without a person's token: send one, "
                   "or the column.";
    }
    return NULL;
}

/* Not a table, but what it may have been meant as. */
static const char *
other_place(const tn_data_request *r)
{
    size_t count = 0;

    if (r->name == NULL)
        return NULL;
    if (strchr(r->name, '.') != NULL)
        return "A schema is named by Accept-Profile or Content-Profile, not in the path.";
    (void)tn_snapshot_functions(r->snapshot, r->schema, r->name, &count);
    return count == 0 ? NULL : tn_arena_printf(r->c->arena, "It is a function: rpc/%s", r->name);
}

static const char *
hint_for(const tn_data_request *r, const tn_error *error)
{
    if (strcmp(error->code, "42501") == 0)
        return right_of(r, error->message);
    if (strcmp(error->code, "PGRST204") == 0)
        return column_of(r);
    if (strcmp(error->code, "PGRST205") == 0)
        return other_place(r);
    if (strcmp(error->code, "23502") == 0)
        return missing_person(r, error->message);
    if (strcmp(error->code, "PGRST100") == 0)
        return lacks_operator(error) ? "Write column=operator.value, as in role=eq.user. Under "
                                       "/api/db also role=user."
                                     : NULL;
    return saying_of(error);
}

const tn_error *
tn_data_advise(const tn_data_request *r, const tn_error *error)
{
    tn_error *advised;

    if (error == NULL || error->hint != NULL || !r->c->config->data.require_rls)
        return error;
    advised = tn_arena_alloc(r->c->arena, 1, sizeof(*advised));
    *advised = *error;
    advised->hint = hint_for(r, error);
    return advised;
}
