/* t/unit/config.c: base/config.c, settings.c and ini.c: values, where they come from, what is
 * refused */
#include "base/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/settings_private.h"
#include "base/text.h"
#include "t/unit/unit.h"

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *
read_config(tn_arena *arena, const char *text, const char *const *environment, tn_config *config)
{
    static const char *const empty[] = {NULL};
    const tn_config_source source = {
        .path = "tenon.conf",
        .text = text,
        .length = strlen(text),
        .environment = environment == NULL ? empty : environment,
    };

    return tn_config_read(arena, &source, config);
}

static void
nothing_gives_the_defaults(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_config config;

    (void)state;
    assert_null(read_config(arena, "", NULL, &config));
    assert_string_equal(config.server.run_dir, "/run/tenon");
    assert_string_equal(config.server.secret, "");
    assert_int_equal(config.api.processes, 0);
    assert_int_equal(config.stream.threads, 1200);
    assert_int_equal(config.stream.stack_kib, 256);
    assert_int_equal(config.log.level, TN_LOG_INFO);
    assert_false(config.auth.autoconfirm);
    assert_true(config.auth.signup);
    assert_int_equal(config.auth.argon2_memory_kib, 19456);
    assert_string_equal(config.chat.provider, "echo");
    assert_int_equal(config.provider_count, 1);
    assert_int_equal(config.providers[0].kind, TN_ECHO);
    assert_null(config.providers[0].base_url);
    assert_null(config.providers[0].key);
    assert_ptr_equal(tn_config_provider(&config, "echo"), &config.providers[0]);
    assert_null(tn_config_provider(&config, "openai"));
    tn_arena_free(arena);
}

static void
a_file_is_read(void **state)
{
    static const char text[] = "# a comment\n"
                               "; another\r\n"
                               "[server]\r\n"
                               "  run_dir\t= /tmp/a b;c#d  \r\n"
                               "secret=" SECRET "\n"
                               "public_url = https://app.example/\n"
                               "\n"
                               "[log]\n"
                               "level = \"debug\"\n"
                               "[auth]\n"
                               "autoconfirm = YES\n"
                               "[provider local]\n"
                               "base_url = http://127.0.0.1:11434/v1/\n"
                               "models = llama3:8b:8192:1024, qwen:4096 ,plain\n"
                               "allow_private = on\n"
                               "[provider claude-2]\n"
                               "kind = anthropic\n"
                               "key = sk=1;2\n"
                               "[chat]\n"
                               "fallback = claude-2, local";
    tn_arena *arena = tn_arena_new();
    const tn_provider_config *provider;
    tn_config config;

    (void)state;
    assert_null(read_config(arena, text, NULL, &config));
    assert_string_equal(config.server.run_dir, "/tmp/a b;c#d");
    assert_string_equal(config.server.secret, SECRET);
    assert_string_equal(config.server.public_url, "https://app.example");
    assert_int_equal(config.log.level, TN_LOG_DEBUG);
    assert_true(config.auth.autoconfirm);
    assert_int_equal(config.provider_count, 2);
    assert_string_equal(config.chat.provider, "local");
    provider = tn_config_provider(&config, "local");
    assert_non_null(provider);
    assert_int_equal(provider->kind, TN_OPENAI);
    assert_string_equal(provider->base_url, "http://127.0.0.1:11434/v1");
    assert_true(provider->allow_private);
    assert_int_equal(provider->model_count, 3);
    assert_string_equal(provider->models[0].name, "llama3:8b");
    assert_int_equal(provider->models[0].context_tokens, 8192);
    assert_int_equal(provider->models[0].output_tokens, 1024);
    assert_string_equal(provider->models[1].name, "qwen");
    assert_int_equal(provider->models[1].context_tokens, 4096);
    assert_int_equal(provider->models[1].output_tokens, 0);
    assert_string_equal(provider->models[2].name, "plain");
    assert_int_equal(provider->models[2].context_tokens, 0);
    provider = tn_config_provider(&config, "claude-2");
    assert_non_null(provider);
    assert_string_equal(provider->base_url, "https://api.anthropic.com");
    assert_string_equal(provider->key, "sk=1;2");
    assert_int_equal(provider->retries, 2);
    tn_arena_free(arena);
}

