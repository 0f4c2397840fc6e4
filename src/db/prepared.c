/* db/prepared.c: the names of a connection's prepared statements
 *
 * Static names are an open-addressed set. Dynamic ones are a list in the order of their use, oldest
 * first, searched from its end: what is asked again and again is found at once, and even a search
 * through all of the usual 200 compares eight bytes of each, less than what hashing the text took.
 */
#include "db/prepared_private.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/error.h"

#define HASH_SIZE 20 /* bytes of SHA-256, in hexadecimal behind one character */

struct dynamic {
    uint64_t key; /* of the name: compared first */
    char *name;   /* owned */
};

struct tn_prepared {
    char **names; /* open-addressed; owned, as each name is */
    size_t count, size;
    struct dynamic *dynamic; /* oldest first; owned */
    size_t dynamic_count, dynamic_size;
};

tn_prepared *
tn_prepared_new(void)
{
    tn_prepared *set = calloc(1, sizeof *set);

    if (set == NULL)
        tn_die("no memory for names of statements");
    return set;
}

void
tn_prepared_free(tn_prepared *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->size; i++)
        free(set->names[i]);
    free(set->names);
    for (size_t i = 0; i < set->dynamic_count; i++)
        free(set->dynamic[i].name);
    free(set->dynamic);
    free(set);
}

/* `=` or `#` and the hash: names of static statements have a slash, so they are never the same. */
static void
print_hash(char kind, const void *bytes, size_t length, char name[TN_PREPARED_NAME_SIZE])
{
    uint8_t digest[TN_SHA256_SIZE];

    static_assert(1 + 2 * HASH_SIZE < TN_PREPARED_NAME_SIZE, "a name");
    tn_sha256(bytes, length, digest);
    name[0] = kind;
    tn_hex(digest, HASH_SIZE, name + 1);
}

/* Role, search path and text follow each other with a NUL between them, which none of them has. */
static void
name_dynamic(const char *sql, const char *role, const char *search_path,
             char name[TN_PREPARED_NAME_SIZE])
{
    const size_t role_size = strlen(role) + 1;
    const size_t path_size = search_path == NULL ? 0 : strlen(search_path) + 1;
    const size_t sql_length = strlen(sql);
    const size_t length = role_size + 1 + path_size + sql_length;
    char small[2048], *bytes = length <= sizeof small ? small : malloc(length);

    if (bytes == NULL)
        tn_die("no memory for the name of a statement");
    memcpy(bytes, role, role_size);
    bytes[role_size] = search_path == NULL ? 'd' : 'p';
    if (search_path != NULL)
        memcpy(bytes + role_size + 1, search_path, path_size);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): no string */
    memcpy(bytes + role_size + 1 + path_size, sql, sql_length);
    print_hash('=', bytes, length, name);
    if (bytes != small)
        free(bytes);
}

void
tn_prepared_name(const tn_statement *statement, const char *role, const char *search_path,
                 char name[TN_PREPARED_NAME_SIZE])
{
    char whole[256];
    int length;

    if (statement->is_dynamic) {
        name_dynamic(statement->sql, role, search_path, name);
        return;
    }
    length = snprintf(name, TN_PREPARED_NAME_SIZE, "%s/%s", role, statement->name);
    if (length < TN_PREPARED_NAME_SIZE)
        return;
    /* a long role of somebody's own: no role that exists has more than 63 bytes, whatever is asked
     * for */
    length = snprintf(whole, sizeof whole, "%.128s/%s", role, statement->name);
    assert(length > 0 && (size_t)length < sizeof whole);
    print_hash('#', whole, (size_t)length, name);
}

/* --- static ----------------------------------------------------------------------------------- */

/* The place of a name: where it is, or the free one where it belongs (FNV-1a, linear probing). */
static size_t
find_place(char *const *names, size_t size, const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    size_t place;

    for (const char *c = name; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    for (place = hash & (size - 1); names[place] != NULL; place = (place + 1) & (size - 1))
        if (strcmp(names[place], name) == 0)
            break;
    return place;
}

bool
tn_prepared_has(const tn_prepared *set, const char *name)
{
    return set->size > 0 && set->names[find_place(set->names, set->size, name)] != NULL;
}

static void
grow(tn_prepared *set)
{
    const size_t size = set->size == 0 ? 64 : set->size * 2;
    char **names = calloc(size, sizeof *names);

    if (names == NULL)
        tn_die("no memory for names of statements");
    for (size_t i = 0; i < set->size; i++)
        if (set->names[i] != NULL)
            names[find_place(names, size, set->names[i])] = set->names[i];
    free(set->names);
    set->names = names;
    set->size = size;
}

void
tn_prepared_add(tn_prepared *set, const char *name)
{
    size_t place;

    if (set->count * 2 >= set->size)
        grow(set);
    place = find_place(set->names, set->size, name);
    if (set->names[place] != NULL)
        return;
    set->names[place] = strdup(name);
    if (set->names[place] == NULL)
        tn_die("no memory for the name of a statement");
    set->count++;
}

/* --- dynamic ---------------------------------------------------------------------------------- */

static uint64_t
key_of(const char *name)
{
    uint64_t key;

    memcpy(&key, name + 1, sizeof key); /* behind the `=`; a name is longer than that */
    return key;
}

/* Its number, or the number of all. */
static size_t
find_dynamic(const tn_prepared *set, const char *name)
{
    const uint64_t key = key_of(name);

    for (size_t i = set->dynamic_count; i-- > 0;)
        if (set->dynamic[i].key == key && strcmp(set->dynamic[i].name, name) == 0)
            return i;
    return set->dynamic_count;
}

bool
tn_prepared_use_dynamic(tn_prepared *set, const char *name)
{
    const size_t at = find_dynamic(set, name);
    struct dynamic used;

    if (at == set->dynamic_count)
        return false;
    if (at + 1 == set->dynamic_count)
        return true;
    used = set->dynamic[at];
    memmove(&set->dynamic[at], &set->dynamic[at + 1],
            (set->dynamic_count - at - 1) * sizeof(struct dynamic));
    set->dynamic[set->dynamic_count - 1] = used;
    return true;
}

void
tn_prepared_add_dynamic(tn_prepared *set, const char *name)
{
    struct dynamic *added;

    if (set->dynamic_count == set->dynamic_size) {
        const size_t size = set->dynamic_size == 0 ? 16 : set->dynamic_size * 2;

        set->dynamic = reallocarray(set->dynamic, size, sizeof *set->dynamic);
        if (set->dynamic == NULL)
            tn_die("no memory for names of statements");
        set->dynamic_size = size;
    }
    added = &set->dynamic[set->dynamic_count++];
    added->key = key_of(name);
    added->name = strdup(name);
    if (added->name == NULL)
        tn_die("no memory for the name of a statement");
}

void
tn_prepared_remove_dynamic(tn_prepared *set, const char *name)
{
    const size_t at = find_dynamic(set, name);

    if (at == set->dynamic_count)
        return;
    free(set->dynamic[at].name);
    set->dynamic_count--;
    memmove(&set->dynamic[at], &set->dynamic[at + 1],
            (set->dynamic_count - at) * sizeof(struct dynamic));
}

size_t
tn_prepared_count_dynamic(const tn_prepared *set)
{
    return set->dynamic_count;
}

const char *
tn_prepared_oldest_dynamic(const tn_prepared *set, size_t skip)
{
    return skip < set->dynamic_count ? set->dynamic[skip].name : NULL;
}
