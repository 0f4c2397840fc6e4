/* t/unit/mail_template.c: mail/template.c and mail/compose.c: variables, mistakes, words */
#include "mail/template.h"

#include <string.h>

#include "mail/compose.h"
#include "t/unit/unit.h"

static const struct {
    const char *template, *text, *html; /* rendered; text NULL: refused */
    const char *problem;
} cases[] = {
    {"", "", "", NULL},
    {"plain { } }} text", "plain { } }} text", "plain { } }} text", NULL},
    {"{{ .Token }}", "12", "12", NULL},
    {"{{.Token}}{{\t.Token \t}}", "1212", "1212", NULL},
    {"{{ .Email }}", "<a&\"b'@c>", "&lt;a&amp;&#34;b&#39;@c&gt;", NULL},
    {"<{{ .Token }}>", "<12>", "<12>", NULL},
    {"[{{ .NewEmail }}]", "[]", "[]", NULL},
    {"{{ .Data.name }}", "own", "own", NULL},
    {"{{ .Data.other }}", "theirs", "theirs", NULL},
    {"{{ .Data.deep.er.still }}", "7", "7", NULL},
    {"{{ .Data.deep }}", "{\"er\":{\"still\":7}}", "{&#34;er&#34;:{&#34;still&#34;:7}}", NULL},
    {"{{ .Data.none }}{{ .Data.name.none }}", "", "", NULL},
    {"{{ .Token", NULL, NULL, "line 1: {{ is not closed by }}"},
    {"a\nb\n{{ .Tokn }}", NULL, NULL, "line 3: there is no variable {{ .Tokn }}"},
    {"{{ Token }}", NULL, NULL, "line 1: there is no variable {{ Token }}"},
    {"{{ . }}", NULL, NULL, "line 1: there is no variable {{ . }}"},
    {"{{}}", NULL, NULL, "line 1: there is no variable {{  }}"},
    {"{{ .Token }", NULL, NULL, "line 1: {{ is not closed by }}"},
    {"{{ .Token\n}}", NULL, NULL, "line 1: there is no variable {{ .Token\n }}"},
    {"{{ if .Token }}", NULL, NULL, "line 1: there is no variable {{ if .Token }}"},
    {"{{ .Token | html }}", NULL, NULL, "line 1: there is no variable {{ .Token | html }}"},
    {"{{ .Data }}", NULL, NULL, "line 1: there is no variable {{ .Data }}"},
    {"{{ .Data. }}", NULL, NULL, "line 1: there is no variable {{ .Data. }}"},
    {"{{ .Data.a..b }}", NULL, NULL, "line 1: there is no variable {{ .Data.a..b }}"},
    {"{{ .Data.a. }}", NULL, NULL, "line 1: there is no variable {{ .Data.a. }}"},
    {"{{ .Data.a.b.c.d.e.f.g.h.i }}", NULL, NULL,
     "line 1: there is no variable {{ .Data.a.b.c.d.e.f.g.h.i }}"},
    {"\xff", NULL, NULL, "this is no text in UTF-8"},
};

static void
variables_are_filled_in(void **state)
{
    static const char own[] = "{\"name\":\"own\",\"deep\":{\"er\":{\"still\":7}}}";
    static const char theirs[] = "{\"name\":\"no\",\"other\":\"theirs\"}";
    tn_arena *arena = tn_arena_new();
    json_object *data[3] = {NULL};
    const tn_template_values values = {
        .texts = {[TN_VAR_TOKEN] = "12", [TN_VAR_EMAIL] = "<a&\"b'@c>"}, .data = data};

    (void)state;
    assert_null(tn_json_parse(arena, own, strlen(own), 8, &data[0]));
    assert_null(tn_json_parse(arena, theirs, strlen(theirs), 8, &data[1]));
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const char *template = cases[i].template;
        tn_template *parsed;
        const char *problem = tn_template_parse(arena, template, strlen(template), &parsed);

        TN_CASE("%s", template);
        TN_CHECK_TEXT(problem, cases[i].problem);
        TN_CHECK((parsed != NULL) == (problem == NULL));
        if (problem != NULL)
            continue;
        TN_CHECK_TEXT(tn_template_render(arena, parsed, &values, false), cases[i].text);
        TN_CHECK_TEXT(tn_template_render(arena, parsed, &values, true), cases[i].html);
    }
    tn_arena_free(arena);
}

static void
sizes_are_bounded(void **state)
{
    tn_arena *arena = tn_arena_new();
    char *large = tn_arena_alloc(arena, TN_TEMPLATE_MAX + 2, 1);
    PQExpBuffer many = tn_arena_buffer(arena);
    tn_template *parsed;

    (void)state;
    memset(large, 'x', TN_TEMPLATE_MAX + 1);
    assert_null(tn_template_parse(arena, large, TN_TEMPLATE_MAX, &parsed));
    assert_non_null(tn_template_parse(arena, large, TN_TEMPLATE_MAX + 1, &parsed));
    assert_null(parsed);
    for (int i = 0; i < 10001; i++)
        appendPQExpBufferStr(many, "{{.Token}}");
    assert_string_equal(tn_template_parse(arena, tn_buffer_text(many), many->len, &parsed),
                        "too many variables");
    tn_arena_free(arena);
}

static void
built_in_words_are_whole(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (const tn_mail_words *words = tn_mail_words_all(); words->kind != NULL; words++) {
        TN_CASE("%s in %s", words->kind, words->language);
        TN_CHECK_TEXT(tn_mail_words_check(arena, words), NULL);
        TN_CHECK(tn_mail_kind_find(words->kind) != NULL);
        TN_CHECK(words->text != NULL && words->html != NULL);
    }
    for (const tn_mail_kind *kind = tn_mail_kinds; kind->name != NULL; kind++) {
        const tn_mail_words *words = tn_mail_words_find(kind->name, "xx-yy,xx");

        TN_CASE("%s", kind->name);
        TN_CHECK(words != NULL && strcmp(words->language, "en") == 0);
        /* a link where its kind has one */
        TN_CHECK(kind->type == NULL || strstr(words->text, "{{ .ConfirmationURL }}") != NULL);
        TN_CHECK(kind->type == NULL || strstr(words->html, "{{ .ConfirmationURL }}") != NULL);
    }
    assert_null(tn_mail_words_find("nothing", "en"));
    tn_arena_free(arena);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_filled_in),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(built_in_words_are_whole),
    };

    return tn_unit_run("mail_template", tests, TN_COUNT(tests));
}
