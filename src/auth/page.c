/* auth/page.c: long lists in pages, and where the others are */
#include "auth/users.h"
#include "base/text.h"

#define SIZE 50
#define SIZE_MAX_ROWS 1000
#define NUMBER_MAX 1000000000

static const tn_error *
read_number(const tn_ctx *c, const char *name, int64_t most, int64_t *number)
{
    const char *text = tn_request_query(c->request, name);

    if (text == NULL || *text == '\0')
        return NULL;
    if (!tn_text_int(text, 1, NUMBER_MAX, number))
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "Bad Pagination Parameters: %s is a whole number from 1", name);
    if (*number > most)
        *number = most;
    return NULL;
}

const tn_error *
tn_auth_page_read(const tn_ctx *c, tn_auth_page *page)
{
    *page = (tn_auth_page){.number = 1, .size = SIZE};
    TN_TRY(read_number(c, "page", NUMBER_MAX, &page->number));
    TN_TRY(read_number(c, "per_page", SIZE_MAX_ROWS, &page->size));
    page->first = tn_arena_number(c->arena, (page->number - 1) * page->size);
    page->most = tn_arena_number(c->arena, page->size);
    return NULL;
}

void
tn_auth_page_headers(tn_ctx *c, const tn_auth_page *page, const char *path, int64_t total)
{
    const int64_t last = total > 0 ? (total + page->size - 1) / page->size : 1;
    PQExpBuffer link = tn_arena_buffer(c->arena);

    if (page->number < last)
        appendPQExpBuffer(link, "<%s?page=%lld&per_page=%lld>; rel=\"next\", ", path,
                          (long long)(page->number + 1), (long long)page->size);
    appendPQExpBuffer(link, "<%s?page=%lld&per_page=%lld>; rel=\"last\"", path, (long long)last,
                      (long long)page->size);
    tn_response_header(c->response, "Link", tn_buffer_text(link));
    tn_response_header(c->response, "X-Total-Count", tn_arena_number(c->arena, total));
}
