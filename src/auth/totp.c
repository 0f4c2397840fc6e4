/* auth/totp.c: liboath does the arithmetic, libqrencode the picture */
#include "auth/totp.h"

#include <liboath/oath.h>
#include <qrencode.h>
#include <string.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/error.h"

#define DIGITS 6
#define QUIET_ZONE 4    /* modules of white around a QR code (ISO/IEC 18004 section 9.1) */
#define URI_MAX 1024    /* bytes in a QR code that cameras still read */
#define SEALED_MAX 1024 /* bytes of text */

void
tn_totp_start(void)
{
    if (oath_init() != OATH_OK)
        tn_die("liboath does not start");
}

const char *
tn_totp_secret_text(tn_arena *arena, const uint8_t secret[TN_TOTP_SECRET_SIZE])
{
    char *text;

    if (oath_base32_encode((const char *)secret, TN_TOTP_SECRET_SIZE, &text, NULL) != OATH_OK)
        tn_die("out of memory");
    tn_arena_defer(arena, free, text);
    return text; /* 160 bits are 32 characters: there is no padding */
}

const char *
tn_totp_uri(tn_arena *arena, const char *issuer, const char *account, const char *secret)
{
    PQExpBuffer uri = tn_arena_buffer(arena);

    appendPQExpBufferStr(uri, "otpauth://totp/");
    tn_buffer_url_value(uri, issuer);
    appendPQExpBufferChar(uri, ':');
    tn_buffer_url_value(uri, account);
    appendPQExpBuffer(uri, "?algorithm=SHA1&digits=%d&issuer=", DIGITS);
    tn_buffer_url_value(uri, issuer);
    appendPQExpBuffer(uri, "&period=%d&secret=%s", TN_TOTP_STEP_S, secret);
    return tn_buffer_text(uri);
}

/* Each run of black modules is one rectangle. */
static void
draw_row(PQExpBuffer svg, const QRcode *code, int y)
{
    const unsigned char *row = code->data + (ptrdiff_t)y * code->width;
    int x = 0;

    while (x < code->width) {
        int run = 0;

        while (x + run < code->width && (row[x + run] & 1) != 0)
            run++;
        if (run > 0)
            appendPQExpBuffer(svg, "M%d %dh%dv1h-%dz", x + QUIET_ZONE, y + QUIET_ZONE, run, run);
        x += run + 1; /* behind a run there is a white one */
    }
}

const char *
tn_totp_qr(tn_arena *arena, const char *text)
{
    PQExpBuffer svg = tn_arena_buffer(arena);
    QRcode *code;

    if (strlen(text) > URI_MAX)
        return NULL;
    code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    if (code == NULL)
        return NULL;
    appendPQExpBuffer(svg,
                      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' "
                      "shape-rendering='crispEdges'><rect width='100%%' height='100%%' "
                      "fill='white'/><path d='",
                      code->width + 2 * QUIET_ZONE, code->width + 2 * QUIET_ZONE);
    for (int y = 0; y < code->width; y++)
        draw_row(svg, code, y);
    appendPQExpBufferStr(svg, "'/></svg>");
    QRcode_free(code);
    return tn_buffer_text(svg);
}

int64_t
tn_totp_step(const uint8_t secret[TN_TOTP_SECRET_SIZE], const char *code, int64_t now)
{
    const int64_t current = now / TN_TOTP_STEP_S;
    char expected[DIGITS + 1];
    int64_t found = -1;

    if (strlen(code) != DIGITS)
        return -1;
    for (int64_t step = current - 1; step <= current + 1; step++) {
        if (oath_hotp_generate((const char *)secret, TN_TOTP_SECRET_SIZE, (uint64_t)step, DIGITS,
                               false, OATH_HOTP_DYNAMIC_TRUNCATION, expected) != OATH_OK)
            tn_die("liboath computes no password");
        if (tn_same_bytes(expected, code, DIGITS))
            found = step;
    }
    return found;
}

const char *
tn_totp_seal(tn_arena *arena, const uint8_t key[32], const char *owner,
             const uint8_t secret[TN_TOTP_SECRET_SIZE])
{
    size_t length;
    void *sealed = tn_seal(arena, key, owner, secret, TN_TOTP_SECRET_SIZE, &length);

    return tn_base64url(arena, sealed, length);
}

bool
tn_totp_open(tn_arena *arena, const uint8_t key[32], const char *owner, const char *sealed,
             uint8_t secret[TN_TOTP_SECRET_SIZE])
{
    const size_t text_length = strlen(sealed);
    uint8_t bytes[SEALED_MAX];
    size_t length;
    void *opened;

    if (text_length > SEALED_MAX ||
        !tn_base64url_decode(sealed, text_length, bytes, sizeof(bytes), &length) ||
        !tn_open(arena, key, owner, bytes, length, &opened, &length) ||
        length != TN_TOTP_SECRET_SIZE)
        return false;
    memcpy(secret, opened, TN_TOTP_SECRET_SIZE);
    return true;
}
