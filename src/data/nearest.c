/* data/nearest.c: likeness of names by their grams and their edit distance */
#include "data/nearest.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

#define TEXT_MAX 256 /* bytes; beyond it nobody has mistyped a name */
#define GRAMS_MAX (TEXT_MAX + 2)
#define RANKED_MAX 50
#define SCORE_MIN 0.33

/* A name with its grams, the runs of `size` characters in it, equal ones side by side. */
struct grams {
    char text[GRAMS_MAX + 1]; /* -name-, letters, digits, commas and blanks only */
    size_t length, size, count;
};

struct candidate {
    const char *name;
    double score;
};

static bool
counts(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == ',' ||
           byte == ' ' || (unsigned char)byte >= 0x80;
}

static void
cut_grams(struct grams *grams, const char *lower, size_t size)
{
    size_t length = 0;

    grams->text[length++] = '-';
    for (; *lower != '\0'; lower++)
        if (counts(*lower)) {
            assert(length < GRAMS_MAX - 1);
            grams->text[length++] = *lower;
        }
    grams->text[length++] = '-';
    while (length < size)
        grams->text[length++] = '-';
    grams->text[length] = '\0';
    grams->length = length;
    grams->size = size;
    grams->count = length - size + 1;
}

/* How often the gram at `gram` is in the text. */
static size_t
count_gram(const struct grams *grams, const char *gram)
{
    size_t found = 0;

    for (size_t i = 0; i < grams->count; i++)
        found += memcmp(grams->text + i, gram, grams->size) == 0 ? 1 : 0;
    return found;
}

/* The product of the counts of each gram of a in a and in b: summed over occurrences in a, so that
 * a gram which a has n times adds its n times count in b, n times one. */
static double
multiply(const struct grams *a, const struct grams *b)
{
    size_t sum = 0;

    for (size_t i = 0; i < a->count; i++)
        sum += count_gram(b, a->text + i);
    return (double)sum;
}

/* The cosine, squared, of the angle between two names, each a vector of its counts of grams. */
static double
compare_grams(const char *a, const char *b, size_t size)
{
    struct grams of_a, of_b;
    double product;

    cut_grams(&of_a, a, size);
    cut_grams(&of_b, b, size);
    product = multiply(&of_a, &of_b);
    return product * product / (multiply(&of_a, &of_a) * multiply(&of_b, &of_b));
}

/* Levenshtein's distance as a likeness: 1 for equal texts, 0 for those that have nothing in common.
 */
static double
likeness(const char *a, const char *b)
{
    const size_t length_a = strlen(a), length_b = strlen(b);
    const size_t longer = length_a > length_b ? length_a : length_b;

    if (longer == 0)
        return 1;
    return 1 - (double)tn_text_distance(a, b, longer + 1) / (double)longer;
}

/* Puts the candidate among the best so far, best first. */
static void
rank(struct candidate *ranked, size_t *count, struct candidate candidate)
{
    size_t at = *count;

    while (at > 0 && ranked[at - 1].score < candidate.score)
        at--;
    if (at == RANKED_MAX)
        return;
    if (*count < RANKED_MAX)
        (*count)++;
    memmove(ranked + at + 1, ranked + at, (*count - at - 1) * sizeof(*ranked));
    ranked[at] = candidate;
}

static const char *
find_by_grams(tn_arena *arena, const char *lower, const char *const *names, size_t count,
              size_t size)
{
    struct candidate ranked[RANKED_MAX], best = {.name = NULL, .score = 0};
    size_t ranked_count = 0;

    for (size_t i = 0; i < count; i++) {
        const double score = strlen(names[i]) > TEXT_MAX
                                 ? 0
                                 : compare_grams(lower, tn_text_lower(arena, names[i]), size);

        if (score > 0)
            rank(ranked, &ranked_count, (struct candidate){.name = names[i], .score = score});
    }
    for (size_t i = 0; i < ranked_count; i++) {
        const double score = likeness(lower, tn_text_lower(arena, ranked[i].name));

        if (score >= SCORE_MIN && score > best.score)
            best = (struct candidate){.name = ranked[i].name, .score = score};
    }
    return best.name;
}

const char *
tn_nearest(tn_arena *arena, const char *text, const char *const *candidates, size_t count,
           bool is_other)
{
    const char *lower, *found = NULL;

    if (strlen(text) > TEXT_MAX)
        return NULL;
    lower = tn_text_lower(arena, text);
    for (size_t i = 0; i < count; i++)
        if (tn_text_same_case(candidates[i], text))
            return is_other ? NULL : candidates[i];
    for (size_t size = 3; size >= 2 && found == NULL; size--)
        found = find_by_grams(arena, lower, candidates, count, size);
    return found;
}
