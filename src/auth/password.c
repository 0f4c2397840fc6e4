/* auth/password.c: argon2id (RFC 9106), at the configured cost and not too many at a time
 *
 * A hash takes tens of milliseconds of a core and tens of megabytes. The gate bounds how many run
 * on the machine; the others wait for their turn, aside of the threads that serve. It runs at a
 * lower priority than these.
 */
#include <argon2.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "auth/area.h"
#include "auth/password_hash.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/metrics.h"
#include "identity/gate.h"

#define SALT_BYTES 16
#define HASH_BYTES 32
#define WAIT_MS 5000
#define NICE 10 /* of a thread that hashes */

struct cost {
    uint32_t memory_kib, passes, lanes;
};

static struct cost
configured_cost(const tn_config *config)
{
    return (struct cost){.memory_kib = (uint32_t)config->auth.argon2_memory_kib,
                         .passes = (uint32_t)config->auth.argon2_passes,
                         .lanes = (uint32_t)config->auth.argon2_lanes};
}

/* Is it as our own are made now? */
static bool
is_current(const tn_config *config, const tn_password_form *form)
{
    const struct cost cost = configured_cost(config);

    return form->scheme == TN_PASSWORD_ARGON2ID && form->version == ARGON2_VERSION_NUMBER &&
           form->memory_kib == cost.memory_kib && form->passes == cost.passes &&
           form->lanes == cost.lanes;
}

/* --- hashing, in whoever's turn --------------------------------------------------------------- */

const char *
tn_password_hash_now(const tn_config *config, tn_arena *arena, const char *password)
{
    const struct cost cost = configured_cost(config);
    const size_t length = argon2_encodedlen(cost.passes, cost.memory_kib, cost.lanes, SALT_BYTES,
                                            HASH_BYTES, Argon2_id);
    char *phc = tn_arena_alloc(arena, length, 1);
    uint8_t salt[SALT_BYTES];
    int problem;

    tn_random(salt, sizeof(salt));
    problem = argon2id_hash_encoded(cost.passes, cost.memory_kib, cost.lanes, password,
                                    strlen(password), salt, sizeof(salt), HASH_BYTES, phc, length);
    if (problem != ARGON2_OK)
        tn_die("argon2: %s", argon2_error_message(problem));
    return phc;
}

/* As long as a verification takes, for nothing: so that nobody can tell who has an account. */
static void
waste_time(const tn_config *config, const char *password)
{
    const struct cost cost = configured_cost(config);
    static const uint8_t salt[SALT_BYTES];
    uint8_t hash[HASH_BYTES];

    (void)argon2id_hash_raw(cost.passes, cost.memory_kib, cost.lanes, password, strlen(password),
                            salt, sizeof(salt), hash, sizeof(hash));
}

/* --- one's turn ------------------------------------------------------------------------------- */

/* Without waiting, or else in the queue for as long as somebody who signs in has patience. Who
 * waits there has stepped aside, so a flood of logins takes no thread from others; and the queue is
 * only so long, so that who is in it mostly gets their turn. */
static int
take_place(const tn_process *process)
{
    int place = tn_gate_enter(process->hash_gate, 0);

    if (place < 0 && process->step_aside != NULL && process->step_aside()) {
        place = tn_gate_enter(process->hash_gate, WAIT_MS);
        process->step_back();
    }
    return place;
}

static const tn_error *
enter_gate(tn_ctx *c, int *place)
{
    tn_error *error;

    *place = take_place(c->process);
    if (*place >= 0) {
        atomic_fetch_add_explicit(&c->process->metrics->password_hashes, 1, memory_order_relaxed);
        return NULL;
    }
    atomic_fetch_add_explicit(&c->process->metrics->password_hash_refused, 1, memory_order_relaxed);
    error = tn_error_new(c->arena, 503, "overloaded", "Try again in a moment.",
                         "too many people are signing in right now");
    error->retry_after_s = 1;
    return error;
}

/* --- calmly ----------------------------------------------------------------------------------- */

struct work {
    const tn_config *config;
    tn_arena *arena;
    const char *password;
    const char *phc; /* to compare it with; NULL with `verifies`: nobody's */
    bool verifies;
    bool is_right;
    const char *made; /* a new hash, or NULL */
};

static void
do_work(struct work *work)
{
    tn_password_form form;

    if (work->verifies && !tn_password_form_read(work->phc, &form)) {
        waste_time(work->config, work->password);
        return;
    }
    if (work->verifies)
        work->is_right = tn_password_form_fits(work->arena, work->phc, &form, work->password);
    if (!work->verifies || (work->is_right && !is_current(work->config, &form)))
        work->made = tn_password_hash_now(work->config, work->arena, work->password);
}

/* In a thread of its own, because a thread can lower its priority and not raise it again. */
static void *
work_calmly(void *argument)
{
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* 0: this thread */
    do_work(argument);
    tn_crypto_thread_end();
    return NULL;
}

/* Tens of milliseconds of a core matter less to whoever waits for them than to all others. */
static const tn_error *
take_turn(tn_ctx *c, struct work *work)
{
    pthread_t thread;
    int place;

    TN_TRY(enter_gate(c, &place));
    if (pthread_create(&thread, NULL, work_calmly, work) == 0)
        (void)pthread_join(thread, NULL);
    else
        do_work(work);
    tn_gate_leave(c->process->hash_gate, place);
    return NULL;
}

const tn_error *
tn_password_hash(tn_ctx *c, const char *password, const char **phc)
{
    struct work work = {.config = c->config, .arena = c->arena, .password = password};

    TN_TRY(take_turn(c, &work));
    *phc = work.made;
    return NULL;
}

const tn_error *
tn_password_verify(tn_ctx *c, const char *password, const char *phc, bool *is_right,
                   const char **better)
{
    struct work work = {
        .config = c->config, .arena = c->arena, .password = password, .phc = phc, .verifies = true};

    *better = NULL;
    *is_right = false;
    TN_TRY(take_turn(c, &work));
    *is_right = work.is_right;
    *better = work.made;
    return NULL;
}
