/* objects/fsck.h: rows and bytes compared, and what differs mended
 *
 * For the operator's command, while the server runs or not. Every finding is looked at twice before
 * it is told: rows and files come and go meanwhile. What is mended how:
 *
 *     bytes that no row names    removed, when they are older than storage.orphan_age_s
 *     rows without their bytes, or with others than they say
 *                                without bytes from now on, with the same id and all that refers
 *                                to them; storage.lost_objects has what they had, and what is left
 *                                of the bytes stays where it is. Nothing that was somebody's is
 *                                deleted
 *     such rows, when their bytes are there again, whole
 *                                as they were before
 *     counters                   counted anew
 *     owner and mode of files    set, where whoever asks may do that
 *     staged and spooled files   of no upload: removed, when they are as old
 *
 * Files of a tenant that the database does not know are told and never touched: it may be the wrong
 * database. What cannot be opened, or is no plain file, is told and passed over.
 *
 * Nothing is mended where the bytes seem to be elsewhere: 409 `wrong_storage_dir`
 * (objects/folder.h) and `too_many_missing`, more than 100 rows and more than one in twenty, unless
 * `forced`.
 *
 * Threads: none. Errors: those, and those of the database and of the folders or the store; then not
 * everything has been looked at.
 */
#ifndef TN_OBJECTS_FSCK_H
#define TN_OBJECTS_FSCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "db/database.h"

typedef enum tn_difference {
    TN_DIFFERENCE_MISSING, /* a row, and no bytes */
    TN_DIFFERENCE_SIZE,    /* bytes, and not as many as the row says */
    TN_DIFFERENCE_CONTENT, /* another SHA-256 than the row says, or not to be decrypted */
    TN_DIFFERENCE_FOUND,   /* what a row had lost is there again */
    TN_DIFFERENCE_ORPHAN,  /* bytes that nothing names */
    TN_DIFFERENCE_FOREIGN, /* the same, of a tenant that is not in the database */
    TN_DIFFERENCE_STRANGE, /* a name that is none of ours, or no plain file */
    TN_DIFFERENCE_CLOSED,  /* a file or folder that cannot be read */
    TN_DIFFERENCE_FOLDER,  /* storage.dir is not the folder of this database */
    TN_DIFFERENCE_ACCESS,  /* another owner than storage.dir, or open to others */
    TN_DIFFERENCE_STAGED,  /* a staged file of no upload */
    TN_DIFFERENCE_SPOOLED, /* what a request has left behind */
    TN_DIFFERENCE_USAGE,   /* a counter that is not what the rows say */
    TN_DIFFERENCE_TRASH,   /* in the trash, and named by a row */
    TN_DIFFERENCES
} tn_difference;

/* "missing_bytes", "wrong_size" … */
extern const char *const tn_difference_names[TN_DIFFERENCES];

typedef struct tn_fsck_finding {
    tn_difference difference;
    const char *tenant_id;     /* "" where it is of none */
    const char *bucket, *name; /* of rows; else NULL */
    const char *what;          /* version or path, or whose counter */
    const char *detail;        /* "1024 bytes, and the row says 1000"; or NULL */
    bool is_mended;
} tn_fsck_finding;

typedef struct tn_fsck {
    tn_arena *arena;     /* errors live in it */
    tn_session *session; /* in the role tenon_platform */
    const tn_config *config;
    const char *tenant_id; /* NULL: all */
    bool repairs, verifies, forced;
    int64_t age_s; /* younger files without a row are none of its business: storage.orphan_age_s */
    void (*told)(void *context, const tn_fsck_finding *finding);
    void *context;
    /* results */
    int64_t rows, files, bytes, young; /* looked at; `young`: files left alone for their age */
    int64_t lost;                      /* rows in storage.lost_objects */
    int64_t found[TN_DIFFERENCES], mended[TN_DIFFERENCES];
} tn_fsck;

const tn_error *tn_fsck_run(tn_fsck *fsck) TN_MUST_CHECK;

#endif
