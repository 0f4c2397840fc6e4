/* t/unit/loop.c: server/loop.c: kept connections, few threads, and peers that misbehave
 *
 * A loop of two threads behind a socket pair of our own making; the test speaks FastCGI by hand.
 */
#include "server/loop.h"

#include <fastcgi.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "t/unit/unit.h"

struct fixture {
    char folder[32], path[64];
    int listener;
    tn_loop *loop;
    atomic_int served, overloaded;
    atomic_bool hold;  /* requests wait while it is set */
    atomic_bool queue; /* those of the word "queue" wait aside while it is set */
    atomic_int queued, turned_away;
};

static void
wait_aside(struct fixture *fixture)
{
    if (!tn_loop_step_aside()) {
        atomic_fetch_add(&fixture->turned_away, 1);
        return;
    }
    atomic_fetch_add(&fixture->queued, 1);
    while (atomic_load(&fixture->queue))
        (void)poll(NULL, 0, 1);
    tn_loop_step_back();
}

static void
serve(void *context, void *thread_state, FCGX_Request *fcgx, bool overloaded)
{
    struct fixture *fixture = context;
    const char *word = FCGX_GetParam("WORD", fcgx->envp);

    (void)thread_state;
    if (word != NULL && strcmp(word, "queue") == 0)
        wait_aside(fixture);
    if (overloaded)
        atomic_fetch_add(&fixture->overloaded, 1);
    while (atomic_load(&fixture->hold) && !overloaded)
        (void)poll(NULL, 0, 1);
    (void)FCGX_FPrintF(fcgx->out, "Status: 200 OK\r\n\r\n%s", word != NULL ? word : "none");
    atomic_fetch_add(&fixture->served, 1);
}

static int
set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_non_null(fixture);
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/tenon-loop-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/s", fixture->folder);
    memcpy(address.sun_path, fixture->path, strlen(fixture->path));
    fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fixture->listener, (const struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(listen(fixture->listener, 64), 0);
    fixture->loop = tn_loop_new(&(tn_loop_options){.listener = fixture->listener,
                                                   .threads = 2,
                                                   .stack_bytes = 256 * 1024,
                                                   .io_timeout_ms = 300,
                                                   .serve = serve,
                                                   .context = fixture});
    assert_non_null(fixture->loop);
    *state = fixture;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *fixture = *state;

    /* a thread whose answer has been read may still be putting it away */
    for (int64_t until = tn_clock_ms() + 5000;
         !tn_loop_free(fixture->loop) && tn_clock_ms() < until;)
        (void)poll(NULL, 0, 1);
    (void)close(fixture->listener);
    (void)unlink(fixture->path);
    (void)rmdir(fixture->folder);
    free(fixture);
    return 0;
}