static void
the_environment_overrides(void **state)
{
    static const char *const environment[] = {
        "PATH=/bin",
        "TENON_SERVER_BODY_MAX=2048",
        "TENON_DATA_SCHEMAS=api,public",
        "TENON_DATABASE_URL=postgresql:///x",
        "TENON_PROVIDER_MY_LLM_KEY=sk-1",
        "TENON_PROVIDER_NEW_ONE_BASE_URL=http://x.example",
        "TENON_PROVIDER_NEW_ONE_KIND=openai",
        "TENON_URL=http://x",
        "TENON_TENANT_ID=1",
        "TENON_ANON_KEY=1",
        "TENON_SERVICE_KEY=1",
        "TENON_PLATFORM_KEY=1",
        "TENON_JWT_SECRET=1",
        "TENON_DB_URL=postgresql:///owner",
        "TENON_CONF=/etc/tenon.conf",
        "TENON_BIN=/bin/tenon",
        "TENON_TEST_SUPERUSER_URL=x",
        "TENON_SRC=x",
        "TENON_OAUTH_GITHUB_SECRET=hush",
        "TENON_OAUTH_GITHUB_CLIENT_ID=ours",
        NULL,
    };
    tn_arena *arena = tn_arena_new();
    tn_config config;
    const char *problem =
        read_config(arena, "[server]\nbody_max=4096\n[provider my-llm]\n", environment, &config);

    (void)state;
    assert_null(problem);
    assert_int_equal(config.server.body_max, 2048);
    assert_string_equal(config.data.schemas, "api,public");
    assert_string_equal(config.database.url, "postgresql:///x");
    assert_int_equal(config.provider_count, 2);
    assert_string_equal(tn_config_provider(&config, "my-llm")->key, "sk-1");
    assert_string_equal(tn_config_provider(&config, "new_one")->base_url, "http://x.example");
    assert_int_equal(config.oauth_count, 1);
    assert_string_equal(tn_config_oauth(&config, "github")->client_id, "ours");
    assert_string_equal(tn_config_oauth(&config, "github")->secret, "hush");
    assert_null(tn_config_oauth(&config, "google"));
    tn_arena_free(arena);
}

static const struct {
    const char *text, *variable, *problem; /* the problem holds this */
} refusals[] = {
    {"[sever]", NULL, "tenon.conf:1: there is no section sever; the nearest is server"},
    {"\n[server]\nrun_dri = /x", NULL,
     "tenon.conf:3: there is no setting server.run_dri; the nearest is server.run_dir"},
    {"[server]\nxyzzyxyzzy = 1", NULL, "tenon.conf:2: there is no setting server.xyzzyxyzzy"},
    {"[provider x]\nbase = 1", NULL, "there is no setting provider.base"},
    {"[server]\nbody_max = 10", NULL, "server.body_max: expected a whole number from 1024 to"},
    {"[server]\nbody_max = 1 MB", NULL, "expected a whole number"},
    {"[server]\nbody_max = 2048\nbody_max = 4096", NULL, "is set on line 2 already"},
    {"[server]\nbody_max = 2048\n[log]\n[server]\nbody_max = 4096", NULL,
     "is set on line 2 already"},
    {"[server]\nsecret = 12", NULL, "server.secret: expected 64 characters, not 2"},
    {"[server]\nsecret = x123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL,
     "expected 64 hexadecimal digits"},
    {"[server]\nsecret = @/nonexistent/x", NULL, "cannot read /nonexistent/x"},
    {"[server]\nrun_dir = run", NULL, "expected a path that begins with /"},
    {"[server]\nrun_dir =", NULL, "expected at least 1 bytes"},
    {"[server]\npublic_url = app.example", NULL, "expected a URL"},
    {"[server]\npublic_url = javascript:x", NULL, "expected a URL"},
    {"[log]\nlevel = loud", NULL, "expected one of debug, info, warn, error"},
    {"[auth]\nsignup = maybe", NULL, "auth.signup: expected on or off"},
    {"[auth]\njwt_secret = short", NULL, "expected at least 32 bytes"},
    {"[auth]\nargon2_memory_kib = 1024\nargon2_lanes = 16\n[chat]\nprovider = x", NULL,
     "no provider x"},
    {"[data]\nschemas = public, auth", NULL, "data.schemas: auth is never exposed"},
    {"[data]\nschemas = storage", NULL, "data.schemas: storage is never exposed"},
    {"[data]\nschemas = tenon,public", NULL, "data.schemas: tenon is never exposed"},
    {"[data]\nschemas = pg_catalog", NULL, "data.schemas: pg_catalog is never exposed"},
    {"[data]\nschemas = a,information_schema", NULL, "information_schema is never exposed"},
    {"[data]\nschemas = extensions", NULL, "data.schemas: extensions is never exposed"},
    {"[chat]\nfallback = echo,y", NULL, "chat.fallback: there is no provider y"},
    {"[provider a]\n[provider a]", NULL, "tenon.conf:2: the provider a is there already"},
    {"[oauth a]\nclient_id = x\nissuer = https://a.example\n[oauth a]", NULL,
     "tenon.conf:4: the provider a is there already"},
    {"[oauth]", NULL, "a provider has a name: [oauth github]"},
    {"[oauth a]\nclient_id = x", NULL, "oauth a: issuer is missing"},
    {"[oauth github]", NULL, "oauth github: client_id is missing"},
    {"[oauth a]\nclient_id = x\nissuer = http://a.example", NULL,
     "oauth a: http://a.example: without allow_private, only https://"},
    {"[oauth github]\nclient_id = x\nkind = oidc", NULL, "there is no setting oauth.kind"},
    {"", "TENON_OAUTH_GITHUB_SECRET=x", "there is no provider github"},
    {"[provider A]", NULL, "expected [provider NAME]"},
    {"[provider]", NULL, "a provider has a name"},
    {"[provider a]\nkey = 1\nkey = 2", NULL, "is set on line 2 already"},
    {"[provider a]\nmodels = :5", NULL, "expected models as"},
    {"[provider a]\nmodels = m:10:20", NULL, "expected models as"},
    {"[provider a]\ncontext_tokens = 300", NULL, "output_tokens is more than context_tokens"},
    {"[provider a]\nkind = gemini", NULL, "expected one of openai, anthropic, echo"},
    {"run_dir = /x", NULL, "a setting stands in a [section]"},
    {"[server", NULL, "a section is written [name]"},
    {"[server]\nrun_dir", NULL, "a setting is written key = value"},
    {"[server]\nuser = \xff", NULL, "tenon.conf:2: the line is not text in UTF-8"},
    {"", "TENON_SERVER_RUN_DRI=x", "TENON_SERVER_RUN_DRI: there is no setting server.run_dri"},
    {"", "TENON_DATA_=x", "TENON_DATA_: there is no setting"},
    {"", "TENON_SERVER_BODY_MAX=x", "TENON_SERVER_BODY_MAX: expected a whole number"},
    {"", "TENON_PROVIDER_X_KEY=k", "there is no provider x"},
    {"", "TENON_PROVIDER_KEY=k", "expected TENON_PROVIDER_<NAME>_<KEY>"},
    {"", "TENON_PROVIDER_X_KIND=y", "expected one of"},
    {"", "TENON_SERVER_USER=\xff", "not text in UTF-8"},
};

