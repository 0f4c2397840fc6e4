/* identity/key.c: keys and tenants, from the cache or the database */
#include "identity/key.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "identity/cache.h"
#include "identity/queries.h"

#define KEY_BYTES 32
#define PREFIX_LENGTH 4
#define KEY_LENGTH (PREFIX_LENGTH + 43)
#define CACHE_SLOTS 1024

struct tn_keys {
    tn_db *db;
    tn_cache
        *cache; /* of keys by SHA-256 of the key, of tenants by SHA-256 of "tenant:" and name */
};

/* Columns of both queries, in the cache one text behind the other, each with its NUL. */
enum {
    KEY_ID,
    KEY_TENANT,
    KEY_ROLE,
    KEY_SCOPES,
    KEY_USER,
    KEY_EXPIRES,
    KEY_STATUS,
    KEY_AGENT, /* "" or as read_agent() takes it */
    KEY_COLUMNS,
    ACCESS_SECRET = KEY_COLUMNS, /* of access keys, behind all these */
    ACCESS_COLUMNS
};
enum {
    DELEGATION_SCOPES,
    DELEGATION_AGENT,
    DELEGATION_RATE,
    DELEGATION_PERSON,
    DELEGATION_CLAIMS,
};
enum { TENANT_ID, TENANT_STATUS, TENANT_COLUMNS };

static const struct {
    const char *name, *prefix;
} kinds[] = {{"publishable", "tnp_"}, {"secret", "tns_"}, {"agent", "tna_"}, {"platform", "tnx_"}};

tn_keys *
tn_keys_new(tn_db *db, int64_t ttl_s)
{
    tn_keys *keys = calloc(1, sizeof(*keys));

    if (keys == NULL)
        tn_die("out of memory");
    keys->db = db;
    keys->cache = tn_cache_new(CACHE_SLOTS, ttl_s);
    return keys;
}

void
tn_keys_free(tn_keys *keys)
{
    if (keys == NULL)
        return;
    tn_cache_free(keys->cache);
    free(keys);
}

bool
tn_key_is_formed(const char *text)
{
    uint8_t bytes[KEY_BYTES];
    size_t length;
    bool has_prefix = false;

    for (size_t i = 0; i < TN_COUNT(kinds); i++)
        has_prefix = has_prefix || tn_text_starts(text, kinds[i].prefix);
    return has_prefix && strlen(text) == KEY_LENGTH &&
           tn_base64url_decode(text + PREFIX_LENGTH, KEY_LENGTH - PREFIX_LENGTH, bytes,
                               sizeof(bytes), &length) &&
           length == KEY_BYTES;
}

const char *
tn_key_new(tn_arena *arena, const char *kind)
{
    uint8_t bytes[KEY_BYTES];

    for (size_t i = 0; i < TN_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, kind) == 0) {
            tn_random(bytes, sizeof(bytes));
            return tn_arena_printf(arena, "%s%s", kinds[i].prefix,
                                   tn_base64url(arena, bytes, sizeof(bytes)));
        }
    return NULL;
}

/* --- look-up ---------------------------------------------------------------------------------- */

static const tn_error *
ask(tn_keys *keys, tn_arena *arena, const tn_statement *statement, const char *const *parameters,
    size_t count, const tn_rows **rows)
{
    const tn_query query = {
        .statement = statement, .parameters = parameters, .parameter_count = count};

    /* writes no more than last_used_at, which nobody waits for */
    return tn_db_run(keys->db, arena, &(tn_db_context){0}, TN_READ_WRITE_ASYNC, &query, 1, rows);
}

/* Keys that act for somebody are not kept: see key.h. */
static bool
may_be_kept(const tn_rows *rows, size_t column_count)
{
    return column_count < KEY_COLUMNS || tn_rows_text(rows, 0, KEY_AGENT) == NULL;
}

