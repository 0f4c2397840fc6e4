/* mail/smtp.c: a mail to a mail server (RFC 5321, with STARTTLS and AUTH), by libcurl
 *
 * What libcurl says to the server and hears from it passes through follow_dialogue(): from it we
 * know at which command the server refused, which decides whether trying again is of use. The
 * handle is kept, and with it the connection to the server.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fetch.h"
#include "mail/transport.h"

#define REPLY_MAX 512

struct tn_smtp {
    const tn_config *config;
    const atomic_bool *cancelled;
    CURL *easy;
};

/* One mail on its way. */
struct transfer {
    const tn_envelope *envelope;
    const atomic_bool *cancelled;
    size_t sent;
    const char *stage;
    char reply[REPLY_MAX]; /* the last line that the server said */
    char problem[CURL_ERROR_SIZE];
};

static void
make_handle(tn_smtp *smtp)
{
    smtp->easy = curl_easy_init();
    if (smtp->easy == NULL)
        tn_die("no memory for a transfer");
}

tn_smtp *
tn_smtp_new(const tn_config *config, const atomic_bool *cancelled)
{
    tn_smtp *smtp = calloc(1, sizeof(*smtp));

    if (smtp == NULL)
        tn_die("out of memory");
    tn_fetch_global_init();
    smtp->config = config;
    smtp->cancelled = cancelled;
    make_handle(smtp);
    return smtp;
}

/* After a failure nobody knows what the server will say next. libcurl would say QUIT and wait for
 * the answer, two minutes when there is none. */
static void
drop_connection(tn_smtp *smtp)
{
    curl_socket_t socket = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(smtp->easy, CURLINFO_ACTIVESOCKET, &socket) == CURLE_OK &&
        socket != CURL_SOCKET_BAD)
        (void)shutdown(socket, SHUT_RDWR);
    curl_easy_cleanup(smtp->easy);
    make_handle(smtp);
}

void
tn_smtp_free(tn_smtp *smtp)
{
    if (smtp == NULL)
        return;
    curl_easy_cleanup(smtp->easy);
    free(smtp);
}

/* --- what libcurl calls ---------------------------------------------------------------------- */

static const char *
stage_of_command(const char *line, size_t length)
{
    static const struct {
        const char *command, *stage;
    } stages[] = {
        {"EHLO", "greeting"}, {"HELO", "greeting"},   {"STARTTLS", "tls"}, {"AUTH", "login"},
        {"MAIL ", "sender"},  {"RCPT ", "recipient"}, {"DATA", "mail"},
    };

    for (size_t i = 0; i < TN_COUNT(stages); i++)
        if (length >= strlen(stages[i].command) &&
            strncasecmp(line, stages[i].command, strlen(stages[i].command)) == 0)
            return stages[i].stage;
    return NULL;
}

static int
follow_dialogue(CURL *easy, curl_infotype type, char *bytes, size_t length, void *context)
{
    struct transfer *transfer = context;
    const char *stage;

    (void)easy;
    if (type == CURLINFO_HEADER_OUT) {
        stage = stage_of_command(bytes, length);
        transfer->stage = stage != NULL ? stage : transfer->stage;
    } else if (type == CURLINFO_HEADER_IN) {
        const size_t kept = length < REPLY_MAX ? length : REPLY_MAX - 1;

        memcpy(transfer->reply, bytes, kept);
        transfer->reply[kept] = '\0';
        transfer->reply[strcspn(transfer->reply, "\r\n")] = '\0';
    }
    return 0;
}

static size_t
give_bytes(char *to, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const size_t left = transfer->envelope->length - transfer->sent, room = size * count,
                 length = left < room ? left : room;

    memcpy(to, transfer->envelope->bytes + transfer->sent, length);
    transfer->sent += length;
    return length;
}

static size_t
take_nothing(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static int
watch(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct transfer *transfer = context;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return transfer->cancelled != NULL && atomic_load(transfer->cancelled) ? 1 : 0;
}

/* --- one mail -------------------------------------------------------------------------------- */

static void
set_server(const tn_smtp *smtp)
{
    static const long use_ssl[] = {
        [TN_MAIL_TLS_REQUIRED] = CURLUSESSL_ALL,
        [TN_MAIL_TLS_OPPORTUNISTIC] = CURLUSESSL_TRY,
        [TN_MAIL_TLS_OFF] = CURLUSESSL_NONE,
    };
    const tn_config *config = smtp->config;
    CURL *easy = smtp->easy;

    curl_easy_setopt(easy, CURLOPT_URL, config->mail.url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_USE_SSL, use_ssl[config->mail.tls]);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (config->mail.ca_file[0] != '\0') /* the system's folder of certificates stays */
        curl_easy_setopt(easy, CURLOPT_CAINFO, config->mail.ca_file);
    if (config->mail.user[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_USERNAME, config->mail.user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, config->mail.password);
    }
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->mail.connect_timeout_s * 1000);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)config->mail.timeout_s * 1000);
}

static void
set_mail(const tn_smtp *smtp, struct transfer *transfer, struct curl_slist *recipients)
{
    CURL *easy = smtp->easy;

    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, transfer->envelope->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_bytes);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_nothing);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->envelope->length);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->problem);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, follow_dialogue);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
}

/* 5xx about the recipient or the mail itself is final (RFC 5321 section 4.2.1). About the sender,
 * the login and the rest it is the operator's to mend, and the mail waits for that. */
static bool
is_final(const struct transfer *transfer, int status)
{
    return status >= 500 && status < 600 &&
           (strcmp(transfer->stage, "recipient") == 0 || strcmp(transfer->stage, "mail") == 0);
}

static void
judge(tn_arena *arena, const tn_smtp *smtp, const struct transfer *transfer, CURLcode code,
      tn_sending *sending)
{
    long status = 0;

    (void)curl_easy_getinfo(smtp->easy, CURLINFO_RESPONSE_CODE, &status);
    sending->is_accepted = code == CURLE_OK;
    sending->status = (int)status;
    sending->stage = transfer->stage;
    if (sending->is_accepted)
        return;
    sending->is_refused = is_final(transfer, sending->status);
    sending->problem = curl_easy_strerror(code);
    sending->reply = tn_arena_text(
        arena, transfer->reply[0] != '\0' && status >= 400 ? transfer->reply : transfer->problem);
}

void
tn_smtp_send(tn_smtp *smtp, tn_arena *arena, const tn_envelope *envelope, tn_sending *sending)
{
    struct transfer transfer = {
        .envelope = envelope, .cancelled = smtp->cancelled, .stage = "connect"};
    struct curl_slist *recipients = curl_slist_append(NULL, envelope->to);
    CURLcode code;

    if (recipients == NULL)
        tn_die("no memory for a mail");
    set_server(smtp);
    set_mail(smtp, &transfer, recipients);
    code = curl_easy_perform(smtp->easy);
    judge(arena, smtp, &transfer, code, sending);
    if (code != CURLE_OK)
        drop_connection(smtp);
    curl_easy_reset(smtp->easy); /* forgets our variables, keeps the connection */
    curl_slist_free_all(recipients);
}