static void
what_is_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(refusals); i++) {
        const char *const environment[] = {refusals[i].variable, NULL};
        tn_arena *arena = tn_arena_new();
        tn_config config;
        const char *problem = read_config(arena, refusals[i].text, environment, &config);

        TN_CASE("%s%s: %s", refusals[i].text, refusals[i].variable, problem);
        TN_CHECK(problem != NULL && strstr(problem, refusals[i].problem) != NULL);
        tn_arena_free(arena);
    }
}

static void
secrets_come_from_files_and_are_not_shown(void **state)
{
    char path[] = "/tmp/tenon-secret-XXXXXX";
    const int fd = mkstemp(path);
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_printf(arena, "[server]\nsecret = @%s\n", path);
    const char *problem;
    tn_config config;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, SECRET "\n", 65), 65);
    assert_null(read_config(arena, text, NULL, &config));
    assert_string_equal(config.server.secret, SECRET);
    assert_int_equal(write(fd, "topsecret", 9), 9);
    problem = read_config(arena, text, NULL, &config);
    assert_non_null(problem);
    assert_null(strstr(problem, "topsecret"));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "a\0b", 3, 0), 3);
    assert_non_null(read_config(arena, text, NULL, &config));
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    tn_arena_free(arena);
}

static void
files_are_loaded(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_config config;

    (void)state;
    assert_int_equal(clearenv(), 0);
    assert_null(tn_config_load(arena, NULL, &config));
    assert_null(config.path);
    assert_null(tn_config_load(arena, TN_SOURCE_DIR "/etc/tenon.conf", &config));
    assert_string_equal(config.path, TN_SOURCE_DIR "/etc/tenon.conf");
    assert_non_null(strstr(tn_config_load(arena, "/nonexistent", &config), "/nonexistent"));
    assert_non_null(tn_config_load(arena, "/tmp", &config));
    assert_int_equal(setenv("TENON_AUTH_SIGNUP", "off", 1), 0);
    assert_null(tn_config_load(arena, NULL, &config));
    assert_false(config.auth.signup);
    tn_arena_free(arena);
}

/* The document with its comment signs taken away is a configuration that says the same. */
static void
the_document_holds_every_default(void **state)
{
    /* the one setting that has no default and must be set */
    static const char *const environment[] = {"TENON_OAUTH_GITHUB_CLIENT_ID=ours", NULL};
    tn_arena *arena = tn_arena_new();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    tn_config config;

    (void)state;
    assert_non_null(out);
    tn_config_document(out);
    assert_int_equal(fclose(out), 0);
    assert_null(read_config(arena, text, NULL, &config));
    for (char *at = text; (at = strchr(at, '#')) != NULL; at++)
        if (at[1] != ' ')
            *at = ' ';
    assert_null(read_config(arena, text, environment, &config));
    assert_int_equal(config.provider_count, 1);
    assert_string_equal(config.providers[0].name, "openai");
    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
        TN_CASE("%s.%s", setting->section, setting->key);
        TN_CHECK(strstr(text, tn_arena_printf(arena, "\n %s =", setting->key)) != NULL);
        TN_CHECK(tn_setting_find(setting->section, setting->key) == setting);
        TN_CHECK(tn_setting_section_exists(setting->section));
    }
    free(text);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gives_the_defaults),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(the_environment_overrides),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(secrets_come_from_files_and_are_not_shown),
        cmocka_unit_test(files_are_loaded),
        cmocka_unit_test(the_document_holds_every_default),
    };

    return tn_unit_run("config", tests, TN_COUNT(tests));
}
