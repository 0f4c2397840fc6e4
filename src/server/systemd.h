/* server/systemd.h: what systemd passes and wants to hear (sd_notify(3), sd_listen_fds(3))
 *
 * The protocol is one datagram and three environment variables, so it needs no library.
 *
 * Threads: the master's only.
 */
#ifndef TN_SERVER_SYSTEMD_H
#define TN_SERVER_SYSTEMD_H

#include <stdint.h>

/* The socket that systemd passed under this FileDescriptorName=, or -1. */
int tn_systemd_socket(const char *name);

/* Sends "READY=1" and the like; does nothing without NOTIFY_SOCKET. */
void tn_systemd_notify(const char *state);

/* Half of WatchdogSec=, the pace for "WATCHDOG=1"; 0 when there is no watchdog. */
int64_t tn_systemd_watchdog_ms(void);

#endif
