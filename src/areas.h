/* areas.h: everything that this program serves, in one place
 *
 * areas.c is the only file that knows all areas and services; the server gets them as data.
 */
#ifndef TN_AREAS_H
#define TN_AREAS_H

#include "server/server.h"

extern const tn_application tn_application_all;

#endif
