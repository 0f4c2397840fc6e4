/* t/unit/route.c: http/route.c: which row of which table answers */
#include "http/route.h"

#include "t/unit/unit.h"

static const tn_error *
answer(tn_ctx *c)
{
    (void)c;
    return NULL;
}

static const tn_route chat_routes[] = {
    {"GET", "/api/chats", answer, .summary = "list"},
    {"GET", "/api/chats/{id}", answer, .summary = "one"},
    {"PATCH", "/api/chats/{id}", answer, .summary = "change"},
    {"POST", "/api/chats/messages", answer, .summary = "new"},
    {"POST", "/api/chats/{id}/messages", answer, .summary = "add"},
    {"GET", "/api/chats/runs/{run}", answer, .summary = "run"},
    {.method = NULL},
};
static const tn_route no_routes[] = {{.method = NULL}};
static const tn_area chat = {.name = "chat", .prefix = "/api", .routes = chat_routes};
static const tn_area deep = {.name = "deep", .prefix = "/api/deep", .routes = no_routes};
static const tn_area rest = {.name = "rest", .prefix = "", .routes = no_routes};
static const tn_area *const areas[] = {&chat, &deep, &rest, NULL};

static const struct {
    const char *method, *path, *area, *summary, *allow, *capture;
} cases[] = {
    {"GET", "/api/chats", "chat", "list", NULL, NULL},
    {"HEAD", "/api/chats", "chat", "list", NULL, NULL},
    {"GET", "/api/chats/", "chat", NULL, NULL, NULL},
    {"GET", "/api/chats/7", "chat", "one", NULL, "7"},
    {"GET", "/api/chats/a%20b", "chat", "one", NULL, "a b"},
    {"GET", "/api/chats/%zz", "chat", NULL, NULL, NULL},
    {"GET", "/api/chats/a%2fb", "chat", "one", NULL, "a/b"},
    {"POST", "/api/chats/messages", "chat", "new", NULL, NULL},
    {"POST", "/api/chats/7/messages", "chat", "add", NULL, "7"},
    {"GET", "/api/chats/runs/9", "chat", "run", NULL, "9"},
    {"DELETE", "/api/chats/7", "chat", NULL, "GET, HEAD, PATCH", NULL},
    {"PUT", "/api/chats/7/messages", "chat", NULL, "POST", NULL},
    {"GET", "/api/chats/7/8/9", "chat", NULL, NULL, NULL},
    {"GET", "/api/deep/x", "deep", NULL, NULL, NULL},
    {"GET", "/api/deeper", "chat", NULL, NULL, NULL},
    {"GET", "/apix", "rest", NULL, NULL, NULL},
    {"GET", "/", "rest", NULL, NULL, NULL},
    {"GET", "", "rest", NULL, NULL, NULL},
};

static void
finds_the_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_request request = {.method = cases[i].method, .path = cases[i].path};
        tn_match match;

        tn_route_find(areas, &request, arena, &match);
        assert_string_equal(match.area->name, cases[i].area);
        if (cases[i].summary == NULL) {
            assert_null(match.route);
        } else {
            assert_non_null(match.route);
            assert_string_equal(match.route->summary, cases[i].summary);
        }
        if (cases[i].allow == NULL)
            assert_null(match.allow);
        else
            assert_string_equal(match.allow, cases[i].allow);
        if (cases[i].capture != NULL)
            assert_string_equal(match.captures[0].value, cases[i].capture);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_the_row)};

    return tn_unit_run("route", tests, TN_COUNT(tests));
}
