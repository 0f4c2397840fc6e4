/* mail/transport.c: which way mails go */
#include "mail/transport.h"

#include <stdlib.h>

struct tn_transport {
    const tn_config *config;
    tn_smtp *smtp; /* NULL: into the maildir */
};

tn_transport *
tn_transport_new(const tn_config *config, const atomic_bool *cancelled)
{
    tn_transport *transport = calloc(1, sizeof(*transport));

    if (transport == NULL)
        tn_die("out of memory");
    transport->config = config;
    if (config->mail.url[0] != '\0')
        transport->smtp = tn_smtp_new(config, cancelled);
    return transport;
}

void
tn_transport_free(tn_transport *transport)
{
    tn_smtp_free(transport->smtp);
    free(transport);
}

void
tn_transport_send(tn_transport *transport, tn_arena *arena, const tn_envelope *envelope,
                  tn_sending *sending)
{
    *sending = (tn_sending){.stage = "connect"};
    if (transport->smtp != NULL)
        tn_smtp_send(transport->smtp, arena, envelope, sending);
    else
        tn_maildir_deliver(transport->config->mail.maildir, arena, envelope, sending);
}
