/* t/unit/data_relate.c: data/relate.c: which relationship an embed means */
#include "t/unit/data_plan.h"

static const struct {
    const char *path, *plan;
} cases[] = {
    /* by the relation's name, and the hints that tell several apart */
    {"shipments?select=gardens(id)", "300 PGRST201"},
    {"shipments?select=gardens!from_garden(id)",
     "read shipments(gardens<shipments_from_garden_fkey one>gardens_1(id))"},
    {"shipments?select=gardens!shipments_to_garden_fkey(id)",
     "read shipments(gardens<shipments_to_garden_fkey one>gardens_1(id))"},
    {"shipments?select=gardens!id(id)", "300 PGRST201"},
    {"shipments?select=gardens!nope(id)", "400 PGRST200"},
    {"shipments?select=gardens!inner!to_garden(id)",
     "read shipments(gardens<shipments_to_garden_fkey one inner>gardens_1(id))"},
    {"gardens?select=shipments!from_garden(id)",
     "read gardens(shipments<shipments_from_garden_fkey>shipments_1(id))"},
    {"gardens?select=shipments!shipments_from_garden_fkey(id)",
     "read gardens(shipments<shipments_from_garden_fkey>shipments_1(id))"},
    {"beds?select=garden_names(id)",
     "read beds(garden_names<beds_garden_id_fkey one>garden_names_1(id))"},
    {"garden_names?select=beds(id)", "read garden_names(beds<beds_garden_id_fkey>beds_1(id))"},
    {"beds?select=garden_names!garden_id(id)",
     "read beds(garden_names<beds_garden_id_fkey one>garden_names_1(id))"},
    /* by the key's column or constraint: of tables, not of views */
    {"shipments?select=from_garden(id)",
     "read shipments(from_garden<shipments_from_garden_fkey one>gardens_1(id))"},
    {"shipments?select=shipments_from_garden_fkey(id)",
     "read shipments(shipments_from_garden_fkey<shipments_from_garden_fkey one>gardens_1(id))"},
    {"gardens?select=beds_garden_id_fkey(code)",
     "read gardens(beds_garden_id_fkey<beds_garden_id_fkey>beds_1(code))"},
    {"gardens?select=id(code)", "300 PGRST201"},
    {"beds?select=garden_id(name)", "read beds(garden_id<beds_garden_id_fkey one>gardens_1(name))"},
    /* keys of several columns have no column that names them */
    {"cells?select=grid(x)", "read cells(grid<cells_gx_gy_fkey one>grid_1(x))"},
    {"cells?select=grid!cells_gx_gy_fkey(x)", "read cells(grid<cells_gx_gy_fkey one>grid_1(x))"},
    {"cells?select=grid!gx(x)", "400 PGRST200"},
    {"cells?select=gx(x)", "400 PGRST200"},
    /* many to many */
    {"beds?select=species(latin)", "read beds(species<plantings by plantings_1>species_1(latin))"},
    {"gardeners?select=gardens(id)", "300 PGRST201"},
    {"gardeners?select=gardens!garden_staff(id)",
     "read gardeners(gardens<garden_staff by garden_staff_1>gardens_1(id))"},
    {"gardeners?select=gardens!garden_staff_garden_id_fkey(id)", "400 PGRST200"},
    {"gardens?select=gardeners!garden_visits(id)",
     "read gardens(gardeners<garden_visits by garden_visits_1>gardeners_1(id))"},
    /* a table and itself: its name is the children, the column the parent */
    {"species?select=species(latin)",
     "read species(species<species_parent_id_fkey>species_1(latin))"},
    {"species?select=parent_id(latin)",
     "read species(parent_id<species_parent_id_fkey one>species_1(latin))"},
    {"species?select=kids:species!parent_id(latin)",
     "read species(kids<species_parent_id_fkey>species_1(latin))"},
    {"species?select=species!id(latin)", "400 PGRST200"},
    {"species?select=species_parent_id_fkey(latin)", "400 PGRST200"},
    {"species?select=species!species_parent_id_fkey(latin)", "400 PGRST200"},
    {"emp?select=emp(id)", "400 PGRST200"},
    {"emp?select=boss_id(id)", "400 PGRST200"},
    /* one to one, both ways */
    {"garden_profiles?select=gardens(id)",
     "read garden_profiles(gardens<garden_profiles_garden_id_fkey one>gardens_1(id))"},
    /* computed: by the function's name, whatever the hint, and before what was detected */
    {"gardens?select=flagship(latin)", "read gardens(flagship<flagship one>species_1(latin))"},
    {"gardens?select=flagship!x(latin)", "read gardens(flagship<flagship one>species_1(latin))"},
    {"gardens?select=...flagship(latin)",
     "read gardens(...flagship<flagship one>species_1(latin))"},
    {"gardens?select=garden_profiles(stars)",
     "read gardens(garden_profiles<garden_profiles>garden_profiles_1(stars))"},
    {"gardens?select=garden_profiles!garden_id(stars)",
     "read gardens(garden_profiles<garden_profiles>garden_profiles_1(stars))"},
    {"gardens?select=flagship(flagship(id))", "400 PGRST200"},
    /* in the same schema only */
    {"gardens?select=far(id)", "400 PGRST200"},
    {"gardens?select=\"apart.far\"(id)", "400 PGRST200"},
};

