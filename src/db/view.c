/* db/view.c: reads the text form of a view's query (PostgreSQL's nodeToString())
 *
 *     ({QUERY :commandType 1 … :rtable ({RANGETBLENTRY …}) …
 *       :targetList ({TARGETENTRY :expr {VAR …} :resno 1 :resname id … :resorigtbl 16402
 *                     :resorigcol 1 :resjunk false} …) …})
 *
 * A node is a name and pairs of a field and its value: a word, a list or a node. Words end at
 * blanks and brackets unless a backslash stands before them. So one pass over words suffices, as
 * long as values are skipped whole: the subqueries in them have target lists of their own, and the
 * name of a column may read like a field.
 */
#include "db/view_private.h"

#include <stdbool.h>
#include <string.h>

#define DIGITS_MAX 10

struct words {
    const char *at, *end;
};

struct word {
    const char *text;
    size_t length; /* 0: the end of the text */
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static bool
is_bracket(char c)
{
    return c == '(' || c == ')' || c == '{' || c == '}';
}

static struct word
next_word(struct words *words)
{
    struct word word;

    while (words->at < words->end && is_blank(*words->at))
        words->at++;
    word.text = words->at;
    if (words->at < words->end && is_bracket(*words->at)) {
        words->at++;
    } else {
        while (words->at < words->end && !is_blank(*words->at) && !is_bracket(*words->at))
            words->at += *words->at == '\\' && words->at + 1 < words->end ? 2 : 1;
    }
    word.length = (size_t)(words->at - word.text);
    return word;
}

static bool
is_word(struct word word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

static bool
is_opening(struct word word)
{
    return word.length == 1 && (*word.text == '(' || *word.text == '{');
}

static bool
is_closing(struct word word)
{
    return word.length == 0 || (word.length == 1 && (*word.text == ')' || *word.text == '}'));
}

/* Behind an opening bracket: goes on behind the one that closes it. */
static void
skip_group(struct words *words)
{
    for (size_t depth = 1; depth > 0;) {
        const struct word word = next_word(words);

        if (word.length == 0)
            return;
        if (is_opening(word))
            depth++;
        else if (is_closing(word))
            depth--;
    }
}

/* The next field of a node whose name has been read; false at the node's end. Its value is next. */
static bool
next_field(struct words *words, struct word *field)
{
    for (;;) {
        *field = next_word(words);
        if (is_closing(*field))
            return false;
        if (is_opening(*field))
            skip_group(words); /* a value of several words */
        else if (*field->text == ':')
            return true;
    }
}

static void
skip_value(struct words *words)
{
    if (is_opening(next_word(words)))
        skip_group(words);
}

static uint32_t
read_number(struct words *words)
{
    const struct word word = next_word(words);
    uint64_t number = 0;

    if (is_opening(word))
        skip_group(words);
    if (word.length > DIGITS_MAX)
        return 0;
    for (size_t i = 0; i < word.length; i++) {
        if (word.text[i] < '0' || word.text[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(word.text[i] - '0');
    }
    return number > UINT32_MAX ? 0 : (uint32_t)number;
}

/* One TARGETENTRY, behind its name; false when it is no column that comes from one of a relation.
 */
static bool
read_target(struct words *words, tn_origin *origin)
{
    uint32_t number = 0, table = 0, table_column = 0;
    bool is_junk = false;
    struct word field;

    while (next_field(words, &field)) {
        if (is_word(field, ":resno"))
            number = read_number(words);
        else if (is_word(field, ":resorigtbl"))
            table = read_number(words);
        else if (is_word(field, ":resorigcol"))
            table_column = read_number(words);
        else if (is_word(field, ":resjunk"))
            is_junk = is_word(next_word(words), "true");
        else
            skip_value(words);
    }
    /* system columns have negative numbers, which read_number() does not take */
    if (is_junk || number == 0 || number > INT16_MAX || table == 0 || table_column == 0 ||
        table_column > INT16_MAX)
        return false;
    *origin = (tn_origin){
        .column = (int16_t)number, .table = table, .table_column = (int16_t)table_column};
    return true;
}

static size_t
read_targets(struct words *words, tn_origin *origins, size_t max)
{
    size_t count = 0;

    if (!is_word(next_word(words), "("))
        return 0; /* <>: none */
    while (count < max && is_word(next_word(words), "{"))
        if (is_word(next_word(words), "TARGETENTRY"))
            count += read_target(words, &origins[count]);
        else
            skip_group(words);
    return count;
}

size_t
tn_view_origins(const char *tree, size_t length, tn_origin *origins, size_t max)
{
    struct words words = {tree, tree + length};
    struct word field;

    if (!is_word(next_word(&words), "(") || !is_word(next_word(&words), "{") ||
        !is_word(next_word(&words), "QUERY"))
        return 0;
    while (next_field(&words, &field)) {
        if (is_word(field, ":targetList"))
            return read_targets(&words, origins, max);
        skip_value(&words);
    }
    return 0;
}
