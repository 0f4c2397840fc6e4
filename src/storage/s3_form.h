/* storage/s3_form.h: a form of a browser, and the policy that says what may be in it
 *
 * Threads: any; functions of what they are given.
 */
#ifndef TN_STORAGE_S3_FORM_H
#define TN_STORAGE_S3_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/request.h"

#define TN_S3_FIELDS_MAX 100

typedef struct tn_s3_form {
    tn_pair fields[TN_S3_FIELDS_MAX]; /* names in lower case */
    size_t count;
    const char *bucket, *key;
    const char *filename; /* "" when there is none */
    int64_t size;         /* bytes of the file */
} tn_s3_form;

/* NULL when there is none. */
const char *tn_s3_form_field(const tn_s3_form *form, const char *name);

/* Reads `key`: ${filename} in it stands for the file's own name. 400 `InvalidArgument`. */
const tn_error *tn_s3_form_key(tn_arena *arena, tn_s3_form *form) TN_MUST_CHECK;

/* Whether the policy (base64 of JSON) allows this form now. 403 `AccessDenied`: it has expired, a
 * condition does not hold, or a field is in no condition; 400 `InvalidPolicyDocument`,
 * `EntityTooLarge`, `EntityTooSmall`. */
const tn_error *tn_s3_form_check(tn_arena *arena, const tn_s3_form *form, const char *policy,
                                 int64_t now) TN_MUST_CHECK;

#endif
