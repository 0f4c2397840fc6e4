/* data/openapi.h: the description of the data API as a Swagger 2.0 document
 *
 * In the form of PostgREST's, which tools of its world read: `paths` of relations and functions,
 * `definitions` of rows, and `parameters` that both share.
 *
 *     openapi.c         which relations and columns the caller may use, and the frame
 *     openapi_rows.c    relations
 *     openapi_call.c    functions
 *
 * Threads: one request, one thread.
 * Errors:  404 PGRST126 where data.openapi is disabled.
 */
#ifndef TN_DATA_OPENAPI_H
#define TN_DATA_OPENAPI_H

#include "base/buffer.h"
#include "data/request.h"

/* GET /rest/v1/ */
const tn_error *tn_data_openapi(tn_ctx *c);

/* A relation that is shown, with what the caller may do. */
typedef struct tn_openapi_relation {
    const tn_relation *relation;
    bool reads, inserts, updates, deletes;
    bool *shows; /* beside its attributes */
} tn_openapi_relation;

typedef struct tn_openapi {
    tn_data_request *r;
    PQExpBuffer out;
    tn_openapi_relation *relations;
    size_t count;
} tn_openapi;

/* --- JSON, piece by piece: commas stand where they belong ------------------------------------- */

/* "key": what comes next is its value. */
void tn_openapi_key(PQExpBuffer out, const char *key);
void tn_openapi_text(PQExpBuffer out, const char *key, const char *value);
/* JSON as it is; without a key an item of an array. */
void tn_openapi_json(PQExpBuffer out, const char *key, const char *json);
/* {"$ref": "#/group/name"}, as an item or the value of the key that was written. */
void tn_openapi_reference(PQExpBuffer out, const char *group, const char *name);
/* "/name" as a key, with what would make a template or another address of it encoded. */
void tn_openapi_path(PQExpBuffer out, const char *prefix, const char *name);
/* The type of JSON as which PostgreSQL writes one; NULL: any. */
const char *tn_openapi_type_name(const char *type);
/* Of an array: "integer" of "integer[]". */
const char *tn_openapi_element(tn_arena *arena, const tn_attribute *as);
/* "type", "format" and what belongs to them, of a column or parameter. */
void tn_openapi_type(const tn_openapi *document, const tn_attribute *as);

/* --- parts ------------------------------------------------------------------------------------ */

void tn_openapi_relation_paths(const tn_openapi *document);
void tn_openapi_relation_parameters(const tn_openapi *document);
void tn_openapi_definitions(const tn_openapi *document);
void tn_openapi_function_paths(const tn_openapi *document);

#endif
