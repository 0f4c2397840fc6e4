/* base/settings_private.h: the table of settings, as config.c reads values by it
 *
 * One table says what a setting is called, where its value goes, its default, its bounds and what
 * it is for. Parsing, the environment, etc/tenon.conf and docs/reference/settings.md all come from
 * it.
 *
 * Threads: any; the table is constant.
 */
#ifndef TN_BASE_SETTINGS_PRIVATE_H
#define TN_BASE_SETTINGS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define TN_PROVIDER_SECTION "provider"
#define TN_OAUTH_SECTION "oauth"
#define TN_SETTINGS_MAX 256 /* of the table */

typedef enum tn_setting_type {
    TN_SETTING_TEXT,   /* const char *; min and max are bytes of a text that is not empty */
    TN_SETTING_SECRET, /* the same, may be @/path, and is never shown */
    TN_SETTING_URL,    /* http or https, without a final slash; or empty */
    TN_SETTING_INT,    /* int64_t between min and max */
    TN_SETTING_BOOL,   /* bool */
    TN_SETTING_CHOICE, /* an enum: the place of the word in `choices` */
    TN_SETTING_MODELS  /* models and model_count of a provider */
} tn_setting_type;

typedef struct tn_setting {
    const char *section, *key;
    tn_setting_type type;
    size_t offset;        /* in tn_config, tn_provider_config or tn_oauth_config */
    const char *fallback; /* the default, as one would write it */
    int64_t min, max;
    const char *const *choices; /* ended by NULL */
    const char *explanation;
} tn_setting;

/* Settings in the order of the file, those of providers last; ended by .key == NULL. */
extern const tn_setting tn_settings[];

/* The setting, or NULL. */
const tn_setting *tn_setting_find(const char *section, const char *key);

/* Whether there is such a section; "provider" and "oauth" are. */
bool tn_setting_section_exists(const char *section);

/* The key of `section` (or the section, with `section` NULL) that looks most like `word`; NULL when
 * none is near. */
const char *tn_setting_nearest(tn_arena *arena, const char *section, const char *word);

#endif
