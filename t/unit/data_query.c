/* t/unit/data_query.c: data/parse.c and the parts of its grammar: texts and the trees they mean
 *
 * A tree is compared as it prints; what printing could hide is looked at member by member below.
 */
#include <string.h>

#include "base/text.h"
#include "data/query.h"
#include "t/unit/unit.h"

static const tn_data_limits limits = {
    .filters = 100, .logic_depth = 10, .embed_depth = 5, .items = 50};

typedef struct query_case {
    const char *text;
    const char *printed; /* NULL: 400 PGRST100, … */
    const char *details; /* … whose details contain this */
} query_case;

static void
check_cases(const query_case *cases, size_t count, tn_dialect dialect)
{
    for (size_t i = 0; i < count; i++) {
        tn_arena *arena = tn_arena_new();
        tn_data_query query, again;
        const tn_error *error = tn_data_query_parse(arena, cases[i].text, dialect, &limits, &query);

        TN_CASE("%s", cases[i].text);
        if (cases[i].printed != NULL) {
            const char *printed =
                error == NULL ? tn_data_query_print(arena, &query) : error->details;

            TN_CHECK_TEXT(printed, cases[i].printed);
            TN_CHECK(tn_data_query_parse(arena, printed, dialect, &limits, &again) == NULL);
            TN_CHECK_TEXT(tn_data_query_print(arena, &again), printed);
        } else {
            TN_CHECK(error != NULL && error->status == 400);
            TN_CHECK_TEXT(error->code, "PGRST100");
            if (cases[i].details != NULL)
                TN_CHECK(error->details != NULL &&
                         strstr(error->details, cases[i].details) != NULL);
        }
        tn_arena_free(arena);
    }
}

static void
query_strings(void **state)
{
    static const query_case cases[] = {
        {"", "", NULL},
        {"id", "", NULL},
        {"&&;id&", "", NULL},
        {"id=", NULL, "unexpected end of input expecting \"not\" or operator"},
        {"=eq.1", NULL, "a name"},
        {"id=eq.1;id=eq.2", "id=eq.1&id=eq.2", NULL},
        {"w=eq.semi;colon", "w=eq.semi", NULL},
        {"w=eq.semi%3Bcolon", "w=eq.semi%3Bcolon", NULL},
        {"w=eq.a+b%2B%20c", "w=eq.a b%2B c", NULL},
        {"w%3Deq=eq.1", "w=eq.1", NULL},
        {"w=eq.a=b", "w=eq.a%3Db", NULL},
        {"select=a&select=b", "select=a", NULL},
        {"select=a&select=b!", "select=a", NULL},
        {"columns=a&columns=b", "columns=a", NULL},
        {"on_conflict=a&on_conflict=b,c", "on_conflict=a", NULL},
        {"columns=%22a%22,%22b,c%22", "columns=a,\"b,c\"", NULL},
        {"columns= a , b ", "columns=a,b", NULL},
        {"columns=", NULL, "a name"},
        {"columns=a,", NULL, "a name"},
        {"on_conflict=", NULL, "a name"},
        {"on_conflict=garden_id,code", "on_conflict=garden_id,code", NULL},
        {"order=a&order=b", "order=a", NULL},
        {"order=a&beds.order=b&order=c&beds.order=d", "order=a&beds.order=b", NULL},
        {"beds.code=eq.A1", "beds.code=eq.A1", NULL},
        {"beds.plantings.qty=gt.5", "beds.plantings.qty=gt.5", NULL},
        {"dot.ted=eq.d2", "dot.ted=eq.d2", NULL},
        {"\"dot.ted\"=eq.d2", "\"dot.ted\"=eq.d2", NULL},
        {"\"order\"=eq.o1", "\"order\"=eq.o1", NULL},
        {"\"comma,col\"=eq.c1", "\"comma,col\"=eq.c1", NULL},
        {"xselect=eq.1", "xselect=eq.1", NULL},
        {"odd.select=eq.1", "odd.\"select\"=eq.1", NULL},
        {"limit.x=eq.1", "\"limit\".x=eq.1", NULL},
        {" id =eq.1", "id=eq.1", NULL},
        {"id:what=eq.1", "id=eq.1", NULL},
        {"w=eq.%zz", "w=eq.%25zz", NULL},
        {"w=eq.a%", "w=eq.a%25", NULL},
        {"w=eq.%00", NULL, NULL},
        {"w=eq.%FF", NULL, NULL},
        {"w=eq.\xFF", NULL, NULL},
        {"%C3=eq.1", NULL, NULL},
        {"gr%C3%B6%C3%9Fe=eq.%F0%9F%8C%B1", "\"größe\"=eq.🌱", NULL},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_STRICT);
}

