/* t/unit/data_call.c: data/call.c: which function a request means, and with which arguments */
#include "t/unit/data_plan.h"

static const struct {
    garden_request request;
    const char *plan;
} cases[] = {
    /* by the names of the arguments */
    {{.path = "rpc/add?b=2&a=1"}, "call add(*) call add a=1 b=2"},
    {{.path = "rpc/add?a=1&b=2&b=3"}, "call add(*) call add a=1 b=3"},
    {{.path = "rpc/add?a=1"}, "404 PGRST202"},
    {{.path = "rpc/add?a=1&b=2&c=3"}, "404 PGRST202"},
    {{.path = "rpc/add?a=1&b=eq.2"}, "404 PGRST202"},
    {{.path = "rpc/add?a=1&b=2&add=eq.3"}, "call add(*) where add? eq 3 call add a=1 b=2"},
    {{.path = "rpc/opt?a=1"}, "call opt(*) call opt a=1"},
    {{.path = "rpc/opt?b=1"}, "404 PGRST202"},
    {{.path = "rpc/over?a=1"}, "300 PGRST203"},
    {{.path = "rpc/vsum?nums=1&nums=2"}, "call vsum(*) call vsum nums=[1][2]"},
    {{.path = "rpc/vsum"}, "404 PGRST202"},
    {{.method = "HEAD", .path = "rpc/add?a=1&b=2"}, "call add(*) call add a=1 b=2 silent"},
    {{.method = "POST", .path = "rpc/add", .keys = "b,a"}, "call add(*) call add a b"},
    {{.method = "POST", .path = "rpc/add?columns=a,b,a", .keys = "a,b,c"},
     "call add(*) call add a b"},
    {{.method = "POST", .path = "rpc/add?columns=a", .keys = "a,b"}, "404 PGRST202"},
    {{.method = "POST", .path = "rpc/vsum", .keys = "nums"}, "call vsum(*) call vsum nums"},
    {{.method = "POST", .path = "rpc/odd Name", .keys = "my Arg"},
     "call odd Name(*) call odd Name my Arg"},
    {{.method = "POST", .path = "rpc/noargs"}, "call noargs(*) call noargs silent"},
    {{.method = "POST", .path = "rpc/noargs", .keys = "x"}, "404 PGRST202"},
    /* the whole body */
    {{.method = "POST", .path = "rpc/anyj", .keys = "x"}, "call anyj(*) call anyj raw {}"},
    {{.method = "POST", .path = "rpc/anyj"}, "call anyj(*) call anyj raw {}"},
    {{.path = "rpc/anyj"}, "404 PGRST202"},
    {{.method = "POST", .path = "rpc/anyj", .raw = "x"}, "404 PGRST202"},
    {{.method = "POST", .path = "rpc/anyt", .raw = "x"}, "call anyt(*) call anyt raw x"},
    {{.method = "POST", .path = "rpc/anyt", .keys = "x"}, "404 PGRST202"},
    {{.method = "POST", .path = "rpc/noargs", .raw = "x"}, "404 PGRST202"},
    {{.method = "POST", .path = "rpc/either", .keys = "a"}, "call either(*) call either a"},
    {{.method = "POST", .path = "rpc/either", .keys = "b"}, "call either(*) call either raw {}"},
    {{.method = "POST", .path = "rpc/single", .keys = "b"}, "404 PGRST202"},
    {{.method = "POST", .path = "rpc/single", .keys = "b", .prefer = {.single_object = true}},
     "call single(*) call single raw {}"},
    {{.method = "POST", .path = "rpc/add", .keys = "a,b", .prefer = {.single_object = true}},
     "404 PGRST202"},
    /* what comes back */
    {{.path = "rpc/find_gardens?q=x&select=name,beds(code)&id=eq.1&order=id&limit=1"},
     "call gardens(name, beds<beds_garden_id_fkey>beds_1(code)) where id eq 1 order id limit 1 "
     "call find_gardens q=x"},
    {{.path = "rpc/find_gardens?q=x", .media = TN_MEDIA_OBJECT, .max_rows = 5},
     "call gardens(id, name, area, tags, meta) limit 5 call find_gardens q=x single"},
    {{.path = "rpc/one_garden?i=1&select=name,beds()", .media = TN_MEDIA_OBJECT},
     "call gardens(name, beds<beds_garden_id_fkey hidden>beds_1()) call one_garden i=1"},
    {{.path = "rpc/pairs?n=1&a=eq.1&order=b"},
     "call record(a, b) where a eq 1 order b call pairs n=1"},
    {{.path = "rpc/pairs?n=1&select=b,nope"}, "call pgrst_call(b, nope?) call pairs n=1"},
    {{.path = "rpc/pairs?n=1&select=a.sum()"}, "call record grouped(sum(a) as sum) call pairs n=1"},
    {{.path = "rpc/pairs?n=1&beds.a=eq.1"}, "400 PGRST108"},
    {{.path = "rpc/pairs?n=1&select=gardens(id)"}, "400 PGRST200"},
    {{.path = "rpc/add?a=1&b=2&select=gardens(id)"}, "400 PGRST200"},
    {{.path = "rpc/add?a=1&b=2&select=nope"}, "call add(nope?) call add a=1 b=2"},
    {{.method = "POST",
      .path = "rpc/find_gardens?name=eq.1",
      .keys = "q",
      .prefer = {.handling = TN_HANDLING_STRICT, .has_max_affected = true, .max_affected = 3}},
     "call gardens(id, name, area, tags, meta) where name eq 1 call find_gardens q most 3"},
    {{.method = "POST",
      .path = "rpc/add",
      .keys = "a,b",
      .prefer = {.handling = TN_HANDLING_STRICT, .has_max_affected = true, .max_affected = 3}},
     "400 PGRST128"},
};

