/* cmd/routes.c: `tenon routes`: everything that can be asked for, out of the areas' own tables
 *
 * docs/reference/routes.md is this command's output, so it cannot drift from the code.
 */
#include "areas.h"
#include "cmd/cmd.h"
#include "identity/limit.h"

static const struct {
    unsigned bit;
    const char *name;
} roles[] = {
    {TN_ROLE_NONE, "none"},
    {TN_ROLE_ANON, "anon"},
    {TN_ROLE_AUTHENTICATED, "authenticated"},
    {TN_ROLE_AGENT, "agent"},
    {TN_ROLE_SERVICE, "service_role"},
    {TN_ROLE_PLATFORM, "platform"},
    {TN_ROLE_CUSTOM, "the app's own"},
};

static const char *
limit_name(tn_limit_class class)
{
    return class == TN_LIMIT_NONE ? "none" : tn_limits_name(class);
}

static const char *
role_names(tn_arena *arena, const tn_route *route)
{
    PQExpBuffer names = tn_arena_buffer(arena);

    for (size_t i = 0; i < TN_COUNT(roles); i++) {
        /* Agents need a scope: without one a route that is not open to all refuses them. */
        if ((route->roles & roles[i].bit) == 0 ||
            (roles[i].bit == TN_ROLE_AGENT && route->scope == NULL &&
             (route->roles & TN_ROLE_NONE) == 0))
            continue;
        appendPQExpBuffer(names, "%s%s", names->len > 0 ? ", " : "", roles[i].name);
    }
    return tn_buffer_text(names);
}

static void
add_route(tn_arena *arena, const tn_route *route, PQExpBuffer text, PQExpBuffer json)
{
    const char *scope = route->scope != NULL ? route->scope : "";

    appendPQExpBuffer(text, "| %s | `%s` | %s | %s | %s | %s |\n", route->method, route->path,
                      route->summary, role_names(arena, route), scope, limit_name(route->limit));
    appendPQExpBuffer(json,
                      "%s{\"method\":\"%s\",\"path\":\"%s\",\"summary\":", json->len > 0 ? "," : "",
                      route->method, route->path);
    tn_buffer_json_string(json, route->summary);
    appendPQExpBuffer(json, ",\"roles\":\"%s\",\"scope\":", role_names(arena, route));
    tn_buffer_json_string(json, route->scope);
    appendPQExpBuffer(json, ",\"limit\":\"%s\"}", limit_name(route->limit));
}

static tn_exit
run_routes(tn_command_line *line)
{
    PQExpBuffer text = tn_arena_buffer(line->arena), json = tn_arena_buffer(line->arena);

    appendPQExpBufferStr(
        text, "# Routes\n\nMade by `tenon routes`. *Roles* are who may call, *scope* is what an "
              "agent's key needs, *limit* is the setting in `[limits]`.\n\n"
              "| method | path | what it does | roles | scope | limit |\n"
              "|---|---|---|---|---|---|\n");
    for (size_t i = 0; tn_application_all.areas[i] != NULL; i++)
        for (const tn_route *route = tn_application_all.areas[i]->routes; route->method != NULL;
             route++)
            add_route(line->arena, route, text, json);
    tn_command_print(line, tn_arena_printf(line->arena, "[%s]", tn_buffer_text(json)), "%s",
                     tn_buffer_text(text));
    return TN_EXIT_OK;
}

const tn_command tn_routes_commands[] = {
    {"routes", .summary = "Everything that can be asked for over HTTP, as a table",
     .run = run_routes},
    {.name = NULL},
};
