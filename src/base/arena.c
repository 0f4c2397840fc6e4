/* base/arena.c: chunks of memory in a list, and a list of calls to make at the end */
#include "base/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ASan cannot see between the items of a chunk, so there each item is its own chunk. */
#ifdef TN_ASAN
#define FIRST_SIZE 1
#define CHUNK_SIZE 1
#else
#define FIRST_SIZE 1000 /* many arenas hold next to nothing, and a stream has several */
#define CHUNK_SIZE 8192
#endif

struct chunk {
    struct chunk *next;
    size_t used, size; /* bytes handed out, bytes in `bytes` */
    alignas(max_align_t) char bytes[];
};

struct deferred {
    struct deferred *next;
    void (*release)(void *what);
    void *what;
};

struct tn_arena {
    struct chunk *chunks;      /* the first is the one being filled */
    struct deferred *deferred; /* newest first */
    const char *label;
};

tn_arena *
tn_arena_new(void)
{
    tn_arena *arena = calloc(1, sizeof(*arena));

    if (arena == NULL)
        tn_die("no memory for an arena");
    return arena;
}

static void
run_deferred(tn_arena *arena)
{
    /* The list is read anew each time: a release may defer something itself. */
    while (arena->deferred != NULL) {
        const struct deferred *deferred = arena->deferred;

        arena->deferred = deferred->next;
        deferred->release(deferred->what);
    }
}

static void
free_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void
tn_arena_free(tn_arena *arena)
{
    if (arena == NULL)
        return;
    run_deferred(arena);
    free_chunks(arena->chunks);
    free(arena);
}

void
tn_arena_reset(tn_arena *arena)
{
    struct chunk *kept = arena->chunks;

    run_deferred(arena);
    arena->label = NULL;
#ifdef TN_ASAN
    kept = NULL; /* so that a use after the reset is found */
#endif
    if (kept == NULL || kept->size > CHUNK_SIZE) {
        free_chunks(arena->chunks);
        arena->chunks = NULL;
        return;
    }
    free_chunks(kept->next);
    kept->next = NULL;
    kept->used = 0;
}

void
tn_arena_label(tn_arena *arena, const char *label)
{
    arena->label = label;
}

const char *
tn_arena_label_text(const tn_arena *arena)
{
    return arena->label;
}

/* A large item gets a chunk of its own behind the first, whose rest stays in use. */
static struct chunk *
add_chunk(tn_arena *arena, size_t bytes)
{
    const size_t usual = arena->chunks == NULL ? FIRST_SIZE : CHUNK_SIZE;
    const size_t size = bytes > usual ? bytes : usual;
    struct chunk *chunk = malloc(sizeof(*chunk) + size);

    if (chunk == NULL)
        tn_die("no memory for a chunk of %zu bytes", size);
    chunk->size = size;
    chunk->used = 0;
    if (bytes > CHUNK_SIZE && arena->chunks != NULL) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk;
}

void *
tn_arena_alloc(tn_arena *arena, size_t count, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct chunk *chunk = arena->chunks;
    size_t start = chunk == NULL ? 0 : (chunk->used + align - 1) & ~(align - 1);
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - sizeof(*chunk))
        tn_die("allocation of %zu x %zu bytes", count, size);
    if (chunk == NULL || start > chunk->size || chunk->size - start < bytes) {
        chunk = add_chunk(arena, bytes);
        start = 0;
    }
    chunk->used = start + bytes;
    return memset(chunk->bytes + start, 0, bytes);
}

char *
tn_arena_text(tn_arena *arena, const char *text)
{
    return text == NULL ? NULL : tn_arena_bytes(arena, text, strlen(text));
}

char *
tn_arena_bytes(tn_arena *arena, const void *bytes, size_t length)
{
    char *copy = tn_arena_alloc(arena, length + 1, 1);

    if (length > 0) /* memcpy() from NULL is undefined even for no bytes */
        memcpy(copy, bytes, length);
    return copy;
}

char *
tn_arena_number(tn_arena *arena, int64_t number)
{
    return tn_arena_printf(arena, "%lld", (long long)number);
}

char *
tn_arena_printf(tn_arena *arena, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = tn_arena_vprintf(arena, format, arguments);
    va_end(arguments);
    return text;
}

char *
tn_arena_vprintf(tn_arena *arena, const char *format, va_list arguments)
{
    va_list again;
    int length;
    char *text;

    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        tn_die("text of format %s cannot be built: error %d", format, errno);
    text = tn_arena_alloc(arena, (size_t)length + 1, 1);
    (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void
tn_arena_defer(tn_arena *arena, void (*release)(void *what), void *what)
{
    struct deferred *deferred = tn_arena_alloc(arena, 1, sizeof(*deferred));

    deferred->release = release;
    deferred->what = what;
    deferred->next = arena->deferred;
    arena->deferred = deferred;
}

static void
destroy_buffer(void *buffer)
{
    destroyPQExpBuffer(buffer);
}

PQExpBuffer
tn_arena_buffer(tn_arena *arena)
{
    PQExpBuffer buffer = createPQExpBuffer();

    if (buffer == NULL)
        tn_die("no memory for a buffer");
    tn_arena_defer(arena, destroy_buffer, buffer);
    return buffer;
}
