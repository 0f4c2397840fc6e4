/* server/shared.c: the scoreboard file */
#include "server/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"

static const char magic[8] = "tenon\0\0\2";

static size_t
align(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static size_t
limits_offset(void)
{
    return align(sizeof(tn_shared));
}

static size_t
gate_offset(void)
{
    return limits_offset() + align(tn_limits_size());
}

static size_t
total_size(void)
{
    return gate_offset() + align(tn_gate_size());
}

tn_shared *
tn_shared_create(const char *path, int hash_places)
{
    /* A new file and not the old one emptied: someone may still have that mapped. */
    char *fresh;
    tn_shared *shared = MAP_FAILED;
    int fd = -1;

    if (asprintf(&fresh, "%s.new", path) < 0)
        return NULL;
    (void)unlink(fresh);
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd >= 0 && ftruncate(fd, (off_t)total_size()) == 0)
        shared = mmap(NULL, total_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED && rename(fresh, path) != 0) {
        (void)munmap(shared, total_size());
        shared = MAP_FAILED;
    }
    if (fd >= 0)
        (void)close(fd);
    free(fresh);
    if (shared == MAP_FAILED)
        return NULL;
    memcpy(shared->magic, magic, sizeof(magic));
    atomic_store(&shared->started_at, tn_clock_unix());
    (void)tn_limits_init((char *)shared + limits_offset());
    (void)tn_gate_init((char *)shared + gate_offset(), hash_places);
    return shared;
}

const tn_shared *
tn_shared_open(const char *path)
{
    const tn_shared *shared;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) != 0 || status.st_size != (off_t)total_size()) {
        (void)close(fd);
        return NULL;
    }
    shared = mmap(NULL, total_size(), PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (shared == MAP_FAILED || memcmp(shared->magic, magic, sizeof(magic)) != 0)
        return NULL;
    return shared;
}

tn_limits *
tn_shared_limits(tn_shared *shared)
{
    return (tn_limits *)(void *)((char *)shared + limits_offset());
}

tn_gate *
tn_shared_gate(tn_shared *shared)
{
    return (tn_gate *)(void *)((char *)shared + gate_offset());
}

tn_slot *
tn_shared_take_slot(tn_shared *shared, const char *pool, int generation)
{
    for (size_t i = 0; i < TN_SLOTS; i++) {
        tn_slot *slot = &shared->slots[i];

        if (atomic_load(&slot->state) != TN_SLOT_FREE)
            continue;
        memset(slot, 0, sizeof(*slot));
        (void)snprintf(slot->pool, sizeof(slot->pool), "%s", pool);
        slot->worker_id = tn_uuid_new();
        atomic_store(&slot->generation, generation);
        atomic_store(&slot->started_at, tn_clock_unix());
        atomic_store(&slot->state, TN_SLOT_STARTING);
        return slot;
    }
    return NULL;
}

tn_slot *
tn_shared_slot_of(tn_shared *shared, int pid)
{
    for (size_t i = 0; i < TN_SLOTS; i++)
        if (atomic_load(&shared->slots[i].pid) == pid &&
            atomic_load(&shared->slots[i].state) != TN_SLOT_FREE)
            return &shared->slots[i];
    return NULL;
}
