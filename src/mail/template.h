/* mail/template.h: what a message says, with {{ .Variables }} in it
 *
 *     template = *( text / "{{" blanks "." name *( "." name ) blanks "}}" )
 *
 * The names are those of Supabase's templates; there is no logic. `.Data.x` is a member of the
 * person's metadata or of what the message itself brings, `.Data.x.y` a member of that. Everything
 * else must be a variable that is known: a template with another one is refused when it is saved.
 *
 * Threads: any. Errors: texts for whoever writes templates; rendering cannot fail.
 */
#ifndef TN_MAIL_TEMPLATE_H
#define TN_MAIL_TEMPLATE_H

#include "base/arena.h"
#include "base/json.h"

#define TN_TEMPLATE_MAX ((size_t)256 * 1024) /* bytes */

typedef enum tn_variable {
    TN_VAR_CONFIRMATION_URL,
    TN_VAR_TOKEN,
    TN_VAR_TOKEN_HASH,
    TN_VAR_SITE_URL,
    TN_VAR_REDIRECT_TO,
    TN_VAR_EMAIL,
    TN_VAR_NEW_EMAIL,
    TN_VAR_OLD_EMAIL,
    TN_VAR_PHONE,
    TN_VAR_OLD_PHONE,
    TN_VAR_PROVIDER,
    TN_VAR_FACTOR_TYPE,
    TN_VARIABLES,
    TN_VAR_DATA = TN_VARIABLES
} tn_variable;

/* Names as templates write them, ended by NULL: "ConfirmationURL" … */
extern const char *const tn_variable_names[];

typedef struct tn_template tn_template;

typedef struct tn_template_values {
    const char *texts[TN_VARIABLES]; /* NULL: empty */
    json_object *const *data;        /* objects in which .Data.x is looked up, the first that has it
                                        wins; ended by NULL */
} tn_template_values;

/* Reads a template; it refers to `text`, which must live as long. NULL, or what is wrong with it
 * and on which line. */
const char *tn_template_parse(tn_arena *arena, const char *text, size_t length,
                              tn_template **parsed) TN_MUST_CHECK;

/* With values in place of variables; `is_html`: & < > " and ' of values are escaped. */
const char *tn_template_render(tn_arena *arena, const tn_template *parsed,
                               const tn_template_values *values,
                               bool is_html) TN_NEVER_NULL TN_MUST_CHECK;

/* The template as text again, variables in one form: {{ .Name }}. */
const char *tn_template_print(tn_arena *arena,
                              const tn_template *parsed) TN_NEVER_NULL TN_MUST_CHECK;

#endif
