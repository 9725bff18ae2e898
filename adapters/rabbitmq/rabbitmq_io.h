/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_io.h - the I/O thread of one instance: connects, serves the
 * connection, waits, connects again. All functions: the host's thread.
 */
#ifndef RABBITMQ_IO_H
#define RABBITMQ_IO_H

#include "rabbitmq/rabbitmq_session.h"

struct rabbitmq_config;
struct rabbitmq_io;

/** Checks the options and allocates. Starts nothing. Borrows host and config.
 *  Returns 0, or an errno value and text. */
int rabbitmq_io_create(const struct rider_host *host,
                       const struct rabbitmq_config *config, struct rabbitmq_io **ret,
                       char *err, size_t err_size);
/** Starts the threads. Returns 0, or an errno value and text. */
int rabbitmq_io_start(struct rabbitmq_io *io, char *err, size_t err_size);
/** Completes everything by `deadline_ms` of the host's clock and joins the
 *  threads. Returns false if the I/O thread is stuck in connecting: it then owns
 *  and frees `io` by itself, without another call to the host. */
bool rabbitmq_io_stop(struct rabbitmq_io *io, uint64_t deadline_ms);
/** Frees; accepts NULL and an io that was never started. */
void rabbitmq_io_destroy(struct rabbitmq_io *io);

struct rabbitmq_inbox *rabbitmq_io_inbox(struct rabbitmq_io *io);
const struct rabbitmq_addressing *rabbitmq_io_addressing(const struct rabbitmq_io *io);
const struct rabbitmq_counters *rabbitmq_io_counters(const struct rabbitmq_io *io);

#endif
