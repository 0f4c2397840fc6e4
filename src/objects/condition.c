/* objects/condition.c: entity tags and dates of HTTP, compared */
#include "objects/condition.h"

#include <string.h>
#include <time.h>

#include "base/text.h"

void
tn_http_date(int64_t seconds, char text[TN_HTTP_DATE_SIZE])
{
    const time_t at = (time_t)seconds;
    struct tm parts;

    if (gmtime_r(&at, &parts) == NULL)
        memset(&parts, 0, sizeof(parts));
    (void)strftime(text, TN_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

int64_t
tn_http_date_read(const char *text)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};

    for (size_t i = 0; i < TN_COUNT(forms); i++) {
        struct tm parts = {0};
        const char *end = strptime(text, forms[i], &parts);

        if (end != NULL && *end == '\0')
            return (int64_t)timegm(&parts);
    }
    return -1;
}

/* --- entity tags ------------------------------------------------------------------------------ */

/* One tag of a list, moved over; `opaque` is what is between its quotes (or the word, of a client
 * that forgets them). false: there is no further one. */
static bool
next_tag(const char **at, bool *weak, const char **opaque, size_t *length)
{
    const char *text = *at + strspn(*at, ", \t");

    if (*text == '\0')
        return false;
    *weak = text[0] == 'W' && text[1] == '/';
    text += *weak ? 2 : 0;
    if (*text == '"') {
        *opaque = ++text;
        *length = strcspn(text, "\"");
    } else {
        *opaque = text;
        *length = strcspn(text, ", \t");
    }
    text += *length;
    *at = text + (*text == '"');
    return true;
}

static bool
list_has(const char *list, const char *etag, bool weakly)
{
    const size_t size = strlen(etag);
    const char *opaque;
    size_t length;
    bool weak;

    if (strcmp(list, "*") == 0)
        return true;
    while (next_tag(&list, &weak, &opaque, &length))
        if ((weakly || !weak) && length + 2 == size && memcmp(opaque, etag + 1, length) == 0)
            return true;
    return false;
}

/* --- the verdict ------------------------------------------------------------------------------ */

static bool
changed_since(const char *date, int64_t modified_s)
{
    const int64_t at = tn_http_date_read(date);

    return at >= 0 && modified_s > at;
}

static bool
unchanged_since(const char *date, int64_t modified_s)
{
    const int64_t at = tn_http_date_read(date);

    return at >= 0 && modified_s <= at;
}

tn_verdict
tn_conditions_judge(const tn_conditions *conditions, const char *etag, int64_t modified_s)
{
    if (conditions->if_match != NULL) {
        if (!list_has(conditions->if_match, etag, false))
            return TN_VERDICT_FAILED;
    } else if (conditions->if_unmodified_since != NULL &&
               changed_since(conditions->if_unmodified_since, modified_s)) {
        return TN_VERDICT_FAILED;
    }
    if (conditions->if_none_match != NULL) {
        if (list_has(conditions->if_none_match, etag, true))
            return TN_VERDICT_NOT_MODIFIED;
    } else if (conditions->if_modified_since != NULL &&
               unchanged_since(conditions->if_modified_since, modified_s)) {
        return TN_VERDICT_NOT_MODIFIED;
    }
    return TN_VERDICT_GO_ON;
}

bool
tn_if_range_holds(const char *if_range, const char *etag, int64_t modified_s)
{
    if (if_range == NULL)
        return true;
    if (if_range[0] == '"' || tn_text_starts(if_range, "W/"))
        return strcmp(if_range, etag) == 0;
    return tn_http_date_read(if_range) == modified_s;
}
