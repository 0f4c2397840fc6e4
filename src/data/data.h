/* data/data.h: the door of the data area: every table and function as a resource, in PostgREST's
 * dialect
 *
 * Threads: any.
 */
#ifndef TN_DATA_DATA_H
#define TN_DATA_DATA_H

#include "http/route.h"

extern const tn_area tn_data_area;       /* /rest/v1 */
extern const tn_area tn_data_plain_area; /* /api/db: `column=value` is equality there */

#endif
