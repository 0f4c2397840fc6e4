/* data/version.h: versions of rows: ETag, If-Match, If-None-Match (RFC 9110 sections 8.8.3, 13.1)
 *
 * A version is the number of the transaction that wrote the row (xmin), in digits; its tag stands
 * in quotes. nginx makes a tag weak when it compresses what it belongs to, so a weak one is as good
 * here.
 *
 * Threads: any.
 */
#ifndef TN_DATA_VERSION_H
#define TN_DATA_VERSION_H

#include "base/error.h"

const char *tn_version_tag(tn_arena *arena, const char *version) TN_NEVER_NULL TN_MUST_CHECK;

/* If-Match: the versions that the row may have, joined with commas; "*": any; NULL: there is no
 * such field. Tags that no row can have are left out, so "" is a list that fits none. 400
 * if_match_malformed: the field is no list of tags. */
const tn_error *tn_versions_wanted(tn_arena *arena, const char *header,
                                   const char **versions) TN_MUST_CHECK;

/* Whether the field is the star, which stands for any version. */
bool tn_version_is_any(const char *header) TN_MUST_CHECK;

/* If-None-Match: whether the client has this version. A field that is no list of tags names none.
 */
bool tn_version_is_known(const char *header, const char *version) TN_MUST_CHECK;

#endif
