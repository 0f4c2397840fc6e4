/* auth/phone_factor.c: a telephone as second factor: codes by text message */
#include <string.h>

#include "auth/factor.h"
#include "auth/one_time.h"
#include "auth/queries.h"
#include "base/crypto.h"
#include "mail/mail.h"

const tn_error *
tn_phone_factor_enroll(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in)
{
    tn_enrolment enrolment = *in;
    PQExpBuffer body = tn_arena_buffer(c->arena);
    const char *account;

    if (in->phone == NULL || *in->phone == '\0')
        return tn_auth_refuse_input(c, "Phone number required to enroll Phone factor");
    TN_TRY(tn_phone_normalise(c->arena, in->phone, &enrolment.phone));
    TN_TRY(tn_factor_post_enrolment(c, call, &enrolment, NULL, &account));

    appendPQExpBuffer(body,
                      "{\"id\":\"%s\",\"type\":\"phone\",\"friendly_name\":", call->factor.text);
    tn_buffer_json_string(body, in->name);
    appendPQExpBufferStr(body, ",\"phone\":");
    tn_buffer_json_string(body, in->phone);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

const tn_error *
tn_phone_factor_challenge(tn_ctx *c, tn_factor_call *call)
{
    const char *channel = tn_json_text(call->body, "channel", "sms");
    /* made for the challenge, so that it answers no other */
    const tn_one_time code = tn_one_time_new(c, call->tenant, call->challenge.text);
    const tn_letter letter = {.code = code.code};
    int64_t expires_at;

    if (strcmp(channel, "sms") != 0 && strcmp(channel, "whatsapp") != 0)
        return tn_auth_refuse_input(c, "Invalid channel, supported values are 'sms' or 'whatsapp'");
    TN_TRY(tn_auth_take_message(c, call->tenant, "sms"));
    TN_TRY(tn_factor_post_challenge(c, call, code.hash,
                                    tn_letter_seal(c->config, c->arena, call->tenant, &letter),
                                    NULL, &expires_at));
    return tn_respond_json(c, 200,
                           tn_arena_printf(c->arena,
                                           "{\"id\":\"%s\",\"type\":\"phone\",\"expires_at\":%lld}",
                                           call->challenge.text, (long long)expires_at));
}

const tn_error *
tn_phone_factor_verify(tn_ctx *c, tn_factor_call *call)
{
    const char *presented = tn_one_time_hash_of_code(c, call->tenant, call->challenge.text,
                                                     tn_json_text(call->body, "code", ""));
    const bool is_right = call->code_hash != NULL && strlen(call->code_hash) == strlen(presented) &&
                          tn_same_bytes(call->code_hash, presented, strlen(presented));
    const tn_rows *rows;

    TN_TRY(tn_factor_ask_hook(c, call, "phone", is_right));
    if (!is_right)
        return tn_factor_wrong(c, "Invalid MFA Phone code entered");
    TN_TRY(tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_factor_verify,
                         TN_PARAMS(call->person, call->session, call->factor.text,
                                   call->challenge.text, call->address, NULL, call->refresh_hash,
                                   call->refresh_counter, tn_factor_notice(c, call, "phone")),
                         &rows));
    return tn_factor_respond_session(c, call, rows);
}
