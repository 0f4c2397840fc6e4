/* auth/recovery_code.c: codes for people who have lost their second factor
 *
 * Ten codes of 80 random bits, shown once. At rest there are keyed hashes of them, bound to the
 * person.
 */
#include <ctype.h>
#include <string.h>

#include "auth/factor.h"
#include "auth/queries.h"
#include "base/crypto.h"

#define CODES 10
#define CODE_LENGTH 16
#define NAME "Recovery codes"
#define NAME_MAX_BYTES 255

enum { ANSWER = TN_FACTOR_FIRST };
enum { ATTEMPT_FACTOR = TN_FACTOR_FIRST, ATTEMPT_IS_RIGHT, ATTEMPT_COUNTER };

/* 32 characters that nobody takes for another. */
static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";
_Static_assert(sizeof(alphabet) == 33, "five bits each");

static const char *
new_code(tn_arena *arena)
{
    char *code = tn_arena_alloc(arena, CODE_LENGTH + 1, 1);
    uint8_t random[CODE_LENGTH];

    tn_random(random, sizeof(random));
    for (size_t i = 0; i < CODE_LENGTH; i++)
        code[i] = alphabet[random[i] % 32];
    return code;
}

/* As typed: letter case, blanks and dashes do not matter. NULL: it is no code. */
static const char *
read_code(tn_arena *arena, const char *text)
{
    char *code = tn_arena_alloc(arena, CODE_LENGTH + 1, 1);
    size_t length = 0;

    for (; *text != '\0'; text++) {
        if (isspace((unsigned char)*text) || *text == '-')
            continue;
        if (length == CODE_LENGTH)
            return NULL;
        code[length++] = (char)tolower((unsigned char)*text);
    }
    return length == CODE_LENGTH ? code : NULL;
}

/* GET /auth/v1/factors/recovery-codes */
const tn_error *
tn_recovery_codes_get(tn_ctx *c)
{
    tn_factor_call call;
    const tn_rows *rows;

    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_ONLY, &tn_sql_auth_recovery_codes_count,
                         TN_PARAMS(call.person, call.session), &rows));
    TN_TRY(tn_factor_outcome(c, rows, "found"));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, ANSWER));
}

/* `answer` is an object that PostgreSQL wrote; the codes go into it. */
static const tn_error *
respond_codes(tn_ctx *c, const char *answer, const char *const codes[CODES])
{
    PQExpBuffer body = tn_arena_buffer(c->arena);

    appendBinaryPQExpBuffer(body, answer, strlen(answer) - 1);
    appendPQExpBufferStr(body, ",\"codes\":[");
    for (size_t i = 0; i < CODES; i++)
        appendPQExpBuffer(body, "%s\"%s\"", i > 0 ? "," : "", codes[i]);
    appendPQExpBufferStr(body, "]}");
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

static const tn_error *
generate(tn_ctx *c, tn_factor_call *call, bool anew, const char *name)
{
    const char *codes[CODES], *hashes[CODES];
    PQExpBuffer list = tn_arena_buffer(c->arena);
    const tn_rows *rows;

    if (!c->config->auth.mfa_recovery_codes)
        return tn_error_new(c->arena, 422, "mfa_recovery_codes_enroll_not_enabled", NULL,
                            "Recovery codes are disabled");
    for (size_t i = 0; i < CODES; i++) {
        codes[i] = new_code(c->arena);
        hashes[i] = tn_factor_hash(c, call, codes[i]);
    }
    tn_buffer_array(list, hashes, CODES);
    TN_TRY(tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_recovery_codes_generate,
                         TN_PARAMS(call->person, call->session, anew ? "true" : "false", name,
                                   tn_buffer_text(list),
                                   tn_arena_number(c->arena, c->config->auth.mfa_max_factors),
                                   call->address, tn_factor_notice(c, call, NULL)),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "generated"));
    return respond_codes(c, tn_rows_text(rows, 0, ANSWER), codes);
}

struct naming {
    const char *name;
};

static const tn_field naming_fields[] = {
    {.name = "friendly_name", .offset = offsetof(struct naming, name), .max = NAME_MAX_BYTES},
    {.name = NULL},
};

/* POST /auth/v1/factors/recovery-codes */
const tn_error *
tn_recovery_codes_generate(tn_ctx *c)
{
    struct naming in = {.name = NAME};
    tn_factor_call call;

    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_body_object(c, &call.body));
    TN_TRY(tn_object_known_fields(c, call.body, naming_fields, &in));
    return generate(c, &call, false, *in.name != '\0' ? in.name : NAME);
}

/* POST /auth/v1/factors/recovery-codes/regenerate */
const tn_error *
tn_recovery_codes_regenerate(tn_ctx *c)
{
    tn_factor_call call;

    TN_TRY(tn_factor_begin(c, &call));
    return generate(c, &call, true, "");
}

/* DELETE /auth/v1/factors/recovery-codes */
const tn_error *
tn_recovery_codes_drop(tn_ctx *c)
{
    tn_factor_call call;
    const tn_rows *rows;

    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_recovery_codes_drop,
                         TN_PARAMS(call.person, call.session, call.address), &rows));
    TN_TRY(tn_factor_outcome(c, rows, "dropped"));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, ANSWER));
}

/* POST /auth/v1/factors/recovery-codes/verify */
const tn_error *
tn_recovery_code_verify(tn_ctx *c)
{
    const char *code, *hash;
    tn_factor_call call;
    const tn_rows *rows;
    bool is_right;

    /* parse */
    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_auth_body(c, &call.body));
    if (!c->config->auth.mfa_recovery_codes)
        return tn_error_new(c->arena, 422, "mfa_recovery_codes_verify_not_enabled", NULL,
                            "Recovery codes are disabled");
    code = tn_json_text(call.body, "code", "");
    if (*code == '\0')
        return tn_auth_refuse_input(c, "Code needs to be non-empty");
    code = read_code(c->arena, code);
    hash = tn_factor_hash(c, &call, code == NULL ? "" : code);

    /* the attempt counts, whatever was sent */
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_recovery_code_attempt,
                         TN_PARAMS(call.person, call.session, hash), &rows));
    TN_TRY(tn_factor_outcome(c, rows, "attempt"));
    is_right = tn_rows_bool(rows, 0, ATTEMPT_IS_RIGHT);
    if (!tn_uuid_parse(tn_rows_text(rows, 0, ATTEMPT_FACTOR), &call.factor))
        return tn_error_internal(c->arena, "auth.recovery_code.no_factor", "%s", call.person);
    TN_TRY(tn_factor_ask_hook(c, &call, "recovery_code", is_right));
    if (!is_right)
        return tn_factor_wrong(c, "Invalid recovery code entered");

    tn_factor_prepare_refresh(c, &call, tn_rows_int(rows, 0, ATTEMPT_COUNTER, 0));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_recovery_code_redeem,
                         TN_PARAMS(call.person, call.session, call.factor.text, hash,
                                   call.refresh_hash, call.refresh_counter, call.address),
                         &rows));
    return tn_factor_respond_session(c, &call, rows);
}
