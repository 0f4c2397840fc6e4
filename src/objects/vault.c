/* objects/vault.c: keys made, sealed and opened */
#include "objects/vault.h"

#include <string.h>

#include "base/crypto.h"
#include "base/crypto_chunk.h"
#include "base/log.h"
#include "base/text.h"
#include "objects/queries.h"

#define MASTER_PURPOSE "tenon storage tenant keys"
#define NAME_PURPOSE "tenon storage master key name"
#define DATA_KEY_FORM 1
#define DATA_KEY_HEAD 5 /* the form and the generation */

/* Tells the operator what is missing; the client learns only that it is not its fault. */
static const tn_error *
unavailable(tn_arena *arena, const char *why)
{
    tn_log(TN_LOG_ERROR, "storage.encryption.unavailable", TN_STR("why", why));
    return tn_error_new(arena, 503, "encryption_unavailable",
                        "The operator has to set storage.master_key, or storage.old_master_keys.",
                        "files of this bucket are encrypted, and the server has no key for them");
}

/* --- tenants' keys ---------------------------------------------------------------------------- */

/* Of a master key in hexadecimal; false: it is none. */
static bool
read_master(const char *master_hex, const char *purpose, uint8_t key[32])
{
    uint8_t master[32];

    if (!tn_hex_decode(master_hex, master, sizeof(master)))
        return false;
    tn_derive_key(master, sizeof(master), purpose, key);
    tn_wipe(master, sizeof(master));
    return true;
}

static const char *
purpose_of(tn_arena *arena, const tn_tenant_key *key)
{
    return tn_arena_printf(arena, "tenon tenant key %s %lld", key->tenant_id.text,
                           (long long)key->generation);
}

void
tn_tenant_key_make(const tn_uuid *tenant_id, int64_t generation, tn_tenant_key *key)
{
    *key = (tn_tenant_key){.tenant_id = *tenant_id, .generation = generation};
    tn_random(key->bytes, sizeof(key->bytes));
}

const char *
tn_tenant_key_seal(tn_arena *arena, const tn_config *config, const tn_tenant_key *key)
{
    uint8_t master[32];
    const void *sealed;
    size_t length;

    if (!read_master(config->storage.master_key, MASTER_PURPOSE, master))
        return NULL;
    sealed =
        tn_seal(arena, master, purpose_of(arena, key), key->bytes, sizeof(key->bytes), &length);
    tn_wipe(master, sizeof(master));
    return tn_bytea(arena, sealed, length);
}

/* "\x…" as bytes; NULL: it is something else. */
static const uint8_t *
read_bytea(tn_arena *arena, const char *text, size_t *length)
{
    uint8_t *bytes;

    if (text == NULL || strncmp(text, "\\x", 2) != 0 || strlen(text) % 2 != 0)
        return NULL;
    *length = (strlen(text) - 2) / 2;
    bytes = tn_arena_alloc(arena, *length + 1, 1);
    return tn_hex_decode(text + 2, bytes, *length) ? bytes : NULL;
}

static bool
open_with(tn_arena *arena, const char *master_hex, const char *sealed, tn_tenant_key *key)
{
    uint8_t master[32];
    size_t sealed_length, length;
    const uint8_t *bytes = read_bytea(arena, sealed, &sealed_length);
    void *opened;
    bool is_opened;

    if (bytes == NULL || !read_master(master_hex, MASTER_PURPOSE, master))
        return false;
    is_opened =
        tn_open(arena, master, purpose_of(arena, key), bytes, sealed_length, &opened, &length) &&
        length == sizeof(key->bytes);
    tn_wipe(master, sizeof(master));
    if (!is_opened)
        return false;
    memcpy(key->bytes, opened, sizeof(key->bytes));
    tn_wipe(opened, length);
    return true;
}

const tn_error *
tn_tenant_key_open(tn_arena *arena, const tn_config *config, const char *sealed, tn_tenant_key *key,
                   bool *is_old)
{
    size_t count;
    const char *const *old = tn_text_split(arena, config->storage.old_master_keys, &count);

    if (is_old != NULL)
        *is_old = false;
    if (open_with(arena, config->storage.master_key, sealed, key))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (open_with(arena, old[i], sealed, key)) {
            if (is_old != NULL)
                *is_old = true;
            return NULL;
        }
    return unavailable(arena, "no master key opens this tenant's key");
}

const char *
tn_master_key_name(tn_arena *arena, const tn_config *config)
{
    char *name = tn_arena_alloc(arena, 2 * 32 + 1, 1);
    uint8_t bytes[32];

    if (!read_master(config->storage.master_key, NAME_PURPOSE, bytes))
        return NULL;
    tn_hex(bytes, 8, name);
    return name;
}

/* --- keys of contents ------------------------------------------------------------------------- */

static const char *
data_purpose(tn_arena *arena, const tn_tenant_key *key)
{
    return tn_arena_printf(arena, "tenon data key %s", key->tenant_id.text);
}

void
tn_data_key_make(tn_data_key *key)
{
    tn_random(key->bytes, sizeof(key->bytes));
}

