/* objects/scan.c: what is done about clamd's verdict */
#include "objects/scan.h"

#include <inttypes.h>

#include "base/crypto.h"
#include "base/log.h"
#include "objects/clamd.h"
#include "objects/incoming_private.h"
#include "objects/queries.h"
#include "objects/store.h"
#include "objects/tree.h"
#include "objects/vault.h"

const char *
tn_quarantine_path(tn_arena *arena, const char *tenant_id, const char *id)
{
    return tn_arena_printf(arena, "quarantine/%s/%s", tenant_id, id);
}

/* Puts the file aside: first the file, then its row. */
static const tn_error *
quarantine(tn_ctx *c, tn_incoming *incoming, const tn_scan *scan, const char *signature)
{
    const tn_uuid id = tn_uuid_new();
    const char *path = tn_quarantine_path(c->arena, c->who->tenant_id.text, id.text);
    const char *sealed_key = NULL;
    tn_incoming *stored = incoming;
    const tn_error *error;
    const tn_rows *rows;
    int root;

    if (scan->encrypted)
        TN_TRY(tn_vault_encrypt(c, incoming, &stored, &sealed_key));
    TN_TRY(tn_store_root(c->process->store, c->arena, &root));
    if (fsync(tn_incoming_fd(stored)) != 0 ||
        tn_tree_place(root, tn_incoming_path(stored), path) != 0)
        return tn_tree_error(c->arena, "quarantine");
    error = tn_tx_worker(c, TN_READ_WRITE, &tn_sql_quarantine_add,
                         TN_PARAMS(id.text, scan->bucket, scan->name, scan->owner_id, signature,
                                   tn_arena_number(c->arena, tn_incoming_size(incoming)),
                                   tn_bytea(c->arena, scan->sha256, TN_SHA256_SIZE), sealed_key),
                         &rows);
    if (error != NULL && tn_tree_remove(root, path) != 0)
        tn_log(TN_LOG_WARN, "storage.quarantine.left", TN_STR("id", id.text));
    if (error != NULL)
        return error;
    tn_incoming_drop(incoming);
    tn_log(TN_LOG_WARN, "storage.infected", TN_STR("tenant_id", c->who->tenant_id.text),
           TN_STR("bucket", scan->bucket), TN_STR("signature", signature),
           TN_STR("quarantine_id", id.text));
    return NULL;
}

static const tn_error *
scanner_unavailable(tn_ctx *c, const char *problem)
{
    tn_error *error;

    tn_log(TN_LOG_ERROR, "storage.scanner.unavailable", TN_STR("problem", problem));
    error = tn_error_new(c->arena, 503, "scanner_unavailable", "Try again in a moment.",
                         "files cannot be scanned for viruses now, so none is taken");
    error->retry_after_s = 5;
    return error;
}

static const tn_error *
judge_large(tn_ctx *c, int64_t size)
{
    if (!c->config->storage.clamd_oversize)
        return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                            "The file is too large to be scanned for viruses");
    tn_log(TN_LOG_INFO, "storage.unscanned", TN_STR("tenant_id", c->who->tenant_id.text),
           TN_INT("size", size));
    return NULL;
}

const tn_error *
tn_scan_file(tn_ctx *c, tn_incoming *incoming, const tn_scan *scan)
{
    const int64_t size = tn_incoming_size(incoming);
    tn_clamd_answer answer;

    if (*c->config->storage.clamd == '\0' || size == 0)
        return NULL;
    if (size > c->config->storage.clamd_max)
        return judge_large(c, size);
    tn_clamd_ask(c->arena, c->config->storage.clamd, c->config->storage.clamd_timeout_s * 1000,
                 tn_incoming_fd(incoming), size, &answer);
    if (answer.verdict == TN_VERDICT_CLEAN)
        return NULL;
    if (answer.verdict == TN_VERDICT_UNKNOWN)
        return scanner_unavailable(c, answer.problem);
    TN_TRY(quarantine(c, incoming, scan, answer.signature));
    return tn_error_new(c->arena, 422, "InfectedFile", NULL,
                        "The file has been refused: a virus scanner knows it as %s",
                        answer.signature);
}
