/* base/fetch.c: one libcurl transfer at a time, driven by our own clock
 *
 * A multi handle with one transfer in it, because curl_easy_perform() looks at deadlines once a
 * second only; curl_multi_poll() is poll(2), so descriptors above 1023 are fine. A stream waits
 * here for minutes and there are thousands of them, so what a transfer holds is kept small: buffers
 * of 16 KiB, HTTP/1.1 (HTTP/2 gives nothing to one stream per connection), and one store of
 * certificates for all, where libcurl would parse the whole bundle, over a megabyte, for each
 * connection.
 */
#include "base/fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define BUFFER_SIZE 4096L /* thousands of streams have one each */
#define UPLOAD_BUFFER_SIZE 16384L
#define REDIRECTS_MAX 5L
#define RESPONSE_MAX ((size_t)1024 * 1024) /* when the caller names none */
#define TICK_MS 500
#define RETRY_AFTER_MAX_MS (INT64_C(24) * 3600 * 1000)

struct transfer {
    const tn_fetch *fetch;
    tn_fetch_result *result;
    CURL *easy;
    PQExpBuffer body;
    size_t response_max;
    int64_t uploaded;                                      /* bytes of fetch->upload */
    int64_t started_ms, connected_ms, heard_ms, ticked_ms; /* connected, heard: 0 until then */
    bool is_refused, is_too_large, is_stopped;
    char problem[CURL_ERROR_SIZE];
};

static struct {
    pthread_once_t once;
    X509_STORE *store; /* shared by all connections; OpenSSL locks it */
} trust = {.once = PTHREAD_ONCE_INIT};

static void
load_trust(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        tn_die("libcurl cannot start");
    trust.store = X509_STORE_new();
    /* The system's folder of certificates, from which OpenSSL reads those that it comes to need. */
    if (trust.store == NULL || X509_STORE_set_default_paths(trust.store) != 1)
        tn_die("OpenSSL cannot load the system's certificates");
}

void
tn_fetch_global_init(void)
{
    (void)pthread_once(&trust.once, load_trust);
}

struct range {
    uint8_t address[16];
    unsigned int bits;
};

/* IANA's special-purpose registries (RFC 6890), and multicast. */
static const struct range private_v4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 4},
    {{240}, 4},
};

/* Only 2000::/3 is given out; these parts of it lead elsewhere: Teredo, ORCHID, documentation,
 * 6to4. */
static const struct range public_v6 = {{0x20}, 3};
static const struct range private_v6[] = {
    {{0x20, 0x01}, 23},
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x20, 0x02}, 16},
    {{0x3f, 0xff}, 20},
};

/* Addresses that end in an IPv4 address which counts: mapped ones and NAT64 (RFC 6052). */
static const struct range carrying_v4[] = {
    {{[10] = 0xff, [11] = 0xff}, 96},
    {{0x00, 0x64, 0xff, 0x9b}, 96},
};

static bool
is_in_range(const uint8_t *address, const struct range *range)
{
    const size_t whole = range->bits / 8;
    const unsigned int rest = range->bits % 8;

    if (memcmp(address, range->address, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ range->address[whole]) >> (8 - rest)) == 0;
}

static bool
is_in_ranges(const uint8_t *address, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in_range(address, &ranges[i]))
            return true;
    return false;
}

bool
tn_fetch_address_is_public(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return !is_in_ranges((const uint8_t *)&v4.sin_addr, private_v4, TN_COUNT(private_v4));
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&v6, address, sizeof(v6));
    if (is_in_ranges(v6.sin6_addr.s6_addr, carrying_v4, TN_COUNT(carrying_v4)))
        return !is_in_ranges(v6.sin6_addr.s6_addr + 12, private_v4, TN_COUNT(private_v4));
    return is_in_range(v6.sin6_addr.s6_addr, &public_v6) &&
           !is_in_ranges(v6.sin6_addr.s6_addr, private_v6, TN_COUNT(private_v6));
}

/* libcurl asks for each connection, with the address that it is about to connect to: so neither a
 * redirect nor a name that resolves anew gets around this. */
