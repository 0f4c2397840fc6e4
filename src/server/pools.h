/* server/pools.h: the pools of workers, one row each
 *
 * Pools are bulkheads: they differ in configuration only, and in who answers on their socket.
 */
#ifndef TN_SERVER_POOLS_H
#define TN_SERVER_POOLS_H

#include "base/config.h"

typedef enum tn_pool_id { TN_POOL_API, TN_POOL_STREAM, TN_POOL_JOBS, TN_POOLS } tn_pool_id;

typedef struct tn_pool {
    const char *name;   /* of the section in tenon.conf and of the processes */
    const char *socket; /* file in server.run_dir, FileDescriptorName= in systemd + ".sock" */
} tn_pool;

extern const tn_pool tn_pools[TN_POOLS];

const tn_pool_config *tn_pool_settings(const tn_config *config, tn_pool_id pool);

#endif
