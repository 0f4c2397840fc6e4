/* identity/limit.c: token buckets as GCRA (the generic cell rate algorithm)
 *
 * A bucket is one number: the time at which it would be full again. A request moves it forward by
 * one interval, unless it would then lie further ahead than the burst allows. So a bucket is one
 * compare-and-swap, and one that lies in the past is full and may be given to anybody.
 */
#include "identity/limit.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"

#define SETS 2048
#define WAYS 8
#define ADDRESS_BYTES 16 /* IPv6, or IPv4 mapped into it (RFC 4291 section 2.5.5.2) */
#define RATE_MAX 1000000000

struct bucket {
    _Atomic uint64_t name;   /* keyed hash of class and caller; 0: nobody's */
    _Atomic int64_t full_at; /* microseconds, tn_clock_us() */
};

struct tn_limits {
    uint8_t salt[16]; /* so that nobody can choose addresses that fall into one set */
    struct bucket buckets[SETS][WAYS];
};

struct rate {
    int64_t count, seconds, burst;
};

size_t
tn_limits_size(void)
{
    return sizeof(tn_limits);
}

tn_limits *
tn_limits_init(void *memory)
{
    tn_limits *limits = memory;

    tn_random(limits->salt, sizeof(limits->salt));
    return limits;
}

/* --- settings --------------------------------------------------------------------------------- */

static bool
parse_count(const char *text, size_t length, int64_t *count)
{
    char digits[16];

    if (length == 0 || length >= sizeof(digits))
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    return tn_text_int(digits, 1, RATE_MAX, count);
}

/* `count/seconds:burst` */
static bool
parse_rate(const char *text, struct rate *rate)
{
    const char *slash = strchr(text, '/');
    const char *colon = slash != NULL ? strchr(slash, ':') : NULL;

    return colon != NULL && parse_count(text, (size_t)(slash - text), &rate->count) &&
           parse_count(slash + 1, (size_t)(colon - slash - 1), &rate->seconds) &&
           parse_count(colon + 1, strlen(colon + 1), &rate->burst);
}

#define SETTING(name)                           \
    {                                           \
#name, offsetof(tn_config, limits.name) \
    }
static const struct {
    const char *name;
    size_t offset; /* of its text in the configuration */
} settings[TN_LIMIT_CLASSES] = {
    [TN_LIMIT_READ] = SETTING(read),
    [TN_LIMIT_WRITE] = SETTING(write),
    [TN_LIMIT_CHAT] = SETTING(chat),
    [TN_LIMIT_SIGNUP] = SETTING(signup),
    [TN_LIMIT_ANONYMOUS] = SETTING(anonymous),
    [TN_LIMIT_TOKEN] = SETTING(token),
    [TN_LIMIT_OTP] = SETTING(otp),
    [TN_LIMIT_MAGICLINK] = SETTING(magiclink),
    [TN_LIMIT_RECOVER] = SETTING(recover),
    [TN_LIMIT_RESEND] = SETTING(resend),
    [TN_LIMIT_VERIFY] = SETTING(verify),
    [TN_LIMIT_USER_UPDATE] = SETTING(user_update),
    [TN_LIMIT_FACTOR] = SETTING(factor),
    [TN_LIMIT_AUTHORIZE] = SETTING(authorize),
    [TN_LIMIT_PASSWORD] = SETTING(password),
    [TN_LIMIT_MAIL] = SETTING(mail),
    [TN_LIMIT_SMS] = SETTING(sms),
};
#undef SETTING

const char *
tn_limits_name(tn_limit_class class)
{
    return settings[class].name != NULL ? settings[class].name : "";
}

static const char *
rate_text(const tn_config *config, tn_limit_class class)
{
    if (settings[class].name == NULL)
        return NULL;
    return *(const char *const *)((const char *)config + settings[class].offset);
}

static const uint8_t ipv4_prefix[12] = {[10] = 0xFF, [11] = 0xFF};

/* All zeroes when it is no address (a client on a Unix socket has none). */
static bool
parse_address(const char *text, uint8_t address[ADDRESS_BYTES])
{
    memcpy(address, ipv4_prefix, sizeof(ipv4_prefix));
    if (inet_pton(AF_INET, text, address + sizeof(ipv4_prefix)) == 1 ||
        inet_pton(AF_INET6, text, address) == 1)
        return true;
    memset(address, 0, ADDRESS_BYTES);
    return false;
}

