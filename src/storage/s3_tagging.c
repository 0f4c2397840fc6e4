/* storage/s3_tagging.c: tags of objects: in their metadata, under a name of their own */
#include "base/json.h"
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/s3_queries.h"

#define TAGS_MAX 10

const tn_error *
tn_s3_tagging_get(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "Tagging");
    json_object *metadata, *tags;
    tn_object object;

    TN_TRY(tn_object_find(c, "storage.s3.object.get_tagging", TN_READ_AS_CALLER,
                          tn_path_text(c, "bucket"), tn_path_text(c, "key"), &object));
    TN_TRY(tn_json_parse(c->arena, object.metadata, strlen(object.metadata), TN_JSON_DEPTH,
                         &metadata));
    tags = metadata != NULL ? tn_json_get(metadata, "tags") : NULL;
    tn_s3_xml_open(xml, "TagSet");
    if (json_object_is_type(tags, json_type_object)) {
        json_object_object_foreach(tags, name, value)
        {
            tn_s3_xml_open(xml, "Tag");
            tn_s3_xml_add(xml, "Key", name);
            tn_s3_xml_add(xml, "Value", json_object_get_string(value));
            tn_s3_xml_close(xml, "Tag");
        }
    }
    tn_s3_xml_close(xml, "TagSet");
    return tn_s3_respond(c, xml, "Tagging");
}

/* With the right to read as well, so that who may not see it is told the same as of what is not
 * there. */
static const tn_error *
set_tags(tn_ctx *c, const char *operation, const char *json)
{
    const char *bucket = tn_path_text(c, "bucket"), *key = tn_path_text(c, "key");
    const tn_rows *rows;
    tn_object object;

    TN_TRY(tn_object_find(c, operation, TN_READ_BY_POLICY, bucket, key, &object));
    TN_TRY(tn_storage_rows(c, operation, TN_READ_WRITE, &tn_sql_s3_tags_set,
                           TN_PARAMS(bucket, key, json), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 403, "AccessDenied", NULL, "Access Denied");
    return NULL;
}

const tn_error *
tn_s3_tagging_put(tn_ctx *c)
{
    const tn_s3_element *root, *set;
    tn_pair tags[TAGS_MAX + 1];
    size_t count = 0;

    TN_TRY(tn_s3_body_xml(c, &root));
    set =
        root != NULL && strcmp(root->name, "Tagging") == 0 ? tn_s3_xml_child(root, "TagSet") : NULL;
    if (set == NULL)
        return tn_s3_xml_malformed(c->arena);
    for (const tn_s3_element *tag = tn_s3_xml_child(set, "Tag");
         tag != NULL && count < TN_COUNT(tags); tag = tn_s3_xml_next(tag, "Tag")) {
        const char *name = tn_s3_xml_text(tag, "Key"), *value = tn_s3_xml_text(tag, "Value");

        if (name == NULL || value == NULL)
            return tn_s3_xml_malformed(c->arena);
        tags[count++] = (tn_pair){.name = name, .value = value};
    }
    TN_TRY(tn_s3_tags_check(c->arena, tags, count));
    TN_TRY(set_tags(c, "storage.s3.object.put_tagging", tn_s3_tags_json(c->arena, tags, count)));
    return tn_s3_respond_empty(c, 200);
}

const tn_error *
tn_s3_tagging_delete(tn_ctx *c)
{
    TN_TRY(set_tags(c, "storage.s3.object.delete_tagging", NULL));
    return tn_s3_respond_empty(c, 204);
}
