/* auth/passkey.c: signing in with a key that knows who its owner is
 *
 * Passkeys are discoverable credentials that verify the person themselves. Nobody says who they are
 * before they sign in, so what is asked is the same for everybody (auth-js: passkey.*).
 */
#include <string.h>

#include "auth/factor.h"
#include "auth/key_parameters.h"
#include "auth/queries.h"
#include "auth/webauthn.h"
#include "base/crypto.h"
#include "base/log.h"

#define PASSKEYS_MAX "10"
#define NAME_MAX_CHARACTERS 120

enum { BEGUN_EXPIRES_AT = TN_FACTOR_FIRST, BEGUN_ACCOUNT, BEGUN_LABEL, BEGUN_CREDENTIALS };
enum { TAKEN_DATA = TN_FACTOR_FIRST, TAKEN_OWNER, TAKEN_KEY, TAKEN_ALGORITHM };
enum { ANSWER = TN_FACTOR_FIRST };
enum { SESSION_USER = TN_FACTOR_FIRST, SESSION_CLAIMS };

static const tn_error *
check_on(const tn_ctx *c)
{
    if (c->config->auth.passkeys)
        return NULL;
    return tn_error_new(c->arena, 404, "passkey_disabled", NULL, "Passkeys are disabled");
}

static tn_ceremony
ceremony_for(const tn_ctx *c, const char *challenge)
{
    return (tn_ceremony){.party = tn_relying_party_of(c->config, c->arena),
                         .challenge = challenge,
                         .verified = true};
}

static const char *
session_data(const tn_ctx *c, const tn_ceremony *ceremony)
{
    return tn_arena_printf(c->arena, "{\"challenge\":\"%s\"}", ceremony->challenge);
}

static const tn_error *
respond_options(tn_ctx *c, const tn_uuid *challenge, const char *options, int64_t expires_at)
{
    return tn_respond_json(
        c, 200,
        tn_arena_printf(c->arena, "{\"challenge_id\":\"%s\",\"options\":%s,\"expires_at\":%lld}",
                        challenge->text, options, (long long)expires_at));
}

/* What comes back from a ceremony. */
struct answer {
    tn_uuid challenge;
    json_object *credential;
};

static const tn_error *
read_answer(tn_ctx *c, struct answer *in)
{
    json_object *body;

    TN_TRY(tn_auth_body(c, &body));
    if (!tn_uuid_parse(tn_json_text(body, "challenge_id", ""), &in->challenge))
        return tn_auth_refuse_input(c, "challenge_id must be a valid UUID");
    in->credential = tn_json_get(body, "credential");
    if (!json_object_is_type(in->credential, json_type_object))
        return tn_auth_refuse_input(c, "credential is required");
    return NULL;
}

/* The cause is for the log: who guesses learns nothing. */
static const tn_error *
refuse(const tn_ctx *c, const char *cause)
{
    tn_log(TN_LOG_INFO, "auth.passkey.refused", TN_STR("request_id", c->request->id),
           TN_STR("cause", cause));
    return tn_error_new(c->arena, 400, "webauthn_verification_failed", NULL,
                        "Credential verification failed");
}

/* The challenge, which is gone then. */
static const tn_error *
take_challenge(tn_ctx *c, const tn_uuid *tenant, const char *person, const struct answer *in,
               const tn_rows **rows, const char **challenge)
{
    json_object *data = NULL;
    const char *text;
    tn_bytes id;

    TN_TRY(tn_auth_query(c, tenant, TN_READ_WRITE, &tn_sql_auth_passkey_take,
                         TN_PARAMS(in->challenge.text, person,
                                   tn_webauthn_credential_id(c->arena, in->credential, &id)
                                       ? tn_bytea(c->arena, id.bytes, id.length)
                                       : NULL),
                         rows));
    TN_TRY(tn_factor_outcome(c, *rows, "taken"));
    text = tn_rows_text(*rows, 0, TAKEN_DATA);
    TN_TRY(tn_json_parse(c->arena, text, strlen(text), TN_JSON_DEPTH, &data));
    *challenge = tn_json_text(data, "challenge", "");
    return NULL;
}

