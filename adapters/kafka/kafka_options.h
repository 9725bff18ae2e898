/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_options.h - the adapter's keys, and the librdkafka configuration they
 * become.
 *
 * Every librdkafka property passes through and is checked by the library, first
 * each for itself, then all together by a handle that is made and thrown away. The
 * adapter sets defaults that differ from the library's and refuses the few
 * values that would break its promises. Thread: any.
 */
#ifndef KAFKA_OPTIONS_H
#define KAFKA_OPTIONS_H

#include "kafka/kafka_message.h"
#include "postrider/options.h"

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_N_SECRETS 6

/** What kafka_options[] fills. */
struct kafka_config {
    struct kafka_shape shape;
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

/** Which handle a configuration is for, see README.md; KAFKA_TRIAL sends nothing. */
enum kafka_role { KAFKA_BATCH, KAFKA_SINGLE, KAFKA_TRIAL };

/** Builds a configuration; `destination` names the client. Callbacks are not set.
 *  The caller destroys *ret or gives it to rd_kafka_new(). Returns 0, or EINVAL
 *  and one line in `err` without secrets. */
int kafka_options_conf(const struct kafka_config *config, const char *destination,
                       enum kafka_role role, rd_kafka_conf_t **ret, char *err,
                       size_t err_size);

/** Has the library check the properties together, and the files they name: makes
 *  a handle that knows no broker and destroys it. Blocks some milliseconds; the
 *  library's threads end before the return. Result as above. */
int kafka_options_check(const struct kafka_config *config, const char *destination,
                        char *err, size_t err_size);

/** The value of `name` in `conf`, into out[out_size] (cut if longer); "" if the
 *  property has none. */
void kafka_options_get(const rd_kafka_conf_t *conf, const char *name, char *out,
                       size_t out_size);

#endif