/* The next block of a comma-separated list, without blanks around it; false at its end. */
static bool
next_block(const char **list, char *block, size_t size)
{
    size_t length;

    *list += strspn(*list, ", \t");
    if (**list == '\0')
        return false;
    length = strcspn(*list, ", \t");
    (void)snprintf(block, size, "%.*s", (int)(length < size ? length : size), *list);
    *list += length;
    return true;
}

/* "10.0.0.0/8", "::1" */
static bool
parse_block(char *block, uint8_t address[ADDRESS_BYTES], int64_t *bits)
{
    char *slash = strchr(block, '/');
    const bool is_ipv4 = strchr(block, ':') == NULL;

    if (slash != NULL)
        *slash = '\0';
    *bits = is_ipv4 ? 32 : 128;
    if (slash != NULL && !tn_text_int(slash + 1, 0, *bits, bits))
        return false;
    *bits += is_ipv4 ? 96 : 0;
    return parse_address(block, address);
}

static bool
is_within(const uint8_t *address, const uint8_t *block, int64_t bits)
{
    const size_t whole = (size_t)bits / 8;
    const unsigned int rest = (unsigned int)bits % 8;

    return memcmp(address, block, whole) == 0 &&
           (rest == 0 || ((address[whole] ^ block[whole]) >> (8 - rest)) == 0);
}

static bool
is_exempt(const char *list, const uint8_t *address)
{
    uint8_t block_address[ADDRESS_BYTES];
    char block[64];
    int64_t bits;

    while (next_block(&list, block, sizeof(block)))
        if (parse_block(block, block_address, &bits) && is_within(address, block_address, bits))
            return true;
    return false;
}

const char *
tn_limits_check(const tn_config *config, tn_arena *arena)
{
    const char *list = config->limits.exempt;
    uint8_t address[ADDRESS_BYTES];
    char block[64];
    struct rate rate;
    int64_t bits;

    for (tn_limit_class class = TN_LIMIT_NONE + 1; class < TN_LIMIT_CLASSES; class ++)
        if (rate_text(config, class) != NULL && !parse_rate(rate_text(config, class), &rate))
            return tn_arena_printf(arena,
                                   "limits.%s is \"%s\"; expected count/seconds:burst, as in "
                                   "30/300:30",
                                   settings[class].name, rate_text(config, class));
    while (list != NULL && next_block(&list, block, sizeof(block)))
        if (!parse_block(block, address, &bits))
            return tn_arena_printf(arena,
                                   "limits.exempt names \"%s\"; expected addresses or CIDR blocks, "
                                   "as in 10.0.0.0/8",
                                   block);
    return NULL;
}

/* --- buckets ---------------------------------------------------------------------------------- */

static uint64_t
hash_caller(const tn_limits *limits, tn_limit_class class, const void *caller, size_t length)
{
    uint8_t text[sizeof(limits->salt) + 1 + 64], digest[TN_SHA256_SIZE];
    uint64_t name;

    length = length < 64 ? length : 64;
    memcpy(text, limits->salt, sizeof(limits->salt));
    text[sizeof(limits->salt)] = (uint8_t) class;
    memcpy(text + sizeof(limits->salt) + 1, caller, length);
    tn_sha256(text, sizeof(limits->salt) + 1 + length, digest);
    memcpy(&name, digest, sizeof(name));
    return name != 0 ? name : 1;
}

/* The caller's bucket: their own, a free one, or the one that was used longest ago. Two callers who
 * come for one free bucket at the same time may share it for a moment: the swap lets only one name
 * it, and the other looks again. */
static struct bucket *
find_bucket(tn_limits *limits, uint64_t name)
{
    struct bucket *set = limits->buckets[name % SETS];

    for (;;) {
        struct bucket *oldest = set;
        uint64_t before;

        for (size_t i = 0; i < WAYS; i++) {
            if (atomic_load(&set[i].name) == name)
                return &set[i];
            if (atomic_load(&set[i].full_at) < atomic_load(&oldest->full_at))
                oldest = &set[i];
        }
        before = atomic_load(&oldest->name);
        if (before != name && atomic_compare_exchange_strong(&oldest->name, &before, name)) {
            atomic_store(&oldest->full_at, 0);
            return oldest;
        }
    }
}

