/* data/openapi.c: what the caller may use, and the frame of its description */
#include "data/openapi.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "data/queries.h"

/* --- JSON ------------------------------------------------------------------------------------- */

/* Texts end with a quote, so the last character tells where we are. */
static void
separate(PQExpBuffer out)
{
    if (out->len > 0 && strchr("{[:", out->data[out->len - 1]) == NULL)
        appendPQExpBufferChar(out, ',');
}

void
tn_openapi_key(PQExpBuffer out, const char *key)
{
    separate(out);
    tn_buffer_json_string(out, key);
    appendPQExpBufferChar(out, ':');
}

void
tn_openapi_text(PQExpBuffer out, const char *key, const char *value)
{
    tn_openapi_key(out, key);
    tn_buffer_json_string(out, value);
}

void
tn_openapi_json(PQExpBuffer out, const char *key, const char *json)
{
    if (key != NULL)
        tn_openapi_key(out, key);
    else
        separate(out);
    appendPQExpBufferStr(out, json);
}

/* A JSON pointer (RFC 6901 section 6) in a fragment. */
void
tn_openapi_reference(PQExpBuffer out, const char *group, const char *name)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";

    separate(out);
    appendPQExpBuffer(out, "{\"$ref\":\"#/%s/", group);
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/')
            appendPQExpBufferStr(out, *name == '~' ? "~0" : "~1");
        else
            appendPQExpBuffer(out, strchr(plain, *name) != NULL ? "%c" : "%%%02X",
                              (unsigned int)(unsigned char)*name);
    }
    appendPQExpBufferStr(out, "\"}");
}

void
tn_openapi_path(PQExpBuffer out, const char *prefix, const char *name)
{
    PQExpBufferData path;

    initPQExpBuffer(&path);
    appendPQExpBufferStr(&path, prefix);
    for (; *name != '\0'; name++)
        appendPQExpBuffer(&path, strchr("{}?#%/", *name) == NULL ? "%c" : "%%%02X",
                          (unsigned int)(unsigned char)*name);
    tn_openapi_key(out, tn_buffer_text(&path));
    termPQExpBuffer(&path);
}

const char *
tn_openapi_type_name(const char *type)
{
    static const struct {
        const char *name, *type;
    } known[] = {{"boolean", "boolean"}, {"smallint", "integer"}, {"integer", "integer"},
                 {"bigint", "integer"},  {"numeric", "number"},   {"real", "number"},
                 {"json", NULL},         {"jsonb", NULL},         {"double precision", "number"}};

    for (size_t i = 0; i < TN_COUNT(known); i++)
        if (strcmp(known[i].name, type) == 0)
            return known[i].type;
    return "string";
}

const char *
tn_openapi_element(tn_arena *arena, const tn_attribute *as)
{
    const size_t length = strlen(as->base_type);

    assert(as->is_array);
    return length > 2 ? tn_arena_bytes(arena, as->base_type, length - 2) : as->base_type;
}

void
tn_openapi_type(const tn_openapi *document, const tn_attribute *as)
{
    PQExpBuffer out = document->out;
    const char *type = as->is_array
                           ? tn_openapi_type_name(tn_openapi_element(document->r->c->arena, as))
                           : tn_openapi_type_name(as->base_type);

    tn_openapi_text(out, "format", as->base_type);
    if (as->is_array)
        tn_openapi_json(out, "items", "{");
    if (type != NULL)
        tn_openapi_text(out, "type", type);
    if (as->is_array) {
        appendPQExpBufferChar(out, '}');
        tn_openapi_text(out, "type", "array");
    }
}

/* --- what is shown ---------------------------------------------------------------------------- */

/* What the caller may do with it; false: nothing. */
static bool
find_rights(const tn_data_request *r, const tn_relation *relation, tn_openapi_relation *shown)
{
    static const tn_privileges none;
    static const tn_privileges all = {
        .select = true, .insert = true, .update = true, .delete_ = true};
    const tn_privileges *may = r->c->config->data.openapi == TN_OPENAPI_IGNORE_PRIVILEGES
                                   ? &all
                                   : tn_relation_privileges(relation, r->role);

    if (may == NULL)
        may = &none;
    *shown = (tn_openapi_relation){
        .relation = relation,
        .reads = may->select || may->select_some,
        .inserts = relation->can_insert && (may->insert || may->insert_some),
        .updates = relation->can_update && (may->update || may->update_some),
        .deletes = relation->can_delete && may->delete_,
        .shows = tn_arena_alloc(r->c->arena, relation->attribute_count, sizeof(bool))};
    for (size_t i = 0; i < relation->attribute_count; i++)
        shown->shows[i] =
            !relation->attributes[i].is_hidden && (may->select || may->insert || may->update);
    return shown->reads || shown->inserts || shown->updates || shown->deletes;
}

