/* data/request.h: one request to the data API on its way: read, planned, run, answered
 *
 * The stages of this room meet here. A request is read once into a tn_data_request, which also says
 * who asks; each step takes what the one before made. A batch makes a request of its own for each
 * of its operations and goes the same way.
 *
 * Threads: one request, one thread.
 */
#ifndef TN_DATA_REQUEST_H
#define TN_DATA_REQUEST_H

#include <stdatomic.h>

#include "data/plan.h"
#include "data/sql.h"
#include "identity/ctx.h"

/* What an area keeps in a process. */
typedef struct tn_data_state {
    tn_arena *arena;
    const char *const *schemas;      /* data.schemas */
    const char *const *search_paths; /* beside each */
    size_t schema_count;
    const char *pre_request_schema, *pre_request_name; /* data.pre_request; NULL: none */
    atomic_int *exports;                               /* large ones that are on their way */
    int export_max;
} tn_data_state;

static inline const tn_data_state *
tn_data_state_of(const tn_ctx *c)
{
    return c->state;
}

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): grouped by meaning */
typedef struct tn_data_request {
    tn_ctx *c;
    const tn_request *http; /* the client's, or one made for a step of a batch */
    bool is_plain;          /* /api/db: `column=value` is equality */
    bool is_call;           /* of a function */
    bool is_root;           /* the description of it all */
    bool is_get, is_head;   /* is_get: HEAD as well */
    const char *name;       /* of the relation or function */
    const char *path;       /* "/stock", "/rpc/add": still encoded, without the area's prefix */

    /* who asks (caller.c) */
    const char *role, *tenant_id, *claims;
    bool is_anonymous; /* the role is anon, token or not */

    /* what for */
    size_t schema_index; /* in tn_data_state */
    const char *schema;
    bool names_schema; /* it was asked for by name, or there are several */
    tn_prefer prefer;  /* only what has an effect */
    tn_accepted media;
    tn_data_query query;
    tn_data_body body;
    bool has_range;
    int64_t range_first, range_last;
    const char *if_match, *if_none_match; /* if_match: as tn_versions_wanted() gives it */
    bool rolls_back;
    const tn_snapshot *snapshot;
    bool is_under_way; /* its transaction holds a connection: nothing may wait for another one */
} tn_data_request;

/* What the transaction gave. */
typedef struct tn_data_answer {
    const tn_rows *rows;
    const tn_rows *estimate; /* EXPLAIN of what matches; NULL: not asked for */
} tn_data_answer;

/* caller.c: role, tenant and claims of who asks: nobody is anon of data.default_tenant. 401
 * PGRST301 to 303 for bad tokens and where nobody may ask. */
const tn_error *tn_data_caller(tn_data_request *r) TN_MUST_CHECK;

/* read.c: everything of the request, in the order in which PostgREST finds faults. The members c,
 * http, name and is_call are given; who asks and the snapshot may be, together. */
const tn_error *tn_data_read(tn_data_request *r) TN_MUST_CHECK;
/* Its Prefer alone, for which c, http and the snapshot are needed. */
const tn_error *tn_data_read_prefer(tn_data_request *r) TN_MUST_CHECK;

/* run.c: the plan, once more with a fresh catalog when something was not found. */
const tn_error *tn_data_plan_of(tn_data_request *r, tn_data_plan *plan) TN_MUST_CHECK;
/* A new plan in place of the one whose statement has `failed`, if it failed for something that
 * PostgreSQL did not find and there is a newer catalog. */
const tn_error *tn_data_plan_again(tn_data_request *r, const tn_error *failed, tn_data_plan *plan,
                                   bool *is_new) TN_MUST_CHECK;
/* The transaction's context for this plan; the request and the plan outlive it. */
void tn_data_work_of(const tn_data_request *r, const tn_data_plan *plan, tn_db_context *context,
                     tn_db_work *work);
/* One transaction, one round trip. */
const tn_error *tn_data_run(tn_data_request *r, const tn_data_plan *plan,
                            tn_data_answer *answer) TN_MUST_CHECK;
/* SQL of the SQL stage as a query of the transaction. */
typedef struct tn_data_statement {
    tn_data_sql sql;
    tn_statement statement;
} tn_data_statement;
tn_query tn_data_query_of(tn_data_statement *statement, const char *name);
/* What a plan sends: pre-request, the statement, the estimate. The queries point into it, so it
 * stays where it is. */
#define TN_DATA_QUERIES_MAX 3
typedef struct tn_data_queries {
    tn_data_statement statements[TN_DATA_QUERIES_MAX];
    tn_query queries[TN_DATA_QUERIES_MAX];
    size_t count, main; /* main: the place of the statement */
} tn_data_queries;
void tn_data_queries_of(const tn_data_request *r, const tn_data_plan *plan, tn_data_queries *all);
tn_data_answer tn_data_answer_of(const tn_data_queries *all, const tn_rows *const *results);
/* The error for this caller: what anon may not do is 401. */
const tn_error *tn_data_error_for(const tn_data_request *r, const tn_error *error) TN_MUST_CHECK;

/* response.c: status, header fields and body. */
const tn_error *tn_data_respond(tn_data_request *r, const tn_data_plan *plan,
                                const tn_data_answer *answer) TN_MUST_CHECK;
/* Its parts, for answers that are made otherwise. */
const char *tn_data_applied(const tn_data_request *r, const tn_data_plan *plan);
void tn_data_profile_header(const tn_data_request *r);
void tn_data_content_type(const tn_data_request *r, const tn_data_plan *plan);
void tn_data_content_location(const tn_data_request *r);
/* What SQL has set: response.headers and response.status, or NULL. */
const tn_error *tn_data_override(tn_data_request *r, const char *list,
                                 const char *status) TN_MUST_CHECK;
/* The planner's estimate, out of EXPLAIN (format json); -1 when it says nothing. */
int64_t tn_data_estimated_rows(const tn_data_request *r, const tn_rows *rows);

/* range.c: the page of an answer. */
typedef struct tn_page {
    int64_t first, count; /* rows before it, rows in it */
    bool has_total;
    int64_t total;
} tn_page;
/* "0-9/200", or with a star where nothing is known or there. */
const char *tn_page_content_range(tn_arena *arena, const tn_page *page) TN_NEVER_NULL;
/* 416, with all that the answer would have told besides the rows. */
const tn_error *tn_data_refuse_range(const tn_data_request *r, const tn_data_plan *plan,
                                     const tn_page *page) TN_MUST_CHECK;
/* 200, 206, or 416 when it begins behind the last row. */
int tn_page_status(const tn_page *page);
/* `Range: 0-9` (RFC 7233 with rows as the unit, which is not named); false: there is none. */
bool tn_range_parse(const char *header, int64_t *first, int64_t *last);

/* scope.c: an agent calls what its scopes name, by /rpc or in the rows of a plan; what it reads and
 * writes there is row security's to say, and the scopes' where there is none. 403 scope_missing. */
const tn_error *tn_data_check_scope(const tn_data_request *r) TN_MUST_CHECK;
const tn_error *tn_data_check_functions(const tn_data_request *r,
                                        const tn_data_plan *plan) TN_MUST_CHECK;

/* handlers */
const tn_error *tn_data_relation(tn_ctx *c);
const tn_error *tn_data_call(tn_ctx *c);
const tn_error *tn_data_options(tn_ctx *c);
const tn_error *tn_data_call_options(tn_ctx *c);
const tn_error *tn_data_root_options(tn_ctx *c);

#endif
