/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_conn.c - drives rabbitmq-c so that no call can block for ever.
 *
 * Sends are made only when the socket has room, in frames of at most 16 KiB,
 * between arm() and disarm() of the watchdog; handshake and RPC have the
 * library's timeouts; TCP_USER_TIMEOUT ends a connection whose peer is gone. A
 * burst is corked, because the library writes each frame by itself and would
 * otherwise send three packets a message.
 *
 * Not here: what frames mean (rabbitmq_inbound.c), opening (rabbitmq_login.c).
 */
#include "rabbitmq/rabbitmq_conn_private.h"

#include "rabbitmq/rabbitmq_inbox.h"
#include "rabbitmq/rabbitmq_watchdog.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct timeval no_wait = {0, 0};

void rabbitmq_conn_explain_status(int status, struct rabbitmq_failure *why)
{
    uint32_t cause = RIDER_CAUSE_UNREACHABLE;
    if (status == AMQP_STATUS_TIMEOUT || status == AMQP_STATUS_HEARTBEAT_TIMEOUT) {
        cause = RIDER_CAUSE_TIMEOUT;
    } else if (status <= AMQP_STATUS_SSL_ERROR &&
               status > AMQP_STATUS_SSL_ERROR - 0x100) {
        cause = RIDER_CAUSE_TLS;
    } else if (status == AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD) {
        cause = RIDER_CAUSE_AUTH;
    }
    *why = (struct rabbitmq_failure){.cause = cause};
    (void)snprintf(why->text, sizeof(why->text), "%s", amqp_error_string2(status));
}

void rabbitmq_conn_explain_close(uint16_t code, amqp_bytes_t text,
                                 struct rabbitmq_failure *why)
{
    uint32_t cause = RIDER_CAUSE_UNREACHABLE;
    if (code == AMQP_ACCESS_REFUSED || code == AMQP_NOT_ALLOWED) {
        cause = RIDER_CAUSE_AUTH;
    } else if (code == AMQP_NOT_FOUND) {
        cause = RIDER_CAUSE_NO_ROUTE;
    } else if (code != AMQP_CONNECTION_FORCED) {
        cause = RIDER_CAUSE_UNKNOWN;
    }
    *why = (struct rabbitmq_failure){.cause = cause, .code = code};
    size_t used = (size_t)snprintf(why->text, sizeof(why->text),
                                   "broker said %u: ", (unsigned)code);
    size_t room = sizeof(why->text) - used - 1;
    size_t n = text.len < room ? text.len : room;
    for (size_t i = 0; i < n; i++) {
        char c = ((const char *)text.bytes)[i];
        if (c < ' ' || c > '~') {
            c = '?';
        }
        why->text[used + i] = c;
    }
    why->text[used + n] = '\0';
}

int rabbitmq_conn_explain_reply(amqp_rpc_reply_t reply, struct rabbitmq_failure *why)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) {
        rabbitmq_conn_explain_status(reply.library_error, why);
    } else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = reply.reply.decoded;
        rabbitmq_conn_explain_close(m->reply_code, m->reply_text, why);
    } else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = reply.reply.decoded;
        rabbitmq_conn_explain_close(m->reply_code, m->reply_text, why);
    } else {
        rabbitmq_conn_explain_status(AMQP_STATUS_UNEXPECTED_STATE, why);
    }
    return -1;
}

void rabbitmq_conn_close(struct rabbitmq_conn *conn, uint64_t polite_ms)
{
    if (!conn) {
        return;
    }
    if (conn->watchdog) {
        if (polite_ms > 0) {
            struct timeval limit = {.tv_sec = (time_t)(polite_ms / 1000),
                                    .tv_usec = (suseconds_t)(polite_ms % 1000) * 1000};
            (void)amqp_set_rpc_timeout(conn->state, &limit);
            rabbitmq_watchdog_arm(conn->watchdog, polite_ms);
            (void)amqp_connection_close(conn->state, AMQP_REPLY_SUCCESS);
        }
        /* The duplicate would keep the connection open. */
        (void)rabbitmq_watchdog_watch(conn->watchdog, -1);
    }
    if (conn->state) {
        (void)amqp_destroy_connection(conn->state);
    }
    free(conn);
}

/** Reports a status that ends an open connection. Returns -1. */
static int lost(int status, struct rabbitmq_failure *why)
{
    rabbitmq_conn_explain_status(status, why);
    if (why->cause == RIDER_CAUSE_TLS) {
        why->cause = RIDER_CAUSE_UNREACHABLE; /* a peer that died, not a certificate */
    }
    (void)snprintf(why->text, sizeof(why->text), "connection lost, %s",
                   amqp_error_string2(status));
    return -1;
}

int rabbitmq_conn_read(struct rabbitmq_conn *conn, amqp_frame_t *ret,
                       struct rabbitmq_failure *why)
{
    rabbitmq_watchdog_arm(conn->watchdog, conn->stall_ms);
    int status = amqp_simple_wait_frame_noblock(conn->state, ret, &no_wait);
    bool bitten = rabbitmq_watchdog_disarm(conn->watchdog);
    if (status == AMQP_STATUS_OK) {
        return 1;
    }
    if (status == AMQP_STATUS_TIMEOUT) {
        return 0;
    }
    return lost(bitten ? AMQP_STATUS_TIMEOUT : status, why);
}

void rabbitmq_conn_release(struct rabbitmq_conn *conn)
{
    amqp_maybe_release_buffers(conn->state);
}

