/* server/metrics.h: the area behind ops.sock: GET /metrics in the Prometheus text format 0.0.4
 *
 * It reads shared memory only, so it answers while the database is away. Its state is the
 * scoreboard.
 */
#ifndef TN_SERVER_METRICS_H
#define TN_SERVER_METRICS_H

#include "http/route.h"
#include "server/shared.h"

extern const tn_area tn_ops_area;

/* The whole page into `out`. */
void tn_metrics_print(const tn_shared *shared, PQExpBuffer out);

#endif
