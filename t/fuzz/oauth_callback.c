/* t/fuzz/oauth_callback.c: what comes back from a provider means the same when it is written again
 */
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "oauth/provider.h"
#include "t/fuzz/fuzz.h"

static void
add(PQExpBuffer text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    appendPQExpBuffer(text, "%s%s=", text->len > 0 ? "&" : "", name);
    tn_buffer_url_value(text, value);
}

static void
check_same(const char *a, const char *b)
{
    assert((a == NULL) == (b == NULL));
    assert(a == NULL || (strcmp(a, b) == 0 && tn_text_is_utf8(a, strlen(a))));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer text = tn_arena_buffer(arena);
    tn_oauth_answer answer, again;

    if (tn_oauth_answer_read(arena, tn_arena_bytes(arena, bytes, length), length, &answer) ==
        NULL) {
        add(text, "state", answer.state);
        add(text, "code", answer.code);
        add(text, "iss", answer.issuer);
        add(text, "error", answer.error);
        add(text, "error_description", answer.error_description);
        add(text, "user", answer.user);
        if (text->len < 16384) {
            assert(tn_oauth_answer_read(arena, tn_buffer_text(text), text->len, &again) == NULL);
            check_same(answer.state, again.state);
            check_same(answer.code, again.code);
            check_same(answer.issuer, again.issuer);
            check_same(answer.error, again.error);
            check_same(answer.error_description, again.error_description);
            check_same(answer.user, again.user);
        }
    }
    tn_arena_free(arena);
    return 0;
}
