/* data/reference.h: results of earlier operations of a batch in later ones
 *
 *     {"conversation_id": {"$ref": "conv/0/id"}}      a value of a body
 *     /messages?conversation_id=eq.{conv/0/id}        a text within a path
 *
 * A reference is the id of an operation and a JSON Pointer (RFC 6901) into the body of its result.
 * In a body it stands for the value as it is there, whatever its type. In a path it stands for the
 * text of a string, number or boolean, percent-encoded; within parentheses, where a list or a
 * logic tree is, also between double quotes, so that no text can become more than a value there.
 * What only looks similar is left alone: an object with other members, {a,b}, %7Ba/b%7D.
 *
 * Threads: any.
 * Errors:  400 reference_not_found, reference_not_scalar; 413 body_too_large and 414
 *          target_too_long for what has become too long; those of `find`.
 */
#ifndef TN_DATA_REFERENCE_H
#define TN_DATA_REFERENCE_H

#include "base/error.h"
#include "data/json_piece.h"

#define TN_OPERATION_ID_MAX 64

/* [A-Za-z0-9_-]{1,64} */
bool tn_operation_id_is_good(const char *id);

typedef struct tn_references {
    /* The result of the operation; a value of length 0: it has no body. */
    const tn_error *(*find)(void *context, const char *id, tn_json_piece *result);
    void *context;
    size_t body_max, path_max; /* bytes of what is filled */
} tn_references;

/* Writes the body (JSON that has been checked) or the path with its references filled in. With
 * `filled` NULL they are only looked for: find() is asked, and its result not used. */
const tn_error *tn_reference_fill_body(tn_arena *arena, const tn_references *references,
                                       tn_json_piece body, PQExpBuffer filled,
                                       size_t *count) TN_MUST_CHECK;
const tn_error *tn_reference_fill_path(tn_arena *arena, const tn_references *references,
                                       const char *path, PQExpBuffer filled,
                                       size_t *count) TN_MUST_CHECK;

#endif
