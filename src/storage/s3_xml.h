/* storage/s3_xml.h: the XML of S3, in and out
 *
 * In: libxml2's reader, over a body that is whole in memory. No DTD, so no entities but the five of
 * XML and numbers; no network; at most TN_S3_XML_MAX bytes, TN_S3_XML_DEPTH levels and
 * TN_S3_XML_ELEMENTS elements. UTF-8 only. Namespaces, attributes and comments are ignored.
 *
 * Out: written into a buffer, every text escaped.
 *
 * Threads: any, once tn_s3_xml_start() has been called.
 */
#ifndef TN_STORAGE_S3_XML_H
#define TN_STORAGE_S3_XML_H

#include <stddef.h>

#include "base/error.h"

#define TN_S3_XML_MAX ((size_t)2 << 20)
#define TN_S3_XML_DEPTH 8
#define TN_S3_XML_ELEMENTS 120000
#define TN_S3_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

typedef struct tn_s3_element {
    const char *name; /* without its prefix */
    const char *text; /* directly inside, without blanks around it when there are elements too */
    const struct tn_s3_element *children, *next;
} tn_s3_element;

/* Before the threads start. */
void tn_s3_xml_start(void);

/* 400 `MalformedXML`. */
const tn_error *tn_s3_xml_read(tn_arena *arena, const char *text, size_t length,
                               const tn_s3_element **root) TN_MUST_CHECK;

/* The first child of that name, and the next one behind it; NULL when there is none. */
const tn_s3_element *tn_s3_xml_child(const tn_s3_element *element, const char *name);
const tn_s3_element *tn_s3_xml_next(const tn_s3_element *element, const char *name);
/* The text of that child, or NULL. */
const char *tn_s3_xml_text(const tn_s3_element *element, const char *name);

const tn_error *tn_s3_xml_malformed(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

/* --- out -------------------------------------------------------------------------------------- */

/* The declaration and the root's tag, with S3's namespace. */
PQExpBuffer tn_s3_xml_begin(tn_arena *arena, const char *root) TN_NEVER_NULL TN_MUST_CHECK;
void tn_s3_xml_open(PQExpBuffer xml, const char *name);
void tn_s3_xml_close(PQExpBuffer xml, const char *name);
/* <name>text</name>; nothing for NULL. */
void tn_s3_xml_add(PQExpBuffer xml, const char *name, const char *text);
void tn_s3_xml_escape(PQExpBuffer xml, const char *text);

#endif
