/* base/config.c: from a file and the environment to a snapshot
 *
 * Every value, the defaults included, goes through set_value(), so a bad default would be found by
 * the first start. Problems are texts for the operator, `file:line: what`; they never show a value
 * of a secret.
 */
#include "base/config.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hook_address.h"
#include "base/ini_private.h"
#include "base/settings_private.h"
#include "base/text.h"

#define FILE_MAX ((size_t)1024 * 1024)
#define SECRET_FILE_MAX 65536
#define PROVIDERS_MAX 64 /* of each kind */
#define PROVIDER_NAME_MAX 63
#define ENVIRONMENT_PREFIX "TENON_"

/* Sections that come several times, each under a name of its own. */
static const struct kind {
    const char *section, *prefix; /* of variables */
    const char *example;
    const char *adder; /* the variable that adds one which is not in the file */
    size_t size;
} kinds[] = {
    {TN_PROVIDER_SECTION, "TENON_PROVIDER_", "openai", "kind", sizeof(tn_provider_config)},
    {TN_OAUTH_SECTION, "TENON_OAUTH_", "github", "client_id", sizeof(tn_oauth_config)},
};
enum { PROVIDER, OAUTH, KINDS = TN_COUNT(kinds) };

/* What they all begin with. */
struct named {
    const char *name;
};
static_assert(offsetof(tn_provider_config, name) == 0 && offsetof(tn_oauth_config, name) == 0,
              "sections are found by their names");

struct loader {
    tn_arena *arena;
    tn_config *config;
    char *items[KINDS];          /* PROVIDERS_MAX of each kind, … */
    size_t *counts[KINDS];       /* … and so many are there */
    const struct kind *kind;     /* of the section being read, or NULL */
    struct named *item;          /* the same */
    int set_on[TN_SETTINGS_MAX]; /* the line on which a setting was set, 0: not yet */
};

static const char *
read_file(tn_arena *arena, const char *path, size_t max, char **text, size_t *length)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    ssize_t got = 0;

    if (fd < 0 || fstat(fd, &status) != 0) {
        const char *problem = tn_arena_printf(arena, "cannot read %s: %m", path);

        if (fd >= 0)
            (void)close(fd);
        return problem;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > (off_t)max) {
        (void)close(fd);
        return tn_arena_printf(arena, "%s is not a file of at most %zu bytes", path, max);
    }
    *text = tn_arena_alloc(arena, max + 1, 1);
    *length = 0;
    while (*length < max && (got = read(fd, *text + *length, max - *length)) > 0)
        *length += (size_t)got;
    (void)close(fd);
    return got < 0 ? tn_arena_printf(arena, "cannot read %s: %m", path) : NULL;
}

/* `@/path`: the content of the file without the newline at its end. */
static const char *
read_secret(tn_arena *arena, const char **value)
{
    const char *problem;
    size_t length;
    char *text;

    if (!tn_text_starts(*value, "@/"))
        return NULL;
    problem = read_file(arena, *value + 1, SECRET_FILE_MAX, &text, &length);
    if (problem != NULL)
        return problem;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    text[length] = '\0';
    if (strlen(text) != length || !tn_text_is_utf8(text, length))
        return tn_arena_printf(arena, "%s is not text", *value + 1);
    *value = text;
    return NULL;
}

static const char *
set_text(tn_arena *arena, const tn_setting *setting, const char *value, const char **to)
{
    const int64_t length = (int64_t)strlen(value);

    if (length > 0 && setting->min == setting->max && length != setting->min)
        return tn_arena_printf(arena, "expected %lld characters, not %lld", (long long)setting->min,
                               (long long)length);
    if (length > 0 ? length < setting->min : setting->min == 1)
        return tn_arena_printf(arena, "expected at least %lld bytes", (long long)setting->min);
    if (length > setting->max)
        return tn_arena_printf(arena, "expected at most %lld bytes", (long long)setting->max);
    *to = tn_arena_text(arena, value);
    return NULL;
}

