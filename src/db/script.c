/* db/script.c: where statements begin and end */
#include "db/script.h"

#include <ctype.h>
#include <string.h>

#include "base/attributes.h"
#include "base/text.h"

struct place {
    const char *at;
    size_t word_count;
    int parentheses, blocks; /* of `begin atomic … end`, and `case … end` in there */
};

static bool
is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static const char *
skip_comment(const char *at)
{
    int depth = 0;

    if (at[0] == '-') {
        while (*at != '\0' && *at != '\n')
            at++;
        return at;
    }
    do {
        if (at[0] == '/' && at[1] == '*') {
            depth++;
            at += 2;
        } else if (at[0] == '*' && at[1] == '/') {
            depth--;
            at += 2;
        } else if (*at != '\0') {
            at++;
        }
    } while (depth > 0 && *at != '\0');
    return at;
}

/* From the opening quote to behind the closing one; a doubled quote is two strings in a row. */
static const char *
skip_quoted(const char *at, bool has_escapes)
{
    const char quote = *at++;

    while (*at != '\0' && *at != quote)
        at += has_escapes && at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    return *at == '\0' ? at : at + 1;
}

/* $tag$ … $tag$; only the dollar when it is none. */
static const char *
skip_dollars(const char *at)
{
    const char *end = at + 1, *close;
    size_t length;

    while (is_word(*end) && *end != '$')
        end++;
    if (*end != '$' || isdigit((unsigned char)at[1]))
        return at + 1;
    length = (size_t)(end - at) + 1;
    for (close = at + length; *close != '\0'; close++)
        if (*close == '$' && strncmp(close, at, length) == 0)
            return close + length;
    return close;
}

/* Only functions and procedures have bodies in which a semicolon does not end the statement. */
static bool
has_body(const tn_script_statement *statement)
{
    const char *kind =
        statement->words[strcmp(statement->words[1], "or") == 0 ? 3 : 1]; /* or replace */

    return strcmp(statement->words[0], "create") == 0 &&
           (strcmp(kind, "function") == 0 || strcmp(kind, "procedure") == 0);
}

static void
take_word(struct place *place, tn_script_statement *statement)
{
    char word[sizeof statement->words[0]] = "";
    size_t length = 0;

    while (is_word(*place->at)) {
        if (length < sizeof word - 1)
            word[length++] = (char)tolower((unsigned char)*place->at);
        place->at++;
    }
    if (*place->at == '\'') /* the prefix of a string: E'…' has escapes */
        place->at = skip_quoted(place->at, strcmp(word, "e") == 0);
    if (place->word_count < TN_SCRIPT_WORDS)
        memcpy(statement->words[place->word_count], word, sizeof word);
    place->word_count++;
    if (place->parentheses > 0 || !has_body(statement))
        return;
    if (strcmp(word, "begin") == 0 || (strcmp(word, "case") == 0 && place->blocks > 0))
        place->blocks++;
    else if (strcmp(word, "end") == 0 && place->blocks > 0)
        place->blocks--;
}

/* One step; false behind the semicolon that ends the statement. */
static bool
step(struct place *place, tn_script_statement *statement)
{
    const char c = *place->at;

    if (c == '\'' || c == '"')
        place->at = skip_quoted(place->at, false);
    else if (c == '$')
        place->at = skip_dollars(place->at);
    else if (is_word(c))
        take_word(place, statement);
    else
        place->at++;
    if (c == '(')
        place->parentheses++;
    else if (c == ')' && place->parentheses > 0)
        place->parentheses--;
    return c != ';' || place->parentheses > 0 || place->blocks > 0;
}

static bool
is_comment(const char *at)
{
    return (at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*');
}

bool
tn_script_next(tn_script *script, tn_script_statement *statement)
{
    struct place place = {.at = script->text + script->offset};
    bool is_open = true;

    while (*place.at != '\0' &&
           (isspace((unsigned char)*place.at) || *place.at == ';' || is_comment(place.at)))
        place.at = is_comment(place.at) ? skip_comment(place.at) : place.at + 1;
    *statement = (tn_script_statement){.start = (size_t)(place.at - script->text)};
    if (*place.at == '\0')
        return false;
    while (is_open && *place.at != '\0') {
        if (is_comment(place.at))
            place.at = skip_comment(place.at);
        else
            is_open = step(&place, statement);
    }
    script->offset = (size_t)(place.at - script->text);
    return true;
}

bool
tn_script_ends_transaction(const tn_script_statement *statement)
{
    static const char *const words[] = {"begin", "start", "commit", "end", "abort"};
    const char(*w)[16] = statement->words;

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(w[0], words[i]) == 0)
            return true;
    if (strcmp(w[0], "rollback") == 0) /* [work | transaction] to [savepoint] NAME */
        return strcmp(w[1], "to") != 0 && strcmp(w[2], "to") != 0;
    return strcmp(w[0], "prepare") == 0 && strcmp(w[1], "transaction") == 0;
}

size_t
tn_script_line(const char *text, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset && text[i] != '\0'; i++)
        line += text[i] == '\n';
    return line;
}
