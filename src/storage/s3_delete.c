/* storage/s3_delete.c: DeleteObject and DeleteObjects
 *
 * What is not there counts as deleted. What may be seen and not deleted is AccessDenied; that is
 * found out behind the deletion, and others may have put it there in between, so it is tried again.
 * With a condition, what is not as the client believes is PreconditionFailed, also what is not
 * there.
 */
#include "base/text.h"
#include "objects/condition.h"
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/s3_queries.h"

#define KEYS_MAX 1000
#define TRIES 5

static const tn_error *
denied(tn_arena *arena)
{
    return tn_error_new(arena, 403, "AccessDenied", NULL, "Access Denied");
}

static const tn_error *
precondition_failed(tn_arena *arena)
{
    return tn_error_new(arena, 412, "PreconditionFailed", NULL,
                        "At least one of the pre-conditions you specified did not hold");
}

/* --- conditions ------------------------------------------------------------------------------- */

static bool
is_conditional(const tn_removal *removal)
{
    return removal->etag != NULL || removal->size >= 0 || removal->modified_s >= 0;
}

/* Each may be NULL. An ETag may come without its quotes. */
static const tn_error *
read_conditions(tn_ctx *c, const char *etag, const char *size, const char *modified,
                tn_removal *removal)
{
    removal->etag = etag;
    if (etag != NULL && *etag != '"' && strcmp(etag, "*") != 0)
        removal->etag = tn_arena_printf(c->arena, "\"%s\"", etag);
    removal->size = removal->modified_s = -1;
    if (size != NULL && !tn_text_int(size, 0, INT64_MAX, &removal->size))
        return tn_s3_invalid(c->arena, "the size of a condition is no number");
    if (modified != NULL && (removal->modified_s = tn_http_date_read(modified)) < 0)
        return tn_s3_invalid(c->arena, "the time of a condition is none");
    return NULL;
}

static bool
holds(const tn_removal *removal, const tn_object *object)
{
    return (removal->etag == NULL || strcmp(removal->etag, "*") == 0 ||
            strcmp(removal->etag, object->etag) == 0) &&
           (removal->size < 0 || removal->size == object->size) &&
           (removal->modified_s < 0 || removal->modified_s == object->modified_s);
}

/* --- one -------------------------------------------------------------------------------------- */

/* Behind a deletion that has found nothing: done, an error, or `again`. */
static const tn_error *
judge(tn_ctx *c, const char *bucket, const tn_removal *removal, bool *again)
{
    const tn_error *error;
    tn_object object;

    *again = false;
    error = tn_object_find(c, "storage.s3.object.delete", TN_READ_BY_POLICY, bucket, removal->name,
                           &object);
    if (error == NULL && !holds(removal, &object))
        return precondition_failed(c->arena);
    if (error == NULL) {
        *again = true;
        return NULL;
    }
    if (strcmp(error->code, "NoSuchKey") != 0 && strcmp(error->code, "InvalidKey") != 0)
        return error;
    return is_conditional(removal) ? precondition_failed(c->arena) : NULL;
}

const tn_error *
tn_s3_delete_one(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket");
    tn_removal removal = {.name = tn_path_text(c, "key")};
    tn_object *removed;
    bool again = true;
    size_t count = 0;

    TN_TRY(read_conditions(c, tn_request_header(c->request, "if-match"),
                           tn_s3_header(c, "x-amz-if-match-size"),
                           tn_s3_header(c, "x-amz-if-match-last-modified-time"), &removal));
    for (int i = 0; i < TRIES && again; i++) {
        TN_TRY(tn_objects_remove_if(c, "storage.s3.object.delete", bucket, &removal, 1, &removed,
                                    &count));
        if (count > 0)
            break;
        TN_TRY(judge(c, bucket, &removal, &again));
    }
    if (count > 0 || !again)
        return tn_s3_respond_empty(c, 204);
    if (c->who->role != TN_ROLE_SERVICE)
        return denied(c->arena);
    /* no policy holds it back: it was not there whenever it was to be deleted */
    return is_conditional(&removal) ? precondition_failed(c->arena) : tn_s3_respond_empty(c, 204);
}

/* --- many ------------------------------------------------------------------------------------- */

struct deleting {
    tn_removal removals[KEYS_MAX];
    const char *faults[KEYS_MAX]; /* codes; NULL: none */
    bool done[KEYS_MAX];
    size_t count;
    bool is_quiet;
};

static const tn_error *
read_removal(tn_ctx *c, const tn_s3_element *object, struct deleting *deleting)
{
    const char *key = tn_s3_xml_text(object, "Key");
    const char *version = tn_s3_xml_text(object, "VersionId");
    tn_removal *removal;

    if (!tn_text_is_given(key) || deleting->count == KEYS_MAX)
        return tn_s3_xml_malformed(c->arena);
    removal = &deleting->removals[deleting->count];
    removal->name = key;
    if (tn_text_is_given(version) && strcmp(version, "null") != 0)
        deleting->faults[deleting->count] = "NoSuchVersion";
    deleting->count++;
    return read_conditions(c, tn_s3_xml_text(object, "ETag"), tn_s3_xml_text(object, "Size"),
                           tn_s3_xml_text(object, "LastModifiedTime"), removal);
}