static void
selects(void **state)
{
    static const query_case cases[] = {
        {"select=", "select=", NULL},
        {"select=name,id", "select=name,id", NULL},
        {"select= id , name ", "select=id,name", NULL},
        {"select=gid:id,label:name", "select=gid:id,label:name", NULL},
        {"select=\"my id\":id", "select=\"my id\":id", NULL},
        {"select=my id", "select=\"my id\"", NULL},
        {"select=a-b,a - b", "select=\"a-b\",\"a-b\"", NULL},
        {"select=i : id", "select=i:id", NULL},
        {"select=id::text,area::int", "select=id::text,area::int", NULL},
        {"select=id::double precision", "select=id::double precision", NULL},
        {"select=id::", NULL, "a letter or digit"},
        {"select=id:::text", NULL, "a letter or digit"},
        {"select=id::int4[]", NULL, "unexpected \"[\""},
        {"select=id::numeric(5,2)", NULL, "unexpected \"(\""},
        {"select=id::\"text\"", NULL, NULL},
        {"select=*,bed_total", "select=*,bed_total", NULL},
        {"select=* , id", "select=*,id", NULL},
        {"select=a:*", NULL, "unexpected \"*\""},
        {"select=id,id", "select=id,id", NULL},
        {"select=id,", NULL, "unexpected end of input"},
        {"select=id,,name", NULL, "unexpected \",\""},
        {"select=id:name:opened", NULL, "unexpected \":\""},
        {"select=a/b", NULL, "unexpected \"/\""},
        {"select=g--h", NULL, "unexpected \"-\""},
        {"select=g-", NULL, NULL},
        {"select=\"a", NULL, "double quote"},
        {"select=\"Mixed Case\",\"dot.ted\",\"quo\\\"te\"",
         "select=\"Mixed Case\",\"dot.ted\",\"quo\\\"te\"", NULL},
        {"select=\"a\\b\\\\\"", "select=\"ab\\\\\"", NULL},
        /* what PostgREST leaves unread */
        {"select=id)", "select=id", NULL},
        {"select=id)garbage", "select=id", NULL},
        {"select=**", "select=*", NULL},
        {"select=beds(id)x", "select=beds(id)", NULL},
        {"select=,id", "select=", NULL},
        {"select=...x:gardens(name)", "select=", NULL},
        {"select=id,...x:gardens(name)", NULL, "unexpected \":\""},
        /* JSON paths */
        {"select=meta->zone,meta->>zone", "select=meta->\"zone\",meta->>\"zone\"", NULL},
        {"select=meta->owner->>name", "select=meta->\"owner\"->>\"name\"", NULL},
        {"select=meta->gates->0,tags->-1", "select=meta->\"gates\"->0,tags->-1", NULL},
        {"select=meta->gates->0->x,gates->0::text",
         "select=meta->\"gates\"->0->\"x\",gates->0::text", NULL},
        {"select=meta->0x", "select=meta->\"0x\"", NULL},
        {"select=meta->\"a b\",meta->>\"c,d\"", "select=meta->\"a b\",meta->>\"c,d\"", NULL},
        {"select=meta->a-b", "select=meta->\"a-b\"", NULL},
        {"select=meta->zone::text,z:meta->>zone::int",
         "select=meta->\"zone\"::text,z:meta->>\"zone\"::int", NULL},
        {"select=meta->>x->y", "select=meta->>\"x\"->\"y\"", NULL},
        {"select=beds(tags->0)", "select=beds(tags->\"0\")", NULL},
        {"select=beds(tags->0,id)", "select=beds(tags->0,id)", NULL},
        {"select=meta->", NULL, "a key or an index"},
        {"select=meta->-x", NULL, "a key or an index"},
        {"select=meta->--1", NULL, "a key or an index"},
        /* aggregates */
        {"select=count()", "select=count()", NULL},
        {"select=n:count()::text", "select=n:count()::text", NULL},
        {"select=count", "select=\"count\"", NULL},
        {"select=x:count", "select=x:\"count\"", NULL},
        {"select=qty.sum()", "select=qty.sum()", NULL},
        {"select=state,total:qty.sum()::text", "select=state,total:qty.sum()::text", NULL},
        {"select=qty::numeric.avg()", "select=qty::numeric.avg()", NULL},
        {"select=a.max(),a.min(),a.count()", "select=a.max(),a.min(),a.count()", NULL},
        {"select=traits->height::numeric.sum()", "select=traits->\"height\"::numeric.sum()", NULL},
        {"select=id.foo()", NULL, "sum(), avg()"},
        {"select=id.sum", NULL, "sum(), avg()"},
        {"select=count(id)", NULL, "unexpected \"(\""},
        {"select=a.b", NULL, "sum(), avg()"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_STRICT);
}

static void
embeds(void **state)
{
    static const query_case cases[] = {
        {"select=id,beds(code)", "select=id,beds(code)", NULL},
        {"select=id, beds ( code , id )", "select=id,beds(code,id)", NULL},
        {"select=b:beds(code)", "select=b:beds(code)", NULL},
        {"select=id,beds()", "select=id,beds()", NULL},
        {"select=beds(*)", "select=beds(*)", NULL},
        {"select=\"beds\"(\"code\")", "select=beds(code)", NULL},
        {"select=beds(plantings(species(latin)),code)",
         "select=beds(plantings(species(latin)),code)", NULL},
        {"select=beds!inner(code)", "select=beds!inner(code)", NULL},
        {"select=beds!left(code)", "select=beds!left(code)", NULL},
        {"select=gardens!to_garden!inner(name)", "select=gardens!to_garden!inner(name)", NULL},
        {"select=gardens!inner!to_garden(name)", "select=gardens!to_garden!inner(name)", NULL},
        {"select=gardens!\"inner\"(name)", "select=gardens!\"inner\"(name)", NULL},
        {"select=gardens!inner!left(name)", "select=gardens!inner(name)", NULL},
        {"select=gardens!a!b(name)", "select=gardens!a(name)", NULL},
        {"select=gardens!a!b!c(name)", NULL, "unexpected \"!\""},
        {"select=gardens!(name)", NULL, "a name"},
        {"select=gardens!a", NULL, "\"(\""},
        {"select=src:gardens!from_garden(name),dst:gardens!to_garden(name)",
         "select=src:gardens!from_garden(name),dst:gardens!to_garden(name)", NULL},
        {"select=...gardens(name,open:opened)", "select=...gardens(name,open:opened)", NULL},
        {"select=... gardens!fk!inner(name)", "select=...gardens!fk!inner(name)", NULL},
        {"select=...beds(code,...gardens(gname:name))",
         "select=...beds(code,...gardens(gname:name))", NULL},
        {"select=x:...gardens(name)", NULL, "unexpected \".\""},
        {"select=beds(count)", "select=beds(\"count\")", NULL},
        {"select=name,beds(count())", "select=name,beds(count())", NULL},
        {"select=beds(code", NULL, "unexpected end of input"},
        {"select=beds(code,)", NULL, "unexpected \")\""},
        {"select=beds(", NULL, "unexpected end of input"},
        {"select=gardens->x(name)", NULL, "unexpected \"(\""},
        {"select=beds(code)&beds.limit=1&beds.offset=2&beds.order=code.desc",
         "select=beds(code)&beds.order=code.desc&beds.limit=1&beds.offset=2", NULL},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_STRICT);
}

static void
filters(void **state)
{
    static const query_case cases[] = {
        {"a=eq.1&b=neq.1&c=gt.1&d=gte.1&e=lt.1&f=lte.1",
         "a=eq.1&b=neq.1&c=gt.1&d=gte.1&e=lt.1&f=lte.1", NULL},
        {"a=like.*x*&b=ilike.y*", "a=like.%25x%25&b=ilike.y%25", NULL},
        {"a=match.^x*&b=imatch.y*", "a=match.^x*&b=imatch.y*", NULL},
        {"a=eq.*", "a=eq.*", NULL},
        {"a=cs.{1,2}&b=cd.{\"height\":30}&c=ov.[7,11)",
         "a=cs.{1,2}&b=cd.{\"height\":30}&c=ov.[7,11)", NULL},
        {"a=sl.(1,2)&b=sr.x&c=nxr.x&d=nxl.x&e=adj.x", "a=sl.(1,2)&b=sr.x&c=nxr.x&d=nxl.x&e=adj.x",
         NULL},
        {"a=isdistinct.x&b=not.isdistinct.y", "a=isdistinct.x&b=not.isdistinct.y", NULL},
        {"a=is.null&b=is.TRUE&c=is.False&d=is.unKnown&e=is.not_null",
         "a=is.null&b=is.true&c=is.false&d=is.unknown&e=is.not_null", NULL},
        {"a=is.nope", NULL, "null, not_null, true, false or unknown"},
        {"a=is.nullx", "a=is.null", NULL},
        {"a=not.is.null", "a=not.is.null", NULL},
        {"a=fts.x&b=plfts.x&c=phfts(german).x&d=wfts( english ).roses or mildew -winter",
         "a=fts.x&b=plfts.x&c=phfts(german).x&d=wfts(english).roses or mildew -winter", NULL},
        {"a=fts().x", NULL, NULL},
        {"a=fts(en-gb).x", NULL, NULL},
        {"a=eq(any).{1,2}&b=ilike(all).{*L*,*P*}", "a=eq(any).{1,2}&b=ilike(all).{%25L%25,%25P%25}",
         NULL},
        {"a=eq(some).{1}", NULL, NULL},
        {"a=neq(any).{1}", NULL, NULL},
        {"a=in(any).(1)", NULL, NULL},
        {"a=cs(any).{1}", NULL, NULL},
        {"a=eq.", "a=eq.", NULL},
        {"a=eq.null", "a=eq.null", NULL},
        {"a=eq.\"alpha\"", "a=eq.\"alpha\"", NULL},
        {"a=eq.a,b(c)", "a=eq.a,b(c)", NULL},
        {"a=not.eq.1", "a=not.eq.1", NULL},
        {"a=not.not.eq.1", NULL, "unexpected \"n\""},
        {"a=EQ.1", NULL, "unexpected \"E\""},
        {"a=eq", NULL, NULL},
        {"a=1", NULL, "unexpected \"1\" expecting \"not\" or operator (eq, gt, ...)"},
        {"a=foo.1", NULL, NULL},
        {"meta->zone=eq.5&meta->>a->0=eq.x", "meta->\"zone\"=eq.5&meta->>\"a\"->0=eq.x", NULL},
        {"beds.meta->\"x y\"=eq.5", "beds.meta->\"x y\"=eq.5", NULL},
        {"beds=is.null&beds=not.is.null", "beds=is.null&beds=not.is.null", NULL},
        /* lists */
        {"a=in.(1,2)", "a=in.(1,2)", NULL},
        {"a=not.in.(1,2)", "a=not.in.(1,2)", NULL},
        {"a=in.(\"a,b\",\"(paren)\")", "a=in.(\"a,b\",\"(paren)\")", NULL},
        {"a=in.(\"quo\\\"te\",\"back\\\\slash\")", "a=in.(\"quo\\\"te\",\"back\\\\slash\")", NULL},
        {"a=in.(alpha,,Beta)", "a=in.(alpha,,Beta)", NULL},
        {"a=in.()", "a=in.()", NULL},
        {"a=in.(\"\")", "a=in.()", NULL},
        {"a=in.( )", "a=in.()", NULL},
        {"a=in.(\"\",\"\")", "a=in.(,)", NULL},
        {"a=in.(null)", "a=in.(null)", NULL},
        {"a=in.( lead,alpha )", "a=in.(lead,\"alpha \")", NULL},
        {"a=in.(\" lead\")", "a=in.(\" lead\")", NULL},
        {"a=in.({brace},dot.ted)", "a=in.(\"{brace}\",dot.ted)", NULL},
        {"a=in.(x\"y,\"a\"b)", "a=in.(\"x\\\"y\",\"\\\"a\\\"b\")", NULL},
        {"a=in.(alpha)x", "a=in.(alpha)", NULL},
        {"a=in.(alpha", NULL, "\",\" or \")\""},
        {"a=in.alpha", NULL, "\"(\""},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_STRICT);
}

static void
trees(void **state)
{
    static const query_case cases[] = {
        {"or=(a.eq.1,b.gt.2)", "or=(a.eq.1,b.gt.2)", NULL},
        {"and=(a.eq.1)&not.or=(b.eq.2)", "and=(a.eq.1)&not.or=(b.eq.2)", NULL},
        {"not.not.or=(b.eq.2)", "not.or=(b.eq.2)", NULL},
        {"beds.or=(code.eq.A1,code.eq.R2)", "beds.or=(code.eq.A1,code.eq.R2)", NULL},
        {"beds.not.and=(a.eq.1)", "beds.not.and=(a.eq.1)", NULL},
        {"not.beds.and=(a.eq.1)", "beds.not.and=(a.eq.1)", NULL},
        {"or=(id.eq.1,not.and(id.gt.2,id.lt.5))", "or=(id.eq.1,not.and(id.gt.2,id.lt.5))", NULL},
        {"or=(id.not.eq.1,name.in.(x,y))", "or=(id.not.eq.1,name.in.(x,y))", NULL},
        {"or=(meta->>zone.eq.5,w.like(any).{al*,*ta})",
         "or=(meta->>\"zone\".eq.5,w.like(any).\"{al%25,%25ta}\")", NULL},
        {"or=( and (a.eq.1) , or( b.is.null ) )x", "or=(and(a.eq.1),or(b.is.null))", NULL},
        {"or=(beds.is.null,garden_profiles.not.is.null)",
         "or=(beds.is.null,garden_profiles.not.is.null)", NULL},
        {"or=(and.eq.1,or.eq.2,not.eq.3,order.eq.4)",
         "or=(\"and\".eq.1,\"or\".eq.2,\"not\".eq.3,\"order\".eq.4)", NULL},
        {"or=(w.eq.\"a,b\")", "or=(w.eq.\"a,b\")", NULL},
        {"or=(w.eq.\"quo\\\"te\")", "or=(w.eq.\"quo\\\"te\")", NULL},
        {"or=(w.eq.quo\"te)", "or=(w.eq.\"quo\\\"te\")", NULL},
        {"or=(w.eq.\"a\"b)", "or=(w.eq.\"\\\"a\\\"b\")", NULL},
        {"or=(w.eq.,id.eq.)", "or=(w.eq.,id.eq.)", NULL},
        {"or=(w.eq.dot.ted)", "or=(w.eq.dot.ted)", NULL},
        {"or=(tags.ov.{\"dry, hot\",wet},id.eq.1)",
         "or=(tags.ov.\"{\\\"dry, hot\\\",wet}\",id.eq.1)", NULL},
        {"or=(w.eq.{a)", "or=(w.eq.\"{a\")", NULL},
        {"or=(w.eq.{a}b)", NULL, "unexpected \"b\""},
        {"or=(w.eq.{a,{b}})", NULL, "unexpected \"{\""},
        {"or=(sun.ov.\"[0,2)\")", "or=(sun.ov.\"[0,2)\")", NULL},
        {"or=(w.fts(english).x)", "or=(w.fts(english).x)", NULL},
        {"or=()", NULL, "unexpected \")\""},
        {"or=(id.eq.1", NULL, "unexpected end of input"},
        {"or=(id.eq.1,)", NULL, "unexpected \")\""},
        {"or=(id.foo.1)", NULL, "unexpected \"f\""},
        {"or=(id.not.not.eq.1)", NULL, "unexpected \"n\""},
        {"or=(not.not.and(id.eq.1))", NULL, NULL},
        {"or=(id)", NULL, NULL},
        {"or=", NULL, NULL},
        {"or=foo", NULL, NULL},
        {"or=id.eq.1", "orid=eq.1", NULL}, /* as PostgREST reads it: 42703 */
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_STRICT);
}

static void
orders_and_windows(void **state)
{
    static const query_case cases[] = {
        {"order=name", "order=name", NULL},
        {"order=opened.desc.nullslast,id.asc", "order=opened.desc.nullslast,id.asc", NULL},
        {"order=opened.nullsfirst", "order=opened.nullsfirst", NULL},
        {"order=meta->zone.desc,tags->0.asc", "order=meta->\"zone\".desc,tags->0.asc", NULL},
        {"order= id , w .desc ", "order=id,w.desc", NULL},
        {"order=desc.desc", "order=desc.desc", NULL},
        {"order=gardens(name).desc,id", "order=gardens(name).desc,id", NULL},
        {"order=gardens( meta->zone ).nullslast", "order=gardens(meta->\"zone\").nullslast", NULL},
        {"order=", NULL, "a name"},
        {"order=id,", NULL, "a name"},
        {"order=id.up", NULL, "unexpected \".\""},
        {"order=id.desc.asc", NULL, "unexpected \".\""},
        {"order=id.nullslast.desc", NULL, NULL},
        {"order=id.descx", NULL, "unexpected \"x\""},
        {"order=id::text", NULL, "unexpected \":\""},
        {"order=gardens(name", NULL, "\")\""},
        {"limit=5&offset=10", "limit=5&offset=10", NULL},
        {"limit=1&limit=2&offset=3&offset=4", "limit=2&offset=4", NULL},
        {"limit=1&limit=x", "", NULL},
        {"limit=-1&offset=-1", "limit=-1&offset=-1", NULL},
        {"limit=&offset=1.0", "", NULL},
        {"limit=1e1", "", NULL},
        {"limit= 1 ", "limit=1", NULL},
        {"limit=(1)&offset=- 1", "limit=1&offset=-1", NULL},
        {"limit=((1)", "", NULL},
        {"limit=0x1F&offset=0b11", "limit=31&offset=3", NULL},
        {"limit=0o17&offset=007", "limit=15&offset=7", NULL},
        {"limit=0x&offset=--1", "", NULL},
        {"limit=%2B1", "", NULL},
        {"limit=9223372036854775807", "limit=9223372036854775807", NULL},
        {"offset=-9223372036854775809", "offset=-9223372036854775808", NULL},
        {"a.b.limit=1&a.offset=2&a.b.offset=3", "a.b.limit=1&a.b.offset=3&a.offset=2", NULL},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_STRICT);
}

static void
calls(void **state)
{
    static const query_case cases[] = {
        {"a=x&b=y", "a=x&b=y", NULL},
        {"who=eq.1", "who=eq.1", NULL},
        {"a=x&name=eq.1&or=(b.eq.1)&limit=1", "name=eq.1&or=(b.eq.1)&limit=1&a=x", NULL},
        {"nums=1&nums=2", "nums=1&nums=2", NULL},
        {"a=&b", "a=", NULL},
        {"a=eq&b=not&c=eqx.1&d=eq(any)x&e=fts(english)&f=inx",
         "a=eq&b=not&c=eqx.1&d=eq(any)x&e=fts(english)&f=inx", NULL},
        {"\"my Arg\"=5&x.c=6&j->k=7", "\"my Arg\"=5&c=6&j=7", NULL},
        {"payload={\"a\":1}", "payload={\"a\":1}", NULL},
        {"a=in.x", NULL, "\"(\""}, /* as PostgREST has it: these begin as operators */
        {"a=is.x", NULL, NULL},
        {"a=not.x", NULL, NULL},
        {"a=isdistinct.x", "a=isdistinct.x", NULL},
        {"=x", NULL, NULL},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_CALL);
}

static void
plain_equality(void **state)
{
    static const query_case cases[] = {
        {"conversation_id=xyz&order=created_at.asc", "conversation_id=eq.xyz&order=created_at.asc",
         NULL},
        {"a=gt.5&b=5&beds.code=A1", "a=gt.5&b=eq.5&beds.code=eq.A1", NULL},
        {"a=&b=a,b(c)", "a=eq.&b=eq.a,b(c)", NULL},
        {"a=foo.bar", "a=eq.foo.bar", NULL},
        {"a=wfts(english)x&b=eq(any)x", "a=eq.wfts(english)x&b=eq.eq(any)x", NULL},
        {"email=eq.smith@example.com", "email=eq.smith@example.com", NULL},
        {"limit=5&select=a,b", "select=a,b&limit=5", NULL},
        {"a=in.x", NULL, NULL},
        {"or=(a.5)", NULL, NULL},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases), TN_DIALECT_PLAIN);
}

