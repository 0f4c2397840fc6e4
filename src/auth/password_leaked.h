/* auth/password_leaked.h: is a password on the list of those that everybody knows?
 *
 * The list is a file of passwords, one a line and at most 16 MiB, or of SHA-1 hashes in
 * hexadecimal, sorted, as Have I Been Pwned gives it away: `HASH` or `HASH:COUNT` a line, of any
 * size. Which of both it is its first line shows. It is opened for each question and searched where
 * it lies, so a new file is in force at once and takes no memory.
 *
 * Threads: any. Errors: a list that cannot be read is logged, and holds no password.
 */
#ifndef TN_AUTH_PASSWORD_LEAKED_H
#define TN_AUTH_PASSWORD_LEAKED_H

#include <stdbool.h>

#include "base/attributes.h"

/* Upper and lower case of a plain list are alike. */
bool tn_password_is_leaked(const char *path, const char *password) TN_MUST_CHECK;

#endif
