/* cmd/schema.h: what `tenon init` and `tenon migrate` share
 *
 * Threads: none.
 */
#ifndef TN_CMD_SCHEMA_H
#define TN_CMD_SCHEMA_H

#include "cmd/cmd.h"

/* Applies the migrations, in a session that acts as tenon_owner, and says so. */
tn_exit tn_schema_migrate(tn_command_line *line, tn_session *session) TN_MUST_CHECK;

/* A new signing key in the table, in a session that acts as tenon_owner or tenon_platform. */
tn_exit tn_signing_key_add(tn_command_line *line, const tn_config *config, tn_session *session,
                           const char *status) TN_MUST_CHECK;

/* server.secret is 64 hexadecimal digits, or TN_EXIT_CONFIG with a word about it. */
tn_exit tn_command_secret(tn_command_line *line, const tn_config *config) TN_MUST_CHECK;

#endif