static void
a_tree_has_its_members(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_data_query query;
    const tn_logic *logic;

    (void)state;
    assert_null(tn_data_query_parse(
        arena,
        "select=a:b->>c->-1::int.sum()::text,...d!h!inner(e)&b.or=(x.not.in.(1,2),y.is.null)",
        TN_DIALECT_STRICT, &limits, &query));
    assert_true(query.has_select);
    assert_int_equal(query.select.count, 2);
    assert_int_equal(query.select.items[0].kind, TN_SELECT_FIELD);
    assert_string_equal(query.select.items[0].alias, "a");
    assert_string_equal(query.select.items[0].field.name, "b");
    assert_int_equal(query.select.items[0].field.step_count, 2);
    assert_true(query.select.items[0].field.steps[0].as_text);
    assert_false(query.select.items[0].field.steps[0].is_index);
    assert_true(query.select.items[0].field.steps[1].is_index);
    assert_string_equal(query.select.items[0].field.steps[1].key, "-1");
    assert_string_equal(query.select.items[0].cast, "int");
    assert_int_equal(query.select.items[0].aggregate, TN_AGGREGATE_SUM);
    assert_string_equal(query.select.items[0].aggregate_cast, "text");
    assert_int_equal(query.select.items[1].kind, TN_SELECT_SPREAD);
    assert_string_equal(query.select.items[1].hint, "h");
    assert_int_equal(query.select.items[1].join, TN_JOIN_INNER);
    assert_int_equal(query.select.items[1].children.count, 1);
    assert_int_equal(query.condition_count, 1);
    assert_int_equal(query.conditions[0].path.count, 1);
    assert_string_equal(query.conditions[0].path.names[0], "b");
    logic = &query.conditions[0].logic;
    assert_int_equal(logic->kind, TN_LOGIC_OR);
    assert_int_equal(logic->term_count, 2);
    assert_true(logic->terms[0].filter.is_negated);
    assert_int_equal(logic->terms[0].filter.op, TN_OP_IN);
    assert_int_equal(logic->terms[0].filter.value_count, 2);
    assert_string_equal(logic->terms[0].filter.values[1], "2");
    assert_int_equal(logic->terms[1].filter.is, TN_IS_NULL);
    tn_arena_free(arena);
}

