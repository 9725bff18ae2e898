/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_options.h - the keys of a webhook destination.
 */
#ifndef WEBHOOK_OPTIONS_H
#define WEBHOOK_OPTIONS_H

#include "postrider/options.h"

#include <stdbool.h>
#include <stdint.h>

/** Filled by the host from the table; strings are the host's. */
struct webhook_config {
    const char *url, *secret, *previous_secret;
    uint64_t timeout_ms, connect_timeout_ms;
    int64_t max_in_flight, max_connections;
    bool allow_http;
    const char *allow_cidrs, *ports;
    const char *ca_file, *cert_file, *key_file, *tls_folder;
    const char *proxy, *user_agent;
};

extern const struct rider_option webhook_options[];

#endif