static int
dial(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, fixture->path, strlen(fixture->path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static size_t
put_record(char *at, unsigned char type, const void *content, unsigned char length)
{
    const unsigned char head[8] = {FCGI_VERSION_1, type, 0, 1, 0, length, 0, 0};

    memcpy(at, head, 8);
    if (length > 0)
        memcpy(at + 8, content, length);
    return 8U + length;
}

/* BEGIN_REQUEST (keep the connection), PARAMS with WORD=<word>, no body. */
static size_t
build_request(char *bytes, const char *word)
{
    const unsigned char begin[8] = {0, FCGI_RESPONDER, FCGI_KEEP_CONN};
    char pair[64] = {4, (char)strlen(word), 'W', 'O', 'R', 'D'};
    size_t length = put_record(bytes, FCGI_BEGIN_REQUEST, begin, 8);

    memcpy(pair + 6, word, strlen(word));
    length += put_record(bytes + length, FCGI_PARAMS, pair, (unsigned char)(6 + strlen(word)));
    length += put_record(bytes + length, FCGI_PARAMS, NULL, 0);
    return length + put_record(bytes + length, FCGI_STDIN, NULL, 0);
}

static void
send_request(int fd, const char *word)
{
    char bytes[256];
    const size_t length = build_request(bytes, word);

    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

/* Reads to END_REQUEST; the output, without the head, goes to `text`. */
static void
read_answer(int fd, char *text, size_t size)
{
    char output[1024];
    size_t length = 0;

    for (;;) {
        unsigned char head[8];
        char content[2048];
        size_t bytes;

        assert_int_equal(recv(fd, head, 8, MSG_WAITALL), 8);
        bytes = (size_t)(head[4] << 8 | head[5]) + head[6];
        if (bytes > 0)
            assert_int_equal(recv(fd, content, bytes, MSG_WAITALL), bytes);
        if (head[1] == FCGI_STDOUT) {
            memcpy(output + length, content, (size_t)(head[4] << 8 | head[5]));
            length += (size_t)(head[4] << 8 | head[5]);
        }
        if (head[1] == FCGI_END_REQUEST)
            break;
    }
    output[length] = '\0';
    (void)snprintf(text, size, "%s", strstr(output, "\r\n\r\n") + 4);
}

/* Eight kept connections over two threads: none starves, and each gets its own answers. */
static void
kept_connections_do_not_own_threads(void **state)
{
    struct fixture *fixture = *state;
    int fds[8];
    char text[64];

    for (int i = 0; i < 8; i++)
        fds[i] = dial(fixture);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 8; i++)
            send_request(fds[i], i % 2 == 0 ? "even" : "odd");
        for (int i = 0; i < 8; i++) {
            read_answer(fds[i], text, sizeof(text));
            assert_string_equal(text, i % 2 == 0 ? "even" : "odd");
        }
    }
    for (int i = 0; i < 8; i++)
        (void)close(fds[i]);
    assert_int_equal(atomic_load(&fixture->served), 160);
}

/* When every thread is held, the last one is told so and can still answer. */
static void
the_last_thread_is_told(void **state)
{
    struct fixture *fixture = *state;
    int held = dial(fixture), last = dial(fixture);
    char text[64];

    atomic_store(&fixture->hold, true);
    send_request(held, "held");
    send_request(last, "last");
    for (int64_t until = tn_clock_ms() + 5000;
         atomic_load(&fixture->served) == 0 && tn_clock_ms() < until;)
        (void)poll(NULL, 0, 1);
    assert_int_equal(atomic_load(&fixture->overloaded), 1);
    atomic_store(&fixture->hold, false);
    read_answer(held, text, sizeof(text));
    read_answer(last, text, sizeof(text));
    (void)close(held);
    (void)close(last);
}

/* Eight who wait in a queue, four for each thread, leave both threads to others; the ninth may not
 * wait. */
static void
who_steps_aside_takes_no_thread(void **state)
{
    struct fixture *fixture = *state;
    int queue[9], other = dial(fixture);
    tn_loop_figures figures;
    char text[64];

    assert_false(tn_loop_step_aside()); /* this is no thread of a loop */
    atomic_store(&fixture->queue, true);
    for (int i = 0; i < 9; i++) {
        queue[i] = dial(fixture);
        send_request(queue[i], "queue");
        for (int64_t until = tn_clock_ms() + 5000;
             atomic_load(&fixture->queued) + atomic_load(&fixture->turned_away) <= i &&
             tn_clock_ms() < until;)
            (void)poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&fixture->queued), 8);
    assert_int_equal(atomic_load(&fixture->turned_away), 1);
    read_answer(queue[8], text, sizeof(text));
    for (int i = 0; i < 20; i++) {
        send_request(other, "other");
        read_answer(other, text, sizeof(text));
        assert_string_equal(text, "other");
    }
    atomic_store(&fixture->queue, false);
    for (int i = 0; i < 8; i++)
        read_answer(queue[i], text, sizeof(text));
    tn_loop_figures_read(fixture->loop, &figures);
    assert_in_range(figures.threads, 2, 10);
    for (int i = 0; i < 9; i++)
        (void)close(queue[i]);
    (void)close(other);
}

static void
expect_closed(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char scrap[4096];

    do
        assert_int_equal(poll(&waiting, 1, 5000), 1);
    while (recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0);
}

static void
survives_what_is_not_fastcgi(void **state)
{
    struct fixture *fixture = *state;
    static const char *const garbage[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                          "\377\377\377\377\377\377\377\377",
                                          "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0\1\4\0\1\377\377\0\0"};
    char whole[256], text[64];
    const size_t length = build_request(whole, "cut");
    int fd;

    for (size_t i = 0; i < TN_COUNT(garbage); i++) {
        fd = dial(fixture);
        (void)send(fd, garbage[i], i == 2 ? 24 : strlen(garbage[i]), MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        expect_closed(fd);
        (void)close(fd);
    }
    for (size_t cut = 1; cut < length; cut++) { /* every truncation */
        fd = dial(fixture);
        (void)send(fd, whole, cut, MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        expect_closed(fd);
        (void)close(fd);
    }
    fd = dial(fixture); /* and one that stays silent in the middle is dropped after io_timeout_ms */
    (void)send(fd, whole, 20, MSG_NOSIGNAL);
    expect_closed(fd);
    (void)close(fd);

    fd = dial(fixture);
    send_request(fd, "well");
    read_answer(fd, text, sizeof(text));
    assert_string_equal(text, "well");
    (void)close(fd);
}

static void
draining_serves_kept_connections_and_no_new_ones(void **state)
{
    struct fixture *fixture = *state;
    int kept = dial(fixture), late;
    struct pollfd waiting;
    tn_loop_figures figures;
    char text[64];

    send_request(kept, "one");
    read_answer(kept, text, sizeof(text));
    tn_loop_drain(fixture->loop);
    late = dial(fixture);
    send_request(late, "late");
    send_request(kept, "two");
    read_answer(kept, text, sizeof(text));
    assert_string_equal(text, "two");
    waiting = (struct pollfd){.fd = late, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 100), 0);
    tn_loop_close_idle(fixture->loop);
    expect_closed(kept);
    for (int64_t until = tn_clock_ms() + 5000; tn_clock_ms() < until;) {
        tn_loop_figures_read(fixture->loop, &figures);
        if (figures.clients == 0)
            break;
    }
    assert_int_equal(figures.clients, 0);
    (void)close(kept);
    (void)close(late);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_connections_do_not_own_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_thread_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_steps_aside_takes_no_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_what_is_not_fastcgi, set_up, tear_down),
        cmocka_unit_test_setup_teardown(draining_serves_kept_connections_and_no_new_ones, set_up,
                                        tear_down),
    };

    return tn_unit_run("loop", tests, TN_COUNT(tests));
}
