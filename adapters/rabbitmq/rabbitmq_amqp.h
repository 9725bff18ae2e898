/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_amqp.h - the client library's headers under either of their names
 * (rabbitmq-c moved them in 0.12), and views of borrowed memory for it.
 */
#ifndef RABBITMQ_AMQP_H
#define RABBITMQ_AMQP_H

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

/** A view of bytes that the library only reads; its type has no const. */
static inline amqp_bytes_t amqp_view(const void *data, size_t len)
{
    union {
        const void *in;
        void *out;
    } u = {.in = data};
    return (amqp_bytes_t){.len = len, .bytes = u.out};
}

#endif
