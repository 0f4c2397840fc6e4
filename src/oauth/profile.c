/* oauth/profile.c: who somebody is, in the words of each provider, in one form
 *
 * identity_data has the members that Supabase's clients know; what else a
 * provider tells is left out, and so is what is longer than anybody's name is.
 */
#include <string.h>

#include "base/text.h"
#include "oauth/oauth_private.h"

#define VALUE_MAX 2048
#define EMAIL_MAX 255
#define EMAILS_MAX 100
#define SUBJECT_MAX 255

/* --- reading ---------------------------------------------------------------------------------- */

/* A member that is a truth, however it is written. */
static bool
is_true(json_object *object, const char *member)
{
    json_object *value = tn_json_get(object, member);

    if (json_object_is_type(value, json_type_boolean))
        return json_object_get_boolean(value);
    if (json_object_is_type(value, json_type_int))
        return json_object_get_int64(value) == 1;
    return json_object_is_type(value, json_type_string) && /* Apple, and xms_edov */
           (strcmp(json_object_get_string(value), "true") == 0 ||
            strcmp(json_object_get_string(value), "1") == 0);
}

/* A text without NUL that is not too long, or NULL. */
static const char *
take_text(json_object *object, const char *member)
{
    json_object *value = tn_json_get(object, member);
    const char *text;

    if (!json_object_is_type(value, json_type_string))
        return NULL;
    text = json_object_get_string(value);
    if (*text == '\0' || strlen(text) != (size_t)json_object_get_string_len(value) ||
        strlen(text) > VALUE_MAX)
        return NULL;
    return text;
}

static const char *
take_email(json_object *object)
{
    const char *email = take_text(object, "email");

    return email != NULL && strlen(email) <= EMAIL_MAX ? email : NULL;
}

/* --- identity_data ---------------------------------------------------------------------------- */

static void
add_json(PQExpBuffer data, const char *name, const char *json)
{
    appendPQExpBufferStr(data, data->len == 0 ? "{" : ",");
    tn_buffer_json_string(data, name);
    appendPQExpBuffer(data, ":%s", json);
}

static void
add_text(PQExpBuffer data, const char *name, const char *value)
{
    if (value == NULL)
        return;
    appendPQExpBufferStr(data, data->len == 0 ? "{" : ",");
    tn_buffer_json_string(data, name);
    appendPQExpBufferChar(data, ':');
    tn_buffer_json_string(data, value);
}

/* The end of all of them. */
static const tn_error *
finish(const tn_oauth_provider *provider, tn_arena *arena, PQExpBuffer data,
       tn_oauth_profile *profile)
{
    if (profile->subject == NULL || strlen(profile->subject) > SUBJECT_MAX)
        return tn_oauth_refuse(provider, arena, "the profile has no id",
                               "Error getting user profile from external provider");
    profile->email_verified = profile->email_verified && profile->email != NULL;
    add_text(data, "sub", profile->subject);
    add_text(data, "provider_id", profile->subject);
    add_text(data, "email", profile->email);
    add_json(data, "email_verified", profile->email_verified ? "true" : "false");
    add_json(data, "phone_verified", "false");
    appendPQExpBufferChar(data, '}');
    profile->data = tn_buffer_text(data);
    return NULL;
}

/* --- OpenID Connect --------------------------------------------------------------------------- */

/* Microsoft lets the administrators of any tenant write any address into an account, so that of a
 * stranger's tenant is worth nothing unless the claim xms_edov says that the tenant owns the
 * domain. Where one tenant only may sign in, its administrators are whom the operator trusts. */
static bool
is_email_verified(const tn_oauth_provider *provider, json_object *claims)
{
    json_object *owned;

    if (provider->kind != TN_OAUTH_AZURE)
        return is_true(claims, "email_verified");
    if (json_object_object_get_ex(claims, "xms_edov", &owned))
        return is_true(claims, "xms_edov");
    return strstr(provider->issuer, "{tenantid}") == NULL;
}

/* `first` wins: the id token, which is signed, over userinfo. */
static const char *
take_either(json_object *first, json_object *second, const char *member)
{
    const char *text = take_text(first, member);

    return text != NULL || second == NULL ? text : take_text(second, member);
}