/* `times` of `text` between `before` and `behind`. */
static const char *
repeated(tn_arena *arena, const char *before, const char *text, size_t times, const char *behind)
{
    PQExpBuffer buffer = tn_arena_buffer(arena);

    appendPQExpBufferStr(buffer, before);
    for (size_t i = 0; i < times; i++)
        appendPQExpBufferStr(buffer, text);
    appendPQExpBufferStr(buffer, behind);
    return tn_buffer_text(buffer);
}

static void
too_much(void **state)
{
    static const struct {
        const char *before, *text;
        size_t times;
        const char *behind, *code; /* NULL: good */
    } cases[] = {
        {"id=in.(0", ",1", 49, ")", NULL},
        {"id=in.(0", ",1", 50, ")", "too_many_items"},
        {"id=in.(0", ",1", 100000, ")", "too_many_items"},
        {"select=a", ",a", 50, "", "too_many_items"},
        {"order=a", ",a", 50, "", "too_many_items"},
        {"columns=a", ",a", 50, "", "too_many_items"},
        {"select=a", "->b", 51, "", "too_many_items"},
        {"", "a.", 51, "b=eq.1", "too_many_items"},
        {"", "a=eq.1&", 100, "", NULL},
        {"", "a=eq.1&", 101, "", "too_many_filters"},
        {"or=(a.eq.1", ",a.eq.1", 98, ")", NULL},
        {"or=(a.eq.1", ",a.eq.1", 99, ")", "too_many_filters"},
        {"or=", "(and", 1, "(a.eq.1))", NULL},
        {"or=(", "and(", 9, "a.eq.1))))))))))", NULL},
        {"or=(", "and(", 10, "a.eq.1)))))))))))", "logic_too_deep"},
        {"or=(", "not.and(", 1000, "", "logic_too_deep"},
        {"or=", "(", 1000, "", "PGRST100"},
        {"select=", "a(", 5, "b)))))", NULL},
        {"select=", "a(", 6, "b))))))", "embeds_too_deep"},
        {"select=", "...a(", 6, "", "embeds_too_deep"},
        {"select=", "a(", 100000, "", "embeds_too_deep"},
        {"a=eq.", "x", 1000000, "", NULL},
        {"a=in.(", "\"", 1000000, ")", NULL},
        {"a=", "x", 1000000, "", "PGRST100"},
        {"limit=", "9", 20, "", "22003"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        tn_data_query query;
        const tn_error *error = tn_data_query_parse(
            arena, repeated(arena, cases[i].before, cases[i].text, cases[i].times, cases[i].behind),
            TN_DIALECT_STRICT, &limits, &query);

        TN_CASE("%s%s x %zu", cases[i].before, cases[i].text, cases[i].times);
        TN_CHECK_TEXT(error == NULL ? NULL : error->code, cases[i].code);
        if (error != NULL) {
            TN_CHECK(error->status == 400 && strlen(error->message) < 500);
            TN_CHECK(tn_text_is_utf8(error->message, strlen(error->message)));
        }
        tn_arena_free(arena);
    }
}

static void
a_message_says_where(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_data_query query;
    const tn_error *error =
        tn_data_query_parse(arena, "select=\"ä\",%0A ö!x", TN_DIALECT_STRICT, &limits, &query);

    (void)state;
    assert_non_null(error);
    assert_string_equal(error->message,
                        "\"failed to parse select parameter (\"ä\",\n ö!x)\" (line 2, column 5)");
    assert_string_equal(error->details,
                        "unexpected end of input expecting \"(\" and the columns of the embed");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(query_strings),
        cmocka_unit_test(selects),
        cmocka_unit_test(embeds),
        cmocka_unit_test(filters),
        cmocka_unit_test(trees),
        cmocka_unit_test(orders_and_windows),
        cmocka_unit_test(calls),
        cmocka_unit_test(plain_equality),
        cmocka_unit_test(a_tree_has_its_members),
        cmocka_unit_test(too_much),
        cmocka_unit_test(a_message_says_where),
    };

    return tn_unit_run("data_query", tests, TN_COUNT(tests));
}