/* --- registration ----------------------------------------------------------------------------- */

/* POST /auth/v1/passkeys/registration/options */
const tn_error *
tn_passkey_registration_options(tn_ctx *c)
{
    const tn_ceremony ceremony = ceremony_for(c, tn_webauthn_challenge(c->arena));
    const tn_uuid challenge = tn_uuid_new();
    tn_factor_call call;
    tn_key_owner owner;
    const tn_rows *rows;

    TN_TRY(check_on(c));
    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_passkey_begin,
                         TN_PARAMS(call.person, call.session, challenge.text,
                                   session_data(c, &ceremony), PASSKEYS_MAX),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "found"));
    owner = (tn_key_owner){call.person, tn_rows_text(rows, 0, BEGUN_ACCOUNT),
                           tn_rows_text(rows, 0, BEGUN_LABEL)};
    return respond_options(c, &challenge,
                           tn_webauthn_creation_options(c->arena, &ceremony, &owner, true,
                                                        tn_rows_text(rows, 0, BEGUN_CREDENTIALS)),
                           tn_rows_int(rows, 0, BEGUN_EXPIRES_AT, 0));
}

/* POST /auth/v1/passkeys/registration/verify */
const tn_error *
tn_passkey_registration_verify(tn_ctx *c)
{
    const char *challenge, *problem;
    tn_ceremony ceremony;
    tn_key_parameters p;
    tn_key_answer answer;
    tn_factor_call call;
    const tn_rows *rows;
    struct answer in;

    TN_TRY(check_on(c));
    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(read_answer(c, &in));
    TN_TRY(take_challenge(c, call.tenant, call.person, &in, &rows, &challenge));
    ceremony = ceremony_for(c, challenge);
    problem = tn_webauthn_check_creation(c->arena, &ceremony, in.credential, &answer);
    if (problem != NULL)
        return refuse(c, problem);
    p = tn_key_parameters_of(c->arena, &answer);
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_passkey_register,
                         TN_PARAMS(call.person, call.session, p.credential_id, p.public_key,
                                   p.algorithm, p.sign_count, p.aaguid, p.transports,
                                   p.backup_eligible, p.backed_up, p.attestation, PASSKEYS_MAX,
                                   call.address, tn_factor_notice(c, &call, NULL)),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "registered"));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, ANSWER));
}

/* --- sign-in ---------------------------------------------------------------------------------- */

/* POST /auth/v1/passkeys/authentication/options */
const tn_error *
tn_passkey_authentication_options(tn_ctx *c)
{
    const tn_ceremony ceremony = ceremony_for(c, tn_webauthn_challenge(c->arena));
    const tn_uuid challenge = tn_uuid_new();
    const tn_rows *rows;
    json_object *body;
    tn_uuid tenant;

    TN_TRY(check_on(c));
    TN_TRY(tn_body_object(c, &body));
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(tn_auth_check_captcha(c, body));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_passkey_challenge,
                         TN_PARAMS(challenge.text, session_data(c, &ceremony)), &rows));
    return respond_options(c, &challenge, tn_webauthn_request_options(c->arena, &ceremony, NULL),
                           tn_rows_int(rows, 0, 0, 0));
}

/* NULL, or what is wrong: the key must be known, and know whose it is. */
static const char *
check_sign_in(tn_ctx *c, const char *challenge, const struct answer *in, const tn_rows *rows,
              tn_key_answer *answer)
{
    const tn_ceremony ceremony = ceremony_for(c, challenge);
    const char *owner = tn_rows_text(rows, 0, TAKEN_OWNER), *problem;
    tn_public_key key;

    if (!tn_key_read(c->arena, tn_rows_text(rows, 0, TAKEN_KEY),
                     (int)tn_rows_int(rows, 0, TAKEN_ALGORITHM, 0), &key))
        return "nobody has this key";
    problem = tn_webauthn_check_assertion(c->arena, &ceremony, &key, in->credential, answer);
    if (problem == NULL && (answer->user_handle == NULL || strcmp(answer->user_handle, owner) != 0))
        problem = "the key says that it is somebody else's";
    return problem;
}

