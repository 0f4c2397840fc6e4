/* t/unit/fetch.c: base/fetch.c against a server that misbehaves on demand */
#include "base/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "t/unit/server.h"
#include "t/unit/unit.h"

static tn_test_server *plain, *trusted, *untrusted;

static const struct {
    const char *address;
    bool is_public;
} addresses[] = {
    {"8.8.8.8", true},
    {"1.1.1.1", true},
    {"172.15.255.255", true},
    {"172.32.0.0", true},
    {"100.63.255.255", true},
    {"100.128.0.0", true},
    {"192.0.1.1", true},
    {"223.255.255.255", true},
    {"0.0.0.0", false},
    {"0.1.2.3", false},
    {"10.0.0.1", false},
    {"10.255.255.255", false},
    {"100.64.0.0", false},
    {"100.127.255.255", false},
    {"127.0.0.1", false},
    {"127.255.255.254", false},
    {"169.254.169.254", false},
    {"172.16.0.1", false},
    {"172.31.255.255", false},
    {"192.0.0.1", false},
    {"192.0.2.1", false},
    {"192.168.0.1", false},
    {"198.18.0.1", false},
    {"198.19.255.255", false},
    {"198.51.100.1", false},
    {"203.0.113.1", false},
    {"224.0.0.1", false},
    {"239.255.255.255", false},
    {"240.0.0.1", false},
    {"255.255.255.255", false},
    {"2606:4700:4700::1111", true},
    {"2a00:1450:4001:800::200e", true},
    {"64:ff9b::8.8.8.8", true},
    {"::ffff:8.8.8.8", true},
    {"::", false},
    {"::1", false},
    {"::127.0.0.1", false},
    {"::ffff:127.0.0.1", false},
    {"::ffff:10.0.0.1", false},
    {"::ffff:169.254.169.254", false},
    {"64:ff9b::10.0.0.1", false},
    {"64:ff9b::7f00:1", false},
    {"64:ff9b:1::8.8.8.8", false},
    {"fc00::1", false},
    {"fd12:3456::1", false},
    {"fe80::1", false},
    {"fec0::1", false},
    {"ff02::1", false},
    {"2001::1", false},
    {"2001:db8::1", false},
    {"2002:7f00:1::", false},
    {"3fff::1", false},
    {"4000::1", false},
};

static void
private_addresses_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(addresses); i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        bool is_public;

        TN_CASE("%s", addresses[i].address);
        if (inet_pton(AF_INET, addresses[i].address, &v4.sin_addr) == 1) {
            is_public = tn_fetch_address_is_public((struct sockaddr *)&v4);
        } else {
            TN_CHECK(inet_pton(AF_INET6, addresses[i].address, &v6.sin6_addr) == 1);
            is_public = tn_fetch_address_is_public((struct sockaddr *)&v6);
        }
        TN_CHECK(is_public == addresses[i].is_public);
    }
    assert_false(tn_fetch_address_is_public(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static const struct {
    const char *value;
    int64_t ms;
} retries[] = {
    {NULL, -1},
    {"", -1},
    {"0", 0},
    {"7", 7000},
    {"99999999999999999999", 86400000},
    {"100000", 86400000},
    {"-5", -1},
    {"1.5", -1},
    {"soon", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 37000},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 37000},
    {"Sun Nov  6 08:49:37 1994", 37000},
    {"Sun, 06 Nov 1994 08:48:00 GMT", 0},
    {"Sun, 06 Nov 2033 08:48:00 GMT", 86400000},
};

static void
retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(retries); i++) {
        TN_CASE("%s", retries[i].value == NULL ? "NULL" : retries[i].value);
        TN_CHECK(tn_fetch_retry_after_ms(retries[i].value, 784111740) == retries[i].ms);
    }
}

