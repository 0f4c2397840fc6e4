/* http/request.c: FastCGI parameters → a checked request */
#include "http/request.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/uuid.h"
#include "http/fcgi.h"

#define TARGET_MAX 65536
#define QUERY_MEMBERS_MAX 1000
#define METHOD_MAX 16
#define TICK_MS 250
#define LITTLE_BYTES ((int64_t)8 << 20) /* of a refused body */
#define LITTLE_MS 500

static const tn_error *
bad_request(tn_arena *arena, const char *hint, const char *message)
{
    return tn_error_new(arena, 400, "bad_request", hint, "%s", message);
}

/* "HTTP_X_CLIENT_INFO" → "x-client-info" */
static const char *
header_name(tn_arena *arena, const char *parameter, size_t length)
{
    char *name = tn_arena_bytes(arena, parameter, length);

    for (char *p = name; *p != '\0'; p++)
        *p = (char)(*p == '_' ? '-' : tolower((unsigned char)*p));
    return name;
}

/* A parameter that nginx sets, or NULL. */
static const char *
parameter_value(const tn_fcgi *fcgi, const char *name)
{
    return FCGX_GetParam(name, fcgi->fcgx->envp);
}

static const tn_error *
read_headers(tn_request *request, tn_arena *arena, size_t header_max)
{
    char **parameters = request->fcgi->fcgx->envp;
    size_t count = 0, bytes = 0;
    tn_pair *headers;

    while (parameters[count] != NULL)
        count++;
    headers = tn_arena_alloc(arena, count + 1, sizeof(*headers));
    request->headers = headers; /* now: whoever renders an error looks at what there is */
    for (size_t i = 0; i < count; i++) {
        const char *text = parameters[i], *equals = strchr(text, '=');
        const char *name = NULL;

        if (equals == NULL)
            continue;
        if (tn_text_starts(text, "HTTP_"))
            name = header_name(arena, text + 5, (size_t)(equals - text) - 5);
        else if (tn_text_starts(text, "CONTENT_TYPE=") && equals[1] != '\0')
            name = "content-type";
        if (name == NULL)
            continue;
        bytes += strlen(text);
        if (!tn_text_is_utf8(equals + 1, strlen(equals + 1)))
            return bad_request(arena, "Encode header values as UTF-8.",
                               "a header value is not valid UTF-8");
        headers[request->header_count++] =
            (tn_pair){.name = name, .value = tn_arena_text(arena, equals + 1)};
    }
    if (bytes > header_max)
        return tn_error_new(arena, 431, "headers_too_large", "Send fewer or shorter headers.",
                            "the request headers have %zu bytes, at most %zu are allowed", bytes,
                            header_max);
    return NULL;
}

static const tn_error *
read_query(tn_request *request, tn_arena *arena)
{
    const char *text = request->query_text;
    size_t members = 1;
    tn_pair *query;

    if (*text == '\0')
        return NULL;
    for (const char *p = text; *p != '\0'; p++)
        members += *p == '&';
    if (members > QUERY_MEMBERS_MAX)
        return bad_request(arena, NULL, "the query has more than 1000 members");
    query = tn_arena_alloc(arena, members, sizeof(*query));
    request->query = query;
    while (*text != '\0') {
        size_t length = strcspn(text, "&");
        const char *equals = memchr(text, '=', length);
        size_t name_length = equals != NULL ? (size_t)(equals - text) : length;
        const char *value = equals != NULL ? equals + 1 : text + length;
        tn_pair *member = &query[request->query_count];

        if (length > 0) {
            member->name = tn_text_url_decode(arena, text, name_length, true);
            member->value = tn_text_url_decode(arena, value, (size_t)(text + length - value), true);
            if (member->name == NULL || member->value == NULL)
                return bad_request(arena, "Percent-encode the query as UTF-8.",
                                   "the query has a broken escape, NUL, or invalid UTF-8");
            request->query_count++;
        }
        text += length;
        text += *text == '&';
    }
    return NULL;
}

static bool
is_method(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_");

    return length > 0 && length <= METHOD_MAX && text[length] == '\0';
}

static const tn_error *
read_target(tn_request *request, tn_arena *arena)
{
    const char *target = parameter_value(request->fcgi, "REQUEST_URI");
    size_t path_length;

    if (target == NULL || *target != '/')
        return bad_request(arena, NULL, "the request target must start with a slash");
    if (strlen(target) > TARGET_MAX)
        return tn_error_new(arena, 414, "target_too_long", "Send long values in the body.",
                            "the request target has more than %d bytes", TARGET_MAX);
    path_length = strcspn(target, "?");
    if (tn_text_url_decode(arena, target, path_length, false) == NULL)
        return bad_request(arena, "Percent-encode the path as UTF-8.",
                           "the path has a broken escape, NUL, or invalid UTF-8");
    request->path = tn_arena_bytes(arena, target, path_length);
    if (target[path_length] == '?')
        request->query_text = tn_arena_text(arena, target + path_length + 1);
    return read_query(request, arena);
}