static const tn_error *
profile_of(const tn_oauth_provider *provider, tn_arena *arena, json_object *claims,
           json_object *userinfo, const char *full_name, tn_oauth_profile *profile)
{
    static const char *const members[] = {
        "iss",     "family_name", "given_name", "middle_name", "nickname",  "preferred_username",
        "profile", "picture",     "website",    "gender",      "birthdate", "zoneinfo",
        "locale",  "phone",
    };
    PQExpBuffer data = tn_arena_buffer(arena);
    const char *name = full_name != NULL ? full_name : take_either(claims, userinfo, "name");
    /* address and whether it is verified are told by one and the same */
    json_object *teller = take_email(claims) != NULL || userinfo == NULL ? claims : userinfo;

    *profile = (tn_oauth_profile){
        .subject = take_text(claims, "sub"),
        .email = take_email(teller),
        .email_verified = is_email_verified(provider, teller),
    };
    for (size_t i = 0; i < TN_COUNT(members); i++)
        add_text(data, members[i], take_either(claims, userinfo, members[i]));
    add_text(data, "name", name);
    add_text(data, "full_name", name);
    add_text(data, "avatar_url", take_either(claims, userinfo, "picture"));
    return finish(provider, arena, data, profile);
}

const tn_error *
tn_oauth_profile_of_claims(const tn_oauth_provider *provider, tn_arena *arena, json_object *claims,
                           tn_oauth_profile *profile)
{
    return profile_of(provider, arena, claims, NULL, NULL, profile);
}

static const tn_error *
read_profile(const tn_oauth_provider *provider, tn_arena *arena, const char *url,
             const char *access_token, json_object **answer)
{
    const tn_oauth_call call = {.url = url, .bearer = access_token};
    int status = 0;

    TN_TRY(tn_oauth_fetch(provider, arena, &call, &status, answer));
    if (status == 200)
        return NULL;
    return tn_oauth_refuse(provider, arena,
                           tn_arena_printf(arena, "the profile is answered with %d", status),
                           "Error getting user profile from external provider");
}

/* Section 5.3.2: the `sub` of userinfo must be the one of the id token, or it is somebody else's.
 */
static const tn_error *
read_userinfo(const tn_oauth_provider *provider, tn_arena *arena, const char *access_token,
              json_object *claims, json_object **userinfo)
{
    const char *subject;

    *userinfo = NULL;
    if (provider->userinfo_url[0] == '\0')
        return NULL;
    TN_TRY(read_profile(provider, arena, provider->userinfo_url, access_token, userinfo));
    subject = json_object_is_type(*userinfo, json_type_object) ? take_text(*userinfo, "sub") : NULL;
    if (subject == NULL || strcmp(subject, take_text(claims, "sub")) != 0)
        return tn_oauth_refuse(provider, arena, "userinfo is about somebody else",
                               "Error getting user profile from external provider");
    return NULL;
}

/* Apple tells names once, in the form, beside the id token; they are as trustworthy as what people
 * write of themselves. */
static const char *
apple_name(tn_arena *arena, const char *user)
{
    json_object *object = NULL, *name;
    const char *first, *last;

    if (user == NULL || tn_json_parse(arena, user, strlen(user), 4, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    name = tn_json_get(object, "name");
    if (!json_object_is_type(name, json_type_object))
        return NULL;
    first = take_text(name, "firstName");
    last = take_text(name, "lastName");
    if (first == NULL || last == NULL)
        return first != NULL ? first : last;
    return tn_arena_printf(arena, "%s %s", first, last);
}

static const tn_error *
read_oidc(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_tokens *tokens,
          const tn_oauth_request *request, const tn_oauth_answer *answer, tn_oauth_profile *profile)
{
    const tn_oauth_expectation expectation = {.nonce = request->nonce,
                                              .access_token = tokens->access_token};
    json_object *claims, *userinfo;

    if (tokens->id_token == NULL)
        return tn_oauth_refuse(provider, arena, "the token endpoint gives no id token",
                               "Bad ID token: there is none");
    TN_TRY(tn_oauth_id_token_check(provider, arena, tokens->id_token, &expectation, &claims));
    TN_TRY(read_userinfo(provider, arena, tokens->access_token, claims, &userinfo));
    return profile_of(provider, arena, claims, userinfo,
                      provider->kind == TN_OAUTH_APPLE ? apple_name(arena, answer->user) : NULL,
                      profile);
}

/* --- GitHub ----------------------------------------------------------------------------------- */

/* The one that is primary and verified, else the first that is verified, else the primary one. */
static json_object *
choose_email(json_object *emails)
{
    const size_t count = json_object_array_length(emails);
    json_object *chosen = NULL;
    int best = 0;

    for (size_t i = 0; i < count && i < EMAILS_MAX; i++) {
        json_object *email = json_object_array_get_idx(emails, i);
        int rank = 0;

        if (!json_object_is_type(email, json_type_object) || take_email(email) == NULL)
            continue;
        if (is_true(email, "verified"))
            rank = is_true(email, "primary") ? 3 : 2;
        else if (is_true(email, "primary"))
            rank = 1;
        if (rank > best) {
            best = rank;
            chosen = email;
        }
    }
    return chosen;
}

/* An id that is a number; JSON has no other whole ones. */
static const char *
take_number(tn_arena *arena, json_object *object, const char *member)
{
    json_object *value = tn_json_get(object, member);

    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) <= 0)
        return NULL;
    return tn_arena_number(arena, json_object_get_int64(value));
}

