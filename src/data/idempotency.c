/* data/idempotency.c: the key, the claim, the answer */
#include "data/idempotency.h"

#include <string.h>

#include "base/text.h"
#include "data/header.h"
#include "data/queries.h"

#define KEY_MAX 255 /* bytes, as in the chat area */

/* --- the key ---------------------------------------------------------------------------------- */

static const tn_error *
check_key(const tn_ctx *c, const char *key)
{
    if (strlen(key) > KEY_MAX)
        return tn_error_new(c->arena, 400, "idempotency_key_too_long", NULL,
                            "an Idempotency-Key has at most 255 bytes");
    for (; *key != '\0'; key++)
        if (*key < ' ' || *key > '~')
            return tn_error_new(c->arena, 400, "idempotency_key_malformed", "Send a UUID.",
                                "an Idempotency-Key has only printable ASCII characters");
    return NULL;
}

/* With the NUL behind it, so that no two requests run together to the same bytes. */
static void
append_part(PQExpBuffer all, const char *text)
{
    if (text != NULL)
        appendPQExpBufferStr(all, text);
    appendPQExpBufferChar(all, text == NULL ? '\1' : '\0');
}

/* The body goes in as its own hash, since it may be large. */
static void
hash_request(const tn_ctx *c, char hash[TN_SHA256_HEX])
{
    static const char *const names[] = {"content-profile", "content-type", "accept",
                                        "prefer",          "if-match",     "if-none-match"};
    const tn_request *request = c->request;
    PQExpBuffer all = tn_arena_buffer(c->arena);
    uint8_t digest[TN_SHA256_SIZE];

    append_part(all, request->method);
    append_part(all, request->path);
    append_part(all, request->query_text);
    for (size_t i = 0; i < TN_COUNT(names); i++) {
        for (size_t k = 0; k < request->header_count; k++)
            if (strcmp(request->headers[k].name, names[i]) == 0)
                append_part(all, request->headers[k].value);
        append_part(all, NULL);
    }
    tn_sha256(request->body, request->body_length, digest);
    appendBinaryPQExpBuffer(all, (const char *)digest, sizeof(digest));
    tn_sha256(tn_buffer_text(all), all->len, digest);
    tn_hex(digest, sizeof(digest), hash);
}

