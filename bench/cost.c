/* bench/cost.c: what identity costs by itself: checking a token, hashing a password
 *
 *   cost token CONF TOKEN                          microseconds: remembered, and not
 *   cost argon2 MEMORY_KIB PASSES LANES THREADS SECONDS   hashes in a second, with nothing around
 * them
 *
 * For bench/auth.mjs: `make bench/cost`.
 */
#include <argon2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "db/database.h"
#include "identity/token.h"

#define THREADS_MAX 64
#define ROUNDS 2000

static double
seconds_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int
fail(const char *message)
{
    (void)fprintf(stderr, "cost: %s\n", message);
    return 1;
}

/* --- token ------------------------------------------------------------------------------------ */

/* Microseconds for one check, with the memory that a request has for it. */
static double
time_checks(tn_tokens *tokens, const char *token, int rounds)
{
    const double start = seconds_now();

    for (int i = 0; i < rounds; i++) {
        tn_arena *arena = tn_arena_new();
        const tn_error *error;
        tn_claims claims;

        error = tn_tokens_verify(tokens, arena, token, &claims);
        if (error != NULL) {
            (void)fprintf(stderr, "cost: %s\n", error->message);
            exit(1);
        }
        tn_arena_free(arena);
    }
    return (seconds_now() - start) * 1e6 / rounds;
}

static int
measure_token(const char *conf, const char *token)
{
    tn_arena *arena = tn_arena_new();
    tn_config config = {0};
    const char *problem = tn_config_load(arena, conf, &config);
    tn_db_options options = {.connections = 1, .wait_ms = 5000};
    tn_tokens *tokens;
    double cached, uncached;
    tn_db *db;

    if (problem != NULL)
        return fail(problem);
    options.url = config.database.url;
    db = tn_db_new(&options);
    tokens = tn_tokens_new(&config, db);
    (void)time_checks(tokens, token, 10); /* the keys are read */
    uncached = time_checks(tokens, token, ROUNDS);
    tn_tokens_enable_cache(tokens, true);
    (void)time_checks(tokens, token, 10);
    cached = time_checks(tokens, token, 20 * ROUNDS);
    (void)printf("{\"cached_us\":%.2f,\"uncached_us\":%.2f}\n", cached, uncached);
    tn_tokens_free(tokens);
    tn_db_free(db);
    tn_arena_free(arena);
    return 0;
}

/* --- argon2id --------------------------------------------------------------------------------- */

struct hashing {
    uint32_t memory_kib, passes, lanes;
    double until;
    long done; /* of this thread */
};

static void *
hash_on(void *argument)
{
    static const char password[] = "correct horse battery", salt[] = "0123456789abcdef";
    struct hashing *hashing = argument;
    uint8_t hash[32];

    while (seconds_now() < hashing->until) {
        if (argon2id_hash_raw(hashing->passes, hashing->memory_kib, hashing->lanes, password,
                              sizeof(password) - 1, salt, sizeof(salt) - 1, hash,
                              sizeof(hash)) != ARGON2_OK)
            exit(fail("argon2 refuses these parameters"));
        hashing->done++;
    }
    return NULL;
}

static int
measure_argon2(char **arguments)
{
    struct hashing hashing[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    const int count = (int)strtol(arguments[3], NULL, 10);
    const double seconds = strtod(arguments[4], NULL), start = seconds_now();
    long done = 0;

    if (count < 1 || count > THREADS_MAX)
        return fail("1 to 64 threads");
    for (int i = 0; i < count; i++) {
        hashing[i] = (struct hashing){.memory_kib = (uint32_t)strtoul(arguments[0], NULL, 10),
                                      .passes = (uint32_t)strtoul(arguments[1], NULL, 10),
                                      .lanes = (uint32_t)strtoul(arguments[2], NULL, 10),
                                      .until = start + seconds};
        if (pthread_create(&threads[i], NULL, hash_on, &hashing[i]) != 0)
            return fail("cannot start a thread");
    }
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
        done += hashing[i].done;
    }
    (void)printf("{\"rate\":%.2f}\n", (double)done / (seconds_now() - start));
    return 0;
}

int
main(int count, char **arguments)
{
    if (count == 4 && strcmp(arguments[1], "token") == 0)
        return measure_token(arguments[2], arguments[3]);
    if (count == 7 && strcmp(arguments[1], "argon2") == 0)
        return measure_argon2(arguments + 2);
    return fail("token CONF TOKEN, or argon2 MEMORY_KIB PASSES LANES THREADS SECONDS");
}