static const tn_error *
read_request(tn_ctx *c, struct deleting *deleting)
{
    const tn_s3_element *root;
    const char *quiet;

    TN_TRY(tn_s3_body_xml(c, &root));
    if (root == NULL || strcmp(root->name, "Delete") != 0)
        return tn_s3_xml_malformed(c->arena);
    quiet = tn_s3_xml_text(root, "Quiet");
    deleting->is_quiet = quiet != NULL && tn_text_same_case(quiet, "true");
    for (const tn_s3_element *object = tn_s3_xml_child(root, "Object"); object != NULL;
         object = tn_s3_xml_next(object, "Object"))
        TN_TRY(read_removal(c, object, deleting));
    return deleting->count > 0 ? NULL : tn_s3_xml_malformed(c->arena);
}

static bool
is_open(const struct deleting *deleting, size_t i)
{
    return !deleting->done[i] && deleting->faults[i] == NULL;
}

/* What has not been removed; with a condition that is the answer. */
static const tn_error *
remove_open(tn_ctx *c, struct deleting *deleting)
{
    tn_removal *removals = tn_arena_alloc(c->arena, deleting->count, sizeof(*removals));
    size_t count = 0, removed_count;
    tn_object *removed;

    for (size_t i = 0; i < deleting->count; i++)
        if (is_open(deleting, i))
            removals[count++] = deleting->removals[i];
    TN_TRY(tn_objects_remove_if(c, "storage.s3.object.delete_many", tn_path_text(c, "bucket"),
                                removals, count, &removed, &removed_count));
    for (size_t i = 0; i < deleting->count; i++) {
        for (size_t j = 0; j < removed_count && !deleting->done[i]; j++)
            deleting->done[i] =
                is_open(deleting, i) && strcmp(deleting->removals[i].name, removed[j].name) == 0;
        if (is_open(deleting, i) && is_conditional(&deleting->removals[i]))
            deleting->faults[i] = "PreconditionFailed";
    }
    return NULL;
}

/* What cannot be seen is done. */
static const tn_error *
find_open(tn_ctx *c, struct deleting *deleting, size_t *left)
{
    const char **names = tn_arena_alloc(c->arena, deleting->count, sizeof(*names));
    PQExpBuffer array = tn_arena_buffer(c->arena);
    const tn_rows *rows;
    size_t count = 0;

    *left = 0;
    for (size_t i = 0; i < deleting->count; i++)
        if (is_open(deleting, i))
            names[count++] = deleting->removals[i].name;
    if (count == 0)
        return NULL;
    tn_buffer_array(array, names, count);
    TN_TRY(tn_storage_rows(c, "storage.s3.object.delete_many", TN_READ_ONLY, &tn_sql_s3_visible,
                           TN_PARAMS(tn_path_text(c, "bucket"), tn_buffer_text(array)), &rows));
    for (size_t i = 0; i < deleting->count; i++) {
        bool is_visible = false;

        for (size_t j = 0; j < tn_rows_count(rows) && !is_visible; j++)
            is_visible = strcmp(tn_rows_text(rows, j, 0), deleting->removals[i].name) == 0;
        deleting->done[i] = deleting->done[i] || (is_open(deleting, i) && !is_visible);
        *left += is_open(deleting, i);
    }
    return NULL;
}

/* What is there after all tries must not be deleted by this caller. */
static const tn_error *
remove_all(tn_ctx *c, struct deleting *deleting)
{
    size_t left = 1;

    for (int i = 0; i < TRIES && left > 0; i++) {
        TN_TRY(remove_open(c, deleting));
        if (c->who->role == TN_ROLE_SERVICE)
            return NULL;
        TN_TRY(find_open(c, deleting, &left));
    }
    for (size_t i = 0; i < deleting->count; i++)
        if (is_open(deleting, i))
            deleting->faults[i] = "AccessDenied";
    return NULL;
}

static const char *
message_of(const char *fault)
{
    if (strcmp(fault, "NoSuchVersion") == 0)
        return "The specified version does not exist.";
    return strcmp(fault, "AccessDenied") == 0
               ? "Access Denied"
               : "At least one of the pre-conditions you specified did not hold";
}

static const tn_error *
answer(tn_ctx *c, const struct deleting *deleting)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "DeleteResult");

    for (size_t i = 0; i < deleting->count; i++) {
        const char *fault = deleting->faults[i];
        const char *tag = fault != NULL ? "Error" : "Deleted";

        if (fault == NULL && deleting->is_quiet)
            continue;
        tn_s3_xml_open(xml, tag);
        tn_s3_xml_add(xml, "Key", deleting->removals[i].name);
        if (fault != NULL) {
            tn_s3_xml_add(xml, "Code", fault);
            tn_s3_xml_add(xml, "Message", message_of(fault));
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
    tn_bucket bucket;

    TN_TRY(read_request(c, deleting));
    TN_TRY(tn_bucket_find(c, tn_path_text(c, "bucket"), &bucket));
    TN_TRY(remove_all(c, deleting));
    return answer(c, deleting);
}
