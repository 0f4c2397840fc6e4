/* auth/attributes.c: what an admin's request says of a person */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "auth/area.h"
#include "auth/users.h"
#include "base/text.h"

#define PASSWORD_MAX 72        /* bytes */
#define BAN_MAX_S 9223372036.0 /* the longest duration that Go has, some 292 years */

static void
put_object(void *object)
{
    json_object_put(object);
}

json_object *
tn_auth_object(const tn_ctx *c)
{
    json_object *object = json_object_new_object();

    if (object == NULL)
        tn_die("no memory for an object");
    tn_arena_defer(c->arena, put_object, object);
    return object;
}

void
tn_auth_object_text(json_object *object, const char *name, const char *text)
{
    if (text != NULL)
        json_object_object_add(object, name, json_object_new_string(text));
}

/* --- durations -------------------------------------------------------------------------------- */

/* The unit at the start of `text`, in seconds, and its length; 0: none. */
static double
read_unit(const char *text, size_t *length)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {
        {"ns", 1e-9}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6}, {"\xCE\xBCs", 1e-6},
        {"ms", 1e-3}, {"s", 1},     {"m", 60},           {"h", 3600},
    };

    for (size_t i = 0; i < TN_COUNT(units); i++)
        if (tn_text_starts(text, units[i].name)) {
            *length = strlen(units[i].name);
            return units[i].seconds;
        }
    return 0;
}

bool
tn_auth_duration(const char *text, double *seconds)
{
    *seconds = 0;
    if (*text == '\0' || strcmp(text, "0") == 0) /* the one that needs no unit */
        return *text != '\0';
    while (*text != '\0') {
        const size_t whole = strspn(text, "0123456789");
        const size_t fraction = text[whole] == '.' ? 1 + strspn(text + whole + 1, "0123456789") : 0;
        size_t unit_length = 0;
        const double unit = read_unit(text + whole + fraction, &unit_length);

        if (whole + fraction > 30 || whole + fraction == (fraction > 0) || unit == 0)
            return false;
        *seconds += strtod(text, NULL) * unit;
        text += whole + fraction + unit_length;
    }
    return *seconds <= BAN_MAX_S;
}

/* --- members ---------------------------------------------------------------------------------- */

struct person {
    const char *id, *aud, *role, *email, *phone, *password, *hash, *ban;
    int is_email_confirmed, is_phone_confirmed;
    json_object *user_metadata, *app_metadata;
};

static const tn_field fields[] = {
    {.name = "id", .offset = offsetof(struct person, id)},
    {.name = "aud", .offset = offsetof(struct person, aud), .max = 255},
    {.name = "role", .offset = offsetof(struct person, role), .max = 255},
    {.name = "email", .offset = offsetof(struct person, email)},
    {.name = "phone", .offset = offsetof(struct person, phone)},
    {.name = "password", .offset = offsetof(struct person, password)},
    {.name = "password_hash", .offset = offsetof(struct person, hash)},
    {.name = "ban_duration", .offset = offsetof(struct person, ban)},
    {.name = "email_confirm",
     .offset = offsetof(struct person, is_email_confirmed),
     .type = TN_FIELD_BOOL},
    {.name = "phone_confirm",
     .offset = offsetof(struct person, is_phone_confirmed),
     .type = TN_FIELD_BOOL},
    {.name = "user_metadata",
     .offset = offsetof(struct person, user_metadata),
     .type = TN_FIELD_JSON},
    {.name = "app_metadata",
     .offset = offsetof(struct person, app_metadata),
     .type = TN_FIELD_JSON},
    {.name = NULL},
};

static const tn_error *
add_metadata(const tn_ctx *c, json_object *object, const char *name, json_object *metadata)
{
    if (metadata == NULL)
        return NULL;
    if (!json_object_is_type(metadata, json_type_object))
        return tn_auth_refuse_input(c, "user_metadata and app_metadata must be objects");
    json_object_object_add(object, name, json_object_get(metadata));
    return NULL;
}

static const tn_error *
add_ban(const tn_ctx *c, json_object *object, const char *ban)
{
    double seconds;

    if (ban == NULL || *ban == '\0')
        return NULL;
    if (strcmp(ban, "none") == 0) {
        json_object_object_add(object, "banned_for_s", NULL);
        return NULL;
    }
    if (!tn_auth_duration(ban, &seconds))
        return tn_auth_refuse_input(
            c, "invalid format for ban duration: expected none, or such as 24h or 1h30m");
    json_object_object_add(object, "banned_for_s", json_object_new_double(seconds));
    return NULL;
}

static const tn_error *
add_id(const tn_ctx *c, json_object *object, const char *text)
{
    static const char nil[] = "00000000-0000-0000-0000-000000000000";
    tn_uuid id;

    if (text == NULL || *text == '\0')
        return NULL;
    if (!tn_uuid_parse(text, &id))
        return tn_auth_refuse_input(c, "ID must conform to the uuid v4 format");
    if (strcmp(id.text, nil) == 0)
        return tn_auth_refuse_input(c, "ID cannot be a nil uuid");
    tn_auth_object_text(object, "id", id.text);
    return NULL;
}

static const tn_error *
add_addresses(const tn_ctx *c, const struct person *in, tn_auth_attributes *out)
{
    const char *phone;

    if (in->email != NULL && *in->email != '\0') {
        TN_TRY(tn_email_normalise(c->arena, in->email, &out->email));
        tn_auth_object_text(out->object, "email", out->email);
    }
    if (in->phone != NULL && *in->phone != '\0') {
        TN_TRY(tn_phone_normalise(c->arena, in->phone, &phone));
        tn_auth_object_text(out->object, "phone", phone);
    }
    if (in->is_email_confirmed == 1)
        json_object_object_add(out->object, "email_confirm", json_object_new_boolean(true));
    if (in->is_phone_confirmed == 1)
        json_object_object_add(out->object, "phone_confirm", json_object_new_boolean(true));
    return NULL;
}

static const tn_error *
add_password(const tn_ctx *c, const struct person *in, tn_auth_attributes *out)
{
    out->password = in->password != NULL && *in->password != '\0' ? in->password : NULL;
    if (in->hash == NULL || *in->hash == '\0')
        return out->password != NULL && strlen(out->password) > PASSWORD_MAX
                   ? tn_auth_refuse_input(c, "Password cannot be longer than 72 characters")
                   : NULL;
    if (out->password != NULL)
        return tn_auth_refuse_input(c, "Only a password or a password hash should be provided");
    if (!tn_password_is_importable(in->hash))
        return tn_auth_refuse_input(
            c, "password_hash is no bcrypt, argon2 or Firebase scrypt hash within bounds");
    tn_auth_object_text(out->object, "password", in->hash);
    return NULL;
}

const tn_error *
tn_auth_attributes_read(tn_ctx *c, tn_auth_attributes *out)
{
    struct person in = {0};
    json_object *body;

    *out = (tn_auth_attributes){.object = tn_auth_object(c)};
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, fields, &in));
    TN_TRY(add_id(c, out->object, in.id));
    TN_TRY(add_addresses(c, &in, out));
    TN_TRY(add_password(c, &in, out));
    TN_TRY(add_metadata(c, out->object, "user_metadata", in.user_metadata));
    TN_TRY(add_metadata(c, out->object, "app_metadata", in.app_metadata));
    TN_TRY(add_ban(c, out->object, in.ban));
    tn_auth_object_text(out->object, "aud", in.aud);
    tn_auth_object_text(out->object, "role", in.role);
    return NULL;
}
