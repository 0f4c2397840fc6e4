/* t/unit/server.h: a web server in a thread that misbehaves as the path says
 *
 * One connection at a time. Paths: /plain, /echo (the request as it came), /busy (429), /date
 * (503), /redirect (slowly, to /plain), /loop (to itself), /elsewhere (to ftp:), /slow (headers
 * after two seconds), /stall (ten bytes, then nothing), /trickle (a byte each 100 ms, twenty
 * times), /cut (ten bytes of a hundred), /close (nothing at all), /garbage (no HTTP), /large (three
 * megabytes, length told), /endless (as much, length not told). A waiting server gives up when the
 * client has gone.
 */
#ifndef TN_T_UNIT_SERVER_H
#define TN_T_UNIT_SERVER_H

#include <openssl/ssl.h>

typedef struct tn_test_server tn_test_server;

/* Listens on 127.0.0.1, on a free port; with `tls` it speaks TLS. */
tn_test_server *tn_test_server_new(SSL_CTX *tls);
void tn_test_server_free(tn_test_server *server);
int tn_test_server_port(const tn_test_server *server);

#endif
