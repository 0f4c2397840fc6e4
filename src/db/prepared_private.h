/* db/prepared_private.h: which statements a connection has prepared
 *
 * PostgreSQL keeps prepared statements whatever becomes of the transaction that prepared them, so
 * this set follows the server's answers, one by one: a name is added when the server has said that
 * it is prepared, and removed when it has said that it is forgotten.
 *
 * Static statements stay for as long as the connection: the program has only so many. Dynamic ones
 * are bounded, and the one that was not used for longest goes first.
 *
 * Threads: a set belongs to its connection's thread.
 */
#ifndef TN_DB_PREPARED_PRIVATE_H
#define TN_DB_PREPARED_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "db/statement.h"

#define TN_PREPARED_NAME_SIZE 64 /* PostgreSQL cuts longer names off, silently */

typedef struct tn_prepared tn_prepared;

tn_prepared *tn_prepared_new(void) TN_NEVER_NULL TN_MUST_CHECK;
void tn_prepared_free(tn_prepared *set); /* takes NULL */

/* The name of a statement on a connection: `role/name`, or of a dynamic one `=` and a hash of
 * role, search path (NULL: the login's) and text. */
void tn_prepared_name(const tn_statement *statement, const char *role, const char *search_path,
                      char name[TN_PREPARED_NAME_SIZE]);

bool tn_prepared_has(const tn_prepared *set, const char *name) TN_MUST_CHECK;
void tn_prepared_add(tn_prepared *set, const char *name);

/* The same for dynamic statements. Asking whether one is there counts as a use. */
bool tn_prepared_use_dynamic(tn_prepared *set, const char *name) TN_MUST_CHECK;
void tn_prepared_add_dynamic(tn_prepared *set, const char *name);
void tn_prepared_remove_dynamic(tn_prepared *set, const char *name);
size_t tn_prepared_count_dynamic(const tn_prepared *set) TN_MUST_CHECK;
/* The least recently used one but for `skip` others; NULL when there are no more. */
const char *tn_prepared_oldest_dynamic(const tn_prepared *set, size_t skip) TN_MUST_CHECK;

#endif