static void
relationships(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%s", cases[i].path);
        TN_CHECK_TEXT(make_plan(arena, &(garden_request){.path = cases[i].path}), cases[i].plan);
        tn_arena_free(arena);
    }
}

static const struct {
    const char *path, *message, *details, *hint, *members;
} errors[] = {
    {"shipments?select=gardens(id)",
     "Could not embed because more than one relationship was found for 'shipments' and 'gardens'",
     NULL,
     "Try changing 'gardens' to one of the following: 'gardens!shipments_from_garden_fkey', "
     "'gardens!shipments_to_garden_fkey'. Find the desired relationship in the 'details' key.",
     "\"details\":[{\"cardinality\":\"many-to-one\",\"embedding\":\"shipments with gardens\","
     "\"relationship\":\"shipments_from_garden_fkey using shipments(from_garden) and "
     "gardens(id)\"},"
     "{\"cardinality\":\"many-to-one\",\"embedding\":\"shipments with gardens\","
     "\"relationship\":\"shipments_to_garden_fkey using shipments(to_garden) and gardens(id)\"}]"},
    {"gardeners?select=gardens(id)",
     "Could not embed because more than one relationship was found for 'gardeners' and 'gardens'",
     NULL,
     "Try changing 'gardens' to one of the following: 'gardens!garden_staff', "
     "'gardens!garden_visits'. Find the desired relationship in the 'details' key.",
     "\"details\":[{\"cardinality\":\"many-to-many\",\"embedding\":\"gardeners with gardens\","
     "\"relationship\":\"garden_staff using garden_staff_gardener_id_fkey(gardener_id) and "
     "garden_staff_garden_id_fkey(garden_id)\"},"
     "{\"cardinality\":\"many-to-many\",\"embedding\":\"gardeners with gardens\","
     "\"relationship\":\"garden_visits using garden_visits_gardener_id_fkey(gardener_id) and "
     "garden_visits_garden_id_fkey(garden_id)\"}]"},
    {"gardens?select=nope(id)",
     "Could not find a relationship between 'gardens' and 'nope' in the schema cache",
     "Searched for a foreign key relationship between 'gardens' and 'nope' in the schema 'api', "
     "but no matches were found.",
     NULL, NULL},
    {"gardens?select=bed(id)",
     "Could not find a relationship between 'gardens' and 'bed' in the schema cache",
     "Searched for a foreign key relationship between 'gardens' and 'bed' in the schema 'api', "
     "but no matches were found.",
     "Perhaps you meant 'beds' instead of 'bed'.", NULL},
    {"gardens?select=beds!foo(id)",
     "Could not find a relationship between 'gardens' and 'beds' in the schema cache",
     "Searched for a foreign key relationship between 'gardens' and 'beds' using the hint 'foo' "
     "in the schema 'api', but no matches were found.",
     NULL, NULL},
    {"stock?select=beds(id)",
     "Could not find a relationship between 'stock' and 'beds' in the schema cache",
     "Searched for a foreign key relationship between 'stock' and 'beds' in the schema 'api', "
     "but no matches were found.",
     NULL, NULL},
    {"rpc/pairs?n=1&select=gardens(id)",
     "Could not find a relationship between 'record' and 'gardens' in the schema cache",
     "Searched for a foreign key relationship between 'record' and 'gardens' in the schema 'api', "
     "but no matches were found.",
     "Perhaps you meant 'gardeners' instead of 'record'.", NULL},
};

static void
messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(errors); i++) {
        tn_arena *arena = tn_arena_new();
        tn_data_plan plan;
        const tn_error *error =
            make_request_plan(arena, &(garden_request){.path = errors[i].path}, &plan);

        TN_CASE("%s", errors[i].path);
        TN_CHECK(error != NULL);
        TN_CHECK_TEXT(error->message, errors[i].message);
        TN_CHECK_TEXT(error->details, errors[i].details);
        TN_CHECK_TEXT(error->hint, errors[i].hint);
        TN_CHECK_TEXT(error->members, errors[i].members);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plant_garden),
                                       cmocka_unit_test(relationships), cmocka_unit_test(messages),
                                       cmocka_unit_test(clear_garden)};

    return tn_unit_run("data_relate", tests, TN_COUNT(tests));
}
