/* auth/key_factor.c: a security key as second factor
 *
 * The person need not be verified by it (a PIN, a finger): that they have it is the second factor.
 * The key knows its owner by the factor's id and not by the person's, so that it takes the place of
 * no passkey of theirs.
 */
#include <string.h>

#include "auth/factor.h"
#include "auth/key_parameters.h"
#include "auth/queries.h"
#include "auth/webauthn.h"
#include "base/log.h"

const tn_error *
tn_key_factor_enroll(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in)
{
    tn_enrolment enrolment = *in;
    PQExpBuffer body = tn_arena_buffer(c->arena);
    const char *account;

    enrolment.phone = NULL;
    TN_TRY(tn_factor_post_enrolment(c, call, &enrolment, NULL, &account));
    appendPQExpBuffer(body,
                      "{\"id\":\"%s\",\"type\":\"webauthn\",\"friendly_name\":", call->factor.text);
    tn_buffer_json_string(body, in->name);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

const tn_error *
tn_key_factor_challenge(tn_ctx *c, tn_factor_call *call)
{
    const tn_ceremony ceremony = {.party = tn_relying_party_of(c->config, c->arena),
                                  .challenge = tn_webauthn_challenge(c->arena)};
    const tn_key_owner owner = {call->factor.text, call->account, call->label};
    const char *type = call->is_verified ? "request" : "create";
    int64_t expires_at;

    TN_TRY(
        tn_factor_post_challenge(c, call, NULL, NULL,
                                 tn_arena_printf(c->arena, "{\"challenge\":\"%s\",\"type\":\"%s\"}",
                                                 ceremony.challenge, type),
                                 &expires_at));
    return tn_respond_json(
        c, 200,
        tn_arena_printf(
            c->arena,
            "{\"id\":\"%s\",\"type\":\"webauthn\",\"expires_at\":%lld,\"webauthn\":{\"type\":"
            "\"%s\",\"credential_options\":{\"publicKey\":%s}}}",
            call->challenge.text, (long long)expires_at, type,
            call->is_verified ? tn_webauthn_request_options(c->arena, &ceremony, call->credentials)
                              : tn_webauthn_creation_options(c->arena, &ceremony, &owner, false,
                                                             call->credentials)));
}

/* NULL, or what is wrong with the answer. */
static const char *
check_answer(tn_ctx *c, const tn_factor_call *call, const char *type, json_object *credential,
             tn_key_answer *answer)
{
    const tn_ceremony ceremony = {.party = tn_relying_party_of(c->config, c->arena),
                                  .challenge = tn_json_text(call->data, "challenge", "")};
    tn_public_key key;

    if (strcmp(type, tn_json_text(call->data, "type", "")) != 0)
        return "it is of another type than the challenge";
    if (strcmp(type, "create") == 0)
        return tn_webauthn_check_creation(c->arena, &ceremony, credential, answer);
    if (!tn_key_read(c->arena, call->public_key, call->algorithm, &key))
        return "there is no key";
    return tn_webauthn_check_assertion(c->arena, &ceremony, &key, credential, answer);
}

const tn_error *
tn_key_factor_verify(tn_ctx *c, tn_factor_call *call)
{
    json_object *sent = tn_json_get(call->body, "webauthn"), *credential = NULL;
    const char *type = "", *problem;
    tn_key_parameters p;
    tn_key_answer answer;
    const tn_rows *rows;

    if (json_object_is_type(sent, json_type_object)) {
        type = tn_json_text(sent, "type", "");
        credential = tn_json_get(sent, "credential_response");
    }
    if (strcmp(type, "create") != 0 && strcmp(type, "request") != 0)
        return tn_auth_refuse_input(c, "WebAuthn type must be create or request");
    if (credential == NULL)
        return tn_auth_refuse_input(c, "credential_response required");

    problem = check_answer(c, call, type, credential, &answer);
    TN_TRY(tn_factor_ask_hook(c, call, "webauthn", problem == NULL));
    if (problem != NULL) {
        tn_log(TN_LOG_INFO, "auth.webauthn.refused", TN_STR("request_id", c->request->id),
               TN_STR("factor_id", call->factor.text), TN_STR("cause", problem));
        return tn_factor_wrong(c, "Credential verification failed");
    }
    p = tn_key_parameters_of(c->arena, &answer);
    TN_TRY(
        tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_factor_verify_key,
                      TN_PARAMS(call->person, call->session, call->factor.text,
                                call->challenge.text, call->address, call->refresh_hash,
                                call->refresh_counter, p.credential_id, p.public_key, p.algorithm,
                                p.sign_count, p.aaguid, p.transports, p.backup_eligible,
                                p.backed_up, p.attestation, tn_factor_notice(c, call, "webauthn")),
                      &rows));
    return tn_factor_respond_session(c, call, rows);
}
