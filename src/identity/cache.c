/* identity/cache.c: shards of sets of eight slots */
#include "identity/cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/lock.h"

#define SHARDS 16
#define WAYS 8

struct slot {
    uint8_t digest[TN_SHA256_SIZE];
    char *value; /* NULL: the slot is free */
    size_t length;
    int64_t until_ms; /* tn_clock_ms() */
    uint64_t used;    /* the shard's count at the last use */
};

struct shard {
    tn_lock lock;
    uint64_t uses;      /* guarded by lock */
    struct slot *slots; /* guarded by lock: sets * WAYS of them */
};

struct tn_cache {
    size_t sets; /* in each shard */
    int64_t ttl_ms;
    atomic_bool enabled;
    _Atomic uint64_t generation; /* counts everything that was dropped */
    struct shard shards[SHARDS];
};

tn_cache *
tn_cache_new(size_t slots, int64_t ttl_s)
{
    const size_t per_pass = (size_t)SHARDS * WAYS;
    tn_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        tn_die("out of memory");
    cache->sets = (slots + per_pass - 1) / per_pass;
    cache->ttl_ms = ttl_s * 1000;
    for (size_t i = 0; i < SHARDS; i++) {
        tn_lock_init(&cache->shards[i].lock);
        cache->shards[i].slots = calloc(cache->sets * WAYS, sizeof(struct slot));
        if (cache->shards[i].slots == NULL)
            tn_die("out of memory");
    }
    return cache;
}

void
tn_cache_free(tn_cache *cache)
{
    if (cache == NULL)
        return;
    tn_cache_clear(cache);
    for (size_t i = 0; i < SHARDS; i++) {
        free(cache->shards[i].slots);
        tn_lock_release(&cache->shards[i].lock);
    }
    free(cache);
}

static struct shard *
shard_of(tn_cache *cache, const uint8_t *digest)
{
    return &cache->shards[digest[0] % SHARDS];
}

/* The set in which this digest may be. */
static struct slot *
set_of(const tn_cache *cache, struct shard *shard, const uint8_t *digest)
{
    const size_t number = ((size_t)digest[1] << 8 | digest[2]) % cache->sets;

    return &shard->slots[number * WAYS];
}

static struct slot *
find_slot(struct slot *set, const uint8_t *digest)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].value != NULL && memcmp(set[i].digest, digest, TN_SHA256_SIZE) == 0)
            return &set[i];
    return NULL;
}

/* The slot that a new value may have: a free one, else the one used longest ago. */
static struct slot *
oldest_slot(struct slot *set)
{
    struct slot *oldest = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].value == NULL)
            return &set[i];
        if (set[i].used < oldest->used)
            oldest = &set[i];
    }
    return oldest;
}

static void
empty_slot(struct slot *slot)
{
    free(slot->value);
    slot->value = NULL;
}

const char *
tn_cache_get(tn_cache *cache, tn_arena *arena, const uint8_t digest[TN_SHA256_SIZE], size_t *length)
{
    struct shard *shard = shard_of(cache, digest);
    const char *value = NULL;
    struct slot *slot;

    if (!atomic_load(&cache->enabled))
        return NULL;
    tn_lock_take(&shard->lock);
    slot = find_slot(set_of(cache, shard, digest), digest);
    if (slot != NULL && slot->until_ms <= tn_clock_ms()) {
        empty_slot(slot);
    } else if (slot != NULL) {
        slot->used = ++shard->uses;
        value = tn_arena_bytes(arena, slot->value, slot->length);
        *length = slot->length;
    }
    tn_lock_give(&shard->lock);
    return value;
}

uint64_t
tn_cache_ticket(const tn_cache *cache)
{
    return atomic_load(&cache->generation);
}

void
tn_cache_put(tn_cache *cache, uint64_t ticket, const uint8_t digest[TN_SHA256_SIZE],
             const char *value, size_t length)
{
    struct shard *shard = shard_of(cache, digest);
    struct slot *set, *slot;
    char *copy;

    if (!atomic_load(&cache->enabled) || cache->ttl_ms == 0)
        return;
    copy = malloc(length + 1);
    if (copy == NULL)
        tn_die("out of memory");
    memcpy(copy, value, length);
    copy[length] = '\0';

    tn_lock_take(&shard->lock);
    /* Under the lock: who drops counts first and takes the lock then, so one of us sees the other.
     */
    if (atomic_load(&cache->generation) == ticket) {
        set = set_of(cache, shard, digest);
        slot = find_slot(set, digest);
        if (slot == NULL)
            slot = oldest_slot(set);
        empty_slot(slot);
        memcpy(slot->digest, digest, TN_SHA256_SIZE);
        slot->value = copy;
        slot->length = length;
        slot->until_ms = tn_clock_ms() + cache->ttl_ms;
        slot->used = ++shard->uses;
        copy = NULL;
    }
    tn_lock_give(&shard->lock);
    free(copy);
}

void
tn_cache_drop(tn_cache *cache, const uint8_t digest[TN_SHA256_SIZE])
{
    struct shard *shard = shard_of(cache, digest);
    struct slot *slot;

    atomic_fetch_add(&cache->generation, 1);
    tn_lock_take(&shard->lock);
    slot = find_slot(set_of(cache, shard, digest), digest);
    if (slot != NULL)
        empty_slot(slot);
    tn_lock_give(&shard->lock);
}

void
tn_cache_clear(tn_cache *cache)
{
    atomic_fetch_add(&cache->generation, 1);
    for (size_t i = 0; i < SHARDS; i++) {
        tn_lock_take(&cache->shards[i].lock);
        for (size_t j = 0; j < cache->sets * WAYS; j++)
            empty_slot(&cache->shards[i].slots[j]);
        tn_lock_give(&cache->shards[i].lock);
    }
}

void
tn_cache_enable(tn_cache *cache, bool enabled)
{
    if (atomic_exchange(&cache->enabled, enabled) && !enabled)
        tn_cache_clear(cache);
}

bool
tn_cache_is_enabled(const tn_cache *cache)
{
    return atomic_load(&cache->enabled);
}
