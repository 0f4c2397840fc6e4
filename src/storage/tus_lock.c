/* storage/tus_lock.c: locks of a byte each in one file, and a list of this process's writers */
#include "storage/tus_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include "objects/store.h"
#include "objects/tree.h"

#define LOCK_FILE "uploads.lock"
#define LOOK_MS 10

struct tn_tus_writers {
    tn_lock lock;
    tn_tus_writer *first; /* guarded by lock */
};

tn_tus_writers *
tn_tus_writers_new(void)
{
    tn_tus_writers *writers = calloc(1, sizeof(*writers));

    if (writers == NULL)
        tn_die("no memory for the registry of uploads");
    tn_lock_init(&writers->lock);
    return writers;
}

void
tn_tus_writers_free(tn_tus_writers *writers)
{
    if (writers == NULL)
        return;
    tn_lock_release(&writers->lock);
    free(writers);
}

void
tn_tus_writers_notify(tn_tus_writers *writers, const char *channel, const char *payload)
{
    static const char stop[] = "tus_stop:", note[] = "tus_note:";
    const bool stops = tn_text_starts(payload, stop);
    const char *id = payload + sizeof(stop) - 1; /* both are as long */
    const size_t id_length = sizeof(((tn_uuid *)NULL)->text) - 1;
    int64_t generation = -1;

    if (strcmp(channel, "tenon") != 0 || !(stops || tn_text_starts(payload, note)) ||
        strlen(id) < id_length)
        return;
    if (stops &&
        (id[id_length] != ':' || !tn_text_int(id + id_length + 1, 0, INT64_MAX, &generation)))
        return;
    tn_lock_take(&writers->lock);
    for (tn_tus_writer *w = writers->first; w != NULL; w = w->next)
        if (memcmp(w->id.text, id, id_length) == 0) {
            if (!stops)
                atomic_store(&w->is_watched, true);
            else if (atomic_load(&w->generation) <= generation)
                atomic_store(&w->is_wanted, true);
        }
    tn_lock_give(&writers->lock);
}

/* Which byte: 62 bits of the id, all of them random. */
static off_t
place_of(const tn_uuid *id)
{
    uint64_t place = 0;

    for (const char *p = id->text; *p != '\0'; p++)
        place = place * 31 + (unsigned char)*p;
    return (off_t)(place >> 2);
}

/* An open file description of its own: locks of that kind belong to it, not to the process. */
static const tn_error *
open_lock_file(tn_ctx *c, int *fd)
{
    int root;

    TN_TRY(tn_store_root(c->process->store, c->arena, &root));
    *fd = tn_tree_open(root, LOCK_FILE, O_RDWR | O_CREAT);
    return *fd < 0 ? tn_tree_error(c->arena, LOCK_FILE) : NULL;
}

static bool
lock_at_once(int fd, const tn_uuid *id)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place_of(id), .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Waits as one in a queue does: another thread may serve meanwhile. */
static bool
lock_within(const tn_ctx *c, int fd, const tn_uuid *id, int64_t wait_ms)
{
    const int64_t deadline_ms = tn_clock_ms() + wait_ms;
    bool aside, got = lock_at_once(fd, id);

    if (got || wait_ms == 0)
        return got;
    aside = c->process->step_aside != NULL && c->process->step_aside();
    while (!got && tn_clock_ms() < deadline_ms) {
        (void)poll(NULL, 0, LOOK_MS);
        got = lock_at_once(fd, id);
    }
    if (aside)
        c->process->step_back();
    return got;
}

void
tn_tus_writer_give(tn_tus_writer *writer)
{
    tn_tus_writer **at = &writer->writers->first;

    if (writer->fd < 0)
        return;
    tn_lock_take(&writer->writers->lock);
    while (*at != writer)
        at = &(*at)->next;
    *at = writer->next;
    tn_lock_give(&writer->writers->lock);
    (void)close(writer->fd); /* and with it the lock */
    writer->fd = -1;
}

static void
give(void *writer)
{
    tn_tus_writer_give(writer);
}

const tn_error *
tn_tus_writer_take(tn_ctx *c, const tn_uuid *id, int64_t wait_ms, tn_tus_writer **writer)
{
    tn_tus_writer *made;
    int fd = -1;

    *writer = NULL;
    TN_TRY(open_lock_file(c, &fd));
    if (!lock_within(c, fd, id, wait_ms)) {
        (void)close(fd);
        return NULL;
    }
    made = tn_arena_alloc(c->arena, 1, sizeof(*made));
    made->writers = c->state;
    made->id = *id;
    made->fd = fd;
    made->generation = INT64_MAX; /* until it writes, it is soon done and not told to stop */
    tn_lock_take(&made->writers->lock);
    made->next = made->writers->first;
    made->writers->first = made;
    tn_lock_give(&made->writers->lock);
    tn_arena_defer(c->arena, give, made);
    *writer = made;
    return NULL;
}