const char *
tn_data_key_seal(tn_arena *arena, const tn_tenant_key *key, const tn_data_key *data_key)
{
    size_t length;
    const void *sealed = tn_seal(arena, key->bytes, data_purpose(arena, key), data_key->bytes,
                                 sizeof(data_key->bytes), &length);
    uint8_t *whole = tn_arena_alloc(arena, DATA_KEY_HEAD + length, 1);

    whole[0] = DATA_KEY_FORM;
    for (size_t i = 0; i < 4; i++)
        whole[1 + i] = (uint8_t)(key->generation >> (8 * (3 - i)));
    memcpy(whole + DATA_KEY_HEAD, sealed, length);
    return tn_bytea(arena, whole, DATA_KEY_HEAD + length);
}

int64_t
tn_data_key_generation(const char *sealed)
{
    tn_arena *arena = tn_arena_new();
    size_t length;
    const uint8_t *bytes = read_bytea(arena, sealed, &length);
    int64_t generation = 0;

    if (bytes != NULL && length > DATA_KEY_HEAD && bytes[0] == DATA_KEY_FORM)
        for (size_t i = 0; i < 4; i++)
            generation = generation << 8 | bytes[1 + i];
    tn_arena_free(arena);
    return generation;
}

const tn_error *
tn_data_key_open(tn_arena *arena, const tn_tenant_key *key, const char *sealed,
                 tn_data_key *data_key)
{
    size_t sealed_length, length;
    const uint8_t *bytes = read_bytea(arena, sealed, &sealed_length);
    void *opened;

    if (bytes == NULL || tn_data_key_generation(sealed) != key->generation ||
        !tn_open(arena, key->bytes, data_purpose(arena, key), bytes + DATA_KEY_HEAD,
                 sealed_length - DATA_KEY_HEAD, &opened, &length) ||
        length != sizeof(data_key->bytes))
        return tn_error_internal(arena, "storage.object.tampered",
                                 "the key in a row is not one that this tenant has sealed");
    memcpy(data_key->bytes, opened, length);
    tn_wipe(opened, length);
    return NULL;
}

/* --- in a request ----------------------------------------------------------------------------- */

const tn_error *
tn_vault_check(tn_ctx *c)
{
    if (*c->config->storage.master_key == '\0')
        return unavailable(c->arena, "storage.master_key is not set");
    return NULL;
}

/* The newest of the caller's tenant; `rows` is empty when there is none yet. */
static const tn_error *
find_newest(tn_ctx *c, const tn_rows **rows)
{
    return tn_tx_worker(c, TN_READ_ONLY, &tn_sql_vault_newest_key, TN_NO_PARAMS, rows);
}

static const tn_error *
make_first(tn_ctx *c)
{
    tn_tenant_key key;
    const tn_rows *rows;
    const char *sealed;

    tn_tenant_key_make(&c->who->tenant_id, 1, &key);
    sealed = tn_tenant_key_seal(c->arena, c->config, &key);
    tn_wipe(key.bytes, sizeof(key.bytes));
    return tn_tx_worker(c, TN_READ_WRITE, &tn_sql_vault_first_key,
                        TN_PARAMS(sealed, tn_master_key_name(c->arena, c->config)), &rows);
}

static const tn_error *
take_newest(tn_ctx *c, tn_tenant_key *key)
{
    const tn_rows *rows;

    TN_TRY(tn_vault_check(c));
    TN_TRY(find_newest(c, &rows));
    if (tn_rows_count(rows) == 0) { /* of two at once, one makes it */
        TN_TRY(make_first(c));
        TN_TRY(find_newest(c, &rows));
    }
    *key =
        (tn_tenant_key){.tenant_id = c->who->tenant_id, .generation = tn_rows_int(rows, 0, 0, 0)};
    return tn_tenant_key_open(c->arena, c->config, tn_rows_text(rows, 0, 1), key, NULL);
}

static const tn_error *
append(void *context, const void *bytes, size_t length)
{
    return tn_incoming_append(context, bytes, length);
}

const tn_error *
tn_vault_encrypt(tn_ctx *c, tn_incoming *plain, tn_incoming **encrypted, const char **sealed_key)
{
    tn_tenant_key key;
    tn_data_key data_key;
    const tn_error *error;

    TN_TRY(take_newest(c, &key));
    TN_TRY(tn_incoming_new(c, encrypted));
    tn_data_key_make(&data_key);
    *sealed_key = tn_data_key_seal(c->arena, &key, &data_key);
    error = tn_cipher_encrypt(c->arena, &data_key, tn_incoming_fd(plain), tn_incoming_size(plain),
                              append, *encrypted);
    tn_wipe(&data_key, sizeof(data_key));
    tn_wipe(&key, sizeof(key));
    return error;
}

const tn_error *
tn_vault_open(tn_ctx *c, const char *sealed_key, tn_data_key *data_key)
{
    tn_tenant_key key = {.tenant_id = c->who->tenant_id,
                         .generation = tn_data_key_generation(sealed_key)};
    const char *generation = tn_arena_printf(c->arena, "%lld", (long long)key.generation);
    const tn_rows *rows;
    const tn_error *error;

    TN_TRY(tn_tx_worker(c, TN_READ_ONLY, &tn_sql_vault_key, TN_PARAMS(generation), &rows));
    if (tn_rows_count(rows) == 0)
        return unavailable(c->arena, "the tenant's key of that generation is gone");
    TN_TRY(tn_tenant_key_open(c->arena, c->config, tn_rows_text(rows, 0, 0), &key, NULL));
    error = tn_data_key_open(c->arena, &key, sealed_key, data_key);
    tn_wipe(&key, sizeof(key));
    return error;
}
