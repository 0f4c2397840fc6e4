/* chat/live.c: a list of runs; a process does some hundred at most, and looks one up seldom */
#include "chat/live.h"

#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/lock.h"

struct tn_live {
    tn_live *next; /* guarded by the registry's lock */
    int holders;   /* guarded by the registry's lock */
    tn_uuid run_id;
    atomic_bool is_cancelled;
    tn_lock lock;
    pthread_cond_t changed;
    PQExpBuffer text; /* written by one thread, under lock */
    bool is_over;     /* guarded by lock */
};

struct tn_lives {
    tn_lock lock;
    tn_live *first; /* guarded by lock */
};

tn_lives *
tn_lives_new(void)
{
    tn_lives *lives = calloc(1, sizeof(*lives));

    if (lives == NULL)
        tn_die("no memory for the registry of runs");
    tn_lock_init(&lives->lock);
    return lives;
}

void
tn_lives_free(tn_lives *lives)
{
    if (lives == NULL)
        return;
    tn_lock_release(&lives->lock);
    free(lives);
}

tn_live *
tn_lives_open(tn_lives *lives, const tn_uuid *run_id)
{
    tn_live *live = calloc(1, sizeof(*live));

    if (live == NULL || (live->text = createPQExpBuffer()) == NULL)
        tn_die("no memory for a run");
    live->run_id = *run_id;
    live->holders = 1;
    tn_lock_init(&live->lock);
    tn_condition_init(&live->changed);
    tn_lock_take(&lives->lock);
    live->next = lives->first;
    lives->first = live;
    tn_lock_give(&lives->lock);
    return live;
}

tn_live *
tn_lives_find(tn_lives *lives, const tn_uuid *run_id)
{
    tn_live *live;

    tn_lock_take(&lives->lock);
    for (live = lives->first; live != NULL; live = live->next)
        if (strcmp(live->run_id.text, run_id->text) == 0)
            break;
    if (live != NULL)
        live->holders++;
    tn_lock_give(&lives->lock);
    return live;
}

void
tn_live_give(tn_lives *lives, tn_live *live)
{
    bool is_last;

    tn_lock_take(&lives->lock);
    is_last = --live->holders == 0;
    for (tn_live **at = &lives->first; is_last && *at != NULL; at = &(*at)->next)
        if (*at == live) {
            *at = live->next;
            break;
        }
    tn_lock_give(&lives->lock);
    if (!is_last)
        return;
    destroyPQExpBuffer(live->text);
    (void)pthread_cond_destroy(&live->changed);
    tn_lock_release(&live->lock);
    free(live);
}

void
tn_lives_cancel(tn_lives *lives, const char *run_id)
{
    tn_lock_take(&lives->lock);
    for (tn_live *live = lives->first; live != NULL; live = live->next)
        if (strcmp(live->run_id.text, run_id) == 0)
            atomic_store(&live->is_cancelled, true);
    tn_lock_give(&lives->lock);
}

void
tn_live_append(tn_live *live, const char *text, size_t length)
{
    tn_lock_take(&live->lock);
    appendBinaryPQExpBuffer(live->text, text, length);
    (void)pthread_cond_broadcast(&live->changed);
    tn_lock_give(&live->lock);
}

const char *
tn_live_text(const tn_live *live, size_t *length)
{
    *length = live->text->len;
    return tn_buffer_text(live->text);
}

bool
tn_live_is_cancelled(tn_live *live)
{
    return atomic_load(&live->is_cancelled);
}

void
tn_live_cancel(tn_live *live)
{
    atomic_store(&live->is_cancelled, true);
}

void
tn_live_end(tn_live *live)
{
    tn_lock_take(&live->lock);
    live->is_over = true;
    (void)pthread_cond_broadcast(&live->changed);
    tn_lock_give(&live->lock);
}

bool
tn_live_wait(tn_live *live, size_t *offset, int64_t deadline_ms, PQExpBuffer text)
{
    bool is_over;

    tn_lock_take(&live->lock);
    while (live->text->len <= *offset && !live->is_over)
        if (!tn_lock_wait(&live->lock, &live->changed, deadline_ms))
            break;
    if (live->text->len > *offset) {
        const char *all = tn_buffer_text(live->text);

        while (*offset > 0 && ((unsigned char)all[*offset] & 0xC0) == 0x80)
            --*offset;
        appendBinaryPQExpBuffer(text, all + *offset, live->text->len - *offset);
    }
    is_over = live->is_over;
    tn_lock_give(&live->lock);
    return !is_over;
}
