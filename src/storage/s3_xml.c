/* storage/s3_xml.c: a small tree out of libxml2's reader, and text with its escapes */
#include "storage/s3_xml.h"

#include <libxml/parser.h>
#include <libxml/xmlreader.h>

#include "base/text.h"

struct building {
    tn_arena *arena;
    tn_s3_element *path[TN_S3_XML_DEPTH]; /* from the root to where we are */
    tn_s3_element *last[TN_S3_XML_DEPTH]; /* the last child of each so far */
    PQExpBuffer texts[TN_S3_XML_DEPTH];   /* of each, one buffer for each level */
    size_t depth, elements;
    tn_s3_element *root;
};

void
tn_s3_xml_start(void)
{
    xmlInitParser();
}

const tn_error *
tn_s3_xml_malformed(tn_arena *arena)
{
    return tn_error_new(arena, 400, "MalformedXML", NULL,
                        "The XML you provided was not well-formed or did not validate against our "
                        "published schema");
}

static void
free_reader(void *reader)
{
    xmlFreeTextReader(reader);
}

/* Without what is around it, where it is only there to look nice. */
static const char *
end_text(struct building *building, size_t level)
{
    PQExpBuffer buffer = building->texts[level];
    const char *text = tn_buffer_text(buffer);
    size_t length = buffer->len;

    if (building->path[level]->children != NULL) {
        const size_t blanks = strspn(text, " \t\r\n");

        text += blanks;
        length -= blanks;
        while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
            length--;
    }
    return tn_arena_bytes(building->arena, text, length);
}

static void
end_element(struct building *building)
{
    const size_t level = --building->depth;

    building->path[level]->text = end_text(building, level);
}

static bool
begin_element(struct building *building, xmlTextReaderPtr reader)
{
    const size_t level = building->depth;
    tn_s3_element *element;

    if (level == TN_S3_XML_DEPTH || ++building->elements > TN_S3_XML_ELEMENTS)
        return false;
    element = tn_arena_alloc(building->arena, 1, sizeof(*element));
    element->name =
        tn_arena_text(building->arena, (const char *)xmlTextReaderConstLocalName(reader));
    element->text = "";
    building->path[level] = element;
    building->last[level] = NULL;
    if (building->texts[level] == NULL)
        building->texts[level] = tn_arena_buffer(building->arena);
    resetPQExpBuffer(building->texts[level]);
    if (level == 0)
        building->root = element;
    else if (building->last[level - 1] == NULL)
        building->path[level - 1]->children = element;
    else
        building->last[level - 1]->next = element;
    if (level > 0)
        building->last[level - 1] = element;
    building->depth++;
    if (xmlTextReaderIsEmptyElement(reader) == 1)
        end_element(building);
    return true;
}

/* One node; false: not in this XML. */
static bool
take_node(struct building *building, xmlTextReaderPtr reader)
{
    const xmlChar *value;

    switch (xmlTextReaderNodeType(reader)) {
    case XML_READER_TYPE_ELEMENT:
        return begin_element(building, reader);
    case XML_READER_TYPE_END_ELEMENT:
        end_element(building);
        return true;
    case XML_READER_TYPE_TEXT:
    case XML_READER_TYPE_CDATA:
    case XML_READER_TYPE_WHITESPACE:
    case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        value = xmlTextReaderConstValue(reader);
        if (building->depth > 0 && value != NULL)
            appendPQExpBufferStr(building->texts[building->depth - 1], (const char *)value);
        return true;
    case XML_READER_TYPE_COMMENT:
    case XML_READER_TYPE_PROCESSING_INSTRUCTION:
    case XML_READER_TYPE_XML_DECLARATION:
        return true;
    default: /* a DTD, a reference to an entity */
        return false;
    }
}

const tn_error *
tn_s3_xml_read(tn_arena *arena, const char *text, size_t length, const tn_s3_element **root)
{
    struct building building = {.arena = arena};
    xmlTextReaderPtr reader;
    int outcome = 1;

    /* The whole of it is looked at, as UTF-8 whatever it says of itself, so a DTD cannot hide. */
    if (length == 0 || length > TN_S3_XML_MAX || memchr(text, '\0', length) != NULL ||
        !tn_text_is_utf8(text, length) || memmem(text, length, "<!DOCTYPE", 9) != NULL)
        return tn_s3_xml_malformed(arena);
    reader = xmlReaderForMemory(text, (int)length, NULL, "UTF-8",
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (reader == NULL)
        tn_die("out of memory");
    tn_arena_defer(arena, free_reader, reader);
    while (outcome == 1) {
        outcome = xmlTextReaderRead(reader);
        if (outcome == 1 && !take_node(&building, reader))
            outcome = -1;
    }
    if (outcome != 0 || building.root == NULL || building.depth != 0)
        return tn_s3_xml_malformed(arena);
    *root = building.root;
    return NULL;
}

const tn_s3_element *
tn_s3_xml_child(const tn_s3_element *element, const char *name)
{
    const tn_s3_element *child = element->children;

    while (child != NULL && strcmp(child->name, name) != 0)
        child = child->next;
    return child;
}

const tn_s3_element *
tn_s3_xml_next(const tn_s3_element *element, const char *name)
{
    do
        element = element->next;
    while (element != NULL && strcmp(element->name, name) != 0);
    return element;
}

const char *
tn_s3_xml_text(const tn_s3_element *element, const char *name)
{
    const tn_s3_element *child = tn_s3_xml_child(element, name);

    return child != NULL ? child->text : NULL;
}

/* --- out -------------------------------------------------------------------------------------- */

PQExpBuffer
tn_s3_xml_begin(tn_arena *arena, const char *root)
{
    PQExpBuffer xml = tn_arena_buffer(arena);

    appendPQExpBuffer(
        xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"" TN_S3_NAMESPACE "\">",
        root);
    return xml;
}

void
tn_s3_xml_open(PQExpBuffer xml, const char *name)
{
    appendPQExpBuffer(xml, "<%s>", name);
}

void
tn_s3_xml_close(PQExpBuffer xml, const char *name)
{
    appendPQExpBuffer(xml, "</%s>", name);
}

void
tn_s3_xml_escape(PQExpBuffer xml, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;

        if (byte == '&')
            appendPQExpBufferStr(xml, "&amp;");
        else if (byte == '<')
            appendPQExpBufferStr(xml, "&lt;");
        else if (byte == '>')
            appendPQExpBufferStr(xml, "&gt;");
        else if (byte == '"')
            appendPQExpBufferStr(xml, "&quot;");
        else if (byte == '\t' || byte == '\n' || byte == '\r')
            appendPQExpBuffer(xml, "&#%d;", byte);
        else if (byte < ' ' || byte == 0x7F) /* no character of XML 1.0 */
            appendPQExpBufferStr(xml, "\xEF\xBF\xBD");
        else
            appendPQExpBufferChar(xml, (char)byte);
    }
}

void
tn_s3_xml_add(PQExpBuffer xml, const char *name, const char *text)
{
    if (text == NULL)
        return;
    tn_s3_xml_open(xml, name);
    tn_s3_xml_escape(xml, text);
    tn_s3_xml_close(xml, name);
}
