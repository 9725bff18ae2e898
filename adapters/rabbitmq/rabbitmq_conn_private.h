/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_conn_private.h - the connection's body and what opening it
 * (rabbitmq_login.c) shares with driving it (rabbitmq_conn.c). Nobody else
 * includes it.
 */
#ifndef RABBITMQ_CONN_PRIVATE_H
#define RABBITMQ_CONN_PRIVATE_H

#include "rabbitmq/rabbitmq_conn.h"

struct rabbitmq_conn {
    amqp_connection_state_t state;
    struct rabbitmq_watchdog *watchdog; /* set once it watches; borrowed */
    int fd;                             /* the library's */
    uint64_t stall_ms;                  /* longest time for one blocking call */
    bool corked;
};

/** *why from a library status, or from an RPC's reply (0 if that is success). */
void rabbitmq_conn_explain_status(int status, struct rabbitmq_failure *why);
int rabbitmq_conn_explain_reply(amqp_rpc_reply_t reply, struct rabbitmq_failure *why);
/** Opens a channel, the publishing one in confirm mode. 0, or -1 and *why. */
int rabbitmq_conn_open_channel(struct rabbitmq_conn *conn, amqp_channel_t channel,
                               struct rabbitmq_failure *why);
void rabbitmq_conn_tune_socket(struct rabbitmq_conn *conn);

#endif
