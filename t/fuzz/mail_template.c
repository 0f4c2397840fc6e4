/* t/fuzz/mail_template.c: a template that is read prints to one that says the same; no value gets
 * out of HTML or out of a header */
#include "mail/template.h"

#include <string.h>

#include "base/text.h"
#include "mail/mime.h"
#include "t/fuzz/fuzz.h"

static const char hostile[] = "<b a=\"c\" d='e'>&\r\nBcc: x@y\r\n\r\n";

/* What is rendered of variables alone has nothing that HTML would take for markup. */
static void
check_html(tn_arena *arena, const tn_template *parsed, const tn_template_values *values,
           const char *source)
{
    const char *html = tn_template_render(arena, parsed, values, true);

    if (strpbrk(source, "<>\"'") == NULL)
        assert(strpbrk(html, "<>\"'") == NULL);
}

/* As a subject and as a body: one Subject, no Bcc, and no line that is too long for a mail server.
 */
static void
check_mail(tn_arena *arena, const char *text)
{
    const tn_mail mail = {.subject = text, .text = text, .html = text, .language = "en"};
    const tn_mime mime = {.from = "a@b.example",
                          .from_name = text,
                          .to = "c@d.example",
                          .id = "1",
                          .kind = "test",
                          .mail = &mail};
    size_t length, width = 0;
    const char *printed = tn_mime_print(arena, &mime, &length), *body;

    for (const char *c = printed; *c != '\0'; c++) {
        width = *c == '\n' ? 0 : width + 1;
        assert(width < 80 && *c >= 0 && (*c != '\n' || c[-1] == '\r'));
    }
    body = strstr(printed, "\r\n\r\n");
    assert(body != NULL);
    assert(memmem(printed, (size_t)(body - printed), "\nBcc:", 5) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length), *printed, *problem;
    json_object *data[2] = {json_object_new_object(), NULL};
    tn_template_values values = {.data = data};
    tn_template *parsed, *again;

    json_object_object_add(data[0], "x", json_object_new_string(hostile));
    for (int i = 0; i < TN_VARIABLES; i++)
        values.texts[i] = hostile;
    problem = tn_template_parse(arena, text, length, &parsed);
    assert((problem == NULL) == (parsed != NULL));
    if (problem == NULL) {
        printed = tn_template_print(arena, parsed);
        assert(tn_template_parse(arena, printed, strlen(printed), &again) == NULL ||
               strlen(printed) > TN_TEMPLATE_MAX);
        assert(again == NULL || strcmp(tn_template_print(arena, again), printed) == 0);
        check_html(arena, parsed, &values, text);
        check_mail(arena, tn_template_render(arena, parsed, &values, false));
    }
    json_object_put(data[0]);
    tn_arena_free(arena);
    return 0;
}
