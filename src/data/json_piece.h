/* data/json_piece.h: the pieces of a JSON text, as they stand there
 *
 * For texts that have been checked (json_text.h) or that PostgreSQL has made: what is copied out of
 * one into another stays what it was to the last digit. No other text may be given.
 *
 * Threads: any.
 */
#ifndef TN_DATA_JSON_PIECE_H
#define TN_DATA_JSON_PIECE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* One value without the blanks around it; its first byte tells its type. */
typedef struct tn_json_piece {
    const char *text;
    size_t length;
} tn_json_piece;

tn_json_piece tn_json_piece_of(const char *text, size_t length);

/* What is in an array or an object, one after the other. */
typedef struct tn_json_walk {
    const char *at, *end;
} tn_json_walk;

tn_json_walk tn_json_walk_into(tn_json_piece container);
/* false: there is no more. `key` is a string with its quotes. */
bool tn_json_walk_item(tn_json_walk *walk, tn_json_piece *item);
bool tn_json_walk_member(tn_json_walk *walk, tn_json_piece *key, tn_json_piece *value);

/* The text that a string is; NULL when there is a NUL in it. */
const char *tn_json_piece_string(tn_arena *arena, tn_json_piece piece) TN_MUST_CHECK;

/* What the JSON Pointer (RFC 6901, as a string: "/0/id") points to. false: nothing is there. */
bool tn_json_piece_find(tn_arena *arena, tn_json_piece document, const char *pointer,
                        tn_json_piece *value) TN_MUST_CHECK;

#endif
