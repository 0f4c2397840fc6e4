/* data/list.c: doubling */
#include "data/list.h"

#include <string.h>

#define FIRST_ROOM 4

void *
tn_list_add(tn_arena *arena, tn_list *list, size_t size)
{
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? FIRST_ROOM : list->room * 2;
        void *items = tn_arena_alloc(arena, room, size);

        if (list->count > 0)
            memcpy(items, list->items, list->count * size);
        list->items = items;
        list->room = room;
    }
    return (char *)list->items + size * list->count++;
}
