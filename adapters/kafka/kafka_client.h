/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_client.h - one instance: its producer, its thread, its state.
 *
 * The functions below are the callbacks of publisher.h without the vtable; the
 * contract of each is there. Thread: the host's, never two at once.
 */
#ifndef KAFKA_CLIENT_H
#define KAFKA_CLIENT_H

#include "kafka/kafka_options.h"
#include "postrider/publisher.h"

#include <stddef.h>
#include <stdint.h>

struct kafka_client;

/** `host` and `config` are borrowed until destroy(). */
int kafka_client_create(const struct rider_host *host,
                        const struct kafka_config *config, struct kafka_client **ret,
                        char *err, size_t err_size);
void kafka_client_destroy(struct kafka_client *c);

/** Fails only if librdkafka refuses the configuration as a whole. */
int kafka_client_start(struct kafka_client *c, char *err, size_t err_size);
size_t kafka_client_publish(struct kafka_client *c,
                            const struct rider_event *const *events, size_t n);
size_t kafka_client_flush(struct kafka_client *c, uint64_t deadline_ms);
void kafka_client_stop(struct kafka_client *c, uint64_t deadline_ms);

void kafka_client_health(struct kafka_client *c, struct rider_health *ret);
void kafka_client_stats(struct kafka_client *c, rider_stat_fn *emit, void *arg);
void kafka_client_explain(struct kafka_client *c, const struct rider_event *event,
                          rider_explain_fn *emit, void *arg);

#endif