/* POST /auth/v1/passkeys/authentication/verify */
const tn_error *
tn_passkey_authentication_verify(tn_ctx *c)
{
    const tn_auth_opening opening = tn_auth_open(c);
    const char *challenge, *problem, *owner;
    tn_key_parameters p;
    tn_key_answer answer;
    const tn_rows *rows;
    struct answer in;
    tn_uuid tenant;

    TN_TRY(check_on(c));
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(read_answer(c, &in));
    TN_TRY(take_challenge(c, &tenant, NULL, &in, &rows, &challenge));
    problem = check_sign_in(c, challenge, &in, rows, &answer);
    if (problem != NULL)
        return refuse(c, problem);
    owner = tn_rows_text(rows, 0, TAKEN_OWNER);
    p = tn_key_parameters_of(c->arena, &answer);
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_passkey_sign_in,
                         TN_PARAMS(owner, p.credential_id, p.sign_count, p.backed_up,
                                   c->config->auth.passkeys_aal2 ? "true" : "false",
                                   opening.id.text, opening.token_hash, opening.user_agent,
                                   opening.address, opening.lifetime_s),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "session"));
    return tn_auth_respond_session(c, tn_rows_text(rows, 0, SESSION_CLAIMS),
                                   tn_rows_text(rows, 0, SESSION_USER), opening.token, NULL);
}

/* --- what there is ---------------------------------------------------------------------------- */

/* GET /auth/v1/passkeys */
const tn_error *
tn_passkey_list(tn_ctx *c)
{
    tn_factor_call call;
    const tn_rows *rows;

    TN_TRY(check_on(c));
    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_ONLY, &tn_sql_auth_passkey_list,
                         TN_PARAMS(call.person, call.session), &rows));
    TN_TRY(tn_factor_outcome(c, rows, "found"));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, ANSWER));
}

static const tn_error *
passkey_of_path(tn_ctx *c, tn_uuid *id)
{
    if (!tn_uuid_parse(tn_path_text(c, "id"), id))
        return tn_error_new(c->arena, 404, "validation_failed", NULL, "Passkey not found");
    return NULL;
}

struct naming {
    const char *name;
};

static const tn_field naming_fields[] = {
    {.name = "friendly_name", .offset = offsetof(struct naming, name), .max = NAME_MAX_CHARACTERS},
    {.name = NULL},
};

/* PATCH /auth/v1/passkeys/{id} */
const tn_error *
tn_passkey_rename(tn_ctx *c)
{
    struct naming in = {.name = ""};
    tn_factor_call call;
    const tn_rows *rows;
    tn_uuid id;

    TN_TRY(check_on(c));
    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(passkey_of_path(c, &id));
    TN_TRY(tn_auth_body(c, &call.body));
    TN_TRY(tn_object_known_fields(c, call.body, naming_fields, &in));
    if (*in.name == '\0')
        return tn_auth_refuse_input(c, "friendly_name is required");
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_passkey_rename,
                         TN_PARAMS(call.person, call.session, id.text, in.name, call.address),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "renamed"));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, ANSWER));
}

/* DELETE /auth/v1/passkeys/{id} */
const tn_error *
tn_passkey_drop(tn_ctx *c)
{
    tn_factor_call call;
    const tn_rows *rows;
    tn_uuid id;

    TN_TRY(check_on(c));
    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(passkey_of_path(c, &id));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_passkey_drop,
                         TN_PARAMS(call.person, call.session, id.text, call.address,
                                   tn_factor_notice(c, &call, NULL)),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "dropped"));
    return tn_respond_empty(c, 204);
}
