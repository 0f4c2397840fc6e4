/* server/pools.c: the pools, one row each */
#include "server/pools.h"

const tn_pool tn_pools[TN_POOLS] = {
    [TN_POOL_API] = {"api", "api.sock"},
    [TN_POOL_STREAM] = {"stream", "stream.sock"},
    [TN_POOL_JOBS] = {"jobs", "ops.sock"},
};

const tn_pool_config *
tn_pool_settings(const tn_config *config, tn_pool_id pool)
{
    switch (pool) {
    case TN_POOL_API:
        return &config->api;
    case TN_POOL_STREAM:
        return &config->stream;
    case TN_POOL_JOBS:
    case TN_POOLS:
        break;
    }
    return &config->jobs;
}
