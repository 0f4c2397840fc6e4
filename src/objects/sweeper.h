/* objects/sweeper.h: what nobody needs any more is removed
 *
 *     the trash          bytes that have lost their row, storage.trash_grace_s later
 *     uploads in parts   that have stood still for storage.upload_ttl_s, with what had arrived
 *     staging, spool     files that no row names, older than storage.orphan_age_s
 *     objects            the same; the tree is walked in slices, once in storage.orphan_age_s
 *     images             transformed ones, oldest first, above storage.image_cache_max
 *
 * Runs in the jobs process, every storage.sweep_interval_s. Several may run at once, on one
 * database and one disk, and each may be killed at any moment: removing is done before it is noted,
 * and removing twice does no harm.
 *
 * Why it cannot take bytes from a row. Bytes are put in place before their row is committed, so for
 * a moment nothing names them. Which files are old enough is told by ctime, which rename and link
 * set: a file is left alone until it has been in place for storage.orphan_age_s (a day), thousands
 * of times longer than a request may take from there to its COMMIT (database.statement_timeout_ms
 * bounds each of its statements). Then the rows are asked, in a statement that begins after the
 * walk, so that every such commit is seen; what nothing names goes to the trash, and is asked about
 * once more when it is taken out of there, storage.trash_grace_s later. A version is a random UUID
 * that is written once: what has been found without a row does not get one later.
 *
 * Files of tenants that the database does not know are never removed: it may be the wrong database.
 *
 * Threads: one of its own.
 */
#ifndef TN_OBJECTS_SWEEPER_H
#define TN_OBJECTS_SWEEPER_H

#include "identity/service.h"

extern const tn_service tn_objects_service;

#endif
