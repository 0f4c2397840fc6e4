/* cmd/doctor.h: what the parts of `tenon doctor` share
 *
 * Threads: none.
 */
#ifndef TN_CMD_DOCTOR_H
#define TN_CMD_DOCTOR_H

#include "cmd/cmd.h"

typedef enum tn_finding { TN_FINE, TN_WARN, TN_WRONG } tn_finding;

typedef struct tn_doctor {
    tn_command_line *line;
    const tn_config *config;
    PQExpBuffer json;
    size_t counts[TN_WRONG + 1]; /* of each tn_finding */
    bool has_secret;             /* server.secret is usable */
} tn_doctor;

/* One finding of a check ("database.roles"). `mend` says what to do, NULL for what is fine. */
void tn_doctor_say(tn_doctor *doctor, tn_finding finding, const char *check, const char *mend,
                   const char *format, ...) TN_PRINTF(5, 6);

/* Everything that needs PostgreSQL. */
void tn_doctor_database(tn_doctor *doctor);

#endif
