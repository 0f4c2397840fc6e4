/* t/fuzz/password_hash.c: what is read as a hash of a password says again what it was read from,
 * and is not too dear */
#include "auth/password_hash.h"

#include <string.h>

#include "t/fuzz/fuzz.h"

static const char *
part(tn_arena *arena, const char *text, size_t length)
{
    return tn_arena_bytes(arena, text, length);
}

static const char *
print(tn_arena *arena, const char *text, const tn_password_form *form)
{
    const char *salt = form->salt == NULL ? "" : part(arena, form->salt, form->salt_length);
    const char *hash = form->hash == NULL ? "" : part(arena, form->hash, form->hash_length);

    switch (form->scheme) {
    case TN_PASSWORD_ARGON2I:
    case TN_PASSWORD_ARGON2ID:
        assert(form->memory_kib <= 1048576 && form->passes <= 20 && form->lanes <= 16);
        return tn_arena_printf(arena, "$argon2%s$v=%u$m=%u,t=%u,p=%u$%s$%s",
                               form->scheme == TN_PASSWORD_ARGON2I ? "i" : "id", form->version,
                               form->memory_kib, form->passes, form->lanes, salt, hash);
    case TN_PASSWORD_BCRYPT:
        assert(form->passes >= 4 && form->passes <= 16 && strlen(text) == 60);
        return tn_arena_printf(arena, "$2%c$%02u$%s", text[2], form->passes, text + 7);
    case TN_PASSWORD_FIREBASE:
        assert(form->passes <= 20 && form->block <= 16 && form->lanes <= 16 &&
               form->passes < 16 * form->block);
        return tn_arena_printf(
            arena, "$fbscrypt$v=1,n=%u,r=%u,p=%u,%s%s%ssk=%s$%s$%s", form->passes, form->block,
            form->lanes, form->separator == NULL ? "" : "ss=",
            form->separator == NULL ? "" : part(arena, form->separator, form->separator_length),
            form->separator == NULL ? "" : ",", part(arena, form->key, form->key_length), salt,
            hash);
    }
    return "";
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    tn_password_form form;

    if (tn_password_form_read(text, &form)) {
        assert(strcmp(print(arena, text, &form), text) == 0);
        if ((form.scheme == TN_PASSWORD_FIREBASE && form.passes < 8 && form.lanes == 1) ||
            (form.memory_kib > 0 && form.memory_kib <= 64 && form.passes == 1))
            (void)!tn_password_form_fits(arena, text, &form, "password");
    }
    tn_arena_free(arena);
    return 0;
}
