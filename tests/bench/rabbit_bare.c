/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbit_bare.c - what rabbitmq-c alone can publish with confirms: the limit of the
 * RabbitMQ adapter.
 *
 * usage: rabbit_bare PORT QUEUE COUNT SIZE HEADERS WINDOW
 *
 * Publishes COUNT persistent, mandatory bodies of SIZE bytes with HEADERS headers
 * each to a durable queue, at most WINDOW of them unconfirmed, in bursts behind
 * TCP_CORK.
 */
#include "bench.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#define HEADERS_MAX 32
#define BURST       128
#define FRAME_MAX   131072

struct run {
    amqp_connection_state_t conn;
    amqp_bytes_t queue, body;
    amqp_basic_properties_t properties;
    amqp_table_entry_t headers[HEADERS_MAX];
    uint64_t count, window, sent, confirmed;
    bool *acked;     /* by delivery tag */
    uint64_t oldest; /* tag that is not confirmed yet */
};

static amqp_bytes_t bytes(const char *text)
{
    return amqp_cstring_bytes(text);
}

static void cork(const struct run *r, int on)
{
    (void)setsockopt(amqp_get_sockfd(r->conn), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static bool went_well(amqp_rpc_reply_t reply)
{
    return reply.reply_type == AMQP_RESPONSE_NORMAL;
}

static bool open_channel(struct run *r, int port)
{
    r->conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(r->conn);

    if (socket == NULL || amqp_socket_open(socket, "127.0.0.1", port) != 0 ||
        !went_well(amqp_login(r->conn, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN,
                              "guest", "guest"))) {
        return false;
    }
    (void)amqp_channel_open(r->conn, 1);
    if (!went_well(amqp_get_rpc_reply(r->conn))) {
        return false;
    }
    (void)amqp_confirm_select(r->conn, 1);
    return went_well(amqp_get_rpc_reply(r->conn));
}

static void make_properties(struct run *r, int n_headers)
{
    for (int i = 0; i < n_headers; i++) {
        r->headers[i].key = bytes("aggregateId");
        r->headers[i].value.kind = AMQP_FIELD_KIND_UTF8;
        r->headers[i].value.value.bytes = bytes("0190a2b4-1111-7222-8333-123456789abc");
    }
    r->properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG |
                           AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG;
    r->properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    r->properties.content_type = bytes("application/json");
    r->properties.message_id = bytes("0190a2b4-1111-7222-8333-123456789abc");
    if (n_headers > 0) {
        r->properties._flags |= AMQP_BASIC_HEADERS_FLAG;
        r->properties.headers.num_entries = n_headers;
        r->properties.headers.entries = r->headers;
    }
}

static bool send_burst(struct run *r)
{
    bool ok = true;

    cork(r, 1);
    for (int i = 0;
         i < BURST && ok && r->sent < r->count && r->sent - r->confirmed < r->window;
         i++) {
        ok = amqp_basic_publish(r->conn, 1, amqp_empty_bytes, r->queue, 1, 0,
                                &r->properties, r->body) == AMQP_STATUS_OK;
        r->sent++;
    }
    cork(r, 0);
    return ok;
}

/* Confirms may come one by one and out of order. */
static void take_ack(struct run *r, const amqp_basic_ack_t *ack)
{
    uint64_t tag = ack->multiple ? r->oldest : ack->delivery_tag;

    for (; tag <= ack->delivery_tag; tag++) {
        r->confirmed += !r->acked[tag];
        r->acked[tag] = true;
    }
    while (r->acked[r->oldest]) {
        r->oldest++;
    }
}

/* Takes the frames that are there; waits for one when nothing can be sent. */
static bool take_confirms(struct run *r)
{
    const struct timeval at_once = {0, 0};
    const struct timeval patient = {30, 0};

    for (;;) {
        bool full = r->sent == r->count || r->sent - r->confirmed >= r->window;
        amqp_frame_t frame;
        int rc = amqp_simple_wait_frame_noblock(
            r->conn, &frame, full && r->confirmed < r->sent ? &patient : &at_once);

        if (rc == AMQP_STATUS_TIMEOUT) {
            return !full;
        }
        if (rc != AMQP_STATUS_OK || frame.frame_type != AMQP_FRAME_METHOD ||
            frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
            return false; /* a nack, a return or the end of the channel */
        }
        take_ack(r, frame.payload.method.decoded);
        amqp_maybe_release_buffers(r->conn);
        if (r->confirmed == r->count) {
            return true;
        }
    }
}

int main(int argc, char **argv)
{
    struct run r = {0};

    if (argc != 7) {
        (void)fprintf(stderr, "usage: rabbit_bare PORT QUEUE COUNT SIZE HEADERS "
                              "WINDOW\n");
        return 2;
    }
    long headers = argv[5][0] == '0' ? 0 : bench_number(argv[5]);
    r.queue = bytes(argv[2]);
    r.count = (uint64_t)bench_number(argv[3]);
    r.body.len = (size_t)bench_number(argv[4]);
    r.body.bytes = malloc(r.body.len);
    r.window = (uint64_t)bench_number(argv[6]);
    r.acked = calloc(r.count + 2, sizeof(bool));
    r.oldest = 1;
    if (r.acked == NULL || r.body.bytes == NULL || headers > HEADERS_MAX ||
        !open_channel(&r, (int)bench_number(argv[1]))) {
        (void)fprintf(stderr, "rabbit_bare: could not open a channel\n");
        return EXIT_FAILURE;
    }
    memset(r.body.bytes, 'x', r.body.len);
    make_properties(&r, (int)headers);
    int64_t begin = bench_ns();
    bool ok = true;
    while (ok && r.confirmed < r.count) {
        ok = send_burst(&r) && take_confirms(&r);
    }
    if (ok) {
        bench_print((long)r.confirmed, begin);
    } else {
        (void)fprintf(stderr, "rabbit_bare: lost the channel, or a message was "
                              "refused\n");
    }
    (void)amqp_destroy_connection(r.conn);
    free(r.body.bytes);
    free(r.acked);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
