/* data/list.h: an array that grows in an arena
 *
 * What an array leaves behind when it moves stays in the arena, at most as much again.
 *
 * Threads: one at a time.
 */
#ifndef TN_DATA_LIST_H
#define TN_DATA_LIST_H

#include "base/arena.h"

typedef struct tn_list {
    void *items;
    size_t count, room;
} tn_list;

/* One more item of `size` bytes, zeroed. It stays where it is until the next one is added. */
void *tn_list_add(tn_arena *arena, tn_list *list, size_t size) TN_NEVER_NULL;

#endif