static const char *
set_url(tn_arena *arena, const tn_setting *setting, const char *value, const char **to)
{
    char *url = tn_arena_text(arena, value);
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        url[--length] = '\0';
    if (length > 0 && ((!tn_text_starts(url, "http://") && !tn_text_starts(url, "https://")) ||
                       strpbrk(url, " \t?#") != NULL))
        return "expected a URL that begins with http:// or https://, without ? and #";
    return set_text(arena, setting, url, to);
}

static const char *
set_int(tn_arena *arena, const tn_setting *setting, const char *value, int64_t *to)
{
    if (!tn_text_int(value, setting->min, setting->max, to))
        return tn_arena_printf(arena, "expected a whole number from %lld to %lld",
                               (long long)setting->min, (long long)setting->max);
    return NULL;
}

static const char *
set_bool(const char *value, bool *to)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};

    for (size_t i = 0; i < TN_COUNT(words); i++) {
        if (tn_text_same_case(value, words[i])) {
            *to = i % 2 == 1;
            return NULL;
        }
    }
    return "expected on or off";
}

static_assert(sizeof(tn_log_level) == sizeof(unsigned int) &&
                  sizeof(tn_provider_kind) == sizeof(unsigned int) &&
                  sizeof(tn_mail_tls) == sizeof(unsigned int),
              "choices are stored through a pointer to unsigned int");

static const char *
set_choice(tn_arena *arena, const tn_setting *setting, const char *value, unsigned int *to)
{
    PQExpBuffer problem = tn_arena_buffer(arena);

    appendPQExpBufferStr(problem, "expected one of");
    for (unsigned int i = 0; setting->choices[i] != NULL; i++) {
        if (strcmp(value, setting->choices[i]) == 0) {
            *to = i;
            return NULL;
        }
        appendPQExpBuffer(problem, "%s %s", i == 0 ? "" : ",", setting->choices[i]);
    }
    return tn_buffer_text(problem);
}

/* The next of the items that commas separate, without blanks around it; NULL at the end. */
static char *
next_item(tn_arena *arena, const char **list)
{
    const char *start = *list + strspn(*list, " \t,");
    const size_t length = strcspn(start, ",");
    char *item;

    if (length == 0)
        return NULL;
    item = tn_arena_bytes(arena, start, length);
    for (size_t end = length; end > 0 && (item[end - 1] == ' ' || item[end - 1] == '\t'); end--)
        item[end - 1] = '\0';
    *list = start + length;
    return item;
}

/* `name`, `name:context` or `name:context:output`. Names may hold colons (llama3:8b): only numbers
 * at the end count as tokens. */
static bool
read_model(char *item, tn_model_config *model)
{
    int64_t tokens[2] = {0};
    int count = 0;

    for (; count < 2; count++) {
        char *colon = strrchr(item, ':');

        if (colon == NULL || !tn_text_int(colon + 1, 1, 100000000, &tokens[count]))
            break;
        *colon = '\0';
    }
    model->name = item;
    model->context_tokens = count == 2 ? tokens[1] : tokens[0];
    model->output_tokens = count == 2 ? tokens[0] : 0;
    return item[0] != '\0' && (count < 2 || model->output_tokens <= model->context_tokens);
}

static const char *
set_models(tn_arena *arena, const char *value, tn_provider_config *provider)
{
    const size_t most = strlen(value) / 2 + 1;
    tn_model_config *models = tn_arena_alloc(arena, most, sizeof(*models));
    size_t count = 0;
    char *item;

    while ((item = next_item(arena, &value)) != NULL)
        if (!read_model(item, &models[count++]))
            return "expected models as name or name:context:output, separated by commas";
    provider->models = models;
    provider->model_count = count;
    return NULL;
}

