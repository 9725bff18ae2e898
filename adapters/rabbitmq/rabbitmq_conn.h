/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_conn.h - one connection to a broker with its two channels.
 *
 * Channel 1 publishes in confirm mode. Channel 2 looks exchanges up, because a
 * failed lookup closes the channel it was made on. Everything here runs on the
 * I/O thread; functions that block say for how long. After a function reported
 * the connection as lost, only close() may follow.
 */
#ifndef RABBITMQ_CONN_H
#define RABBITMQ_CONN_H

#include "rabbitmq/rabbitmq_amqp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RABBITMQ_PUBLISH_CHANNEL 1
#define RABBITMQ_LOOKUP_CHANNEL  2

struct rabbitmq_broker;
struct rabbitmq_brokers;
struct rabbitmq_failure;
struct rabbitmq_watchdog;
struct rabbitmq_conn;

/** Connects and logs in. Blocks up to twice the connect timeout, and as long as
 *  the system's resolver takes. `brokers` and `broker` are read, not kept.
 *  Returns 0, or -1 and *why. */
int rabbitmq_conn_open(const struct rabbitmq_brokers *brokers,
                       const struct rabbitmq_broker *broker,
                       struct rabbitmq_watchdog *watchdog, struct rabbitmq_conn **ret,
                       struct rabbitmq_failure *why);
/** Frees; accepts NULL. With `polite_ms` > 0 it first says goodbye and waits that
 *  long for the answer. */
void rabbitmq_conn_close(struct rabbitmq_conn *conn, uint64_t polite_ms);

/** Gives the next frame; its contents hold until release(). Sends heartbeats
 *  that are due. Does not block. Returns 1, 0 if there is none, -1 if lost. */
int rabbitmq_conn_read(struct rabbitmq_conn *conn, amqp_frame_t *ret,
                       struct rabbitmq_failure *why);
/** Frees the memory of frames that were read. */
void rabbitmq_conn_release(struct rabbitmq_conn *conn);

/** Whether a frame of 16 KiB can be sent without blocking. */
bool rabbitmq_conn_writable(const struct rabbitmq_conn *conn);
/** Sends one frame; full packets wait for uncork(). The watchdog ends the call
 *  if it blocks. Returns 0, or -1 if lost. */
int rabbitmq_conn_send(struct rabbitmq_conn *conn, const amqp_frame_t *frame,
                       struct rabbitmq_failure *why);
/** Begins and ends a burst of send() calls. */
void rabbitmq_conn_cork(struct rabbitmq_conn *conn);
/** Returns 0, or -1 if the watchdog had to end the burst. */
int rabbitmq_conn_uncork(struct rabbitmq_conn *conn, struct rabbitmq_failure *why);

/** Asks for an exchange. Blocks for one round trip, at most the RPC limit.
 *  Returns 1 if it exists, 0 if not, -1 if lost. */
int rabbitmq_conn_has_exchange(struct rabbitmq_conn *conn, const char *name, size_t len,
                               struct rabbitmq_failure *why);
/** Answers a channel.close of the publishing channel and opens it anew, in
 *  confirm mode. Blocks like has_exchange(). Returns 0, or -1 if lost. */
int rabbitmq_conn_reopen(struct rabbitmq_conn *conn, struct rabbitmq_failure *why);

/** While the broker blocks publishers nothing it owes us has a time limit. */
void rabbitmq_conn_set_blocked(struct rabbitmq_conn *conn, bool blocked);
int rabbitmq_conn_fd(const struct rabbitmq_conn *conn);
/** Largest payload of one frame. */
size_t rabbitmq_conn_frame_payload(const struct rabbitmq_conn *conn);
/** Longest sleep that keeps heartbeats in time. */
uint64_t rabbitmq_conn_tick_ms(const struct rabbitmq_conn *conn);

/** Fills *why from the reply code and text of a connection.close or
 *  channel.close. */
void rabbitmq_conn_explain_close(uint16_t code, amqp_bytes_t text,
                                 struct rabbitmq_failure *why);

#endif
