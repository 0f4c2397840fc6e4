/* images/sandbox.h: what a process may do that reads pictures of strangers
 *
 * Nothing but compute, and read and write the descriptors that it has: no files by name, no
 * sockets, no other program or process, no memory that is both written and executed. What is asked
 * for in spite of that ends the process, but for a few things that libraries try and do without.
 *
 * Threads: before any is started.
 */
#ifndef TN_IMAGES_SANDBOX_H
#define TN_IMAGES_SANDBOX_H

#include <stdbool.h>

#include "base/attributes.h"
#include "images/protocol.h"

/* In the parent: prepares the filter and leaves the namespaces of others where that is allowed.
 * false: there is no seccomp here, so nothing may be read. */
bool tn_sandbox_prepare(void) TN_MUST_CHECK;

/* In the child: for ever. Of its descriptors only 0 to `last_fd` stay. false: it must end. */
bool tn_sandbox_enter(const tn_image_limits *limits, int last_fd) TN_MUST_CHECK;

#endif