static void
find_relations(tn_openapi *document)
{
    const tn_data_request *r = document->r;
    size_t count;
    const tn_relation *const *all = tn_snapshot_relations(r->snapshot, &count);

    document->relations = tn_arena_alloc(r->c->arena, count, sizeof(*document->relations));
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i]->schema, r->schema) == 0 && all[i]->closed_because == NULL &&
            !all[i]->is_partition && find_rights(r, all[i], &document->relations[document->count]))
            document->count++;
}

static bool
shows_something(const tn_openapi_relation *shown)
{
    for (size_t i = 0; i < shown->relation->attribute_count; i++)
        if (shown->shows[i])
            return true;
    return false;
}

/* An array of the relations of which the caller has only some columns. */
static const char *
partial_relations(const tn_openapi *document)
{
    PQExpBuffer list = tn_arena_buffer(document->r->c->arena);

    appendPQExpBufferChar(list, '{');
    for (size_t i = 0; i < document->count; i++)
        if (!shows_something(&document->relations[i]))
            appendPQExpBuffer(list, "%s%u", list->len > 1 ? "," : "",
                              document->relations[i].relation->oid);
    appendPQExpBufferChar(list, '}');
    return tn_buffer_text(list);
}

static void
show_column(tn_openapi *document, int64_t oid, int64_t number)
{
    for (size_t i = 0; i < document->count; i++) {
        const tn_relation *relation = document->relations[i].relation;

        for (size_t k = 0; relation->oid == oid && k < relation->attribute_count; k++)
            if (relation->attributes[k].number == number && !relation->attributes[k].is_hidden)
                document->relations[i].shows[k] = true;
    }
}

/* Asks PostgreSQL, as the caller, for the rest: the schema's comment and single columns. */
static const tn_error *
complete(tn_openapi *document, const char **comment)
{
    const tn_data_request *r = document->r;
    tn_db_context context = tn_ctx_db_as(r->c, r->role);
    const tn_query query = {.statement = &tn_sql_describe,
                            .parameters =
                                (const char *const[]){r->schema, partial_relations(document)},
                            .parameter_count = 2};
    const tn_rows *rows;

    context.tenant_id = r->tenant_id;
    context.claims = r->claims;
    TN_TRY(tn_db_run(r->c->process->db, r->c->arena, &context, TN_READ_ONLY, &query, 1, &rows));
    for (size_t i = 0; i < tn_rows_count(rows); i++) {
        if (tn_rows_text(rows, i, 0) == NULL)
            *comment = tn_rows_text(rows, i, 2);
        else
            show_column(document, tn_rows_int(rows, i, 0, 0), tn_rows_int(rows, i, 1, 0));
    }
    return NULL;
}

/* --- the frame -------------------------------------------------------------------------------- */

/* The first line of the schema's comment is the title, the rest says more. */
static void
put_info(const tn_openapi *document, const char *comment)
{
    PQExpBuffer out = document->out;
    const char *end = comment != NULL ? strchr(comment, '\n') : NULL;

    tn_openapi_json(out, "info", "{");
    if (comment == NULL || *comment == '\0')
        tn_openapi_text(out, "title", "Data API");
    else if (end == NULL)
        tn_openapi_text(out, "title", comment);
    else
        tn_openapi_text(out, "title",
                        tn_arena_bytes(document->r->c->arena, comment, (size_t)(end - comment)));
    tn_openapi_text(out, "description",
                    end != NULL ? end + 1
                                : "Tables, views and functions as resources, for this caller");
    tn_openapi_text(out, "version", PACKAGE_VERSION);
    appendPQExpBufferChar(out, '}');
}

/* "https://app.example.com/prefix": scheme, host and base path. */
static void
put_address(const tn_openapi *document)
{
    tn_arena *arena = document->r->c->arena;
    const char *url = document->r->c->config->server.public_url;
    const char *host = strstr(url, "://");
    const char *path;

    if (host == NULL)
        return;
    path = host + 3 + strcspn(host + 3, "/");
    tn_openapi_text(document->out, "host",
                    tn_arena_bytes(arena, host + 3, (size_t)(path - host - 3)));
    tn_openapi_text(document->out, "basePath",
                    tn_arena_printf(arena, "%s%s", path, document->r->c->match->area->prefix));
    tn_openapi_json(document->out, "schemes",
                    tn_text_starts(url, "https") ? "[\"https\"]" : "[\"http\"]");
}

