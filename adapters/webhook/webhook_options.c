/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_options.c - the option table of the webhook adapter.
 *
 * Not here: checks across keys, which publisher create() makes.
 */
#include "webhook/webhook_options.h"

#define FIELD(member, T) RIDER_FIELD(struct webhook_config, member, T)

const struct rider_option webhook_options[] = {
    {.name = "url",
     .type = RIDER_STRING,
     .offset = FIELD(url, const char *),
     .help = "Where events are posted: an https:// URL. Required, but not allowed with "
             "subscriptions, which bring their own."},
    {.name = "secret",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = FIELD(secret, const char *),
     .help =
         "Signs each request: whsec_ and 24 to 64 random bytes in base64. Required, "
         "but not allowed with subscriptions."},
    {.name = "previous_secret",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = FIELD(previous_secret, const char *),
     .help = "Signs besides secret while receivers change over to the new one."},
    {.name = "timeout",
     .type = RIDER_MS,
     .offset = FIELD(timeout_ms, uint64_t),
     .default_value = "15s",
     .min = 1000,
     .max = 30000,
     .help = "Limit for one whole exchange, from name resolution to the last byte."},
    {.name = "connect_timeout",
     .type = RIDER_MS,
     .offset = FIELD(connect_timeout_ms, uint64_t),
     .default_value = "5s",
     .min = 100,
     .max = 30000,
     .help = "Limit for name resolution, connection and TLS handshake."},
    {.name = "max_in_flight",
     .type = RIDER_INT,
     .offset = FIELD(max_in_flight, int64_t),
     .default_value = "64",
     .min = 1,
     .max = 1024,
     .help = "Requests to one endpoint at the same time."},
    {.name = "max_connections",
     .type = RIDER_INT,
     .offset = FIELD(max_connections, int64_t),
     .default_value = "1024",
     .min = 1,
     .max = 4096,
     .help = "Requests of this destination at the same time, over all endpoints."},
    {.name = "allow_http",
     .type = RIDER_BOOL,
     .offset = FIELD(allow_http, bool),
     .default_value = "false",
     .help = "Also accepts http:// URLs: bodies then travel in clear text."},
    {.name = "allow_cidrs",
     .type = RIDER_STRING,
     .offset = FIELD(allow_cidrs, const char *),
     .help = "Address blocks that may be dialled although they are private or "
             "reserved, on any port: \"10.1.0.0/16, 127.0.0.1\". An address of "
             "this host, except loopback, needs an entry of its own: \"10.1.0.5\"."},
    {.name = "ports",
     .type = RIDER_STRING,
     .offset = FIELD(ports, const char *),
     .default_value = "443,8443",
     .help = "Ports of public addresses that may be dialled."},
    {.name = "ca_file",
     .type = RIDER_STRING,
     .offset = FIELD(ca_file, const char *),
     .help = "PEM file with the certificate authorities to trust instead of the "
             "system's."},
    {.name = "cert_file",
     .type = RIDER_STRING,
     .offset = FIELD(cert_file, const char *),
     .help = "PEM file with a client certificate."},
    {.name = "key_file",
     .type = RIDER_STRING,
     .offset = FIELD(key_file, const char *),
     .help = "PEM file with the key of cert_file, not encrypted."},
    {.name = "tls_folder",
     .type = RIDER_STRING,
     .offset = FIELD(tls_folder, const char *),
     .help = "Folder with files that subscriptions may name: NAME.ca.pem, "
             "NAME.cert.pem with NAME.key.pem."},
    {.name = "proxy",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = FIELD(proxy, const char *),
     .help = "Forward proxy for all requests. It resolves the names, so it has to "
             "filter addresses itself. Proxies of the environment are ignored."},
    {.name = "user_agent",
     .type = RIDER_STRING,
     .offset = FIELD(user_agent, const char *),
     .default_value = "Postrider",
     .help = "The User-Agent header."},
    {.name = NULL},
};