/* `base` is the tn_config or the tn_provider_config that the setting belongs to. */
static const char *
set_value(tn_arena *arena, const tn_setting *setting, void *base, const char *value)
{
    void *to = (char *)base + setting->offset;
    const char *problem;

    switch (setting->type) {
    case TN_SETTING_SECRET:
        problem = read_secret(arena, &value);
        return problem != NULL ? problem : set_text(arena, setting, value, to);
    case TN_SETTING_TEXT:
        return set_text(arena, setting, value, to);
    case TN_SETTING_URL:
        return set_url(arena, setting, value, to);
    case TN_SETTING_INT:
        return set_int(arena, setting, value, to);
    case TN_SETTING_BOOL:
        return set_bool(value, to);
    case TN_SETTING_CHOICE:
        return set_choice(arena, setting, value, to);
    case TN_SETTING_MODELS:
        return set_models(arena, value, base);
    }
    return "a setting of no type";
}

/* A value that somebody wrote, and not a default. */
static const char *
take_value(struct loader *loader, const tn_setting *setting, void *base, const char *value)
{
    tn_config *config = loader->config;

    if (setting->type == TN_SETTING_SECRET && tn_text_starts(value, "@/") &&
        config->secret_file_count < TN_SECRET_FILES_MAX)
        config->secret_files[config->secret_file_count++] = tn_arena_text(loader->arena, value + 1);
    return set_value(loader->arena, setting, base, value);
}

/* The kind of section that a setting belongs to, or NULL. */
static const struct kind *
kind_of(const tn_setting *setting)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(setting->section, kinds[i].section) == 0)
            return &kinds[i];
    return NULL;
}

/* The defaults of the table: those of one kind, or with NULL those of no kind. */
static void
set_defaults(tn_arena *arena, const struct kind *kind, void *base)
{
    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
        const char *problem = NULL;

        if (kind_of(setting) == kind)
            problem = set_value(arena, setting, base, setting->fallback);
        if (problem != NULL)
            tn_die("the default of %s.%s: %s", setting->section, setting->key, problem);
    }
}

static bool
is_provider_name(const char *name)
{
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= PROVIDER_NAME_MAX && name[length] == '\0';
}

static struct named *
item_at(const struct loader *loader, const struct kind *kind, size_t place)
{
    return (void *)(loader->items[kind - kinds] + place * kind->size);
}

static struct named *
find_item(const struct loader *loader, const struct kind *kind, const char *name)
{
    for (size_t i = 0; i < *loader->counts[kind - kinds]; i++)
        if (strcmp(item_at(loader, kind, i)->name, name) == 0)
            return item_at(loader, kind, i);
    return NULL;
}

static const char *
add_item(struct loader *loader, const struct kind *kind, const char *name)
{
    size_t *count = loader->counts[kind - kinds];

    if (!is_provider_name(name))
        return tn_arena_printf(loader->arena,
                               "expected [%s NAME] with lower-case letters, digits, - and _",
                               kind->section);
    if (find_item(loader, kind, name) != NULL)
        return tn_arena_printf(loader->arena, "the provider %s is there already", name);
    if (*count == PROVIDERS_MAX)
        return "too many providers";
    for (size_t i = 0; tn_settings[i].key != NULL; i++)
        if (kind_of(&tn_settings[i]) == kind)
            loader->set_on[i] = 0;
    loader->kind = kind;
    loader->item = item_at(loader, kind, (*count)++);
    loader->item->name = tn_arena_text(loader->arena, name);
    set_defaults(loader->arena, kind, loader->item);
    return NULL;
}

static const char *
unknown(tn_arena *arena, const char *section, const char *word)
{
    const char *nearest = tn_setting_nearest(arena, section, word);
    const char *kind = section == NULL ? "section" : "setting";
    const char *dot = section == NULL ? "" : ".";

    if (section == NULL)
        section = "";
    if (nearest == NULL)
        return tn_arena_printf(arena, "there is no %s %s%s%s", kind, section, dot, word);
    return tn_arena_printf(arena, "there is no %s %s%s%s; the nearest is %s%s%s", kind, section,
                           dot, word, section, dot, nearest);
}