bool rabbitmq_conn_writable(const struct rabbitmq_conn *conn)
{
    struct pollfd p = {.fd = conn->fd, .events = POLLOUT};
    return poll(&p, 1, 0) != 0;
}

static void set_int(int fd, int level, int name, int value)
{
    /* Each of these only shortens the time to notice a dead peer. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

void rabbitmq_conn_cork(struct rabbitmq_conn *conn)
{
    if (!conn->corked) {
        conn->corked = true;
        set_int(conn->fd, IPPROTO_TCP, TCP_CORK, 1);
        rabbitmq_watchdog_arm(conn->watchdog, conn->stall_ms);
    }
}

int rabbitmq_conn_uncork(struct rabbitmq_conn *conn, struct rabbitmq_failure *why)
{
    if (!conn->corked) {
        return 0;
    }
    conn->corked = false;
    set_int(conn->fd, IPPROTO_TCP, TCP_CORK, 0);
    return rabbitmq_watchdog_disarm(conn->watchdog) ? lost(AMQP_STATUS_TIMEOUT, why)
                                                    : 0;
}

int rabbitmq_conn_send(struct rabbitmq_conn *conn, const amqp_frame_t *frame,
                       struct rabbitmq_failure *why)
{
    int status = amqp_send_frame(conn->state, frame);
    return status == AMQP_STATUS_OK ? 0 : lost(status, why);
}

/** Answers a channel.close; 0, or -1 if lost. */
static int close_ok(struct rabbitmq_conn *conn, amqp_channel_t channel,
                    struct rabbitmq_failure *why)
{
    amqp_channel_close_ok_t ok = {0};
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD, .channel = channel};
    frame.payload.method.id = AMQP_CHANNEL_CLOSE_OK_METHOD;
    frame.payload.method.decoded = &ok;
    return rabbitmq_conn_send(conn, &frame, why);
}

int rabbitmq_conn_open_channel(struct rabbitmq_conn *conn, amqp_channel_t channel,
                               struct rabbitmq_failure *why)
{
    (void)amqp_channel_open(conn->state, channel);
    int rc = rabbitmq_conn_explain_reply(amqp_get_rpc_reply(conn->state), why);
    if (rc == 0 && channel == RABBITMQ_PUBLISH_CHANNEL) {
        (void)amqp_confirm_select(conn->state, channel);
        rc = rabbitmq_conn_explain_reply(amqp_get_rpc_reply(conn->state), why);
    }
    return rc;
}

int rabbitmq_conn_has_exchange(struct rabbitmq_conn *conn, const char *name, size_t len,
                               struct rabbitmq_failure *why)
{
    if (rabbitmq_conn_uncork(conn, why) != 0) {
        return -1;
    }
    rabbitmq_watchdog_arm(conn->watchdog, conn->stall_ms);
    (void)amqp_exchange_declare(conn->state, RABBITMQ_LOOKUP_CHANNEL,
                                amqp_view(name, len), amqp_cstring_bytes("direct"), 1,
                                0, 0, 0, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(conn->state);
    int found = rabbitmq_conn_explain_reply(reply, why) == 0 ? 1 : -1;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        found = 0;
        struct rabbitmq_failure lost;
        if (close_ok(conn, RABBITMQ_LOOKUP_CHANNEL, &lost) != 0 ||
            rabbitmq_conn_open_channel(conn, RABBITMQ_LOOKUP_CHANNEL, &lost) != 0) {
            *why = lost;
            found = -1;
        }
    }
    (void)rabbitmq_watchdog_disarm(conn->watchdog);
    return found;
}

int rabbitmq_conn_reopen(struct rabbitmq_conn *conn, struct rabbitmq_failure *why)
{
    if (rabbitmq_conn_uncork(conn, why) != 0) {
        return -1;
    }
    rabbitmq_watchdog_arm(conn->watchdog, conn->stall_ms);
    int rc = close_ok(conn, RABBITMQ_PUBLISH_CHANNEL, why);
    rc = rc ? rc : rabbitmq_conn_open_channel(conn, RABBITMQ_PUBLISH_CHANNEL, why);
    (void)rabbitmq_watchdog_disarm(conn->watchdog);
    return rc;
}

void rabbitmq_conn_tune_socket(struct rabbitmq_conn *conn)
{
    int seconds = (int)(conn->stall_ms / 1000);
    set_int(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)conn->stall_ms);
    set_int(conn->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(conn->fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds / 2 + 1);
    set_int(conn->fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds / 4 + 1);
    set_int(conn->fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void rabbitmq_conn_set_blocked(struct rabbitmq_conn *conn, bool blocked)
{
    /* A blocking broker stops reading: what is in the send buffer would trip
     * the timeout. Heartbeats from the broker still prove that it lives. */
    set_int(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, blocked ? 0 : (int)conn->stall_ms);
}

int rabbitmq_conn_fd(const struct rabbitmq_conn *conn)
{
    return conn->fd;
}

size_t rabbitmq_conn_frame_payload(const struct rabbitmq_conn *conn)
{
    return (size_t)amqp_get_frame_max(conn->state) - 8; /* header 7, end mark 1 */
}

uint64_t rabbitmq_conn_tick_ms(const struct rabbitmq_conn *conn)
{
    int heartbeat_s = amqp_get_heartbeat(conn->state);
    return heartbeat_s > 0 && heartbeat_s < 8 ? (uint64_t)heartbeat_s * 250 : 2000;
}
