/* auth/admin_users.c: people as the tenant's secret key manages them */
#include <string.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "auth/users.h"
#include "base/text.h"

enum { CHANGE_OUTCOME, CHANGE_USER };
enum { LIST_USERS, LIST_TOTAL };

static const tn_error *
respond_user(tn_ctx *c, const tn_rows *rows)
{
    const char *outcome = tn_rows_text(rows, 0, CHANGE_OUTCOME);

    if (strcmp(outcome, "user") != 0)
        return tn_auth_refuse(c, outcome);
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, CHANGE_USER));
}

/* --- list ------------------------------------------------------------------------------------- */

struct sort {
    const char *column, *direction;
};

/* `sort=created_at asc`; both are names of ours then, whatever came. */
static const tn_error *
read_sort(const tn_ctx *c, struct sort *sort)
{
    static const char *const columns[] = {"created_at", "updated_at", "last_sign_in_at",
                                          "email",      "phone",      "id"};
    const char *text = tn_request_query(c->request, "sort");
    size_t length;

    *sort = (struct sort){"created_at", "desc"};
    if (text == NULL || *text == '\0')
        return NULL;
    length = strcspn(text, " ");
    sort->column = NULL;
    for (size_t i = 0; i < TN_COUNT(columns); i++)
        if (strlen(columns[i]) == length && strncmp(columns[i], text, length) == 0)
            sort->column = columns[i];
    if (tn_text_same_case(text + length, " asc"))
        sort->direction = "asc";
    else if (text[length] != '\0' && !tn_text_same_case(text + length, " desc"))
        sort->column = NULL;
    if (sort->column == NULL)
        return tn_auth_refuse_input(
            c, "Bad Sort Parameters: expected a column such as created_at, and asc or "
               "desc behind a blank");
    return NULL;
}

/* GET /auth/v1/admin/users?page=&per_page=&filter=&sort= */
const tn_error *
tn_admin_users_list(tn_ctx *c)
{
    const char *filter = tn_request_query(c->request, "filter");
    PQExpBuffer body = tn_arena_buffer(c->arena);
    const tn_rows *rows;
    tn_auth_page page;
    struct sort sort;
    tn_uuid tenant;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_page_read(c, &page));
    TN_TRY(read_sort(c, &sort));
    TN_TRY(tn_auth_query(
        c, &tenant, TN_READ_ONLY, &tn_sql_auth_admin_list,
        TN_PARAMS(filter != NULL ? filter : "", sort.column, sort.direction, page.first, page.most),
        &rows));
    tn_auth_page_headers(c, &page, "/admin/users", tn_rows_int(rows, 0, LIST_TOTAL, 0));
    appendPQExpBuffer(body, "{\"users\":%s,\"aud\":", tn_rows_text(rows, 0, LIST_USERS));
    tn_buffer_json_string(body, c->config->auth.audience);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

/* --- one person ------------------------------------------------------------------------------- */

/* The admin's tenant, and the person of the path: {id}. */
static const tn_error *
begin(tn_ctx *c, tn_uuid *tenant, tn_uuid *person)
{
    TN_TRY(tn_auth_require_admin(c, tenant));
    return tn_auth_path_uuid(c, "id", person);
}

static const tn_error *
add_hash(tn_ctx *c, const tn_auth_attributes *in)
{
    const char *hash;

    if (in->password == NULL)
        return NULL;
    TN_TRY(tn_password_hash(c, in->password, &hash));
    tn_auth_object_text(in->object, "password", hash);
    return NULL;
}

/* POST /auth/v1/admin/users */
const tn_error *
tn_admin_users_create(tn_ctx *c)
{
    tn_auth_attributes in;
    const tn_rows *rows;
    tn_uuid tenant;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_attributes_read(c, &in));
    if (in.email == NULL && tn_json_get(in.object, "phone") == NULL)
        return tn_auth_refuse_input(c, "Cannot create a user without either an email or phone");
    TN_TRY(
        tn_auth_before_user(c, &tenant,
                            tn_auth_user_to_be(c, in.email, tn_json_text(in.object, "phone", NULL),
                                               in.email != NULL ? "email" : "phone",
                                               tn_json_get(in.object, "user_metadata"))));
    TN_TRY(add_hash(c, &in));
    TN_TRY(tn_auth_change(
        c, &tenant, &tn_sql_auth_admin_create,
        TN_PARAMS(tn_json_print(c->arena, in.object), tn_request_client_address(c->request)),
        &rows));
    return respond_user(c, rows);
}

