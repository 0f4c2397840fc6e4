/* http/response.c: the answer on its way out, whole, in pieces or as server-sent events */
#include "http/response.h"

#include <assert.h>
#include <sys/socket.h>

#include "http/fcgi.h"

static const char *
reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {418, "I'm a teapot"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
    };

    for (size_t i = 0; i < TN_COUNT(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Status";
}

void
tn_response_header(tn_response *response, const char *name, const char *value)
{
    assert(response->header_count < TN_RESPONSE_HEADERS_MAX);
    assert(strpbrk(name, "\r\n:") == NULL && strpbrk(value, "\r\n") == NULL);
    response->headers[response->header_count++] = (tn_pair){.name = name, .value = value};
}

void
tn_response_text(tn_response *response, int status, const char *content_type, const char *text,
                 size_t length)
{
    response->status = status;
    response->content_type = content_type;
    response->body = text;
    response->body_length = length;
}

void
tn_response_json(tn_response *response, int status, const char *json)
{
    tn_response_text(response, status, "application/json; charset=utf-8", json, strlen(json));
}

void
tn_response_empty(tn_response *response, int status)
{
    tn_response_text(response, status, NULL, "", 0);
}

/* Status line (as FastCGI and CGI have it, RFC 3875 section 6.3), headers, blank line. */
static void
build_head(const tn_response *response, PQExpBuffer head)
{
    appendPQExpBuffer(head, "Status: %d %s\r\n", response->status,
                      response->reason != NULL ? response->reason
                                               : reason_phrase(response->status));
    if (response->content_type != NULL)
        appendPQExpBuffer(head, "Content-Type: %s\r\n", response->content_type);
    if (!response->streaming && !response->is_head && response->status != 204 &&
        response->status != 304)
        appendPQExpBuffer(head, "Content-Length: %zu\r\n", response->body_length);
    if (response->request_id != NULL)
        appendPQExpBuffer(head, "X-Request-Id: %s\r\n", response->request_id);
    for (size_t i = 0; i < response->header_count; i++)
        appendPQExpBuffer(head, "%s: %s\r\n", response->headers[i].name,
                          response->headers[i].value);
    appendPQExpBufferStr(head, "\r\n");
}

static void
write_bytes(tn_response *response, const char *bytes, size_t length)
{
    FCGX_Stream *out = response->fcgi->fcgx->out;

    while (length > 0 && !response->client_gone) {
        int piece = (int)(length < 1 << 20 ? length : 1 << 20);

        if (FCGX_PutStr(bytes, piece, out) != piece || FCGX_GetError(out) != 0)
            response->client_gone = true;
        response->sent += (size_t)piece;
        bytes += piece;
        length -= (size_t)piece;
    }
}

void
tn_response_send(tn_response *response, tn_arena *arena)
{
    PQExpBuffer head;

    if (response->streaming)
        return;
    head = tn_arena_buffer(arena);
    build_head(response, head);
    write_bytes(response, tn_buffer_text(head), head->len);
    if (response->status != 204 && response->status != 304)
        write_bytes(response, response->body, response->body_length);
    response->sent = response->body_length;
}

static bool
flush(tn_response *response)
{
    if (!response->client_gone && FCGX_FFlush(response->fcgi->fcgx->out) != 0)
        response->client_gone = true;
    return !response->client_gone;
}

static bool
send_head(tn_response *response)
{
    PQExpBufferData head;

    assert(!response->streaming);
    response->streaming = true;
    initPQExpBuffer(&head);
    build_head(response, &head);
    write_bytes(response, tn_buffer_text(&head), head.len);
    termPQExpBuffer(&head);
    response->sent = 0;
    return flush(response);
}

bool
tn_response_open(tn_response *response)
{
    return send_head(response);
}

bool
tn_response_write(tn_response *response, const char *bytes, size_t length)
{
    write_bytes(response, bytes, length);
    return !response->client_gone;
}

/* Without FCGI_END_REQUEST at its end nginx takes the answer for broken (FastCGI 1.0 section 5.5),
 * and says so to the client in the way of its version of HTTP. */
void
tn_response_cut(tn_response *response)
{
    assert(response->streaming);
    (void)shutdown(response->fcgi->fcgx->ipcFd, SHUT_RDWR);
}

bool
tn_sse_open(tn_response *response)
{
    response->status = 200;
    response->content_type = "text/event-stream; charset=utf-8";
    tn_response_header(response, "Cache-Control", "no-cache, no-transform");
    tn_response_header(response, "X-Accel-Buffering", "no"); /* nginx passes each event at once */
    return send_head(response);
}

bool
tn_sse_event(tn_response *response, const char *event, const char *id, const char *data)
{
    assert(strchr(data, '\n') == NULL && strchr(data, '\r') == NULL);
    if (response->client_gone)
        return false;
    write_bytes(response, "event: ", 7);
    write_bytes(response, event, strlen(event));
    if (id != NULL) {
        write_bytes(response, "\nid: ", 5);
        write_bytes(response, id, strlen(id));
    }
    write_bytes(response, "\ndata: ", 7);
    write_bytes(response, data, strlen(data));
    write_bytes(response, "\n\n", 2);
    return flush(response);
}

bool
tn_sse_comment(tn_response *response, const char *text)
{
    if (response->client_gone)
        return false;
    write_bytes(response, ": ", 2);
    write_bytes(response, text, strlen(text));
    write_bytes(response, "\n\n", 2);
    return flush(response);
}
