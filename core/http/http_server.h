/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.h - one HTTP listener.
 *
 * Wraps libmicrohttpd: sockets, limits, timeouts, request checks and the end.
 * A handler gets a complete, checked request and fills a response. Everything
 * is bounded: connections, connections an address, header memory, body size,
 * idle time. Answers that request_check gives never reach the handler.
 */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "http/http_message.h"

#include <stdbool.h>
#include <stdint.h>

struct http_server;

/** Answers one request. `res` starts as 200 without a body; its body is limited
 *  to the server's max_response. Runs on a server thread, concurrently with
 *  itself when there is more than one. */
typedef void http_handler_fn(void *arg, const struct http_request *req,
                             struct http_response *res);

/** Looks at a request, which has no body yet, and returns whether to go on; if not,
 *  `res` is the answer, and the body is not read. As http_handler_fn otherwise. */
typedef bool http_admit_fn(void *arg, const struct http_request *req,
                           struct http_response *res);

/** Writes the answer to a request that request_check or a limit refuses, in the form
 *  that the clients of this server know. `reason` is static. */
typedef void http_refuse_fn(void *arg, unsigned int status, const char *reason,
                            struct http_response *res);

/** Zero members take the default in parentheses. */
struct http_server_options {
    const char *listen; /* see listen_address.h */
    http_handler_fn *handler;
    http_admit_fn *admit;   /* (every request goes on) */
    http_refuse_fn *refuse; /* (a line of plain text) */
    void *arg;
    size_t max_body;      /* bytes of a request body (none: a body is refused) */
    size_t max_response;  /* bytes of an answer (8 MB) */
    unsigned int threads; /* (2); 1: the handler is never called concurrently */
    /** Each connection has a thread, whose stack is small, and `threads` says nothing:
     *  for handlers that wait, so that nobody waits for somebody else's. */
    bool thread_per_connection;
    unsigned int request_s; /* until a request has been received, and again until its
                                 answer has been taken, however busy (30) */
    unsigned int max_connections;        /* (256) */
    unsigned int max_connections_per_ip; /* (128) */
    unsigned int timeout_s;              /* of a silent connection (10) */
};

/** Binds, listens and serves. RIDER_E_CONFIG for a bad address, RIDER_E_IO for a
 *  port that is taken or may not be bound, RIDER_E_NOMEM. `options` is copied. */
int http_server_start(const struct http_server_options *options,
                      struct http_server **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** The bound port, useful when port 0 was asked for. Any thread. */
uint16_t http_server_port(const struct http_server *server);

/** "127.0.0.1:9464" with the bound port; lives as long as the server. */
const char *http_server_address(const struct http_server *server);

/** Stops listening, waits up to two seconds for requests that are being
 *  answered, cuts the rest, joins the threads and frees. Accepts NULL. Not from
 *  a handler. Blocks. */
void http_server_stop(struct http_server *server);
RIDER_DEFINE_PTR_CLEANUP(struct http_server, http_server_stop);

#endif