/* Microseconds until the bucket has a token again; 0: there is one, and with `take` it was taken.
 */
static int64_t
take_token(struct bucket *bucket, const struct rate *rate, bool take)
{
    const int64_t interval_us = rate->seconds * 1000000 / rate->count;
    const int64_t now_us = tn_clock_us();
    int64_t full_at = atomic_load(&bucket->full_at), next;

    do {
        next = (full_at > now_us ? full_at : now_us) + interval_us;
        if (next - now_us > interval_us * rate->burst)
            return next - now_us - interval_us * rate->burst;
    } while (take && !atomic_compare_exchange_weak(&bucket->full_at, &full_at, next));
    return 0;
}

static const tn_error *
refuse(tn_arena *arena, const struct rate *rate, int64_t wait_us)
{
    tn_error *error = tn_error_new(arena, 429, "over_request_rate_limit", "Wait, then try again.",
                                   "there were too many requests; this allows %lld in %lld seconds",
                                   (long long)rate->count, (long long)rate->seconds);

    error->retry_after_s = (int)((wait_us + 999999) / 1000000);
    return error;
}

const tn_error *
tn_limits_take(tn_limits *limits, const tn_config *config, tn_arena *arena, tn_limit_class class,
               const char *address, const char *subject)
{
    const char *text = rate_text(config, class);
    const bool by_address = *subject == '\0' || class >= TN_LIMIT_SIGNUP;
    uint8_t bytes[ADDRESS_BYTES] = {0};
    struct rate rate;
    int64_t wait_us;
    uint64_t name;

    if (text == NULL || !config->limits.enabled || !parse_rate(text, &rate))
        return NULL;
    if (parse_address(address, bytes) && is_exempt(config->limits.exempt, bytes))
        return NULL;
    if (!by_address)
        name = hash_caller(limits, class, subject, strlen(subject));
    else if (memcmp(bytes, ipv4_prefix, sizeof(ipv4_prefix)) == 0)
        name = hash_caller(limits, class, bytes, ADDRESS_BYTES);
    else /* whoever has one IPv6 address has its /64 */
        name = hash_caller(limits, class, bytes, ADDRESS_BYTES / 2);
    wait_us = take_token(find_bucket(limits, name), &rate, true);
    return wait_us == 0 ? NULL : refuse(arena, &rate, wait_us);
}

static const tn_error *
count_thing(tn_limits *limits, const tn_config *config, tn_arena *arena, tn_limit_class class,
            const char *tenant_id, const char *thing, bool take)
{
    const char *text = rate_text(config, class);
    uint8_t digest[TN_SHA256_SIZE];
    struct rate rate;
    int64_t wait_us;

    if (text == NULL || !config->limits.enabled || !parse_rate(text, &rate))
        return NULL;
    text = tn_arena_printf(arena, "%s/%s", tenant_id, thing);
    tn_sha256(text, strlen(text), digest);
    wait_us = take_token(find_bucket(limits, hash_caller(limits, class, digest, sizeof(digest))),
                         &rate, take);
    return wait_us == 0 ? NULL : refuse(arena, &rate, wait_us);
}

const tn_error *
tn_limits_take_for(tn_limits *limits, const tn_config *config, tn_arena *arena,
                   tn_limit_class class, const char *tenant_id, const char *thing)
{
    return count_thing(limits, config, arena, class, tenant_id, thing, true);
}

const tn_error *
tn_limits_look_for(tn_limits *limits, const tn_config *config, tn_arena *arena,
                   tn_limit_class class, const char *tenant_id, const char *thing)
{
    return count_thing(limits, config, arena, class, tenant_id, thing, false);
}

const tn_error *
tn_limits_take_agent(tn_limits *limits, tn_arena *arena, const char *agent_id,
                     int64_t rate_per_minute)
{
    const struct rate rate = {.count = rate_per_minute, .seconds = 60, .burst = rate_per_minute};
    int64_t wait_us;

    wait_us = take_token(
        find_bucket(limits, hash_caller(limits, TN_LIMIT_NONE, agent_id, strlen(agent_id))), &rate,
        true);
    return wait_us == 0 ? NULL : refuse(arena, &rate, wait_us);
}