/* What may go wrong, and when it must have ended at the latest. */
static const struct {
    const char *name, *path;
    tn_fetch limits;
    tn_fetch_outcome outcome;
    int status;
    const char *phase;
    size_t received;
    int64_t least_ms, most_ms;
} transfers[] = {
    {"an answer", "/plain", {0}, TN_FETCH_DONE, 200, NULL, 5, 0, 2000},
    {"too many requests", "/busy", {0}, TN_FETCH_DONE, 429, NULL, 4, 0, 2000},
    {"a redirect that is not followed", "/loop", {0}, TN_FETCH_DONE, 302, NULL, 0, 0, 2000},
    {"a redirect",
     "/redirect",
     {.follow_redirects = true},
     TN_FETCH_DONE,
     200,
     NULL,
     5,
     1200,
     5000},
    {"redirects without end",
     "/loop",
     {.follow_redirects = true},
     TN_FETCH_REFUSED,
     302,
     NULL,
     0,
     0,
     2000},
    {"a redirect to ftp",
     "/elsewhere",
     {.follow_redirects = true},
     TN_FETCH_REFUSED,
     302,
     NULL,
     0,
     0,
     2000},
    {"slow headers",
     "/slow",
     {.first_byte_timeout_ms = 300},
     TN_FETCH_TIMEOUT,
     0,
     "first_byte",
     0,
     300,
     1500},
    {"slow headers, in time",
     "/slow",
     {.first_byte_timeout_ms = 4000},
     TN_FETCH_DONE,
     200,
     NULL,
     2,
     2000,
     5000},
    {"silence in the middle",
     "/stall",
     {.silence_timeout_ms = 300},
     TN_FETCH_TIMEOUT,
     200,
     "silence",
     10,
     300,
     1500},
    {"slow but never silent",
     "/trickle",
     {.silence_timeout_ms = 1000, .first_byte_timeout_ms = 1000},
     TN_FETCH_DONE,
     200,
     NULL,
     20,
     2000,
     5000},
    {"too long in all",
     "/trickle",
     {.total_timeout_ms = 500, .silence_timeout_ms = 400},
     TN_FETCH_TIMEOUT,
     200,
     "total",
     SIZE_MAX,
     500,
     1500},
    {"cut in the middle", "/cut", {0}, TN_FETCH_BROKEN, 200, NULL, 10, 0, 2000},
    {"closed without an answer", "/close", {0}, TN_FETCH_BROKEN, 0, NULL, 0, 0, 2000},
    {"no HTTP", "/garbage", {0}, TN_FETCH_BROKEN, 0, NULL, 0, 0, 2000},
    {"larger than the default", "/large", {0}, TN_FETCH_TOO_LARGE, 200, NULL, 0, 0, 2000},
    {"large but allowed",
     "/large",
     {.response_max = 3145728},
     TN_FETCH_DONE,
     200,
     NULL,
     3145728,
     0,
     5000},
    {"too large, without a length",
     "/endless",
     {.response_max = 100000},
     TN_FETCH_TOO_LARGE,
     200,
     NULL,
     SIZE_MAX,
     0,
     2000},
};

static const char *
url(tn_arena *arena, const tn_test_server *server, const char *path)
{
    return tn_arena_printf(arena, "http://127.0.0.1:%d%s", tn_test_server_port(server), path);
}

static void
deadlines_and_bounds_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(transfers); i++) {
        tn_arena *arena = tn_arena_new();
        tn_fetch fetch = transfers[i].limits;
        tn_fetch_result result;

        fetch.method = "GET";
        fetch.url = url(arena, plain, transfers[i].path);
        fetch.allow_private = true;
        tn_fetch_run(arena, &fetch, &result);
        TN_CASE("%s: outcome %d, status %d, phase %s, %zu bytes, %lld ms, %s", transfers[i].name,
                (int)result.outcome, result.status, result.phase, result.received,
                (long long)result.total_ms, result.problem);
        TN_CHECK(result.outcome == transfers[i].outcome);
        TN_CHECK(result.status == transfers[i].status);
        TN_CHECK_TEXT(result.phase, transfers[i].phase);
        TN_CHECK(result.total_ms >= transfers[i].least_ms &&
                 result.total_ms <= transfers[i].most_ms);
        TN_CHECK(transfers[i].received == SIZE_MAX || result.received == transfers[i].received);
        TN_CHECK((result.problem == NULL) == (result.outcome == TN_FETCH_DONE));
        TN_CHECK(result.body != NULL && strlen(result.body) <= result.body_length);
        tn_arena_free(arena);
    }
}

