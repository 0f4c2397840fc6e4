/* objects/scan.h: uploads looked at by a virus scanner before anybody sees them
 *
 * Only with storage.clamd; without it nothing happens here. What clamd knows to be infected is
 * moved to storage.dir/quarantine/<tenant>/<id>, with a row in storage.quarantine that says whose
 * it was, and the upload fails: 422 `InfectedFile`. Whatever keeps clamd from saying that a file is
 * clean fails it too: 503 `scanner_unavailable`. Files larger than storage.clamd_max are stored
 * unscanned or refused, 413 `EntityTooLarge`, as storage.clamd_oversize says.
 *
 * Threads: one request, one thread.
 */
#ifndef TN_OBJECTS_SCAN_H
#define TN_OBJECTS_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/ctx.h"
#include "objects/incoming.h"

/* What the quarantine has to know. */
typedef struct tn_scan {
    const char *bucket, *name;
    const char *owner_id;  /* NULL: the caller's `sub` */
    const uint8_t *sha256; /* of the content */
    bool encrypted;        /* its bucket is, so the quarantined file is too */
} tn_scan;

/* On InfectedFile the staged file has gone; on other errors it is where it was. */
const tn_error *tn_scan_file(tn_ctx *c, tn_incoming *incoming, const tn_scan *scan) TN_MUST_CHECK;

/* Beneath storage.dir. */
const char *tn_quarantine_path(tn_arena *arena, const char *tenant_id,
                               const char *id) TN_NEVER_NULL TN_MUST_CHECK;

#endif