/* One row as texts, "" for null. `columns` stays all NULL when there is no such row. */
static const tn_error *
look_up(tn_keys *keys, tn_arena *arena, const tn_statement *statement, const uint8_t *digest,
        const char *parameter, size_t column_count, const char **columns)
{
    const uint64_t ticket = tn_cache_ticket(keys->cache);
    size_t length;
    const char *value = tn_cache_get(keys->cache, arena, digest, &length);

    if (value == NULL) {
        const tn_rows *rows;
        PQExpBuffer texts = tn_arena_buffer(arena);

        TN_TRY(ask(keys, arena, statement, TN_PARAMS(parameter), &rows));
        if (tn_rows_count(rows) == 0)
            return NULL; /* not kept: a flood of wrong keys would push the right ones out */
        for (size_t i = 0; i < column_count; i++) {
            const char *text = tn_rows_text(rows, 0, (int)i);

            appendBinaryPQExpBuffer(texts, text != NULL ? text : "",
                                    (text != NULL ? strlen(text) : 0) + 1);
        }
        value = tn_buffer_text(texts);
        if (may_be_kept(rows, column_count))
            tn_cache_put(keys->cache, ticket, digest, value, texts->len);
    }
    for (size_t i = 0; i < column_count; i++) {
        columns[i] = value;
        value += strlen(value) + 1;
    }
    return NULL;
}

static tn_uuid
uuid_or_empty(const char *text)
{
    tn_uuid uuid;

    return tn_uuid_parse(text, &uuid) ? uuid : (tn_uuid){0};
}

static const tn_error *
refuse_key(tn_arena *arena, const char *why)
{
    return tn_error_new(arena, 401, "invalid_key", "Ask the operator for a valid key.",
                        "the API key is not valid: %s", why);
}

static const tn_error *
refuse_suspended(tn_arena *arena)
{
    return tn_error_new(arena, 403, "tenant_suspended", NULL, "this tenant is suspended");
}

/* `is_agent`: the person is banned for whom an agent acts, and not the owner of the key. */
static const tn_error *
refuse_banned(tn_arena *arena, bool is_agent)
{
    return tn_error_new(arena, 403, "user_banned", NULL,
                        is_agent ? "the person for whom this agent acts is banned"
                                 : "User is banned");
}

/* `<id> <requests per minute> <active|banned|nobody> <claims>` */
static const tn_error *
read_agent(tn_arena *arena, const char *text, tn_key *key)
{
    const char *words[4] = {text};

    for (size_t i = 1; i < TN_COUNT(words); i++) {
        const char *blank = strchr(words[i - 1], ' ');

        if (blank == NULL)
            return tn_error_internal(arena, "identity.key.agent_malformed", "%s", text);
        words[i] = blank + 1;
    }
    key->agent_id = uuid_or_empty(tn_arena_bytes(arena, words[0], (size_t)(words[1] - text) - 1));
    key->claims = words[3];
    if (!tn_text_int(tn_arena_bytes(arena, words[1], (size_t)(words[2] - words[1]) - 1), 1,
                     INT64_MAX, &key->rate_per_minute))
        key->rate_per_minute = 0;
    return tn_text_starts(words[2], "banned ") ? refuse_banned(arena, key->agent_id.text[0] != '\0')
                                               : NULL;
}

/* The columns of a key as one, if it may be used. */
static const tn_error *
read_key(tn_arena *arena, const char *const *columns, tn_key *key)
{
    *key = (tn_key){.id = uuid_or_empty(columns[KEY_ID]),
                    .tenant_id = uuid_or_empty(columns[KEY_TENANT]),
                    .user_id = uuid_or_empty(columns[KEY_USER]),
                    .role = columns[KEY_ROLE],
                    .scopes = columns[KEY_SCOPES],
                    .claims = ""};
    if (!tn_text_int(columns[KEY_EXPIRES], 1, INT64_MAX, &key->expires_at))
        key->expires_at = 0;
    if (key->expires_at != 0 && key->expires_at <= tn_clock_unix())
        return refuse_key(arena, "it has expired");
    if (strcmp(columns[KEY_STATUS], "suspended") == 0)
        return refuse_suspended(arena);
    return *columns[KEY_AGENT] != '\0' ? read_agent(arena, columns[KEY_AGENT], key) : NULL;
}

const tn_error *
tn_keys_find(tn_keys *keys, tn_arena *arena, const char *text, tn_key *key)
{
    const char *columns[KEY_COLUMNS] = {NULL};
    uint8_t digest[TN_SHA256_SIZE];
    char hex[TN_SHA256_HEX];

    if (!tn_key_is_formed(text))
        return refuse_key(arena, "it does not look like a key");
    tn_sha256(text, strlen(text), digest);
    tn_hex(digest, sizeof(digest), hex);
    TN_TRY(look_up(keys, arena, &tn_sql_key_find, digest, hex, KEY_COLUMNS, columns));
    if (columns[KEY_ID] == NULL)
        return refuse_key(arena, "it is unknown or revoked");
    return read_key(arena, columns, key);
}

