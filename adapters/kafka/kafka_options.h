/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_options.h - the adapter's keys, and the librdkafka configuration they
 * become.
 *
 * Every librdkafka property passes through and is checked by the library. The
 * adapter sets defaults that differ from the library's and refuses the few
 * values that would break its promises. Thread: any; pure.
 */
#ifndef KAFKA_OPTIONS_H
#define KAFKA_OPTIONS_H

#include "postrider/options.h"

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_N_SECRETS 6

/** Which headers a message gets besides those of its writer. */
enum kafka_headers_choice { KAFKA_HEADERS_ALL, KAFKA_HEADERS_ID };

/** What kafka_options[] fills. */
struct kafka_config {
    const char *topic; /* template */
    const char *key;   /* template; "" sends no key */
    uint32_t headers;  /* enum kafka_headers_choice */
    /* Properties that must be redacted; NULL when not given. */
    const char *sasl_password;
    const char *ssl_key_password;
    const char *ssl_key_pem;
    const char *ssl_keystore_password;
    const char *oauth_client_secret;
    const char *oauth_config;
    struct rider_properties properties;
};

extern const struct rider_option kafka_options[];

/** Which handle a configuration is for, see README.md. */
enum kafka_role { KAFKA_BATCH, KAFKA_SINGLE };

/** Builds a configuration; `destination` names the client. Callbacks are not set.
 *  The caller destroys *ret or gives it to rd_kafka_new(). Returns 0, or EINVAL
 *  and one line in `err` without secrets. */
int kafka_options_conf(const struct kafka_config *config, const char *destination,
                       enum kafka_role role, rd_kafka_conf_t **ret, char *err,
                       size_t err_size);

/** The value of `name` in `conf`, into out[out_size] (cut if longer); "" if the
 *  property has none. */
void kafka_options_get(const rd_kafka_conf_t *conf, const char *name, char *out,
                       size_t out_size);

#endif