/* GET /auth/v1/admin/users/{id} */
const tn_error *
tn_admin_users_get(tn_ctx *c)
{
    tn_uuid tenant, person;
    const tn_rows *rows;

    TN_TRY(begin(c, &tenant, &person));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_admin_get, TN_PARAMS(person.text),
                         &rows));
    if (tn_rows_text(rows, 0, 0) == NULL)
        return tn_auth_refuse(c, "user_not_found");
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

/* PUT /auth/v1/admin/users/{id} */
const tn_error *
tn_admin_users_update(tn_ctx *c)
{
    tn_uuid tenant, person;
    tn_auth_attributes in;
    const tn_rows *rows;

    TN_TRY(begin(c, &tenant, &person));
    TN_TRY(tn_auth_attributes_read(c, &in));
    if (in.password != NULL)
        TN_TRY(tn_password_check(c->config, c->arena, in.password));
    TN_TRY(add_hash(c, &in));
    TN_TRY(tn_auth_change(c, &tenant, &tn_sql_auth_admin_update,
                          TN_PARAMS(person.text, tn_json_print(c->arena, in.object),
                                    tn_request_client_address(c->request)),
                          &rows));
    return respond_user(c, rows);
}

/* DELETE /auth/v1/admin/users/{id} */
const tn_error *
tn_admin_users_delete(tn_ctx *c)
{
    tn_uuid tenant, person;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(begin(c, &tenant, &person));
    TN_TRY(tn_body_object(c, &body));
    TN_TRY(tn_auth_change(
        c, &tenant, &tn_sql_auth_admin_delete,
        TN_PARAMS(person.text, tn_json_bool(body, "should_soft_delete", false) ? "true" : "false",
                  tn_request_client_address(c->request)),
        &rows));
    if (!tn_rows_bool(rows, 0, 0))
        return tn_auth_refuse(c, "user_not_found");
    return tn_respond_json(c, 200, "{}");
}

/* --- factors of a person ---------------------------------------------------------------------- */

/* GET /auth/v1/admin/users/{id}/factors */
const tn_error *
tn_admin_factors_list(tn_ctx *c)
{
    tn_uuid tenant, person;
    const tn_rows *rows;

    TN_TRY(begin(c, &tenant, &person));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_admin_factors,
                         TN_PARAMS(person.text), &rows));
    if (tn_rows_text(rows, 0, 0) == NULL)
        return tn_auth_refuse(c, "user_not_found");
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

static const tn_error *
respond_factor(tn_ctx *c, const tn_rows *rows)
{
    if (tn_rows_text(rows, 0, 0) == NULL)
        return tn_auth_refuse(c, "mfa_factor_not_found");
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

struct factor_change {
    const char *name, *phone;
};

static const tn_field factor_fields[] = {
    {.name = "friendly_name", .offset = offsetof(struct factor_change, name), .max = 255},
    {.name = "phone", .offset = offsetof(struct factor_change, phone)},
    {.name = NULL},
};

/* PUT /auth/v1/admin/users/{id}/factors/{factor_id} */
const tn_error *
tn_admin_factors_update(tn_ctx *c)
{
    struct factor_change in = {0};
    tn_uuid tenant, person, factor;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(begin(c, &tenant, &person));
    TN_TRY(tn_auth_path_uuid(c, "factor_id", &factor));
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, factor_fields, &in));
    if (in.phone != NULL)
        TN_TRY(tn_phone_normalise(c->arena, in.phone, &in.phone));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_admin_factor_update,
                         TN_PARAMS(person.text, factor.text, in.name, in.phone,
                                   tn_request_client_address(c->request)),
                         &rows));
    return respond_factor(c, rows);
}

/* DELETE /auth/v1/admin/users/{id}/factors/{factor_id} */
const tn_error *
tn_admin_factors_delete(tn_ctx *c)
{
    tn_uuid tenant, person, factor;
    const tn_rows *rows;

    TN_TRY(begin(c, &tenant, &person));
    TN_TRY(tn_auth_path_uuid(c, "factor_id", &factor));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_admin_factor_delete,
                         TN_PARAMS(person.text, factor.text, tn_request_client_address(c->request)),
                         &rows));
    return respond_factor(c, rows);
}