static const char *
enter_section(struct loader *loader, const char *section)
{
    loader->kind = NULL;
    loader->item = NULL;
    for (size_t i = 0; i < KINDS; i++) {
        const size_t length = strlen(kinds[i].section);

        if (!tn_text_starts(section, kinds[i].section))
            continue;
        if (section[length] == ' ')
            return add_item(loader, &kinds[i], section + length + strspn(section + length, " "));
        if (section[length] == '\0')
            return tn_arena_printf(loader->arena, "a provider has a name: [%s %s]", section,
                                   kinds[i].example);
    }
    return tn_setting_section_exists(section) ? NULL : unknown(loader->arena, NULL, section);
}

static const char *
take_line(void *context, const tn_ini_line *line)
{
    struct loader *loader = context;
    const char *section = loader->kind != NULL ? loader->kind->section : line->section;
    const tn_setting *setting;
    const char *problem;
    size_t place;

    if (line->key == NULL)
        return enter_section(loader, line->section);
    setting = tn_setting_find(section, line->key);
    if (setting == NULL)
        return unknown(loader->arena, section, line->key);
    place = (size_t)(setting - tn_settings);
    if (loader->set_on[place] != 0)
        return tn_arena_printf(loader->arena, "%s.%s is set on line %d already", line->section,
                               line->key, loader->set_on[place]);
    loader->set_on[place] = line->number;
    problem = take_value(loader, setting,
                         loader->item != NULL ? (void *)loader->item : loader->config, line->value);
    return problem == NULL
               ? NULL
               : tn_arena_printf(loader->arena, "%s.%s: %s", line->section, line->key, problem);
}

/* What an environment variable calls a name: capitals, and _ for anything else. */
static const char *
environment_form(tn_arena *arena, const char *name)
{
    char *form = tn_arena_text(arena, name);

    for (char *at = form; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
        else if (*at < '0' || *at > '9')
            *at = '_';
    }
    return form;
}

/* Splits NAME_KEY of a provider: the key is the one that it ends in, of several the longest. */
static const tn_setting *
split_provider_variable(tn_arena *arena, const struct kind *kind, const char *rest,
                        const char **name)
{
    const size_t length = strlen(rest);
    const tn_setting *found = NULL;

    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
        const size_t key_length = strlen(setting->key);

        if (kind_of(setting) != kind || length < key_length + 2 ||
            (found != NULL && key_length < strlen(found->key)) ||
            rest[length - key_length - 1] != '_' ||
            strcmp(rest + length - key_length, environment_form(arena, setting->key)) != 0)
            continue;
        *name = tn_arena_bytes(arena, rest, length - key_length - 1);
        found = setting;
    }
    return found;
}

static struct named *
find_item_by_variable(const struct loader *loader, const struct kind *kind, const char *name)
{
    for (size_t i = 0; i < *loader->counts[kind - kinds]; i++)
        if (strcmp(environment_form(loader->arena, item_at(loader, kind, i)->name), name) == 0)
            return item_at(loader, kind, i);
    return NULL;
}

/* `rest` is what follows TENON_PROVIDER_ or TENON_OAUTH_. */
static const char *
take_provider_variable(struct loader *loader, const struct kind *kind, const char *rest,
                       const char *value)
{
    const char *name, *problem = NULL;
    const tn_setting *setting = split_provider_variable(loader->arena, kind, rest, &name);

    if (setting == NULL)
        return tn_arena_printf(loader->arena,
                               "expected %s<NAME>_<KEY> with the key of a provider's setting",
                               kind->prefix);
    loader->item = find_item_by_variable(loader, kind, name);
    if (loader->item == NULL && strcmp(setting->key, kind->adder) == 0)
        problem = add_item(loader, kind, tn_text_lower(loader->arena, name));
    if (problem != NULL)
        return problem;
    if (loader->item == NULL)
        return tn_arena_printf(loader->arena, "there is no provider %s",
                               tn_text_lower(loader->arena, name));
    return take_value(loader, setting, loader->item, value);
}