/* The id that nginx made, which its log has too; ours when something else is in front. */
static const char *
request_id(const tn_fcgi *fcgi, tn_arena *arena)
{
    const char *given = parameter_value(fcgi, "TENON_REQUEST_ID");
    tn_uuid own;

    if (given != NULL && *given != '\0' && strlen(given) <= 64 &&
        strspn(given, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") ==
            strlen(given))
        return tn_arena_text(arena, given);
    own = tn_uuid_new();
    return tn_arena_text(arena, own.text);
}

static tn_phase
read_phase(const char *name)
{
    static const char *const names[] = {[TN_PHASE_ADMIT] = "admit",
                                        [TN_PHASE_REFUSE] = "refuse",
                                        [TN_PHASE_ADMITTED] = "admitted",
                                        [TN_PHASE_SEND] = "send"};

    for (size_t i = 1; name != NULL && i < TN_COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return (tn_phase)i;
    return TN_PHASE_WHOLE;
}

const tn_error *
tn_request_build(tn_request *request, tn_arena *arena, tn_fcgi *fcgi, size_t header_max)
{
    const char *method = parameter_value(fcgi, "REQUEST_METHOD");
    const char *address = parameter_value(fcgi, "REMOTE_ADDR");
    const char *length = parameter_value(fcgi, "CONTENT_LENGTH");
    const char *body_file = parameter_value(fcgi, "TENON_BODY_FILE");

    *request = (tn_request){.method = "",
                            .path = "",
                            .query_text = "",
                            .content_length = -1,
                            .remote_address = "",
                            .body = "",
                            .fcgi = fcgi};
    request->id = request_id(fcgi, arena);
    request->phase = read_phase(parameter_value(fcgi, "TENON_PHASE"));
    if (body_file != NULL && *body_file != '\0')
        request->body_file = tn_arena_text(arena, body_file);
    if (address != NULL)
        request->remote_address = tn_arena_text(arena, address);
    if (method == NULL || !is_method(method))
        return bad_request(arena, NULL, "the method is not one of HTTP's");
    request->method = tn_arena_text(arena, method);
    if (length != NULL && *length != '\0' &&
        !tn_text_int(length, 0, INT64_MAX, &request->content_length))
        return bad_request(arena, NULL, "Content-Length is not a number");
    TN_TRY(read_target(request, arena));
    return read_headers(request, arena, header_max);
}

static const char *
find_pair(const tn_pair *pairs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return pairs[i].value;
    return NULL;
}

const char *
tn_request_header(const tn_request *request, const char *name)
{
    return find_pair(request->headers, request->header_count, name);
}

const char *
tn_request_query(const tn_request *request, const char *name)
{
    return find_pair(request->query, request->query_count, name);
}

const tn_error *
tn_request_query_int(const tn_request *request, tn_arena *arena, const char *name, int64_t min,
                     int64_t max, int64_t *value)
{
    const char *text = tn_request_query(request, name);

    if (text == NULL || tn_text_int(text, min, max, value))
        return NULL;
    return tn_error_new(arena, 400, "validation_failed", NULL,
                        "the query member %s must be a whole number from %lld to %lld", name,
                        (long long)min, (long long)max);
}

static const tn_error *
refuse_large(tn_arena *arena, size_t length, size_t max)
{
    return tn_error_new(arena, 413, "body_too_large", NULL,
                        "the body has %zu bytes, at most %zu are allowed here", length, max);
}

/* What nginx has spooled, into memory. */
static const tn_error *
read_spooled(tn_request *request, tn_arena *arena, size_t max)
{
    const int fd = open(request->body_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const tn_error *error = NULL;
    struct stat status;
    size_t length = 0;

    if (fd < 0 || fstat(fd, &status) != 0) {
        error = tn_error_internal(arena, "http.spool.unreadable", "%s: %m", request->body_file);
    } else if ((size_t)status.st_size > max) {
        error = refuse_large(arena, (size_t)status.st_size, max);
    } else {
        char *bytes = tn_arena_alloc(arena, (size_t)status.st_size + 1, 1);
        ssize_t got;

        while (length < (size_t)status.st_size &&
               (got = read(fd, bytes + length, (size_t)status.st_size - length)) > 0)
            length += (size_t)got;
        bytes[length] = '\0';
        request->body = bytes;
        request->body_length = length;
    }
    if (fd >= 0)
        (void)close(fd);
    return error;
}

ssize_t
tn_request_read_some(tn_request *request, void *bytes, size_t size)
{
    FCGX_Stream *in = request->fcgi->fcgx->in;
    int got = FCGX_GetStr(bytes, size < 65536 ? (int)size : 65536, in);

    if (got == 0 && FCGX_GetError(in) != 0)
        return -1;
    return got;
}

static _Thread_local struct {
    tn_request_tick *tick;
    void *context;
} waiting; /* of the thread that reads a body */

bool
tn_request_wait(int fd)
{
    struct pollfd peer = {.fd = fd, .events = POLLIN};

    if (waiting.tick == NULL)
        return true;
    while (poll(&peer, 1, TICK_MS) == 0)
        if (!waiting.tick(waiting.context))
            return false;
    return true;
}

/* What libfcgi has read already, up to `size`. */
static int
take_buffered(FCGX_Stream *in, char *bytes, size_t size)
{
    const size_t there = (size_t)(in->stop - in->rdNext);

    return there > 0 && size > 0 ? FCGX_GetStr(bytes, (int)(there < size ? there : size), in) : 0;
}

ssize_t
tn_request_read_live(tn_request *request, void *bytes, size_t size, tn_request_tick *tick,
                     void *context)
{
    FCGX_Stream *in = request->fcgi->fcgx->in;
    int got = take_buffered(in, bytes, size);

    if (got > 0)
        return got;
    waiting.tick = tick;
    waiting.context = context;
    got = FCGX_GetStr(bytes, 1, in);
    waiting.tick = NULL;
    if (got == 0)
        return FCGX_GetError(in) != 0 ? -1 : 0;
    return 1 + take_buffered(in, (char *)bytes + 1, size - 1);
}

void
tn_request_abandon_body(tn_request *request)
{
    request->fcgi->abandoned = true;
}

const tn_error *
tn_request_read_body(tn_request *request, tn_arena *arena, size_t max)
{
    FCGX_Stream *in = request->fcgi->fcgx->in;
    size_t expected = request->content_length > 0 ? (size_t)request->content_length : 0;
    size_t size = expected > 0 ? expected + 1 : 4096, length = 0;
    char *bytes;

    if (expected > max)
        return refuse_large(arena, expected, max);
    if (request->body_file != NULL)
        return read_spooled(request, arena, max);
    bytes = tn_arena_alloc(arena, size, 1);
    for (;;) {
        int wanted = (int)(size - 1 - length < 65536 ? size - 1 - length : 65536);
        int got = wanted > 0 ? FCGX_GetStr(bytes + length, wanted, in) : 0;

        length += (size_t)got;
        if (got < wanted || (expected > 0 && length == expected))
            break;
        if (length > max)
            return tn_error_new(arena, 413, "body_too_large", NULL,
                                "the body has more than %zu bytes", max);
        if (size - 1 - length == 0) { /* no Content-Length: grow by doubling, up to the ceiling */
            char *larger = tn_arena_alloc(arena, size * 2, 1);

            memcpy(larger, bytes, length);
            bytes = larger;
            size *= 2;
        }
    }
    if (expected > length || FCGX_GetError(in) != 0)
        return tn_error_new(arena, 400, "body_incomplete", NULL,
                            "the body ended after %zu of %zu bytes", length, expected);
    bytes[length] = '\0';
    request->body = bytes;
    request->body_length = length;
    return NULL;
}

const char *
tn_request_client_address(const tn_request *request)
{
    const char *text = request->remote_address;
    uint8_t bytes[16];

    return text != NULL &&
                   (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1)
               ? text
               : NULL;
}

static bool
give_up(void *context)
{
    (void)context;
    return false;
}

/* A little that comes soon is read after all: then nginx keeps the client's connection as well,
 * which it has promised in the answer's head. */
static bool
read_little(tn_request *request)
{
    const int64_t deadline_ms = tn_clock_ms() + LITTLE_MS;
    int64_t bytes = 0;
    char scrap[8192];
    ssize_t got = 1;

    if (request->phase != TN_PHASE_WHOLE || request->content_length > LITTLE_BYTES)
        return false; /* an upload that was refused before: nginx has not even begun to read it */
    while (got > 0 && bytes <= LITTLE_BYTES && tn_clock_ms() < deadline_ms) {
        got = tn_request_read_live(request, scrap, sizeof(scrap), give_up, NULL);
        bytes += got;
    }
    return got == 0;
}

void
tn_request_discard_body(tn_request *request)
{
    char scrap[8192];

    if (request->fcgi->abandoned) {
        if (!read_little(request))
            request->fcgi->fcgx->keepConnection = 0; /* libfcgi then waits for nginx to close it */
        return;
    }
    while (FCGX_GetStr(scrap, sizeof(scrap), request->fcgi->fcgx->in) == (int)sizeof(scrap))
        continue;
}

static bool
is_secret_header(const char *name)
{
    return strcmp(name, "authorization") == 0 || strcmp(name, "apikey") == 0 ||
           strcmp(name, "cookie") == 0 || strcmp(name, "proxy-authorization") == 0;
}

const char *
tn_request_headers_json(const tn_request *request, tn_arena *arena)
{
    PQExpBuffer json = tn_arena_buffer(arena);
    const char *separator = "{";

    for (size_t i = 0; i < request->header_count; i++) {
        if (is_secret_header(request->headers[i].name))
            continue;
        appendPQExpBufferStr(json, separator);
        tn_buffer_json_string(json, request->headers[i].name);
        appendPQExpBufferChar(json, ':');
        tn_buffer_json_string(json, request->headers[i].value);
        separator = ",";
    }
    appendPQExpBufferStr(json, *separator == '{' ? "{}" : "}");
    return tn_buffer_text(json);
}
