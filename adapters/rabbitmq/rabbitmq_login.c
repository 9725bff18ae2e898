/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_login.c - opens a connection: socket, TLS, login, channels.
 *
 * The login names the capabilities that publishing relies on; above all
 * connection.blocked, without which an alarmed broker stops reading in silence
 * (www.rabbitmq.com/docs/connection-blocked). The socket options follow as soon
 * as there is a descriptor.
 */
#include "rabbitmq/rabbitmq_conn_private.h"

#include "rabbitmq/rabbitmq_brokers.h"
#include "rabbitmq/rabbitmq_inbox.h"
#include "rabbitmq/rabbitmq_watchdog.h"

#include "postrider/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX 131072 /* RabbitMQ's default */

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes(key)};
    e.value.kind = AMQP_FIELD_KIND_UTF8;
    e.value.value.bytes = amqp_cstring_bytes(value);
    return e;
}

static amqp_table_entry_t true_entry(const char *key)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes(key)};
    e.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    e.value.value.boolean = 1;
    return e;
}

static amqp_rpc_reply_t log_in(struct rabbitmq_conn *conn,
                               const struct rabbitmq_brokers *b)
{
    amqp_table_entry_t capabilities[] = {
        true_entry("publisher_confirms"), true_entry("basic.nack"),
        true_entry("connection.blocked"), true_entry("consumer_cancel_notify"),
        true_entry("authentication_failure_close")};
    amqp_table_entry_t properties[] = {
        text_entry("product", "Postrider"),
        text_entry("version", RIDER_VERSION),
        text_entry("connection_name", b->connection_name),
        {.key = amqp_cstring_bytes("capabilities")}};
    properties[3].value.kind = AMQP_FIELD_KIND_TABLE;
    properties[3].value.value.table.num_entries =
        (int)(sizeof(capabilities) / sizeof(capabilities[0]));
    properties[3].value.value.table.entries = capabilities;
    amqp_table_t table = {.num_entries =
                              (int)(sizeof(properties) / sizeof(properties[0])),
                          .entries = properties};
    if (b->external) {
        return amqp_login_with_properties(conn->state, b->vhost, 0, FRAME_MAX,
                                          b->heartbeat_s, &table,
                                          AMQP_SASL_METHOD_EXTERNAL, b->username);
    }
    return amqp_login_with_properties(conn->state, b->vhost, 0, FRAME_MAX,
                                      b->heartbeat_s, &table, AMQP_SASL_METHOD_PLAIN,
                                      b->username, b->password);
}

static int tls_failure(struct rabbitmq_failure *why, const char *what, const char *file)
{
    *why = (struct rabbitmq_failure){.cause = RIDER_CAUSE_TLS};
    (void)snprintf(why->text, sizeof(why->text), "could not load the %s from \"%.64s\"",
                   what, file);
    return -1;
}

/** Prepares a TLS socket: 1.2 or newer, authorities, client certificate. */
static int prepare_tls(amqp_socket_t *socket, const struct rabbitmq_brokers *b,
                       struct rabbitmq_failure *why)
{
    int rc = amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    if (rc != AMQP_STATUS_OK) {
        rabbitmq_conn_explain_status(rc, why);
        return -1;
    }
    amqp_ssl_socket_set_verify_peer(socket, b->verify);
    amqp_ssl_socket_set_verify_hostname(socket, b->verify);
    if (b->verify && b->ca_file &&
        amqp_ssl_socket_set_cacert(socket, b->ca_file) != AMQP_STATUS_OK) {
        return tls_failure(why, "certificate authorities", b->ca_file);
    }
    if (b->cert_file) {
        /* With a passphrase set, an encrypted key fails instead of asking the
         * terminal for one. */
        amqp_ssl_socket_set_key_passwd(socket, "");
        if (amqp_ssl_socket_set_key(socket, b->cert_file, b->key_file) !=
            AMQP_STATUS_OK) {
            return tls_failure(why, "client certificate or its key", b->cert_file);
        }
    }
    return 0;
}

