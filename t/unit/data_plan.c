/* t/unit/data_plan.c: data/plan*.c: requests for relations, as plans */
#include "t/unit/data_plan.h"

typedef struct plan_case {
    garden_request request;
    const char *plan;
} plan_case;

static void
check_cases(const plan_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%zu %s", i, cases[i].request.path);
        TN_CHECK_TEXT(make_plan(arena, &cases[i].request), cases[i].plan);
        tn_arena_free(arena);
    }
}

static void
selects(void **state)
{
    static const plan_case cases[] = {
        {{.path = "gardens"}, "read gardens(id, name, area, tags, meta)"},
        {{.path = "gardens?select="}, "read gardens(id, name, area, tags, meta)"},
        {{.path = "gardens?select=id,n:name,area::int,id"},
         "read gardens(id, name as n, area::int, id)"},
        {{.path = "gardens?select=meta->a->>b,meta->a->0,tags->1,m:meta->>x"},
         "read gardens(meta->a->>b as b, meta->a->0 as a, tags->1, meta->>x as m)"},
        {{.path = "gardens?select=*,bed_total,count"},
         "read gardens(id, name, area, tags, meta, bed_total?, count?)"},
        {{.path = "garden_names?select=*"}, "read garden_names(id, name)"},
        {{.path = "plantings?select=state,qty.sum(),n:count(),qty::text.max()::int"},
         "read plantings grouped(state, sum(qty) as sum, count(*) as n, max(qty::text)::int as "
         "max)"},
        {{.path = "plantings?select=count()", .forbids_aggregates = true}, "400 PGRST123"},
        {{.path = "plantings?select=count", .forbids_aggregates = true}, "read plantings(count?)"},
        {{.path = "notes"}, "read notes(id, slug)"},
        {{.path = "notes?select=*,tenant_id"}, "read notes(id, slug, tenant_id)"},
        {{.path = "nope"}, "404 PGRST205"},
        {{.path = "pg_class"}, "404 PGRST205"},
        {{.path = "far"}, "404 PGRST205"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

static void
embeds(void **state)
{
    static const plan_case cases[] = {
        {{.path = "gardens?select=id,beds(code)"},
         "read gardens(id, beds<beds_garden_id_fkey>beds_1(code))"},
        {{.path = "beds?select=code,g:gardens!inner(*)"},
         "read beds(code, g<beds_garden_id_fkey one inner>gardens_1(id, name, area, tags, meta))"},
        {{.path = "gardens?select=name,beds(code,plantings(qty,species(latin)))"},
         "read gardens(name, beds<beds_garden_id_fkey>beds_1(code, "
         "plantings<plantings_bed_id_fkey>plantings_2(qty, species<plantings_species_id_fkey "
         "one>species_3(latin))))"},
        {{.path = "gardens?select=a:beds(id),b:beds(id)"},
         "read gardens(a<beds_garden_id_fkey>beds_1(id), b<beds_garden_id_fkey>beds_1_2(id))"},
        {{.path = "gardens?select=beds()&beds=is.null"},
         "read gardens(beds<beds_garden_id_fkey hidden>beds_1()) where beds_1 is null"},
        {{.path = "beds?select=species(latin)"},
         "read beds(species<plantings by plantings_1>species_1(latin))"},
        {{.path = "beds?select=code,...gardens(name,open:area)"},
         "read beds(code, ...gardens<beds_garden_id_fkey one>gardens_1(name, area as open))"},
        {{.path = "gardens?select=...beds(code)"}, "400 PGRST119"},
        {{.path = "plantings?select=state,...beds(id.count(),...gardens(area.max()))"},
         "read plantings grouped(state, ...beds<plantings_bed_id_fkey one>beds_1(count(id) as "
         "count, ...gardens<beds_garden_id_fkey one>gardens_2(max(area) as max)))"},
        {{.path = "gardens?select=name,beds(count())"},
         "read gardens(name, beds<beds_garden_id_fkey>beds_1 grouped(count(*) as count))"},
        {{.path = "gardens?select=nope(id)"}, "400 PGRST200"},
        {{.path = "gardens?select=beds(id),beds(code)"}, "400 42803"},
        {{.path = "beds?select=gardens(id),...gardens(name)"}, "400 42712"},
        {{.path = "beds?select=x:gardens(id),x:plantings(qty)"}, "400 42712"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

static void
conditions(void **state)
{
    static const plan_case cases[] = {
        {{.path = "gardens?id=eq.1&name=not.like.a*&nope=gt.3"},
         "read gardens(id, name, area, tags, meta) where id eq 1 and not name like a% and nope? gt "
         "3 etag"},
        {{.path = "gardens?or=(id.eq.1,not.and(id.gt.2,id.lt.5))&meta->>a=eq.x"},
         "read gardens(id, name, area, tags, meta) where (id eq 1 or not (id gt 2 and id lt 5)) "
         "and meta->>a eq x"},
        {{.path = "gardens?select=id,beds(code)&beds.code=eq.A&beds.or=(id.eq.1,id.eq.2)&id=eq.1"},
         "read gardens(id, beds<beds_garden_id_fkey>beds_1(code) where (id eq 1 or id eq 2) and "
         "code eq A) where id eq 1"},
        {{.path = "gardens?select=nope(id)&a.id=eq.1"}, "400 PGRST108"},
        {{.path = "gardens?select=...beds(id)&order=nope(id)"}, "400 PGRST108"},
        {{.path = "gardens?select=...beds(id),nope(id)"}, "400 PGRST200"},
        {{.path = "gardens?select=...beds(id)"}, "400 PGRST119"},
        {{.path = "gardens?select=a:beds(id),b:beds(id)&b.id=eq.1&beds.id=eq.2"},
         "read gardens(a<beds_garden_id_fkey>beds_1(id) where id eq 2, "
         "b<beds_garden_id_fkey>beds_1_2(id) where id eq 1)"},
        {{.path = "gardens?select=beds(plantings(qty))&beds.plantings.qty=gt.5"},
         "read "
         "gardens(beds<beds_garden_id_fkey>beds_1(plantings<plantings_bed_id_fkey>plantings_2(qty) "
         "where qty gt 5))"},
        {{.path = "gardens?beds.code=eq.A"}, "400 PGRST108"},
        {{.path = "gardens?select=beds(id)&beds.x.code=eq.A"}, "400 PGRST108"},
        {{.path = "gardens?select=b:beds(id)&b=not.is.null"},
         "read gardens(b<beds_garden_id_fkey>beds_1(id)) where not beds_1 is null"},
        {{.path = "gardens?select=b:beds(id)&b=is.not_null"},
         "read gardens(b<beds_garden_id_fkey>beds_1(id)) where not beds_1 is null"},
        {{.path = "gardens?select=b:beds(id)&b=not.is.not_null"},
         "read gardens(b<beds_garden_id_fkey>beds_1(id)) where beds_1 is null"},
        {{.path = "gardens?select=b:beds(id)&beds=is.null"},
         "read gardens(b<beds_garden_id_fkey>beds_1(id)) where beds? is -"},
        {{.path = "gardens?select=beds(id)&beds=is.true"},
         "read gardens(beds<beds_garden_id_fkey>beds_1(id)) where beds? is -"},
        {{.path = "gardens?select=beds(id)&beds->a=is.null"},
         "read gardens(beds<beds_garden_id_fkey>beds_1(id)) where beds?->a is -"},
        {{.path = "gardens?select=beds(id),garden_profiles()&or=(beds.is.null,garden_profiles.not."
                  "is.null)"},
         "read gardens(beds<beds_garden_id_fkey>beds_1(id), garden_profiles<garden_profiles "
         "hidden>garden_profiles_1()) where (beds_1 is null or not garden_profiles_1 is null)"},
        {{.path = "gardens?select=beds(plantings(qty))&beds.plantings=is.null"},
         "read "
         "gardens(beds<beds_garden_id_fkey>beds_1(plantings<plantings_bed_id_fkey>plantings_2(qty))"
         " where plantings_2 is null)"},
        {{.method = "PATCH", .path = "gardens?select=beds(id)&beds=is.null", .keys = "name"},
         "update gardens(beds<beds_garden_id_fkey>beds_1(id)) where beds? is - write name silent"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

static void
orders(void **state)
{
    static const plan_case cases[] = {
        {{.path = "gardens?order=name.desc.nullslast,meta->a,nope"},
         "read gardens(id, name, area, tags, meta) order name desc last, meta->a, nope?"},
        {{.path = "gardens?select=id,beds(id)&beds.order=code.asc"},
         "read gardens(id, beds<beds_garden_id_fkey>beds_1(id) order code asc)"},
        {{.path = "gardens?select=id&beds.order=code"}, "400 PGRST108"},
        {{.path = "beds?select=id,gardens(name)&order=gardens(name).desc,id"},
         "read beds(id, gardens<beds_garden_id_fkey one>gardens_1(name)) order gardens_1.name? "
         "desc, id"},
        {{.path = "beds?select=id,g:gardens(n:name)&order=g(n)"},
         "read beds(id, g<beds_garden_id_fkey one>gardens_1(name as n)) order gardens_1.n?"},
        {{.path = "beds?select=id,g:gardens(n:name)&order=g(name)"},
         "read beds(id, g<beds_garden_id_fkey one>gardens_1(name as n)) order gardens_1.name?"},
        {{.path = "beds?select=id,g:gardens(name)&order=gardens(name)"}, "400 PGRST108"},
        {{.path = "beds?select=id,gardens()&order=gardens(area)"},
         "read beds(id, gardens<beds_garden_id_fkey one hidden>gardens_1()) order gardens_1.area"},
        {{.path = "beds?select=id,...gardens(name)&order=gardens(name)"},
         "read beds(id, ...gardens<beds_garden_id_fkey one>gardens_1(name)) order gardens_1.name?"},
        {{.path = "plantings?select=beds(code,...gardens(name))&order=beds(name)"},
         "read plantings(beds<plantings_bed_id_fkey one>beds_1(code, "
         "...gardens<beds_garden_id_fkey one>gardens_2(name))) order beds_1.name?"},
        {{.path = "plantings?select=beds(code,gardens())&order=beds(gardens)"},
         "read plantings(beds<plantings_bed_id_fkey one>beds_1(code, gardens<beds_garden_id_fkey "
         "one hidden>gardens_2())) order beds_1.gardens?"},
        {{.path = "gardens?select=id,beds(code)&order=beds(code)"}, "400 PGRST118"},
        {{.path = "beds?order=gardens(name)"}, "400 PGRST108"},
        {{.method = "DELETE", .path = "beds?order=gardens(name)"},
         "delete beds(id, garden_id, code) write silent"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

static void
windows(void **state)
{
    static const plan_case cases[] = {
        {{.path = "nokey?limit=2&offset=3"}, "read nokey(a, b) limit 2 offset 3"},
        {{.path = "nokey?limit=-1"}, "416 PGRST103"},
        {{.path = "nokey?offset=-1"}, "read nokey(a, b)"},
        {{.path = "nokey?limit=0"}, "read nokey(a, b) limit 0"},
        {{.path = "nokey", .max_rows = 10}, "read nokey(a, b) limit 10"},
        {{.path = "nokey?limit=5", .max_rows = 10}, "read nokey(a, b) limit 5"},
        {{.path = "nokey?limit=50", .max_rows = 10}, "read nokey(a, b) limit 10"},
        {{.path = "gardens?select=id,beds(id)&beds.limit=3", .max_rows = 10},
         "read gardens(id, beds<beds_garden_id_fkey>beds_1(id) limit 3) limit 10"},
        {{.path = "gardens?select=id,beds(id)&beds.limit=30", .max_rows = 10},
         "read gardens(id, beds<beds_garden_id_fkey>beds_1(id) limit 10) limit 10"},
        {{.method = "DELETE", .path = "nokey?limit=1", .max_rows = 10},
         "delete nokey(a, b) write silent"},
        {{.method = "DELETE", .path = "nokey?limit=-1", .max_rows = 10}, "416 PGRST103"},
        {{.path = "nokey", .has_range = true, .range_first = 2, .range_last = INT64_MAX},
         "read nokey(a, b) offset 2"},
        {{.path = "nokey", .has_range = true, .range_first = 0, .range_last = 0},
         "read nokey(a, b) limit 1"},
        {{.path = "nokey", .has_range = true, .range_first = 3, .range_last = 1}, "416 PGRST103"},
        {{.path = "nokey?limit=1&offset=1", .has_range = true, .range_first = 0, .range_last = 1},
         "read nokey(a, b) limit 1 offset 1"},
        {{.path = "nokey?limit=1", .has_range = true, .range_first = 2, .range_last = INT64_MAX},
         "416 PGRST103"},
        {{.path = "nokey?offset=1", .has_range = true, .range_first = 0, .range_last = 0},
         "416 PGRST103"},
        {{.path = "nokey?limit=0", .has_range = true, .range_first = 0, .range_last = 1},
         "read nokey(a, b) limit 0"},
        {{.path = "nokey?limit=0", .has_range = true, .range_first = 3, .range_last = 1},
         "read nokey(a, b) limit 0"},
        {{.path = "nokey?limit=0&offset=1"}, "416 PGRST103"},
        {{.path = "nokey?limit=2&offset=-1"}, "read nokey(a, b) limit 1"},
        {{.path = "nokey?limit=1&offset=-1"}, "read nokey(a, b) limit 0"},
        {{.path = "nokey?limit=1&offset=-2"}, "416 PGRST103"},
        {{.path = "nope?limit=-1"}, "416 PGRST103"},
        {{.path = "nokey?limit=9223372036854775807&offset=9223372036854775807"},
         "read nokey(a, b) offset 9223372036854775807"},
        {{.path = "nokey?limit=-9223372036854775807&offset=-9223372036854775807"}, "416 PGRST103"},
        {{.method = "DELETE", .path = "nokey?nope.limit=1&nope.order=a"},
         "delete nokey(a, b) write silent"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

static void
writes(void **state)
{
    static const plan_case cases[] = {
        {{.method = "POST", .path = "stock?id=eq.1&order=id", .keys = "sku,id"},
         "insert stock(id, sku, qty) write sku,id silent"},
        {{.method = "POST", .path = "stock?columns=\"id\",qty,id", .keys = "sku"},
         "insert stock(id, sku, qty) write id,qty silent"},
        {{.method = "POST", .path = "stock", .keys = "id,nope"}, "400 PGRST204"},
        {{.method = "POST", .path = "stock?columns=nope", .keys = ""}, "400 PGRST204"},
        {{.method = "POST", .path = "stock", .keys = ""},
         "insert stock(id, sku, qty) write silent"},
        {{.method = "POST",
          .path = "beds?select=code,gardens(name)&gardens.id=eq.1",
          .keys = "id",
          .prefer = {.returning = TN_RETURN_REPRESENTATION}},
         "insert beds(code, gardens<beds_garden_id_fkey one>gardens_1(name) where id eq 1) write "
         "id"},
        {{.method = "POST", .path = "stock?select=beds(id)", .keys = "id"}, "400 PGRST200"},
        {{.method = "POST",
          .path = "stock",
          .keys = "id",
          .prefer = {.resolution = TN_RESOLUTION_MERGE}},
         "insert stock(id, sku, qty) write id merge on id silent"},
        {{.method = "POST",
          .path = "stock?on_conflict=sku",
          .keys = "id",
          .prefer = {.resolution = TN_RESOLUTION_IGNORE}},
         "insert stock(id, sku, qty) write id ignore on sku silent"},
        {{.method = "POST", .path = "stock?on_conflict=sku", .keys = "id"},
         "insert stock(id, sku, qty) write id silent"},
        {{.method = "POST",
          .path = "stock?on_conflict=qty",
          .keys = "id",
          .prefer = {.resolution = TN_RESOLUTION_MERGE}},
         "insert stock(id, sku, qty) write id merge on qty silent"},
        {{.method = "POST",
          .path = "notes",
          .keys = "id,slug",
          .prefer = {.resolution = TN_RESOLUTION_MERGE}},
         "insert notes(id, slug) write id,slug merge on tenant_id,id silent"},
        {{.method = "POST",
          .path = "notes?on_conflict=slug",
          .keys = "id,slug",
          .prefer = {.resolution = TN_RESOLUTION_MERGE}},
         "insert notes(id, slug) write id,slug merge on tenant_id,slug silent"},
        {{.method = "PUT", .path = "notes?id=eq.1", .keys = "id"},
         "put notes(id, slug) where id eq 1 write id merge on tenant_id,id silent"},
        {{.method = "POST",
          .path = "nokey",
          .keys = "a",
          .prefer = {.resolution = TN_RESOLUTION_MERGE}},
         "insert nokey(a, b) write a silent"},
        {{.method = "PATCH",
          .path = "stock?id=eq.1",
          .keys = "qty",
          .if_match = "\"77\"",
          .prefer = {.handling = TN_HANDLING_STRICT, .has_max_affected = true, .max_affected = 3}},
         "update stock(id, sku, qty) where id eq 1 write qty if 77 silent most 3"},
        {{.method = "PATCH",
          .path = "stock?id=eq.1",
          .keys = "qty",
          .if_match = "*",
          .prefer = {.has_max_affected = true, .max_affected = 3}},
         "update stock(id, sku, qty) where id eq 1 write qty if * silent"},
        {{.method = "DELETE",
          .path = "stock?sku=eq.a",
          .media = TN_MEDIA_OBJECT,
          .prefer = {.returning = TN_RETURN_REPRESENTATION}},
         "delete stock(id, sku, qty) where sku eq a write single"},
        {{.method = "PUT", .path = "stock?id=eq.9", .keys = "id,sku"},
         "put stock(id, sku, qty) where id eq 9 write id,sku merge on id silent"},
        {{.method = "PUT", .path = "stock?id=eq.9", .keys = "id,sku", .if_match = "7,8"},
         "put stock(id, sku, qty) where id eq 9 write id,sku merge on id if 7,8 silent"},
        {{.method = "PUT", .path = "stock?id=eq.9", .keys = "id,sku", .if_none_match = " * "},
         "put stock(id, sku, qty) where id eq 9 write id,sku merge on id new silent"},
        {{.method = "PUT", .path = "stock?id=eq.9", .keys = "id,sku", .if_none_match = "\"7\""},
         "400 precondition_not_supported"},
        {{.method = "POST", .path = "stock", .keys = "id", .if_match = "*"},
         "400 precondition_not_supported"},
        {{.method = "POST", .path = "stock", .keys = "id", .if_none_match = "*"},
         "400 precondition_not_supported"},
        {{.method = "DELETE", .path = "stock", .if_none_match = "*"},
         "400 precondition_not_supported"},
        {{.method = "PUT", .path = "stock?id=eq.9&id=eq.9", .keys = "id,sku"},
         "put stock(id, sku, qty) where id eq 9 and id eq 9 write id,sku merge on id silent"},
        {{.method = "PUT", .path = "grid?y=eq.a&x=eq.1", .keys = "x,y,v"},
         "put grid(x, y, v) where y eq a and x eq 1 write x,y,v merge on x,y silent"},
        {{.method = "PUT", .path = "grid?x=eq.1", .keys = "x,y"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?id=gt.9", .keys = "id"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?id=not.eq.9", .keys = "id"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?id=eq(any).{9}", .keys = "id"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?and=(id.eq.9)", .keys = "id"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?id=eq.9&sku=eq.a", .keys = "id"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock", .keys = "id"}, "405 PGRST105"},
        {{.method = "PUT", .path = "nokey?a=eq.1", .keys = "a"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?id=eq.9&limit=1", .keys = "id"}, "400 PGRST114"},
        {{.method = "PUT", .path = "stock?sku=eq.9&limit=1", .keys = "nope"}, "400 PGRST114"},
        {{.method = "PUT", .path = "stock?sku=eq.9", .keys = "nope"}, "405 PGRST105"},
        {{.method = "PUT", .path = "stock?id=eq.9", .keys = "nope"}, "400 PGRST204"},
        {{.method = "PUT", .path = "stock?id=eq.9", .keys = "sku"}, "400 PGRST115"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

static void
versions(void **state)
{
    static const plan_case cases[] = {
        {{.path = "nokey?a=eq.1&select=a", .media = TN_MEDIA_OBJECT},
         "read nokey(a) where a eq 1 single etag"},
        {{.path = "stock?id=eq.1&select=id"}, "read stock(id) where id eq 1 etag"},
        {{.path = "stock?id=eq.1&sku=eq.a&select=id"},
         "read stock(id) where id eq 1 and sku eq a etag"},
        {{.path = "stock?id=gt.1&select=id"}, "read stock(id) where id gt 1"},
        {{.path = "stock?or=(id.eq.1)&select=id"}, "read stock(id) where (id eq 1)"},
        {{.path = "stock?id=eq.1&select=id", .role = "tenon_unit_writer"},
         "read stock(id) where id eq 1"},
        {{.path = "stock?id=eq.1&select=id", .role = "nobody"}, "read stock(id) where id eq 1"},
        {{.path = "stock?id=eq.1&select=id.max()"},
         "read stock grouped(max(id) as max) where id eq 1"},
        {{.path = "grid?x=eq.1&select=x"}, "read grid(x) where x eq 1"},
        {{.path = "grid?x=eq.1&y=eq.2&select=x"}, "read grid(x) where x eq 1 and y eq 2 etag"},
        {{.path = "garden_names?id=eq.1&select=id", .media = TN_MEDIA_OBJECT},
         "read garden_names(id) where id eq 1 single"},
        {{.method = "HEAD", .path = "stock?id=eq.1&select=id"},
         "read stock(id) where id eq 1 silent etag"},
    };

    (void)state;
    check_cases(cases, TN_COUNT(cases));
}

/* As many embeds, or columns, as would make a statement that nobody can plan. */
static void
bounds(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer wide = tn_arena_buffer(arena), deep = tn_arena_buffer(arena);

    (void)state;
    appendPQExpBufferStr(wide, "gardens?select=id");
    appendPQExpBufferStr(deep, "species?select=");
    for (int i = 0; i < 256; i++) {
        appendPQExpBuffer(wide, ",e%d:beds()", i);
        appendPQExpBufferStr(deep, "species(");
    }
    for (int i = 0; i < 256; i++)
        appendPQExpBufferChar(deep, ')');
    TN_CASE("wide");
    TN_CHECK_TEXT(make_plan(arena, &(garden_request){.path = tn_buffer_text(wide)}),
                  "400 too_many_items");
    TN_CASE("deep");
    TN_CHECK_TEXT(make_plan(arena, &(garden_request){.path = tn_buffer_text(deep)}),
                  "400 too_many_items");
    resetPQExpBuffer(wide);
    appendPQExpBufferStr(wide, "gardens?select=*");
    for (int i = 0; i < 400; i++)
        appendPQExpBufferStr(wide, ",*");
    TN_CASE("stars");
    TN_CHECK_TEXT(make_plan(arena, &(garden_request){.path = tn_buffer_text(wide)}),
                  "400 too_many_items");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plant_garden), cmocka_unit_test(selects),  cmocka_unit_test(embeds),
        cmocka_unit_test(conditions),   cmocka_unit_test(orders),   cmocka_unit_test(windows),
        cmocka_unit_test(writes),       cmocka_unit_test(versions), cmocka_unit_test(bounds),
        cmocka_unit_test(clear_garden),
    };

    return tn_unit_run("data_plan", tests, TN_COUNT(tests));
}
