/* auth/password_hash.c: forms of password hashes */
#include "auth/password_hash.h"

#include <argon2.h>
#include <crypt.h>
#include <string.h>

#include "auth/area.h"
#include "base/crypto.h"
#include "base/text.h"

#define TEXT_MAX 1024
#define ARGON2_MEMORY_KIB_MAX 1048576
#define ARGON2_PASSES_MAX 20
#define LANES_MAX 16
#define ARGON2_SALT_MIN 11 /* characters of base64: 8 bytes */
#define ARGON2_HASH_MIN 6  /* 4 bytes */
#define BCRYPT_LENGTH 60
#define BCRYPT_PREFIX 7 /* "$2b$10$" */
#define BCRYPT_COST_MIN 4
#define BCRYPT_COST_MAX 16
#define SCRYPT_LOG2_MAX 20
#define SCRYPT_BLOCK_MAX 16
#define SCRYPT_BYTES_MAX (UINT64_C(1) << 30)
#define FIREBASE_PART_MAX 256 /* bytes of a salt, a key or a hash */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char bcrypt_digits[] =
    "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/* --- reading ---------------------------------------------------------------------------------- */

/* "m=19456" at *text, followed by `end`; moves behind that. */
static bool
read_number(const char **text, const char *name, char end, uint32_t max, uint32_t *number)
{
    const char *digits;
    char copy[11];
    int64_t value;
    size_t count;

    if (!tn_text_starts(*text, name))
        return false;
    digits = *text + strlen(name);
    count = strspn(digits, "0123456789");
    if (count == 0 || count >= sizeof(copy) || digits[count] != end ||
        (digits[0] == '0' && count > 1))
        return false;
    memcpy(copy, digits, count);
    copy[count] = '\0';
    if (!tn_text_int(copy, 1, max, &value))
        return false;
    *number = (uint32_t)value;
    *text = digits + count + 1;
    return true;
}

/* base64 at *text with its padding, if it has some, up to `end`; moves behind that. */
static bool
read_base64(const char **text, char end, size_t min, const char **part, size_t *length)
{
    const char *start = *text;
    size_t count = strspn(start, base64_digits);

    count += strspn(start + count, "=");
    if (count < min || count % 4 == 1 || count > FIREBASE_PART_MAX * 4 / 3 || start[count] != end)
        return false;
    *part = start;
    *length = count;
    *text = start + count + (end != '\0');
    return true;
}

/* m=…,t=…,p=…$salt$hash */
static bool
read_argon2(const char *text, tn_password_form *form)
{
    return read_number(&text, "v=", '$', 19, &form->version) &&
           (form->version == ARGON2_VERSION_10 || form->version == ARGON2_VERSION_13) &&
           read_number(&text, "m=", ',', ARGON2_MEMORY_KIB_MAX, &form->memory_kib) &&
           read_number(&text, "t=", ',', ARGON2_PASSES_MAX, &form->passes) &&
           read_number(&text, "p=", '$', LANES_MAX, &form->lanes) &&
           form->memory_kib >= 8 * form->lanes &&
           read_base64(&text, '$', ARGON2_SALT_MIN, &form->salt, &form->salt_length) &&
           read_base64(&text, '\0', ARGON2_HASH_MIN, &form->hash, &form->hash_length) &&
           form->salt[form->salt_length - 1] != '=' && form->hash[form->hash_length - 1] != '=';
}

static bool
read_bcrypt(const char *text, tn_password_form *form)
{
    const bool is_formed =
        strlen(text) == BCRYPT_LENGTH && strchr("aby", text[2]) != NULL && text[3] == '$' &&
        text[6] == '$' && strspn(text + 4, "0123456789") == 2 &&
        strspn(text + BCRYPT_PREFIX, bcrypt_digits) == BCRYPT_LENGTH - BCRYPT_PREFIX;

    if (!is_formed)
        return false;
    form->passes = (uint32_t)(text[4] - '0') * 10 + (uint32_t)(text[5] - '0');
    return form->passes >= BCRYPT_COST_MIN && form->passes <= BCRYPT_COST_MAX;
}