static const tn_error *
read_github(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_tokens *tokens,
            tn_oauth_profile *profile)
{
    const char *emails_url = tn_arena_printf(arena, "%s/emails", provider->userinfo_url);
    PQExpBuffer data = tn_arena_buffer(arena);
    json_object *user, *emails, *email = NULL;

    TN_TRY(read_profile(provider, arena, provider->userinfo_url, tokens->access_token, &user));
    TN_TRY(read_profile(provider, arena, emails_url, tokens->access_token, &emails));
    if (!json_object_is_type(user, json_type_object))
        user = NULL;
    if (json_object_is_type(emails, json_type_array))
        email = choose_email(emails);
    *profile = (tn_oauth_profile){
        .subject = user == NULL ? NULL : take_number(arena, user, "id"),
        .email = email == NULL ? NULL : take_email(email),
        .email_verified = email != NULL && is_true(email, "verified"),
    };
    if (profile->subject == NULL)
        return finish(provider, arena, data, profile);
    add_text(data, "iss", "https://api.github.com");
    add_text(data, "name", take_text(user, "name"));
    add_text(data, "full_name", take_text(user, "name"));
    add_text(data, "user_name", take_text(user, "login"));
    add_text(data, "preferred_username", take_text(user, "login"));
    add_text(data, "avatar_url", take_text(user, "avatar_url"));
    return finish(provider, arena, data, profile);
}

/* --- Discord ---------------------------------------------------------------------------------- */

static const char *
discord_avatar(tn_arena *arena, json_object *user, const char *id)
{
    const char *hash = take_text(user, "avatar");

    if (hash == NULL || strspn(hash, "0123456789abcdefghijklmnopqrstuvwxyz_") != strlen(hash))
        return NULL;
    return tn_arena_printf(arena, "https://cdn.discordapp.com/avatars/%s/%s.%s", id, hash,
                           tn_text_starts(hash, "a_") ? "gif" : "png");
}

static const tn_error *
read_discord(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_tokens *tokens,
             tn_oauth_profile *profile)
{
    PQExpBuffer data = tn_arena_buffer(arena);
    const char *id, *name;
    json_object *user;

    TN_TRY(read_profile(provider, arena, provider->userinfo_url, tokens->access_token, &user));
    id = json_object_is_type(user, json_type_object) ? take_text(user, "id") : NULL;
    if (id == NULL || strspn(id, "0123456789") != strlen(id)) {
        *profile = (tn_oauth_profile){0};
        return finish(provider, arena, data, profile);
    }
    *profile = (tn_oauth_profile){
        .subject = id,
        .email = take_email(user),
        .email_verified = is_true(user, "verified"),
    };
    name = take_text(user, "global_name");
    if (name == NULL)
        name = take_text(user, "username");
    add_text(data, "iss", "https://discord.com/api");
    add_text(data, "name", take_text(user, "username"));
    add_text(data, "full_name", name);
    add_text(data, "preferred_username", take_text(user, "username"));
    add_text(data, "avatar_url", discord_avatar(arena, user, id));
    add_text(data, "picture", discord_avatar(arena, user, id));
    return finish(provider, arena, data, profile);
}

const tn_error *
tn_oauth_profile_read(const tn_oauth_provider *provider, tn_arena *arena,
                      const tn_oauth_tokens *tokens, const tn_oauth_request *request,
                      const tn_oauth_answer *answer, tn_oauth_profile *profile)
{
    switch (provider->kind) {
    case TN_OAUTH_GITHUB:
        return read_github(provider, arena, tokens, profile);
    case TN_OAUTH_DISCORD:
        return read_discord(provider, arena, tokens, profile);
    case TN_OAUTH_OIDC:
    case TN_OAUTH_GOOGLE:
    case TN_OAUTH_APPLE:
    case TN_OAUTH_AZURE:
        break;
    }
    return read_oidc(provider, arena, tokens, request, answer, profile);
}