const tn_error *
tn_idempotency_read(const tn_ctx *c, tn_idempotency *once)
{
    const char *method = c->request->method;
    const char *key = tn_request_header(c->request, "idempotency-key");

    *once = (tn_idempotency){0};
    if (key == NULL || *key == '\0' || strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return NULL;
    TN_TRY(check_key(c, key));
    hash_request(c, once->hash);
    once->key = key;
    return NULL;
}

/* --- the claim -------------------------------------------------------------------------------- */

/* Waiting for the first one has come to an end: too long, or this transaction began too early to
 * see what has become of it. */
static const tn_error *
in_progress(tn_ctx *c, const tn_error *error)
{
    static const char *const codes[] = {"55P03", "57014", "40001"};
    tn_error *wait = NULL;

    for (size_t i = 0; i < TN_COUNT(codes); i++)
        if (strcmp(error->code, codes[i]) == 0)
            wait = tn_error_new(c->arena, 409, "request_in_progress",
                                "Ask again with the same Idempotency-Key.",
                                "the first request with this Idempotency-Key is still being done");
    if (wait == NULL)
        return error;
    wait->retry_after_s = 1;
    return wait;
}

static const tn_error *
replay(tn_ctx *c, const tn_rows *rows)
{
    const char *headers = tn_rows_text(rows, 0, 2);
    const char *body = tn_rows_text(rows, 0, 3);
    tn_response *response = c->response;
    json_object *fields = NULL;

    TN_TRY(tn_json_parse(c->arena, headers, strlen(headers), TN_JSON_DEPTH, &fields));
    tn_response_text(response, (int)tn_rows_int(rows, 0, 1, 500), NULL, body != NULL ? body : "",
                     body != NULL ? tn_rows_length(rows, 0, 3) : 0);
    json_object_object_foreach(fields, name, value)
    {
        if (value != NULL) /* Content-Type has a place of its own */
            tn_header_replace(response, name, json_object_get_string(value));
    }
    tn_response_header(response, "Idempotency-Replayed", "true");
    return NULL;
}

/* What has come of the claim, if it is not ours. */
static const tn_error *
answer_of(tn_ctx *c, const char *outcome, const tn_rows *rows)
{
    if (strcmp(outcome, "answered") == 0)
        return replay(c, rows);
    if (strcmp(outcome, "conflict") == 0)
        return tn_error_new(c->arena, 422, "idempotency_key_reused",
                            "Take a new key for a new request.",
                            "this Idempotency-Key came with another request before");
    return tn_error_new(c->arena, 409, "answer_not_kept",
                        "It has been done; ask for what you need to know of it.",
                        "this request has been done before, and its answer was too large to keep");
}

const tn_error *
tn_idempotency_begin(tn_ctx *c, tn_idempotency *once, const tn_db_work *work,
                     tn_transaction **transaction, bool *is_answered)
{
    const tn_query query = {.statement = &tn_sql_claim_request,
                            .parameters = (const char *const[]){once->key, once->hash},
                            .parameter_count = 2};
    tn_db_work claim = *work;
    const tn_error *error;
    const tn_rows *rows;
    const char *outcome;

    once->worker = *work->context;
    once->worker.role = "tenon_worker";
    claim.context = &once->worker;
    TN_TRY(tn_db_begin(c->process->db, c->arena, &claim, transaction));
    error = tn_transaction_run(*transaction, &query, 1, &rows);
    if (error != NULL)
        return in_progress(c, error);
    outcome = tn_rows_text(rows, 0, 0);
    *is_answered = strcmp(outcome, "claimed") != 0;
    if (!*is_answered)
        return NULL;
    tn_transaction_roll_back(*transaction);
    return answer_of(c, outcome, rows);
}

/* --- the answer ------------------------------------------------------------------------------- */

static const char *
headers_json(const tn_ctx *c)
{
    const tn_response *response = c->response;
    PQExpBuffer json = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(json, "{\"content-type\":");
    tn_buffer_json_string(json, response->content_type);
    for (size_t i = 0; i < response->header_count; i++) {
        appendPQExpBufferChar(json, ',');
        tn_buffer_json_string(json, response->headers[i].name);
        appendPQExpBufferChar(json, ':');
        tn_buffer_json_string(json, response->headers[i].value);
    }
    appendPQExpBufferChar(json, '}');
    return tn_buffer_text(json);
}

/* As text in the database: not too long, and no bytes that only an app's own media type has. */
static bool
can_keep(const tn_ctx *c)
{
    const tn_response *response = c->response;

    return response->body_length <= (size_t)c->config->data.idempotency_body_max &&
           memchr(response->body, '\0', response->body_length) == NULL &&
           tn_text_is_utf8(response->body, response->body_length);
}

const tn_error *
tn_idempotency_keep(tn_ctx *c, const tn_idempotency *once, tn_transaction *transaction)
{
    const char *parameters[] = {once->key, tn_arena_printf(c->arena, "%d", c->response->status),
                                headers_json(c),
                                c->response->body_length > 0 ? c->response->body : NULL};
    const tn_query queries[] = {{.statement = &tn_sql_run_deferred}, /* still as the caller */
                                {.statement = &tn_sql_keep_answer,
                                 .parameters = parameters,
                                 .parameter_count = TN_COUNT(parameters)}};
    const tn_db_context *const contexts[] = {NULL, &once->worker};
    const tn_rows *results[TN_COUNT(queries)];

    if (can_keep(c))
        return tn_transaction_run_last_as(transaction, contexts, queries, TN_COUNT(queries),
                                          results);
    tn_response_header(c->response, "Idempotency-Kept", "false");
    return tn_transaction_commit(transaction);
}