static curl_socket_t
open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;

    (void)purpose;
    if (!transfer->fetch->allow_private && !tn_fetch_address_is_public(&address->addr)) {
        transfer->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static CURLcode
share_trust(CURL *easy, void *ssl_context, void *context)
{
    (void)easy;
    (void)context;
    SSL_CTX_set1_cert_store(ssl_context, trust.store);
    (void)SSL_CTX_set_mode(ssl_context, SSL_MODE_RELEASE_BUFFERS); /* 34 KB while nothing comes */
    return CURLE_OK;
}

static int
answer_status(const struct transfer *transfer)
{
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static void
note_heard(struct transfer *transfer)
{
    transfer->heard_ms = tn_clock_ms();
    if (transfer->result->first_byte_ms < 0)
        transfer->result->first_byte_ms = transfer->heard_ms - transfer->started_ms;
}

static size_t
take_header(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    note_heard(context);
    return size * count;
}

static size_t
take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const tn_fetch *fetch = transfer->fetch;
    const size_t length = size * count;

    note_heard(transfer);
    transfer->result->received += length;
    if (transfer->result->received > transfer->response_max) {
        transfer->is_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (fetch->on_data == NULL) {
        appendBinaryPQExpBuffer(transfer->body, bytes, length);
        return length;
    }
    if (!fetch->on_data(fetch->context, answer_status(transfer), bytes, length)) {
        transfer->is_stopped = true;
        return CURL_WRITEFUNC_ERROR;
    }
    transfer->heard_ms = tn_clock_ms(); /* a slow taker of the data is no silence of the sender */
    return length;
}

/* Gives the next piece of the upload. What is sent is no silence, however long it takes. */
static size_t
give_upload(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const tn_fetch_upload *upload = transfer->fetch->upload;
    const int64_t left = upload->length - transfer->uploaded;
    const size_t wanted = (int64_t)(size * count) < left ? size * count : (size_t)left;
    const ssize_t got =
        pread(upload->fd, bytes, wanted, (off_t)(upload->offset + transfer->uploaded));

    if (got < 0 || (got == 0 && left > 0))
        return CURL_READFUNC_ABORT;
    transfer->uploaded += got;
    if (transfer->connected_ms != 0)
        transfer->connected_ms = tn_clock_ms();
    return (size_t)got;
}

/* libcurl may begin anew when a connection broke before the answer. */
static int
rewind_upload(void *context, curl_off_t offset, int origin)
{
    struct transfer *transfer = context;

    if (origin != SEEK_SET || offset < 0 || offset > transfer->fetch->upload->length)
        return CURL_SEEKFUNC_FAIL;
    transfer->uploaded = offset;
    return CURL_SEEKFUNC_OK;
}

static void
set_guards(struct transfer *transfer)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* nor one of the environment */
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, share_trust);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); /* it would end with the handle */
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)transfer->response_max);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, transfer->fetch->follow_redirects ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
}

static void
set_transport(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    const long buffer_size = (long)transfer->fetch->buffer_size;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver that hangs */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, buffer_size > 0 ? buffer_size : BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE,
                     buffer_size > UPLOAD_BUFFER_SIZE ? buffer_size : UPLOAD_BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->problem);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    /* libcurl's own deadline begins anew for each redirect; ours covers the first connection. */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->fetch->connect_timeout_ms);
}

static void
free_headers(void *list)
{
    curl_slist_free_all(list);
}

static struct curl_slist *
build_headers(const tn_fetch *fetch)
{
    /* No pause before the body. (Under a signature libcurl 7.88 would sign a header that it does
     * not send; and a store may well refuse what is large before it comes.) */
    const char *first = fetch->signature == NULL ? "Expect:" : "Accept: */*";
    struct curl_slist *list = curl_slist_append(NULL, first);

    for (const char *const *header = fetch->headers;
         list != NULL && header != NULL && *header != NULL; header++) {
        struct curl_slist *longer = curl_slist_append(list, *header);

        if (longer == NULL)
            curl_slist_free_all(list);
        list = longer;
    }
    if (list == NULL)
        tn_die("no memory for headers");
    return list;
}

/* A line break in a header's text would begin another header. */
static bool
headers_are_lines(const char *const *headers)
{
    for (; headers != NULL && *headers != NULL; headers++)
        if (strpbrk(*headers, "\r\n") != NULL)
            return false;
    return true;
}

static void
set_upload(struct transfer *transfer)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_upload);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->fetch->upload->length);
}

static void
set_signature(tn_arena *arena, CURL *easy, const tn_fetch_signature *signature)
{
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4,
                     tn_arena_printf(arena, "aws:amz:%s:s3", signature->region));
    curl_easy_setopt(easy, CURLOPT_USERNAME, signature->key_id);
    curl_easy_setopt(easy, CURLOPT_PASSWORD, signature->secret);
}