/* A variable belongs to us when a section's name follows TENON_; TENON_URL does not. */
static const char *
take_section_variable(struct loader *loader, const char *rest, const char *value)
{
    const char *section = NULL;

    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
        const char *form = environment_form(loader->arena, setting->section);
        const size_t length = strlen(form);

        if (kind_of(setting) != NULL || !tn_text_starts(rest, form) || rest[length] != '_')
            continue;
        section = setting->section;
        if (strcmp(rest + length + 1, environment_form(loader->arena, setting->key)) == 0)
            return take_value(loader, setting, loader->config, value);
    }
    if (section == NULL)
        return NULL;
    return unknown(loader->arena, section,
                   tn_text_lower(loader->arena, rest + strlen(section) + 1));
}

/* The kind whose variables begin like this one, or NULL. */
static const struct kind *
kind_of_variable(const char *name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (tn_text_starts(name, kinds[i].prefix))
            return &kinds[i];
    return NULL;
}

static const char *
take_variable(struct loader *loader, const char *name, const char *value)
{
    const struct kind *kind = kind_of_variable(name);
    const char *problem;

    if (!tn_text_is_utf8(value, strlen(value)))
        problem = "the value is not text in UTF-8";
    else if (kind != NULL)
        problem = take_provider_variable(loader, kind, name + strlen(kind->prefix), value);
    else
        problem = take_section_variable(loader, name + strlen(ENVIRONMENT_PREFIX), value);
    return problem == NULL ? NULL : tn_arena_printf(loader->arena, "%s: %s", name, problem);
}

/* Whether it is the one that may add what another variable is for. */
static bool
is_adder(tn_arena *arena, const char *name)
{
    const struct kind *kind = kind_of_variable(name);
    const char *end = kind == NULL ? NULL : environment_form(arena, kind->adder);
    const size_t length = strlen(name), end_length = end == NULL ? 0 : strlen(end);

    return end != NULL && length > end_length && name[length - end_length - 1] == '_' &&
           strcmp(name + length - end_length, end) == 0;
}

static const char *
take_environment(struct loader *loader, const char *const *environment)
{
    for (int pass = 0; pass < 2; pass++) {
        for (const char *const *entry = environment; *entry != NULL; entry++) {
            const size_t length = strcspn(*entry, "=");
            const char *name, *problem;

            if (!tn_text_starts(*entry, ENVIRONMENT_PREFIX) || (*entry)[length] == '\0')
                continue;
            name = tn_arena_bytes(loader->arena, *entry, length);
            if (is_adder(loader->arena, name) != (pass == 0))
                continue;
            problem = take_variable(loader, name, *entry + length + 1);
            if (problem != NULL)
                return problem;
        }
    }
    return NULL;
}

static const char *
check_provider(tn_arena *arena, tn_provider_config *provider)
{
    if (provider->key[0] == '\0')
        provider->key = NULL;
    if (provider->base_url[0] == '\0')
        provider->base_url = provider->kind == TN_OPENAI      ? "https://api.openai.com/v1"
                             : provider->kind == TN_ANTHROPIC ? "https://api.anthropic.com"
                                                              : NULL;
    if (provider->kind == TN_ECHO)
        provider->base_url = NULL;
    if (provider->output_tokens > provider->context_tokens)
        return tn_arena_printf(arena,
                               "provider %s: output_tokens is more than context_tokens, of which "
                               "it is a part",
                               provider->name);
    return NULL;
}

static const char *
check_oauth(tn_arena *arena, const tn_oauth_config *oauth)
{
    static const char *const known[] = {"github", "google", "apple", "azure", "discord"};
    const char *const urls[] = {oauth->issuer, oauth->authorize_url, oauth->token_url,
                                oauth->userinfo_url, oauth->jwks_url};
    bool is_known = oauth->issuer[0] != '\0';

    for (size_t i = 0; i < TN_COUNT(known); i++)
        is_known = is_known || strcmp(known[i], oauth->name) == 0;
    if (!is_known)
        return tn_arena_printf(arena, "oauth %s: issuer is missing", oauth->name);
    if (oauth->client_id[0] == '\0')
        return tn_arena_printf(arena, "oauth %s: client_id is missing", oauth->name);
    for (size_t i = 0; i < TN_COUNT(urls); i++)
        if (tn_text_starts(urls[i], "http://") && !oauth->allow_private)
            return tn_arena_printf(arena, "oauth %s: %s: without allow_private, only https://",
                                   oauth->name, urls[i]);
    return NULL;
}

