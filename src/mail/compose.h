/* mail/compose.h: from a message of the outbox to what it says
 *
 * The words are the tenant's own where it has some for this kind, in the best language that it has;
 * else those that are built in (etc/mail), in the person's language. Links are made of
 * server.public_url and nothing else.
 *
 * Threads: any.
 */
#ifndef TN_MAIL_COMPOSE_H
#define TN_MAIL_COMPOSE_H

#include "mail/mail.h"

/* What can be sent. */
typedef struct tn_mail_kind {
    const char *name;
    const char *type;   /* of its link, NULL: there is none, or it leads to a page of the app's */
    const char *action; /* `email_action_type` of the send_email hook */
} tn_mail_kind;

extern const tn_mail_kind tn_mail_kinds[]; /* ended by .name == NULL */

const tn_mail_kind *tn_mail_kind_find(const char *name); /* or NULL */

/* The words of a message before variables are filled in. */
typedef struct tn_mail_words {
    const char *kind, *language;
    const char *subject, *text, *html; /* text or html may be NULL, not both */
} tn_mail_words;

/* The built-in words in the first of `languages` (separated by commas) that there is, at least
 * English; NULL: there is no such kind. */
const tn_mail_words *tn_mail_words_find(const char *kind, const char *languages);
/* All of them, ended by .kind == NULL. */
const tn_mail_words *tn_mail_words_all(void) TN_NEVER_NULL;

/* What is wrong with these words: NULL for nothing. */
const char *tn_mail_words_check(tn_arena *arena, const tn_mail_words *words) TN_MUST_CHECK;

/* What is filled in. */
typedef struct tn_mail_order {
    const char *kind, *recipient;
    const char *email; /* the person's address, NULL or empty: the recipient */
    const tn_letter *letter;
    const char *metadata; /* of the person: a JSON object, or NULL */
} tn_mail_order;

typedef struct tn_mail {
    const char *subject, *text, *html; /* text or html may be NULL, not both */
    const char *language;
} tn_mail;

/* NULL, or what is wrong with the words. */
const char *tn_mail_compose(const tn_config *config, tn_arena *arena, const tn_mail_words *words,
                            const tn_mail_order *order, tn_mail *mail) TN_MUST_CHECK;

/* Whom mails come from. */
const char *tn_mail_from(const tn_config *config) TN_NEVER_NULL;

/* auth.site_url, or server.public_url. */
const char *tn_mail_site_url(const tn_config *config) TN_NEVER_NULL;

#endif