static void
set_request(tn_arena *arena, struct transfer *transfer)
{
    const tn_fetch *fetch = transfer->fetch;
    CURL *easy = transfer->easy;
    struct curl_slist *headers = build_headers(fetch);

    tn_arena_defer(arena, free_headers, headers);
    curl_easy_setopt(easy, CURLOPT_URL, fetch->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "tenon");
    if (fetch->signature != NULL)
        set_signature(arena, easy, fetch->signature);
    if (strcmp(fetch->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (fetch->upload != NULL) {
        set_upload(transfer);
    } else if (fetch->body != NULL || strcmp(fetch->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body_length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, fetch->body == NULL ? "" : fetch->body);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, fetch->method);
}

/* Milliseconds until the first deadline, which *phase names; at most TICK_MS. */
static int64_t
time_left(struct transfer *transfer, int64_t now, const char **phase)
{
    const tn_fetch *fetch = transfer->fetch;
    const bool is_connected = transfer->connected_ms != 0, is_heard = transfer->heard_ms != 0;
    const struct {
        const char *phase;
        int64_t since, limit;
    } deadlines[] = {
        {"total", transfer->started_ms, fetch->total_timeout_ms},
        {"connect", is_connected ? 0 : transfer->started_ms, fetch->connect_timeout_ms},
        {"first_byte", is_heard ? 0 : transfer->connected_ms, fetch->first_byte_timeout_ms},
        {"silence", transfer->heard_ms, fetch->silence_timeout_ms},
    };
    int64_t left = TICK_MS;

    *phase = NULL;
    for (size_t i = 0; i < TN_COUNT(deadlines); i++) {
        const int64_t rest = deadlines[i].since + deadlines[i].limit - now;

        if (deadlines[i].since == 0 || deadlines[i].limit == 0 || rest >= left)
            continue;
        left = rest;
        *phase = deadlines[i].phase;
    }
    return left;
}

static void
note_connected(struct transfer *transfer, int64_t now)
{
    curl_off_t us = 0;

    if (transfer->connected_ms == 0 &&
        curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0)
        transfer->connected_ms = now;
}

static bool
tick(struct transfer *transfer, int64_t now)
{
    const tn_fetch *fetch = transfer->fetch;

    if (fetch->on_tick == NULL || now - transfer->ticked_ms < TICK_MS)
        return true;
    transfer->ticked_ms = now;
    transfer->is_stopped = !fetch->on_tick(fetch->context);
    return !transfer->is_stopped;
}

/* Runs until the transfer has ended (*code says how) or we end it; false in the latter case. */
static bool
run(struct transfer *transfer, CURLM *multi, CURLcode *code)
{
    int running = 1, waiting;
    const CURLMsg *message;

    while (curl_multi_perform(multi, &running) == CURLM_OK && running > 0) {
        const int64_t now = tn_clock_ms();
        const char *phase;
        int64_t left;

        note_connected(transfer, now);
        if (!tick(transfer, now))
            return false;
        left = time_left(transfer, now, &phase);
        if (left <= 0) {
            transfer->result->phase = phase;
            return false;
        }
        (void)curl_multi_poll(multi, NULL, 0, (int)left, NULL);
    }
    note_connected(transfer, tn_clock_ms());
    message = curl_multi_info_read(multi, &waiting);
    *code =
        message != NULL && message->msg == CURLMSG_DONE ? message->data.result : CURLE_FAILED_INIT;
    return true;
}

static tn_fetch_outcome
judge(struct transfer *transfer, CURLcode code)
{
    if (code == CURLE_OK)
        return TN_FETCH_DONE;
    if (transfer->is_stopped)
        return TN_FETCH_STOPPED;
    if (transfer->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
        return TN_FETCH_TOO_LARGE;
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or an answer that is not HTTP */
        return transfer->connected_ms == 0 || answer_status(transfer) != 0 ? TN_FETCH_REFUSED
                                                                           : TN_FETCH_BROKEN;
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED: /* a name in the URL */
    case CURLE_TOO_MANY_REDIRECTS:
        return TN_FETCH_REFUSED;
    case CURLE_COULDNT_CONNECT:
        return transfer->is_refused ? TN_FETCH_REFUSED : TN_FETCH_CONNECT;
    case CURLE_OPERATION_TIMEDOUT: /* the only deadline that libcurl knows of */
        transfer->result->phase = "connect";
        return TN_FETCH_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return TN_FETCH_CONNECT;
    default:
        return transfer->connected_ms == 0 ? TN_FETCH_CONNECT : TN_FETCH_BROKEN;
    }
}

static const char *
copy_header(tn_arena *arena, CURL *easy, const char *name)
{
    struct curl_header *header;

    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return tn_text_is_utf8(header->value, strlen(header->value))
               ? tn_arena_text(arena, header->value)
               : NULL;
}

int64_t
tn_fetch_retry_after_ms(const char *value, int64_t now_s)
{
    int64_t seconds;
    time_t date;

    if (value == NULL)
        return -1;
    if (!tn_text_int(value, 0, RETRY_AFTER_MAX_MS / 1000, &seconds)) {
        if (strspn(value, "0123456789") == strlen(value))
            return value[0] == '\0' ? -1 : RETRY_AFTER_MAX_MS;
        date = curl_getdate(value, NULL);
        if (date == -1)
            return -1;
        seconds = (int64_t)date - now_s;
    }
    if (seconds < 0)
        return 0;
    return seconds > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : seconds * 1000;
}

static void
fill_result(tn_arena *arena, struct transfer *transfer)
{
    tn_fetch_result *result = transfer->result;
    CURL *easy = transfer->easy;
    curl_off_t length;

    result->status = answer_status(transfer);
    result->total_ms = tn_clock_ms() - transfer->started_ms;
    result->content_type = copy_header(arena, easy, "content-type");
    result->etag = copy_header(arena, easy, "etag");
    if (curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK)
        result->content_length = length;
    result->request_id = copy_header(arena, easy, "x-request-id");
    if (result->request_id == NULL)
        result->request_id = copy_header(arena, easy, "request-id");
    result->retry_after_ms =
        tn_fetch_retry_after_ms(copy_header(arena, easy, "retry-after"), tn_clock_unix());
    if (transfer->fetch->on_data == NULL) {
        result->body = tn_buffer_text(transfer->body);
        result->body_length = transfer->body->len;
    }
}

static const char *
describe(tn_arena *arena, const struct transfer *transfer, CURLcode code)
{
    switch (transfer->result->outcome) {
    case TN_FETCH_DONE:
        return NULL;
    case TN_FETCH_STOPPED:
        return "stopped by us";
    case TN_FETCH_TIMEOUT:
        return tn_arena_printf(arena, "the deadline for %s has passed", transfer->result->phase);
    case TN_FETCH_TOO_LARGE:
        return tn_arena_printf(arena, "the answer is larger than %zu bytes",
                               transfer->response_max);
    case TN_FETCH_REFUSED:
        if (transfer->is_refused)
            return "the address is private and allow_private is off";
        break;
    case TN_FETCH_CONNECT:
    case TN_FETCH_BROKEN:
        break;
    }
    return tn_arena_text(arena, transfer->problem[0] != '\0' ? transfer->problem
                                                             : curl_easy_strerror(code));
}

void
tn_fetch_run(tn_arena *arena, const tn_fetch *fetch, tn_fetch_result *result)
{
    struct transfer transfer = {
        .fetch = fetch,
        .result = result,
        .response_max = fetch->response_max == 0 ? RESPONSE_MAX : fetch->response_max,
        .started_ms = tn_clock_ms(),
    };
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    CURLM *multi;
    bool has_ended;

    *result = (tn_fetch_result){.retry_after_ms = -1, .first_byte_ms = -1, .content_length = -1};
    if (!headers_are_lines(fetch->headers)) {
        result->outcome = TN_FETCH_REFUSED;
        result->problem = "a header holds a line break";
        return;
    }
    tn_fetch_global_init();
    multi = curl_multi_init();
    transfer.easy = curl_easy_init();
    if (multi == NULL || transfer.easy == NULL)
        tn_die("no memory for a transfer");
    if (fetch->on_data == NULL)
        transfer.body = tn_arena_buffer(arena);
    transfer.ticked_ms = transfer.started_ms;
    set_guards(&transfer);
    set_transport(&transfer);
    set_request(arena, &transfer);
    (void)curl_multi_add_handle(multi, transfer.easy);
    has_ended = run(&transfer, multi, &code);
    result->outcome = has_ended || transfer.is_stopped ? judge(&transfer, code) : TN_FETCH_TIMEOUT;
    fill_result(arena, &transfer);
    result->problem = describe(arena, &transfer, code);
    (void)curl_multi_remove_handle(multi, transfer.easy);
    curl_easy_cleanup(transfer.easy);
    (void)curl_multi_cleanup(multi);
}
