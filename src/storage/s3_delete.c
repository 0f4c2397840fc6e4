/* storage/s3_delete.c: DeleteObject and DeleteObjects
 *
 * What is not there counts as deleted. What may be seen and not deleted is AccessDenied.
 */
#include "base/text.h"
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/s3_queries.h"

#define KEYS_MAX 1000

const tn_error *
tn_s3_delete_one(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket"), *key = tn_path_text(c, "key");
    const tn_error *error;
    tn_object *removed, object;
    size_t count = 0;

    if (tn_request_header(c->request, "if-match") != NULL) /* which would not be atomic */
        return tn_s3_not_implemented(c->arena, "If-Match of DeleteObject");
    TN_TRY(tn_objects_remove(c, "storage.s3.object.delete", bucket, &key, 1, &removed, &count));
    if (count > 0)
        return tn_s3_respond_empty(c, 204);
    error = tn_object_find(c, "storage.s3.object.delete", TN_READ_BY_POLICY, bucket, key, &object);
    if (error == NULL)
        return tn_error_new(c->arena, 403, "AccessDenied", NULL, "Access Denied");
    if (strcmp(error->code, "NoSuchKey") == 0 || strcmp(error->code, "InvalidKey") == 0)
        return tn_s3_respond_empty(c, 204);
    return error;
}

/* --- many ------------------------------------------------------------------------------------- */

struct deleting {
    const char *names[KEYS_MAX];
    size_t count;
    bool is_quiet;
    const tn_object *removed;
    size_t removed_count;
    const tn_rows *left;
};

static const tn_error *
read_names(tn_ctx *c, struct deleting *deleting)
{
    const tn_s3_element *root;
    const char *quiet;

    TN_TRY(tn_s3_body_xml(c, &root));
    if (root == NULL || strcmp(root->name, "Delete") != 0)
        return tn_s3_xml_malformed(c->arena);
    quiet = tn_s3_xml_text(root, "Quiet");
    deleting->is_quiet = quiet != NULL && tn_text_same_case(quiet, "true");
    for (const tn_s3_element *object = tn_s3_xml_child(root, "Object"); object != NULL;
         object = tn_s3_xml_next(object, "Object")) {
        const char *key = tn_s3_xml_text(object, "Key");

        if (key == NULL || *key == '\0' || deleting->count == KEYS_MAX)
            return tn_s3_xml_malformed(c->arena);
        deleting->names[deleting->count++] = key;
    }
    return deleting->count > 0 ? NULL : tn_s3_xml_malformed(c->arena);
}

/* Of what has not been removed, what the caller can see. */
static const tn_error *
find_left(tn_ctx *c, struct deleting *deleting)
{
    PQExpBuffer names = tn_arena_buffer(c->arena);

    tn_buffer_array(names, deleting->names, deleting->count);
    return tn_storage_rows(c, "storage.s3.object.delete", TN_READ_ONLY, &tn_sql_s3_visible,
                           TN_PARAMS(tn_path_text(c, "bucket"), tn_buffer_text(names)),
                           &deleting->left);
}

static bool
is_left(const struct deleting *deleting, const char *name)
{
    for (size_t i = 0; deleting->left != NULL && i < tn_rows_count(deleting->left); i++)
        if (strcmp(tn_rows_text(deleting->left, i, 0), name) == 0)
            return true;
    return false;
}

static const tn_error *
answer(tn_ctx *c, const struct deleting *deleting)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "DeleteResult");

    for (size_t i = 0; i < deleting->count; i++) {
        const bool has_failed = is_left(deleting, deleting->names[i]);
        const char *tag = has_failed ? "Error" : "Deleted";

        if (!has_failed && deleting->is_quiet)
            continue;
        tn_s3_xml_open(xml, tag);
        tn_s3_xml_add(xml, "Key", deleting->names[i]);
        if (has_failed) {
            tn_s3_xml_add(xml, "Code", "AccessDenied");
            tn_s3_xml_add(xml, "Message", "Access Denied");
        }
        tn_s3_xml_close(xml, tag);
    }
    return tn_s3_respond(c, xml, "DeleteResult");
}

/* POST /bucket?delete */
const tn_error *
tn_s3_delete_many(tn_ctx *c)
{
    struct deleting *deleting = tn_arena_alloc(c->arena, 1, sizeof(*deleting));
    const char *name = tn_path_text(c, "bucket");
    tn_object *removed;
    tn_bucket bucket;

    TN_TRY(read_names(c, deleting));
    TN_TRY(tn_bucket_find(c, name, &bucket));
    TN_TRY(tn_objects_remove(c, "storage.s3.object.delete_many", name, deleting->names,
                             deleting->count, &removed, &deleting->removed_count));
    if (deleting->removed_count < deleting->count)
        TN_TRY(find_left(c, deleting));
    return answer(c, deleting);
}
