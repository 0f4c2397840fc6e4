/* data/accept.h: which representation the client wants (RFC 9110 section 12.5.1)
 *
 * Threads: any.
 */
#ifndef TN_DATA_ACCEPT_H
#define TN_DATA_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum tn_media {
    TN_MEDIA_JSON,            /* application/json, anything, application/vnd.pgrst.array+json */
    TN_MEDIA_OBJECT,          /* application/vnd.pgrst.object[+json] */
    TN_MEDIA_OBJECT_STRIPPED, /* …;nulls=stripped */
    TN_MEDIA_ARRAY_STRIPPED,  /* application/vnd.pgrst.array+json;nulls=stripped */
    TN_MEDIA_CSV,             /* text/csv */
    TN_MEDIA_NDJSON,          /* application/x-ndjson: a JSON object per line, ours */
    TN_MEDIA_PLAN,            /* application/vnd.pgrst.plan */
    TN_MEDIA_OPENAPI,         /* application/openapi+json */
    TN_MEDIA_OTHER            /* only a handler of the app's own can make it: `name` */
} tn_media;

typedef struct tn_plan_options {
    bool is_json;        /* +json, else +text */
    tn_media of;         /* for="…" */
    const char *of_name; /* its text, for the Content-Type */
    bool analyze, verbose, settings, buffers, wal;
} tn_plan_options;

typedef struct tn_accepted {
    tn_media media;
    const char *name; /* as asked for, without parameters and quality: "text/html" */
    bool is_any;      /* of all types, or no header: JSON unless a handler makes something else */
    tn_plan_options plan; /* of TN_MEDIA_PLAN */
} tn_accepted;

/* The types that the client takes, best first (by quality, then by place); at least one. Types that
 * are malformed are left out; nothing left, or no header, means JSON. */
void tn_accept_parse(tn_arena *arena, const char *header, const tn_accepted **list, size_t *count);

/* Its Content-Type, with charset. `plan` types repeat their parameters. */
const char *tn_accepted_content_type(tn_arena *arena, const tn_accepted *accepted) TN_NEVER_NULL;

#endif
