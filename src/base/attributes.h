/* base/attributes.h: what we tell the compiler about functions, under names that read
 *
 * Threads: no state.
 */
#ifndef TN_BASE_ATTRIBUTES_H
#define TN_BASE_ATTRIBUTES_H

#define TN_NEVER_NULL __attribute__((returns_nonnull))
#define TN_MUST_CHECK __attribute__((warn_unused_result))
#define TN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define TN_NORETURN __attribute__((noreturn))
#define TN_UNUSED __attribute__((unused))

/* Lock discipline, checked by clang -Wthread-safety; gcc knows nothing of it. */
#ifdef __clang__
#define TN_REQUIRES(lock) __attribute__((exclusive_locks_required(lock)))
#else
#define TN_REQUIRES(lock)
#endif

#define TN_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
