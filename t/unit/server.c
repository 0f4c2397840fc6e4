/* t/unit/server.c: a web server in a thread that misbehaves as the path says */
#include "t/unit/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/error.h"

#define LARGE ((size_t)3 * 1024 * 1024)

struct tn_test_server {
    pthread_t thread;
    SSL_CTX *tls;
    int listener, port;
};

struct client {
    const tn_test_server *server;
    int fd;
    SSL *tls;
    char request[65536];
    size_t length;
};

static bool
send_bytes(struct client *client, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t sent = client->tls != NULL ? SSL_write(client->tls, bytes, (int)length)
                                                 : send(client->fd, bytes, length, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool
send_text(struct client *client, const char *text)
{
    return send_bytes(client, text, strlen(text));
}

/* False when the client has gone meanwhile. */
static bool
wait_ms(const struct client *client, int ms)
{
    struct pollfd event = {.fd = client->fd, .events = POLLRDHUP};

    return poll(&event, 1, ms) == 0;
}

static void
answer_slowly(struct client *client)
{
    if (wait_ms(client, 2000))
        (void)send_text(client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void
answer_and_stall(struct client *client)
{
    if (send_text(client, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"))
        (void)wait_ms(client, 10000);
}

static void
answer_in_trickles(struct client *client)
{
    bool is_there = send_text(client, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");

    for (int i = 0; i < 20 && is_there; i++)
        is_there = wait_ms(client, 100) && send_text(client, "x");
}

static void
answer_redirected(struct client *client)
{
    if (wait_ms(client, 1200))
        (void)send_text(client,
                        "HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 4\r\n\r\nskip");
}

static void
answer_much(struct client *client)
{
    static const char piece[4096];
    size_t left = LARGE;

    while (left > 0 && send_bytes(client, piece, sizeof(piece)))
        left -= sizeof(piece);
}

static void
answer_with_request(struct client *client)
{
    if (send_text(client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
        (void)send_bytes(client, client->request, client->length);
}

static const struct {
    const char *path, *text;               /* sent first, if not NULL */
    void (*answer)(struct client *client); /* then called, if not NULL */
} behaviours[] = {
    {"/plain",
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nRequest-Id: "
     "r-1\r\n\r\nhello",
     NULL},
    {"/echo", NULL, answer_with_request},
    {"/busy",
     "HTTP/1.1 429 Slow\r\nContent-Length: 4\r\nRetry-After: 7\r\nX-Request-Id: x-1\r\n\r\nbusy",
     NULL},
    {"/date",
     "HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
     NULL},
    {"/redirect", NULL, answer_redirected},
    {"/loop", "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/elsewhere", "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
     NULL},
    {"/slow", NULL, answer_slowly},
    {"/stall", NULL, answer_and_stall},
    {"/trickle", NULL, answer_in_trickles},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", NULL},
    {"/close", NULL, NULL},
    {"/garbage", "\x01\x02\x03 this is no HTTP\r\n\r\n", NULL},
    {"/large", "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n", answer_much},
    {"/endless", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", answer_much},
};

/* The head, and as much of a body as Content-Length says. */
static bool
has_whole_request(const struct client *client)
{
    const char *end = strstr(client->request, "\r\n\r\n");
    const char *length = strcasestr(client->request, "\r\nContent-Length:");

    if (end == NULL)
        return false;
    if (length == NULL || length > end)
        return true;
    return client->length >= (size_t)(end + 4 - client->request) + strtoul(length + 17, NULL, 10);
}

static bool
read_request(struct client *client)
{
    while (!has_whole_request(client)) {
        char *at = client->request + client->length;
        const size_t room = sizeof(client->request) - 1 - client->length;
        const ssize_t got = client->tls != NULL ? SSL_read(client->tls, at, (int)room)
                                                : recv(client->fd, at, room, 0);

        if (got <= 0)
            return false;
        client->length += (size_t)got;
        client->request[client->length] = '\0';
    }
    return true;
}

static void
answer(struct client *client)
{
    const char *path = strchr(client->request, ' ') + 1;
    const size_t length = strcspn(path, " ?");

    for (size_t i = 0; i < TN_COUNT(behaviours); i++) {
        if (strlen(behaviours[i].path) != length || strncmp(path, behaviours[i].path, length) != 0)
            continue;
        if (behaviours[i].text != NULL && !send_text(client, behaviours[i].text))
            return;
        if (behaviours[i].answer != NULL)
            behaviours[i].answer(client);
    }
}

static void
serve_client(const tn_test_server *server, int fd)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        tn_die("no memory for a client");
    client->server = server;
    client->fd = fd;
    if (server->tls != NULL) {
        client->tls = SSL_new(server->tls);
        (void)SSL_set_fd(client->tls, fd);
    }
    if ((client->tls == NULL || SSL_accept(client->tls) == 1) && read_request(client))
        answer(client);
    if (client->tls != NULL)
        (void)SSL_shutdown(client->tls);
    SSL_free(client->tls);
    (void)close(fd);
    free(client);
}

static void *
serve(void *context)
{
    const tn_test_server *server = context;
    int fd;

    while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        serve_client(server, fd);
    return NULL;
}

tn_test_server *
tn_test_server_new(SSL_CTX *tls)
{
    tn_test_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    if (server == NULL)
        tn_die("no memory for a server");
    server->tls = tls;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, 64) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &length) != 0 ||
        pthread_create(&server->thread, NULL, serve, server) != 0)
        tn_die("the test server cannot start");
    server->port = ntohs(address.sin_port);
    return server;
}

void
tn_test_server_free(tn_test_server *server)
{
    (void)shutdown(server->listener, SHUT_RDWR); /* wakes accept() */
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
    free(server);
}

int
tn_test_server_port(const tn_test_server *server)
{
    return server->port;
}