static struct timeval to_timeval(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static int open_socket(struct rabbitmq_conn *conn, const struct rabbitmq_brokers *b,
                       const struct rabbitmq_broker *broker,
                       struct rabbitmq_failure *why)
{
    struct timeval limit = to_timeval(b->connect_timeout_ms);
    amqp_socket_t *socket = NULL;
    if (b->tls) {
        /* OpenSSL sets itself up; the library's set-up is for versions that did not. */
        amqp_set_initialize_ssl_library(0);
        socket = amqp_ssl_socket_new(conn->state);
    } else {
        socket = amqp_tcp_socket_new(conn->state);
    }
    if (!socket) {
        rabbitmq_conn_explain_status(AMQP_STATUS_NO_MEMORY, why);
        return -1;
    }
    if (b->tls && prepare_tls(socket, b, why) != 0) {
        return -1;
    }
    (void)amqp_set_handshake_timeout(conn->state, &limit);
    (void)amqp_set_rpc_timeout(conn->state, &limit);
    int rc = amqp_socket_open_noblock(socket, broker->host, broker->port, &limit);
    if (rc != AMQP_STATUS_OK) {
        rabbitmq_conn_explain_status(rc, why);
        (void)snprintf(why->text, sizeof(why->text),
                       "could not connect to %.60s:%d, %s", broker->host, broker->port,
                       amqp_error_string2(rc));
        return -1;
    }
    conn->fd = amqp_get_sockfd(conn->state);
    rabbitmq_conn_tune_socket(conn);
    return 0;
}

static int set_up(struct rabbitmq_conn *conn, const struct rabbitmq_brokers *b,
                  const struct rabbitmq_broker *broker,
                  struct rabbitmq_watchdog *watchdog, struct rabbitmq_failure *why)
{
    conn->state = amqp_new_connection();
    if (!conn->state) {
        rabbitmq_conn_explain_status(AMQP_STATUS_NO_MEMORY, why);
        return -1;
    }
    if (open_socket(conn, b, broker, why) != 0) {
        return -1;
    }
    int rc = rabbitmq_watchdog_watch(watchdog, conn->fd);
    if (rc != 0) {
        rabbitmq_conn_explain_status(AMQP_STATUS_NO_MEMORY, why);
        return -1;
    }
    conn->watchdog = watchdog;
    rabbitmq_watchdog_arm(watchdog, b->connect_timeout_ms + 1000);
    amqp_rpc_reply_t reply = log_in(conn, b);
    rc = rabbitmq_conn_explain_reply(reply, why);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        (void)snprintf(why->text, sizeof(why->text), "could not log in at %.60s:%d, %s",
                       broker->host, broker->port,
                       amqp_error_string2(reply.library_error));
    }
    rc = rc ? rc : rabbitmq_conn_open_channel(conn, RABBITMQ_PUBLISH_CHANNEL, why);
    rc = rc ? rc : rabbitmq_conn_open_channel(conn, RABBITMQ_LOOKUP_CHANNEL, why);
    (void)rabbitmq_watchdog_disarm(watchdog);
    return rc;
}

int rabbitmq_conn_open(const struct rabbitmq_brokers *brokers,
                       const struct rabbitmq_broker *broker,
                       struct rabbitmq_watchdog *watchdog, struct rabbitmq_conn **ret,
                       struct rabbitmq_failure *why)
{
    struct rabbitmq_conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        rabbitmq_conn_explain_status(AMQP_STATUS_NO_MEMORY, why);
        return -1;
    }
    conn->fd = -1;
    conn->stall_ms = (uint64_t)brokers->heartbeat_s * 2000;
    if (set_up(conn, brokers, broker, watchdog, why) != 0) {
        rabbitmq_conn_close(conn, 0);
        return -1;
    }
    *ret = conn;
    return 0;
}