const tn_error *
tn_keys_find_access(tn_keys *keys, tn_arena *arena, const char *access_key_id, tn_key *key,
                    const char **sealed)
{
    const char *label = tn_arena_printf(arena, "s3:%s", access_key_id);
    const char *columns[ACCESS_COLUMNS] = {NULL};
    uint8_t digest[TN_SHA256_SIZE];

    *key = (tn_key){.role = NULL};
    tn_sha256(label, strlen(label), digest);
    TN_TRY(look_up(keys, arena, &tn_sql_access_key_find, digest, access_key_id, ACCESS_COLUMNS,
                   columns));
    if (columns[KEY_ID] == NULL)
        return NULL;
    *sealed = columns[ACCESS_SECRET];
    return read_key(arena, columns, key);
}

const tn_error *
tn_keys_publishable(tn_keys *keys, tn_arena *arena, const tn_uuid *tenant, const char **sealed)
{
    const char *label = tn_arena_printf(arena, "publishable:%s", tenant->text);
    uint8_t digest[TN_SHA256_SIZE];

    tn_sha256(label, strlen(label), digest);
    *sealed = NULL;
    TN_TRY(look_up(keys, arena, &tn_sql_publishable_keys_find, digest, tenant->text, 1, sealed));
    if (*sealed == NULL)
        *sealed = "";
    return NULL;
}

const tn_error *
tn_keys_find_delegation(tn_keys *keys, tn_arena *arena, const tn_uuid *tenant, const char *claims,
                        tn_key *key)
{
    const char *agent, *rate;
    const tn_rows *rows;

    TN_TRY(ask(keys, arena, &tn_sql_delegation_find, TN_PARAMS(tenant->text, claims), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(arena, 401, "bad_jwt", NULL,
                            "invalid JWT: the session is over, or an agent revoked, that it names");
    if (strcmp(tn_rows_text(rows, 0, DELEGATION_PERSON), "banned") == 0)
        return refuse_banned(arena, true);
    agent = tn_rows_text(rows, 0, DELEGATION_AGENT);
    *key = (tn_key){.role = "agent",
                    .scopes = tn_rows_text(rows, 0, DELEGATION_SCOPES),
                    .agent_id = uuid_or_empty(agent != NULL ? agent : ""),
                    .claims = tn_rows_text(rows, 0, DELEGATION_CLAIMS)};
    rate = tn_rows_text(rows, 0, DELEGATION_RATE);
    if (rate == NULL || !tn_text_int(rate, 1, INT64_MAX, &key->rate_per_minute))
        key->rate_per_minute = 0;
    return NULL;
}

const tn_error *
tn_keys_tenant(tn_keys *keys, tn_arena *arena, const char *name, tn_uuid *id)
{
    const char *columns[TENANT_COLUMNS] = {NULL};
    const char *label = tn_arena_printf(arena, "tenant:%s", name);
    uint8_t digest[TN_SHA256_SIZE];

    *id = (tn_uuid){0};
    tn_sha256(label, strlen(label), digest);
    TN_TRY(look_up(keys, arena, &tn_sql_tenant_find, digest, name, TENANT_COLUMNS, columns));
    if (columns[TENANT_ID] == NULL)
        return NULL;
    if (strcmp(columns[TENANT_STATUS], "suspended") == 0)
        return refuse_suspended(arena);
    *id = uuid_or_empty(columns[TENANT_ID]);
    return NULL;
}

/* --- keeping the cache true ------------------------------------------------------------------- */

void
tn_keys_enable_cache(tn_keys *keys, bool enabled)
{
    tn_cache_enable(keys->cache, enabled);
}

void
tn_keys_drop(tn_keys *keys, const char *hash_hex)
{
    uint8_t digest[TN_SHA256_SIZE];

    if (hash_hex != NULL && tn_hex_decode(hash_hex, digest, sizeof(digest)))
        tn_cache_drop(keys->cache, digest);
    else
        tn_cache_clear(keys->cache);
}