static void
the_request_is_what_we_said(void **state)
{
    static const char *const headers[] = {"Content-Type: application/json", "X-Api-Key: k", NULL};
    static const struct {
        const char *method, *body, *wanted;
    } cases[] = {
        {"GET", NULL, "GET /echo HTTP/1.1\r\n"},    {"DELETE", NULL, "DELETE /echo HTTP/1.1\r\n"},
        {"POST", "{\"a\":1}", "\r\n\r\n{\"a\":1}"}, {"POST", NULL, "\r\nContent-Length: 0\r\n"},
        {"PATCH", "x", "PATCH /echo HTTP/1.1\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_fetch fetch = {
            .method = cases[i].method,
            .url = url(arena, plain, "/echo"),
            .headers = headers,
            .body = cases[i].body,
            .body_length = cases[i].body == NULL ? 0 : strlen(cases[i].body),
            .allow_private = true,
        };
        tn_fetch_result result;

        tn_fetch_run(arena, &fetch, &result);
        TN_CASE("%s: %s", cases[i].method, result.body);
        TN_CHECK(result.outcome == TN_FETCH_DONE);
        TN_CHECK(strstr(result.body, cases[i].wanted) != NULL);
        TN_CHECK(strstr(result.body, "X-Api-Key: k\r\n") != NULL);
        TN_CHECK(strstr(result.body, "Content-Type: application/json\r\n") != NULL);
        TN_CHECK(strstr(result.body, "Expect") == NULL);
        tn_arena_free(arena);
    }
}

static void
large_bodies_are_sent_whole(void **state)
{
    tn_arena *arena = tn_arena_new();
    const size_t length = 60000;
    tn_fetch fetch = {.method = "POST", .url = url(arena, plain, "/echo"), .allow_private = true};
    tn_fetch_result result;

    (void)state;
    fetch.body = memset(tn_arena_alloc(arena, length + 1, 1), 'x', length);
    fetch.body_length = length;
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_DONE);
    assert_true(result.body_length > length);
    assert_memory_equal(result.body + result.body_length - length, fetch.body, length);
    tn_arena_free(arena);
}

static int
file_of(const char *bytes, size_t length)
{
    const int fd = memfd_create("upload", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    return fd;
}

static void
files_are_uploaded_from_their_descriptor(void **state)
{
    static const struct {
        int64_t offset, length;
        const char *body;
    } cases[] = {{0, 10, "0123456789"}, {3, 4, "3456"}, {9, 1, "9"}, {10, 0, ""}};
    const int fd = file_of("0123456789", 10);

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_fetch_upload upload = {
            .fd = fd, .offset = cases[i].offset, .length = cases[i].length};
        const tn_fetch fetch = {.method = "PUT",
                                .url = url(arena, plain, "/echo"),
                                .upload = &upload,
                                .allow_private = true};
        tn_fetch_result result;

        TN_CASE("%s", cases[i].body);
        tn_fetch_run(arena, &fetch, &result);
        TN_CHECK(result.outcome == TN_FETCH_DONE);
        TN_CHECK(strstr(result.body, "PUT /echo HTTP/1.1\r\n") == result.body);
        TN_CHECK(strstr(result.body, tn_arena_printf(arena, "Content-Length: %lld\r\n",
                                                     (long long)upload.length)) != NULL);
        TN_CHECK_TEXT(strstr(result.body, "\r\n\r\n") + 4, cases[i].body);
        tn_arena_free(arena);
    }
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 10); /* as it was */
    (void)close(fd);
}

