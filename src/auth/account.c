/* auth/account.c: what has to be known of a person before their account is changed */
#include "auth/account.h"

#include "auth/area.h"
#include "auth/one_time.h"
#include "auth/queries.h"
#include "mail/mail.h"

enum {
    ACCOUNT_EMAIL = 3, /* behind what tn_auth_check_person() reads */
    ACCOUNT_PHONE,
    ACCOUNT_HASH,
    ACCOUNT_IS_ANONYMOUS,
    ACCOUNT_NEEDS_SECOND_FACTOR,
    ACCOUNT_IS_OLD,
    ACCOUNT_IS_FRESH,
    ACCOUNT_IS_RECOVERY,
    ACCOUNT_IS_EMAIL_TAKEN,
    ACCOUNT_IS_PHONE_TAKEN
};

const tn_error *
tn_account_find(tn_ctx *c, const char *email, const char *phone, tn_account *out)
{
    const tn_principal *who = c->who;
    const char *session = tn_principal_session(who);
    const tn_rows *rows;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_auth_query(c, &who->tenant_id, TN_READ_ONLY, &tn_sql_auth_account_find,
                         TN_PARAMS(who->user_id.text, session, email, phone), &rows));
    TN_TRY(tn_auth_check_person(c, rows));
    *out = (tn_account){
        .email = tn_rows_text(rows, 0, ACCOUNT_EMAIL),
        .phone = tn_rows_text(rows, 0, ACCOUNT_PHONE),
        .hash = tn_rows_text(rows, 0, ACCOUNT_HASH),
        .is_anonymous = tn_rows_bool(rows, 0, ACCOUNT_IS_ANONYMOUS),
        .needs_second_factor = tn_rows_bool(rows, 0, ACCOUNT_NEEDS_SECOND_FACTOR),
        .is_old = tn_rows_bool(rows, 0, ACCOUNT_IS_OLD),
        .is_fresh = tn_rows_bool(rows, 0, ACCOUNT_IS_FRESH),
        .is_recovery = tn_rows_bool(rows, 0, ACCOUNT_IS_RECOVERY),
        .is_email_taken = tn_rows_bool(rows, 0, ACCOUNT_IS_EMAIL_TAKEN),
        .is_phone_taken = tn_rows_bool(rows, 0, ACCOUNT_IS_PHONE_TAKEN),
    };
    return NULL;
}

/* What a wrong password counts against: address, number, or the person's id. */
static const char *
name_of(const tn_ctx *c, const tn_account *account)
{
    if (*account->email != '\0')
        return account->email;
    return *account->phone != '\0' ? account->phone : c->who->user_id.text;
}

const tn_error *
tn_account_try_password(tn_ctx *c, const tn_account *account, const char *password, bool *is_right)
{
    const char *name = name_of(c, account), *better;

    TN_TRY(tn_auth_look_for_password(c, &c->who->tenant_id, name));
    TN_TRY(tn_password_verify(c, password, account->hash, is_right, &better));
    return tn_auth_count_password(c, &c->who->tenant_id, name, *is_right);
}

const char *
tn_account_nonce_hash(const tn_ctx *c, const tn_account *account, const char *nonce)
{
    const char *address = *account->email != '\0' ? account->email : account->phone;

    return tn_one_time_hash_of_code(c, &c->who->tenant_id, address, nonce);
}

/* A letter whose `data` has these two members. */
static const char *
seal_notice(const tn_ctx *c, const tn_uuid *tenant, const char *new_email, const char *const *names,
            const char *const *values)
{
    PQExpBuffer data = tn_arena_buffer(c->arena);
    tn_letter letter = {.new_email = new_email};

    for (size_t i = 0; i < 2; i++) {
        appendPQExpBuffer(data, "%c\"%s\":", i == 0 ? '{' : ',', names[i]);
        tn_buffer_json_string(data, values[i]);
    }
    appendPQExpBufferChar(data, '}');
    letter.data = tn_buffer_text(data);
    return tn_letter_seal(c->config, c->arena, tenant, &letter);
}

const char *
tn_account_email_notice(const tn_ctx *c, const tn_uuid *tenant, const char *old_email,
                        const char *new_email)
{
    return seal_notice(c, tenant, new_email, (const char *const[]){"old_email", "new_email"},
                       (const char *const[]){old_email, new_email});
}

const char *
tn_account_phone_notice(const tn_ctx *c, const tn_uuid *tenant, const char *old_phone,
                        const char *new_phone)
{
    return seal_notice(c, tenant, NULL, (const char *const[]){"old_phone", "phone"},
                       (const char *const[]){old_phone, new_phone});
}