/* The parameters that all relations share. */
#define HEADER(name, text) \
    "{\"name\":\"" name "\",\"description\":\"" text "\",\"required\":false,\"in\":\"header\","
#define QUERY(name, text)                            \
    "{\"name\":\"" name "\",\"description\":\"" text \
    "\",\"required\":false,\"in\":\"query\",\"type\":\"string\"}"

static void
put_shared_parameters(PQExpBuffer out)
{
    static const struct {
        const char *name, *json;
    } shared[] = {
        {"preferParams",
         HEADER("Prefer", "Preference") "\"enum\":[\"params=single-object\"],\"type\":\"string\"}"},
        {"preferReturn", HEADER("Prefer", "Preference") "\"enum\":[\"return=representation\","
                                                        "\"return=minimal\",\"return=none\"],"
                                                        "\"type\":\"string\"}"},
        {"preferCount", HEADER("Prefer", "Preference") "\"enum\":[\"count=none\",\"count=exact\","
                                                       "\"count=planned\",\"count=estimated\"],"
                                                       "\"type\":\"string\"}"},
        {"preferPost",
         HEADER("Prefer", "Preference") "\"enum\":[\"return=representation\",\"return=minimal\","
                                        "\"return=none\",\"resolution=ignore-duplicates\","
                                        "\"resolution=merge-duplicates\"],\"type\":\"string\"}"},
        {"select", QUERY("select", "Filtering Columns")},
        {"on_conflict", QUERY("on_conflict", "On Conflict")},
        {"order", QUERY("order", "Ordering")},
        {"range", HEADER("Range", "Limiting and Pagination") "\"type\":\"string\"}"},
        {"rangeUnit", HEADER("Range-Unit", "Limiting and Pagination") "\"default\":\"items\","
                                                                      "\"type\":\"string\"}"},
        {"offset", QUERY("offset", "Limiting and Pagination")},
        {"limit", QUERY("limit", "Limiting and Pagination")},
    };

    for (size_t i = 0; i < TN_COUNT(shared); i++)
        tn_openapi_json(out, shared[i].name, shared[i].json);
}

static void
put_document(const tn_openapi *document, const char *comment)
{
    static const char media[] =
        "[\"application/json\",\"application/vnd.pgrst.object+json;nulls=stripped\","
        "\"application/vnd.pgrst.object+json\",\"text/csv\"]";
    static const char root[] = "{\"get\":{\"tags\":[\"Introspection\"],"
                               "\"summary\":\"OpenAPI description (this document)\","
                               "\"produces\":[\"application/openapi+json\",\"application/json\"],"
                               "\"responses\":{\"200\":{\"description\":\"OK\"}}}}";
    PQExpBuffer out = document->out;

    appendPQExpBufferChar(out, '{');
    tn_openapi_text(out, "swagger", "2.0");
    put_info(document, comment);
    put_address(document);
    tn_openapi_json(out, "consumes", media);
    tn_openapi_json(out, "produces", media);
    tn_openapi_json(out, "paths", "{");
    tn_openapi_json(out, "/", root);
    tn_openapi_relation_paths(document);
    tn_openapi_function_paths(document);
    appendPQExpBufferChar(out, '}');
    tn_openapi_json(out, "definitions", "{");
    tn_openapi_definitions(document);
    appendPQExpBufferChar(out, '}');
    tn_openapi_json(out, "parameters", "{");
    put_shared_parameters(out);
    tn_openapi_relation_parameters(document);
    appendPQExpBufferStr(out, "}}");
}

const tn_error *
tn_data_openapi(tn_ctx *c)
{
    tn_data_request r = {.c = c, .http = c->request, .name = "", .is_root = true};
    tn_openapi document = {.r = &r, .out = tn_arena_buffer(c->arena)};
    const char *comment = NULL;

    if (c->config->data.openapi == TN_OPENAPI_DISABLED)
        return tn_error_new(c->arena, 404, "PGRST126", NULL,
                            "The description of the API is disabled");
    TN_TRY(tn_data_read(&r));
    find_relations(&document);
    TN_TRY(tn_data_error_for(&r, complete(&document, &comment)));
    put_document(&document, comment);
    tn_response_text(c->response, 200, "application/openapi+json; charset=utf-8",
                     tn_buffer_text(document.out), document.out->len);
    tn_data_profile_header(&r);
    return NULL;
}