static void
an_upload_that_is_too_short_is_broken_off(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_fetch_upload upload = {.fd = file_of("0123456789", 10), .length = 11};
    const tn_fetch fetch = {.method = "PUT",
                            .url = url(arena, plain, "/echo"),
                            .upload = &upload,
                            .total_timeout_ms = 10000,
                            .allow_private = true};
    tn_fetch_result result;

    (void)state;
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_BROKEN);
    (void)close(upload.fd);
    tn_arena_free(arena);
}

/* Each header that is signed is sent, and the secret is not. t/lib/s3_store.mjs knows whether the
 * signature is right. */
static void
signatures_name_what_is_sent(void **state)
{
    static const char *const headers[] = {"x-amz-content-sha256: 00", "range: bytes=0-1", NULL};
    static const char *const names[] = {"host", "x-amz-content-sha256", "x-amz-date", "range"};
    tn_arena *arena = tn_arena_new();
    const tn_fetch_signature signature = {
        .key_id = "AKID", .secret = "very secret", .region = "eu-test-1"};
    const tn_fetch fetch = {.method = "GET",
                            .url = url(arena, plain, "/echo"),
                            .headers = headers,
                            .signature = &signature,
                            .allow_private = true};
    tn_fetch_result result;
    const char *lower, *list;

    (void)state;
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_DONE);
    lower = tn_text_lower(arena, result.body);
    assert_non_null(strstr(lower, "/eu-test-1/s3/aws4_request"));
    assert_null(strstr(lower, "secret,"));
    assert_null(strstr(lower, "very secret"));
    list = strstr(lower, "signedheaders=");
    assert_non_null(list);
    assert_null(strstr(list, "expect"));
    for (size_t i = 0; i < TN_COUNT(names); i++) {
        TN_CASE("%s", names[i]);
        TN_CHECK(strstr(list, names[i]) != NULL);
        TN_CHECK(strstr(lower, tn_arena_printf(arena, "\r\n%s: ", names[i])) != NULL);
    }
    tn_arena_free(arena);
}

static void
headers_of_the_answer_are_told(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_fetch fetch = {.method = "GET", .url = url(arena, plain, "/plain"), .allow_private = true};
    tn_fetch_result result;

    (void)state;
    tn_fetch_run(arena, &fetch, &result);
    assert_string_equal(result.body, "hello");
    assert_string_equal(result.content_type, "text/plain");
    assert_string_equal(result.request_id, "r-1");
    assert_int_equal(result.retry_after_ms, -1);
    assert_true(result.first_byte_ms >= 0 && result.first_byte_ms <= result.total_ms);
    fetch.url = url(arena, plain, "/busy");
    tn_fetch_run(arena, &fetch, &result);
    assert_string_equal(result.request_id, "x-1");
    assert_int_equal(result.retry_after_ms, 7000);
    assert_null(result.content_type);
    fetch.url = url(arena, plain, "/date");
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.retry_after_ms, 0);
    tn_arena_free(arena);
}

static const struct {
    const char *name, *url; /* NULL: the server's */
    const char *header;
} refusals[] = {
    {"a private address", NULL, NULL},
    {"decimal", "http://2130706433/", NULL},
    {"hexadecimal and short", "http://0x7f.1/", NULL},
    {"IPv6 loopback", "http://[::1]/", NULL},
    {"mapped loopback", "http://[::ffff:127.0.0.1]/", NULL},
    {"metadata", "http://169.254.169.254/latest/meta-data/", NULL},
    {"a name that resolves to loopback", "http://localhost/", NULL},
    {"file", "file:///etc/passwd", NULL},
    {"gopher", "gopher://example.com/", NULL},
    {"no URL", "::::", NULL},
    {"empty", "", NULL},
    {"a name in the URL", "http://user:pass@example.com/", NULL},
    {"a header with a line break", "http://example.com/", "X-A: b\r\nX-Evil: 1"},
};