static const char *
check_fallback(struct loader *loader)
{
    const char *list = loader->config->chat.fallback;
    const char *name;

    while ((name = next_item(loader->arena, &list)) != NULL)
        if (find_item(loader, &kinds[PROVIDER], name) == NULL)
            return tn_arena_printf(loader->arena, "chat.fallback: there is no provider %s", name);
    return NULL;
}

/* These hold what no client may see as tables: an entry in a list would make them public. */
static const char *
check_schemas(struct loader *loader)
{
    static const char *const closed[] = {"auth",       "storage",    "tenon",
                                         "pg_catalog", "extensions", "information_schema"};
    const char *list = loader->config->data.schemas;
    const char *name;

    while ((name = next_item(loader->arena, &list)) != NULL)
        for (size_t i = 0; i < TN_COUNT(closed); i++)
            if (strcmp(name, closed[i]) == 0)
                return tn_arena_printf(loader->arena, "data.schemas: %s is never exposed", name);
    return NULL;
}

/* What stands in a header of every mail and in a command to the mail server. */
static const char *
check_sender(const tn_config *config)
{
    const char *from = config->mail.from, *at = strrchr(from, '@');

    if (from[0] != '\0' && (at == NULL || at == from || at[1] == '\0'))
        return "mail.from: expected an address, name@domain";
    for (const char *c = from; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("<>()[],;:\\\"", *c) != NULL)
            return "mail.from: expected an address in ASCII, without blanks, quotes and brackets";
    for (const char *c = config->mail.from_name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return "mail.from_name: expected text on one line";
    return NULL;
}

static const char *
check_mail(tn_arena *arena, tn_config *config)
{
    const char *url = config->mail.url, *problem = check_sender(config);
    const bool is_plain = tn_text_starts(url, "smtp://");

    if (problem != NULL)
        return problem;
    if (url[0] != '\0' && ((!is_plain && !tn_text_starts(url, "smtps://")) ||
                           strpbrk(url, " \t?#@") != NULL || url[strlen(url) - 1] == '/'))
        return "mail.url: expected smtp://host:port or smtps://host:port, without name and "
               "password";
    if (url[0] != '\0' && config->mail.from[0] == '\0')
        return "mail.from: expected an address, because mail.url is set";
    if (is_plain && config->mail.user[0] != '\0' && config->mail.tls == TN_MAIL_TLS_OPPORTUNISTIC)
        return "mail.tls: a password is sent over TLS only: expected required, or smtps:// in "
               "mail.url";
    if (config->mail.maildir[0] == '\0')
        config->mail.maildir = tn_arena_printf(arena, "%s/mail", config->server.run_dir);
    if (config->mail.maildir[0] != '/')
        return "mail.maildir: expected a path that begins with /";
    return NULL;
}

/* What one setting alone cannot show. */
static const char *
check_whole(struct loader *loader)
{
    tn_config *config = loader->config;
    const char *problem;

    if (strspn(config->server.secret, "0123456789abcdefABCDEF") != strlen(config->server.secret))
        return "server.secret: expected 64 hexadecimal digits";
    if (config->server.run_dir[0] != '/')
        return "server.run_dir: expected a path that begins with /";
    if (config->log.file[0] != '\0' && config->log.file[0] != '/')
        return "log.file: expected a path that begins with /";
    if (config->auth.argon2_memory_kib < 8 * config->auth.argon2_lanes)
        return "auth.argon2_memory_kib: expected at least 8 KiB for each lane";
    if (config->auth.captcha_provider != TN_CAPTCHA_NONE && *config->auth.captcha_secret == '\0')
        return "auth.captcha_secret: the captcha's provider asks for it";
    if (config->auth.leaked_passwords[0] != '\0' && config->auth.leaked_passwords[0] != '/')
        return "auth.leaked_passwords: expected a path that begins with /";
    if (config->auth.leaked_passwords[0] != '\0' &&
        access(config->auth.leaked_passwords, R_OK) != 0)
        return tn_arena_printf(loader->arena, "auth.leaked_passwords: cannot read %s: %m",
                               config->auth.leaked_passwords);
    if (config->auth.phone && config->hooks.send_sms[0] == '\0')
        return "auth.phone: expected hooks.send_sms to be set, because that is what sends text "
               "messages";
    problem = check_schemas(loader);
    if (problem == NULL)
        problem = tn_hooks_check(config, loader->arena);
    if (problem == NULL)
        problem = check_mail(loader->arena, config);
    if (problem != NULL)
        return problem;
    for (size_t i = 0; i < config->provider_count; i++) {
        problem = check_provider(loader->arena, (void *)item_at(loader, &kinds[PROVIDER], i));
        if (problem != NULL)
            return problem;
    }
    for (size_t i = 0; i < config->oauth_count; i++) {
        problem = check_oauth(loader->arena, &config->oauths[i]);
        if (problem != NULL)
            return problem;
    }
    if (config->chat.provider[0] == '\0')
        config->chat.provider = config->providers[0].name;
    if (find_item(loader, &kinds[PROVIDER], config->chat.provider) == NULL)
        return tn_arena_printf(loader->arena, "chat.provider: there is no provider %s",
                               config->chat.provider);
    return check_fallback(loader);
}

const char *
tn_config_read(tn_arena *arena, const tn_config_source *source, tn_config *config)
{
    struct loader loader = {
        .arena = arena,
        .config = config,
        .counts = {[PROVIDER] = &config->provider_count, [OAUTH] = &config->oauth_count},
    };
    const char *problem;
    int number = 0;

    *config = (tn_config){.path = source->path};
    for (size_t i = 0; i < KINDS; i++)
        loader.items[i] = tn_arena_alloc(arena, PROVIDERS_MAX, kinds[i].size);
    config->providers = (void *)loader.items[PROVIDER];
    config->oauths = (void *)loader.items[OAUTH];
    set_defaults(arena, NULL, config);
    problem = tn_ini_read(arena, source->text, source->length, take_line, &loader, &number);
    if (problem != NULL)
        return tn_arena_printf(arena, "%s:%d: %s", source->path, number, problem);
    problem = take_environment(&loader, source->environment);
    if (problem == NULL && config->provider_count == 0) {
        problem = add_item(&loader, &kinds[PROVIDER], "echo");
        ((tn_provider_config *)(void *)loader.item)->kind = TN_ECHO;
    }
    if (problem == NULL)
        problem = check_whole(&loader);
    if (problem != NULL && source->path != NULL && !tn_text_starts(problem, ENVIRONMENT_PREFIX))
        return tn_arena_printf(arena, "%s: %s", source->path, problem);
    return problem;
}

const char *
tn_config_load(tn_arena *arena, const char *path, tn_config *config)
{
    static const char *const no_environment[] = {NULL}; /* clearenv() leaves NULL */
    tn_config_source source = {
        .path = tn_arena_text(arena, path),
        .text = "",
        .environment = environ == NULL ? no_environment : (const char *const *)environ,
    };

    if (path != NULL) {
        char *text = NULL;
        const char *problem = read_file(arena, path, FILE_MAX, &text, &source.length);

        if (problem != NULL)
            return problem;
        source.text = text;
    }
    return tn_config_read(arena, &source, config);
}

const tn_oauth_config *
tn_config_oauth(const tn_config *config, const char *name)
{
    for (size_t i = 0; i < config->oauth_count; i++)
        if (strcmp(config->oauths[i].name, name) == 0)
            return &config->oauths[i];
    return NULL;
}

const tn_provider_config *
tn_config_provider(const tn_config *config, const char *name)
{
    for (size_t i = 0; i < config->provider_count; i++)
        if (strcmp(config->providers[i].name, name) == 0)
            return &config->providers[i];
    return NULL;
}
