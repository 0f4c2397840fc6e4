/* auth/ask.h: what somebody says who is to be sent a code or a link, and what is made of it
 *
 * Whether anybody has the address is not known here, and must not matter to whoever asks: code,
 * link and letter are made in every case, and SQL decides (0008_flows.sql).
 *
 * Threads: any.
 */
#ifndef TN_AUTH_ASK_H
#define TN_AUTH_ASK_H

#include "auth/flow.h"

/* Members of the bodies of /signup, /otp, /magiclink, /recover and /resend. */
typedef struct tn_ask {
    const char *email, *phone, *password, *challenge, *method, *channel, *type;
    json_object *data;
    int create_user; /* -1: nothing said */
} tn_ask;

/* Reads the body, asks for the captcha, and takes empty members for absent ones. 400
 * `validation_failed` when `data` is no object. */
const tn_error *tn_ask_read(tn_ctx *c, tn_ask *in) TN_MUST_CHECK;

/* Is the way on that the address asks for? 400 `email_provider_disabled`,
 * `phone_provider_disabled`; `what` is what people want to do: "signups". */
const tn_error *tn_ask_check_provider(const tn_ctx *c, bool by_phone,
                                      const char *what) TN_MUST_CHECK;

/* How a text message is to go: null, empty, sms or whatsapp, else 400. */
const tn_error *tn_ask_check_channel(const tn_ctx *c, const tn_ask *in) TN_MUST_CHECK;

/* The one address that was given, normalised. */
const tn_error *tn_ask_address(const tn_ctx *c, const tn_ask *in,
                               const char **address) TN_MUST_CHECK;

/* A message that may be sent: parameters of SQL, type auth.message. All NULL: none. */
typedef struct tn_message {
    const char *channel, *address, *hash, *sealed, *lifetime_s, *interval_s;
    tn_challenge challenge;
    const char *redirect_to;
} tn_message;

#define TN_MESSAGE(m)                                                               \
    (m).channel, (m).address, (m).hash, (m).sealed, (m).lifetime_s, (m).interval_s, \
        (m).challenge.challenge, (m).challenge.method, (m).redirect_to

/* A new code for an address, and its letter. `new_email` is NULL but for a change of address. */
tn_message tn_message_new(tn_ctx *c, const tn_uuid *tenant, bool by_phone, const char *address,
                          const tn_challenge *challenge, const char *new_email);

/* A `failure` that SQL gives with the outcome database_error, {code, message, detail, hint}: read,
 * and written to the log, where only its message goes. */
const tn_error *tn_ask_read_failure(tn_ctx *c, const char *failure,
                                    tn_db_problem *problem) TN_MUST_CHECK;

/* Row 0 begins with outcome, failure and the message's id: 429 `over_email_send_rate_limit`,
 * `over_sms_send_rate_limit`, 422 `otp_disabled`, 422 `user_already_exists`; what people's triggers
 * say. */
enum { TN_ASK_OUTCOME, TN_ASK_FAILURE, TN_ASK_MESSAGE };
const tn_error *tn_ask_respond_failure(tn_ctx *c, const tn_rows *rows);

/* The same; `{}` when it has been sent, with the id of a text message. */
const tn_error *tn_ask_respond(tn_ctx *c, const tn_rows *rows, bool by_phone);

#endif
