/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_options.h - what a RabbitMQ destination can be told in YAML.
 */
#ifndef RABBITMQ_OPTIONS_H
#define RABBITMQ_OPTIONS_H

#include "postrider/options.h"

#include <stdbool.h>
#include <stdint.h>

enum rabbitmq_auth { RABBITMQ_AUTH_PLAIN, RABBITMQ_AUTH_EXTERNAL };

/** Filled by the host from rabbitmq_options; valid until destroy(). */
struct rabbitmq_config {
    const char *url;   /* amqp[s]://user:password@host:port/vhost, or NULL */
    const char *hosts; /* "a:5672,b:5672", or NULL */
    const char *vhost, *username, *password;
    const char *exchange, *routing_key; /* templates */
    const char *ca_file, *cert_file, *key_file;
    uint32_t auth;               /* enum rabbitmq_auth */
    uint32_t cloudevents_prefix; /* index into rabbitmq_cloudevents_prefixes */
    bool tls, verify;
    uint64_t heartbeat_ms, connect_timeout_ms, confirm_timeout_ms;
    int64_t window;
};

extern const struct rider_option rabbitmq_options[];
/** Ends with NULL. */
extern const char *const rabbitmq_cloudevents_prefixes[];

#endif
