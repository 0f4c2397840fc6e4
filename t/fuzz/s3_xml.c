/* t/fuzz/s3_xml.c: XML that is read is small, flat and ours, and what we write is read as it was */
#include <string.h>

#include "storage/s3_xml.h"
#include "t/fuzz/fuzz.h"

static size_t
check(tn_arena *arena, const tn_s3_element *element, size_t depth)
{
    size_t count = 0;

    assert(depth <= TN_S3_XML_DEPTH);
    for (; element != NULL; element = element->next) {
        assert(element->name != NULL && element->text != NULL);
        count += 1 + check(arena, element->children, depth + 1);
    }
    return count;
}

/* Characters that are none of XML's are replaced when they are written, so they do not come back.
 */
static bool
is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < ' ' && strchr("\t\n\r", *text) == NULL) || *text == 0x7F)
            return false;
    return true;
}

static void
write_again(tn_arena *arena, const char *text)
{
    PQExpBuffer xml = tn_s3_xml_begin(arena, "Root");
    const tn_s3_element *root;
    const tn_error *error;

    tn_s3_xml_add(xml, "Text", text);
    tn_s3_xml_close(xml, "Root");
    error = tn_s3_xml_read(arena, tn_buffer_text(xml), xml->len, &root);
    if (error == NULL && is_plain(text))
        assert(strcmp(tn_s3_xml_text(root, "Text"), text) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    const tn_s3_element *root;

    tn_s3_xml_start();
    if (tn_s3_xml_read(arena, text, length, &root) == NULL) {
        assert(check(arena, root, 1) <= TN_S3_XML_ELEMENTS);
        assert(strstr(text, "<!DOCTYPE") == NULL);
        write_again(arena, root->text);
    }
    write_again(arena, text);
    tn_arena_free(arena);
    return 0;
}
