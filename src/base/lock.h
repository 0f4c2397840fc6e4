/* base/lock.h: a mutex of which clang knows who must hold it (-Wthread-safety)
 *
 *     static void drop_oldest(tn_cache *cache) TN_REQUIRES(cache->lock);
 *
 * Conditions that wait with a deadline use the clock that only goes forward (tn_clock_ms()).
 *
 * Threads: that is what it is for. Errors: none; a mutex of ours fails only through a bug.
 */
#ifndef TN_BASE_LOCK_H
#define TN_BASE_LOCK_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifdef __clang__
#define TN_CAPABILITY __attribute__((capability("mutex")))
#define TN_ACQUIRES(lock) __attribute__((acquire_capability(lock)))
#define TN_RELEASES(lock) __attribute__((release_capability(lock)))
#define TN_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define TN_CAPABILITY
#define TN_ACQUIRES(lock)
#define TN_RELEASES(lock)
#define TN_UNCHECKED
#endif

typedef struct TN_CAPABILITY tn_lock {
    pthread_mutex_t mutex;
} tn_lock;

#define TN_LOCK_INIT                       \
    {                                      \
        .mutex = PTHREAD_MUTEX_INITIALIZER \
    }

static inline void
tn_lock_init(tn_lock *lock)
{
    (void)pthread_mutex_init(&lock->mutex, NULL); /* Linux: cannot fail */
}

static inline void
tn_lock_release(tn_lock *lock)
{
    (void)pthread_mutex_destroy(&lock->mutex);
}

static inline void tn_lock_take(tn_lock *lock) TN_ACQUIRES(*lock);
static inline void tn_lock_give(tn_lock *lock) TN_RELEASES(*lock);

static inline void TN_UNCHECKED
tn_lock_take(tn_lock *lock)
{
    const int failed = pthread_mutex_lock(&lock->mutex);

    assert(failed == 0);
    (void)failed;
}

static inline void TN_UNCHECKED
tn_lock_give(tn_lock *lock)
{
    const int failed = pthread_mutex_unlock(&lock->mutex);

    assert(failed == 0);
    (void)failed;
}

/* A condition for tn_lock_wait(). */
static inline void
tn_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t forward;

    (void)pthread_condattr_init(&forward);
    (void)pthread_condattr_setclock(&forward, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &forward);
    (void)pthread_condattr_destroy(&forward);
}

/* Waits, with the lock given back meanwhile, until it is woken (maybe for nothing) or tn_clock_ms()
 * has reached `deadline_ms`; false then. */
static inline bool
tn_lock_wait(tn_lock *lock, pthread_cond_t *condition, int64_t deadline_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                                   .tv_nsec = (long)(deadline_ms % 1000) * 1000000};

    return pthread_cond_timedwait(condition, &lock->mutex, &until) != ETIMEDOUT;
}

#endif
