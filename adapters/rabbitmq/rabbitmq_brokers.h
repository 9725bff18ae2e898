/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_brokers.h - where to connect, with what, and when to try again.
 *
 * The list of brokers is walked round and round from a random place. A round
 * has no pauses; between rounds comes an exponential delay with full jitter, so
 * that the relays that lost one broker do not return in step. It owns copies of
 * all texts, because the host's may be gone when a slow resolver answers.
 * No I/O. Thread: one at a time.
 */
#ifndef RABBITMQ_BROKERS_H
#define RABBITMQ_BROKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RABBITMQ_BROKERS_MAX 16

struct rabbitmq_config;

struct rabbitmq_broker {
    char *host;
    int port;
};

/** A value; ends with rabbitmq_brokers_done(). */
struct rabbitmq_brokers {
    struct rabbitmq_broker items[RABBITMQ_BROKERS_MAX];
    size_t n, next;
    char *vhost, *username, *password;
    char *ca_file, *cert_file, *key_file; /* NULL: none */
    char *connection_name;
    bool tls, verify, external;
    int heartbeat_s;
    uint64_t connect_timeout_ms;
    uint32_t failures; /* since the last success */
    uint64_t random;
};

/** Checks and copies the options. Returns 0, or EINVAL or ENOMEM and one line
 *  without any secret in `err`; *b then needs no done(). */
int rabbitmq_brokers_init(struct rabbitmq_brokers *b,
                          const struct rabbitmq_config *config, const char *destination,
                          char *err, size_t err_size);
/** Frees, and wipes the password. */
void rabbitmq_brokers_done(struct rabbitmq_brokers *b);

/** The broker to try now. Owned by *b. */
const struct rabbitmq_broker *rabbitmq_brokers_next(struct rabbitmq_brokers *b);
/** Milliseconds to wait after the attempt that next() named has failed. */
uint64_t rabbitmq_brokers_failed(struct rabbitmq_brokers *b);
/** That attempt succeeded: the next loss begins a new round at this broker. */
void rabbitmq_brokers_succeeded(struct rabbitmq_brokers *b);

#endif