/* v=1,n=14,r=8,p=1,ss=…,sk=…$salt$hash; the separator may be missing. */
static bool
read_firebase(const char *text, tn_password_form *form)
{
    if (!read_number(&text, "v=", ',', 1, &form->version) ||
        !read_number(&text, "n=", ',', SCRYPT_LOG2_MAX, &form->passes) ||
        !read_number(&text, "r=", ',', SCRYPT_BLOCK_MAX, &form->block) ||
        !read_number(&text, "p=", ',', LANES_MAX, &form->lanes) ||
        form->passes >= 16 * form->block || /* RFC 7914 section 2 */
        (UINT64_C(128) << form->passes) * form->block > SCRYPT_BYTES_MAX)
        return false;
    if (tn_text_starts(text, "ss=")) {
        text += strlen("ss=");
        if (!read_base64(&text, ',', 2, &form->separator, &form->separator_length))
            return false;
    }
    if (!tn_text_starts(text, "sk="))
        return false;
    text += strlen("sk=");
    return read_base64(&text, '$', 2, &form->key, &form->key_length) &&
           read_base64(&text, '$', 2, &form->salt, &form->salt_length) &&
           read_base64(&text, '\0', 2, &form->hash, &form->hash_length);
}

bool
tn_password_form_read(const char *text, tn_password_form *form)
{
    static const struct {
        const char *prefix;
        tn_password_scheme scheme;
        bool (*read)(const char *text, tn_password_form *form);
        bool from_start; /* `read` takes the prefix as well */
    } schemes[] = {
        {"$argon2id$", TN_PASSWORD_ARGON2ID, read_argon2, false},
        {"$argon2i$", TN_PASSWORD_ARGON2I, read_argon2, false},
        {"$2", TN_PASSWORD_BCRYPT, read_bcrypt, true},
        {"$fbscrypt$", TN_PASSWORD_FIREBASE, read_firebase, false},
    };

    if (text == NULL || strnlen(text, TEXT_MAX + 1) > TEXT_MAX)
        return false;
    for (size_t i = 0; i < TN_COUNT(schemes); i++)
        if (tn_text_starts(text, schemes[i].prefix)) {
            *form = (tn_password_form){.scheme = schemes[i].scheme};
            return schemes[i].read(schemes[i].from_start ? text : text + strlen(schemes[i].prefix),
                                   form);
        }
    return false;
}

bool
tn_password_is_importable(const char *text)
{
    tn_password_form form;

    return tn_password_form_read(text, &form);
}

/* --- verifying -------------------------------------------------------------------------------- */

static bool
fits_bcrypt(tn_arena *arena, const char *text, const char *password)
{
    struct crypt_data *data = tn_arena_alloc(arena, 1, sizeof(*data));
    const char *hash = crypt_r(password, text, data);
    const bool fits =
        hash != NULL && strlen(hash) == BCRYPT_LENGTH && tn_same_bytes(hash, text, BCRYPT_LENGTH);

    explicit_bzero(data, sizeof(*data));
    return fits;
}

/* A part that is missing is empty. */
static bool
decode(tn_arena *arena, const char *text, size_t text_length, uint8_t *bytes, size_t *length)
{
    *length = 0;
    return text == NULL ||
           tn_base64_decode(arena, text, text_length, bytes, FIREBASE_PART_MAX, length);
}

/* The account's key, encrypted with what scrypt makes of the password, is the hash. */
static bool
fits_firebase(tn_arena *arena, const tn_password_form *form, const char *password)
{
    uint8_t salt[2 * FIREBASE_PART_MAX], key[FIREBASE_PART_MAX], hash[FIREBASE_PART_MAX];
    size_t salt_length, separator_length, key_length, hash_length;
    uint8_t derived[32], *sealed;
    bool fits;

    if (!decode(arena, form->salt, form->salt_length, salt, &salt_length) ||
        !decode(arena, form->separator, form->separator_length, salt + salt_length,
                &separator_length) ||
        !decode(arena, form->key, form->key_length, key, &key_length) ||
        !decode(arena, form->hash, form->hash_length, hash, &hash_length))
        return false;
    if (!tn_scrypt(&(tn_scrypt_cost){form->passes, form->block, form->lanes}, password, salt,
                   salt_length + separator_length, derived))
        return false;
    sealed = tn_aes256_ctr(arena, derived, key, key_length);
    fits = key_length == hash_length && tn_same_bytes(sealed, hash, hash_length);
    explicit_bzero(derived, sizeof(derived));
    explicit_bzero(sealed, key_length);
    return fits;
}

bool
tn_password_form_fits(tn_arena *arena, const char *text, const tn_password_form *form,
                      const char *password)
{
    switch (form->scheme) {
    case TN_PASSWORD_ARGON2I:
        return argon2i_verify(text, password, strlen(password)) == ARGON2_OK;
    case TN_PASSWORD_ARGON2ID:
        return argon2id_verify(text, password, strlen(password)) == ARGON2_OK;
    case TN_PASSWORD_BCRYPT:
        return fits_bcrypt(arena, text, password);
    case TN_PASSWORD_FIREBASE:
        return fits_firebase(arena, form, password);
    }
    return false;
}