static void
calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%zu %s", i, cases[i].request.path);
        TN_CHECK_TEXT(make_plan(arena, &cases[i].request), cases[i].plan);
        tn_arena_free(arena);
    }
}

static const struct {
    garden_request request;
    const char *message, *details, *hint;
} errors[] = {
    {{.path = "rpc/add?a=1"},
     "Could not find the function api.add(a) in the schema cache",
     "Searched for the function api.add with parameter a, but no matches were found in the schema "
     "cache.",
     "Perhaps you meant to call the function api.add(a, b)"},
    {{.path = "rpc/add"},
     "Could not find the function api.add without parameters in the schema cache",
     "Searched for the function api.add without parameters, but no matches were found in the "
     "schema cache.",
     NULL},
    {{.method = "POST", .path = "rpc/add", .keys = "c,a"},
     "Could not find the function api.add(a, c) in the schema cache",
     "Searched for the function api.add with parameters a, c or with a single unnamed json/jsonb "
     "parameter, but no matches were found in the schema cache.",
     "Perhaps you meant to call the function api.add(a, b)"},
    {{.method = "POST", .path = "rpc/ad", .keys = "a"},
     "Could not find the function api.ad(a) in the schema cache",
     "Searched for the function api.ad with parameter a or with a single unnamed json/jsonb "
     "parameter, but no matches were found in the schema cache.",
     "Perhaps you meant to call the function api.add"},
    {{.method = "POST", .path = "rpc/zzz"},
     "Could not find the function api.zzz without parameters in the schema cache",
     "Searched for the function api.zzz without parameters or with a single unnamed json/jsonb "
     "parameter, but no matches were found in the schema cache.",
     NULL},
    {{.path = "rpc/anyj"},
     "Could not find the function api.anyj without parameters in the schema cache",
     "Searched for the function api.anyj without parameters, but no matches were found in the "
     "schema cache.",
     "Perhaps you meant to call the function api.anyj()"},
    {{.method = "POST", .path = "rpc/add", .raw = "x"},
     "Could not find the function api.add in the schema cache",
     "Searched for the function api.add with a single unnamed text parameter, but no matches were "
     "found in the schema cache.",
     NULL},
    {{.method = "POST", .path = "rpc/add", .keys = "a", .prefer = {.single_object = true}},
     "Could not find the function api.add in the schema cache",
     "Searched for the function api.add with a single json/jsonb parameter, but no matches were "
     "found in the schema cache.",
     NULL},
    {{.path = "rpc/over?a=1"},
     "Could not choose the best candidate function between: api.over(a => integer), api.over(a => "
     "text)",
     NULL,
     "Try renaming the parameters or the function itself in the database so function overloading "
     "can be resolved"},
};

static void
messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(errors); i++) {
        tn_arena *arena = tn_arena_new();
        tn_data_plan plan;
        const tn_error *error = make_request_plan(arena, &errors[i].request, &plan);

        TN_CASE("%s", errors[i].request.path);
        TN_CHECK(error != NULL);
        TN_CHECK_TEXT(error->message, errors[i].message);
        TN_CHECK_TEXT(error->details, errors[i].details);
        TN_CHECK_TEXT(error->hint, errors[i].hint);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plant_garden), cmocka_unit_test(calls),
                                       cmocka_unit_test(messages), cmocka_unit_test(clear_garden)};

    return tn_unit_run("data_call", tests, TN_COUNT(tests));
}