static void
what_must_not_be_asked_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(refusals); i++) {
        tn_arena *arena = tn_arena_new();
        const char *const headers[] = {refusals[i].header, NULL};
        const tn_fetch fetch = {
            .method = "GET",
            .url = refusals[i].url == NULL ? url(arena, plain, "/plain") : refusals[i].url,
            .headers = headers,
            .connect_timeout_ms = 2000,
        };
        tn_fetch_result result;

        tn_fetch_run(arena, &fetch, &result);
        TN_CASE("%s: outcome %d, %s", refusals[i].name, (int)result.outcome, result.problem);
        TN_CHECK(result.outcome == TN_FETCH_REFUSED);
        TN_CHECK(result.status == 0);
        tn_arena_free(arena);
    }
}

static bool
forbid_private(void *context)
{
    tn_fetch *fetch = context;

    fetch->allow_private = false;
    return true;
}

/* The first address is allowed, the one behind the redirect no longer is. */
static void
a_redirect_is_checked_again(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_fetch fetch = {
        .method = "GET",
        .url = url(arena, plain, "/redirect"),
        .allow_private = true,
        .follow_redirects = true,
        .on_tick = forbid_private,
        .context = &fetch,
    };
    tn_fetch_result result;

    (void)state;
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_REFUSED);
    assert_int_equal(result.received, 0);
    tn_arena_free(arena);
}

static void
the_environment_names_no_proxy(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_fetch fetch = {
        .method = "GET", .url = url(arena, plain, "/plain"), .allow_private = true};
    tn_fetch_result result;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(result.outcome, TN_FETCH_DONE);
    tn_arena_free(arena);
}

struct tally {
    size_t bytes, calls, ticks, ticks_max; /* ticks_max: then on_tick says stop */
    size_t bytes_max;                      /* then on_data says stop */
    int status;
};

static bool
count_data(void *context, int status, const char *bytes, size_t length)
{
    struct tally *tally = context;

    (void)bytes;
    tally->status = status;
    tally->bytes += length;
    tally->calls++;
    return tally->bytes < tally->bytes_max;
}

static bool
count_tick(void *context)
{
    struct tally *tally = context;

    return ++tally->ticks < tally->ticks_max;
}

static void
callers_see_data_and_may_stop(void **state)
{
    tn_arena *arena = tn_arena_new();
    struct tally tally = {.bytes_max = SIZE_MAX, .ticks_max = SIZE_MAX};
    tn_fetch fetch = {
        .method = "GET",
        .url = url(arena, plain, "/trickle"),
        .allow_private = true,
        .on_data = count_data,
        .on_tick = count_tick,
        .context = &tally,
    };
    tn_fetch_result result;

    (void)state;
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_DONE);
    assert_null(result.body);
    assert_int_equal(tally.bytes, 20);
    assert_int_equal(tally.status, 200);
    assert_true(tally.calls > 10);
    assert_true(tally.ticks >= 2 && tally.ticks <= 8);

    tally = (struct tally){.bytes_max = 5, .ticks_max = SIZE_MAX};
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_STOPPED);
    assert_int_equal(tally.bytes, 5);

    tally = (struct tally){.bytes_max = SIZE_MAX, .ticks_max = 1};
    fetch.url = url(arena, plain, "/stall");
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_STOPPED);
    assert_true(result.total_ms >= 450 && result.total_ms < 3000);
    tn_arena_free(arena);
}

/* A listener whose queue is full lets nobody in and refuses nobody. */
static void
connecting_has_a_deadline(void **state)
{
    tn_arena *arena = tn_arena_new();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    int waiting[4];
    tn_fetch fetch = {.method = "GET", .allow_private = true, .connect_timeout_ms = 400};
    tn_fetch_result result;

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    for (size_t i = 0; i < TN_COUNT(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&address, sizeof(address));
    }
    fetch.url = tn_arena_printf(arena, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_TIMEOUT);
    assert_string_equal(result.phase, "connect");
    assert_true(result.total_ms >= 390 && result.total_ms < 3000);
    for (size_t i = 0; i < TN_COUNT(waiting); i++)
        (void)close(waiting[i]);
    (void)close(listener);
    tn_fetch_run(arena, &fetch, &result);
    assert_int_equal(result.outcome, TN_FETCH_CONNECT); /* nobody listens any more */
    tn_arena_free(arena);
}

