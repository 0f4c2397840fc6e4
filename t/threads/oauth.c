/* t/threads/oauth.c: oauth/discovery.c: many threads ask for what a provider says of itself, for
 * the thread sanitizer
 *
 * The provider is a server in this process, which counts how often it is asked: at most once by
 * each thread, because all may come before the first answer is there, and then no more.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fetch.h"
#include "oauth/oauth_private.h"
#include "t/unit/unit.h"

#define THREADS 8
#define ROUNDS 200

static tn_oauth *oauth;
static char issuer[64];
static int listener;
static atomic_int asked, wrong;

/* One connection at a time, each answered once. */
static void *
serve(void *argument)
{
    char request[4096], answer[1024], body[512];
    int fd;

    (void)argument;
    (void)snprintf(body, sizeof(body),
                   "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/in\",\"token_endpoint\":"
                   "\"%s/token\",\"jwks_uri\":\"%s/keys\"}",
                   issuer, issuer, issuer, issuer);
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n%s",
                   strlen(body), body);
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        atomic_fetch_add(&asked, 1);
        if (read(fd, request, sizeof(request)) <= 0 ||
            write(fd, answer, strlen(answer)) != (ssize_t)strlen(answer))
            atomic_fetch_add(&wrong, 1);
        (void)close(fd);
    }
    return NULL;
}

static void *
sign_in(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        tn_arena *arena = tn_arena_new();
        tn_oauth_provider provider;
        json_object *document;

        if (tn_oauth_open(oauth, arena, "acme", &provider) != NULL ||
            strcmp(provider.issuer, issuer) != 0 ||
            tn_oauth_document_get(&provider, arena, TN_OAUTH_DISCOVERY, "http://unused.invalid/",
                                  true, &document) != NULL)
            atomic_fetch_add(&wrong, 1);
        tn_arena_free(arena);
    }
    return NULL;
}

static void
listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(issuer, sizeof(issuer), "http://127.0.0.1:%d", ntohs(address.sin_port));
}

static void
discovery_is_shared(void **state)
{
    const tn_oauth_config acme = {.name = "acme",
                                  .client_id = "c",
                                  .secret = "",
                                  .issuer = issuer,
                                  .scopes = "",
                                  .audiences = "",
                                  .authorize_url = "",
                                  .token_url = "",
                                  .userinfo_url = "",
                                  .jwks_url = "",
                                  .team_id = "",
                                  .key_id = "",
                                  .allow_private = true};
    const tn_config config = {.oauths = &acme, .oauth_count = 1};
    pthread_t server, threads[THREADS];

    (void)state;
    tn_fetch_global_init();
    listen_somewhere();
    oauth = tn_oauth_new(&config, THREADS * 2); /* half of them may wait at once */
    assert_int_equal(pthread_create(&server, NULL, serve, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_in, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)shutdown(listener, SHUT_RDWR); /* wakes accept() */
    assert_int_equal(pthread_join(server, NULL), 0);
    (void)close(listener);
    assert_int_equal(wrong, 0);
    assert_in_range(asked, 1, THREADS);
    tn_oauth_free(oauth);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(discovery_is_shared)};

    return tn_unit_run("threads/oauth", tests, TN_COUNT(tests));
}
