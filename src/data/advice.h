/* data/advice.h: what to do about an error, where PostgREST and PostgreSQL do not say
 *
 * Only for servers with tenants: with data.require_rls = off errors are PostgREST's to the letter.
 * A hint names nothing but what the caller has sent or the message says already.
 *
 * Threads: any.
 */
#ifndef TN_DATA_ADVICE_H
#define TN_DATA_ADVICE_H

#include "data/request.h"

/* The error, with a hint where it had none and there is something to say. NULL gives NULL. */
const tn_error *tn_data_advise(const tn_data_request *r, const tn_error *error) TN_MUST_CHECK;

#endif