static void
certificates_are_verified(void **state)
{
    tn_arena *arena = tn_arena_new();
    const struct {
        const tn_test_server *server;
        const char *host;
        tn_fetch_outcome outcome;
    } cases[] = {
        {trusted, "127.0.0.1", TN_FETCH_DONE},
        {trusted, "127.0.0.1", TN_FETCH_DONE}, /* and again, from the same store */
        {trusted, "localhost", TN_FETCH_CONNECT},
        {untrusted, "127.0.0.1", TN_FETCH_CONNECT},
        {plain, "127.0.0.1", TN_FETCH_TIMEOUT}, /* it waits for more; TLS is part of connecting */
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_fetch fetch = {.method = "GET", .allow_private = true, .connect_timeout_ms = 1000};
        tn_fetch_result result;

        fetch.url = tn_arena_printf(arena, "https://%s:%d/plain", cases[i].host,
                                    tn_test_server_port(cases[i].server));
        tn_fetch_run(arena, &fetch, &result);
        TN_CASE("row %zu: outcome %d, %s", i, (int)result.outcome, result.problem);
        TN_CHECK(result.outcome == cases[i].outcome);
        TN_CHECK(result.outcome != TN_FETCH_DONE || strcmp(result.body, "hello") == 0);
    }
    tn_arena_free(arena);
}

/* A certificate for 127.0.0.1 that its own key has signed. */
static X509 *
make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    X509V3_CTX context;
    X509_EXTENSION *extension;

    assert_non_null(certificate);
    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    (void)X509_set_pubkey(certificate, key);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(certificate, name);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
    assert_non_null(extension);
    (void)X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static SSL_CTX *
make_tls(const char *trusted_path)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key);

    assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    if (trusted_path != NULL) {
        FILE *file = fopen(trusted_path, "w");

        assert_non_null(file);
        assert_int_equal(PEM_write_X509(file, certificate), 1);
        assert_int_equal(fclose(file), 0);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return tls;
}

static void
stop_servers(void)
{
    tn_test_server_free(plain);
    tn_test_server_free(trusted);
    tn_test_server_free(untrusted);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_addresses_are_known),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(deadlines_and_bounds_hold),
        cmocka_unit_test(the_request_is_what_we_said),
        cmocka_unit_test(large_bodies_are_sent_whole),
        cmocka_unit_test(files_are_uploaded_from_their_descriptor),
        cmocka_unit_test(an_upload_that_is_too_short_is_broken_off),
        cmocka_unit_test(signatures_name_what_is_sent),
        cmocka_unit_test(headers_of_the_answer_are_told),
        cmocka_unit_test(what_must_not_be_asked_is_refused),
        cmocka_unit_test(a_redirect_is_checked_again),
        cmocka_unit_test(the_environment_names_no_proxy),
        cmocka_unit_test(callers_see_data_and_may_stop),
        cmocka_unit_test(connecting_has_a_deadline),
        cmocka_unit_test(certificates_are_verified),
    };
    char path[] = "/tmp/tenon-trust-XXXXXX";
    const int fd = mkstemp(path);
    SSL_CTX *tls = make_tls(path), *other_tls = make_tls(NULL);
    int failed;

    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    (void)setenv("SSL_CERT_FILE", path, 1);
    tn_fetch_global_init();
    plain = tn_test_server_new(NULL);
    trusted = tn_test_server_new(tls);
    untrusted = tn_test_server_new(other_tls);
    failed = tn_unit_run("fetch", tests, TN_COUNT(tests));
    stop_servers();
    SSL_CTX_free(tls);
    SSL_CTX_free(other_tls);
    (void)close(fd);
    (void)unlink(path);
    return failed;
}
