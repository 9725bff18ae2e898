/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.c - one HTTP listener on top of libmicrohttpd.
 *
 * The library calls answer() several times a request: once with the headers,
 * once for each piece of the body, once at its end. The first call checks and
 * refuses, the middle ones collect up to the cap, the last one calls the handler.
 * The library's unescaping of paths is switched off, because it would turn %00
 * into the end of a C string; request_check judges the path as it was sent.
 *
 * Invariant: a request counts in `open` from its first call to its completion
 * callback, so that stop() can let answers leave before it cuts connections.
 *
 * Not here: which rules (request_check.c), which routes.
 */
#include "http/http_server.h"

#include "base/log.h"
#include "http/listen_address.h"
#include "http/request_check.h"
#include "http/slow_watch.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTION_MEMORY ((size_t)32 * 1024)
#define DEFAULT_RESPONSE  ((size_t)8 * 1024 * 1024)
#define STOP_WAIT_S       2
#define STACK_SIZE        ((size_t)1024 * 1024)

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    char address[LISTEN_ADDRESS_SIZE];
    uint16_t port;
    pthread_mutex_t lock; /* guards open */
    pthread_cond_t idle;  /* open became 0 */
    size_t open;
    struct slow_watch *watch;
};

/* One request; made by the first call, freed by request_completed(). */
struct request {
    struct buf body;
    struct http_header headers[REQUEST_MAX_HEADERS + 1];
    size_t n_headers;
    struct http_header query[REQUEST_MAX_QUERY + 1];
    size_t n_query;
    size_t excess; /* body bytes above the cap, thrown away */
};

RIDER_PRINTF_LIKE(2, 0)
static void log_library(void *arg, const char *fmt, va_list ap)
{
    const struct http_server *server = arg;
    char text[256];

    (void)vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http", "http.library", "%s: %s", server->address, text);
}

static size_t keep_escapes(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result collect_header(void *arg, enum MHD_ValueKind kind,
                                      const char *name, const char *value)
{
    struct request *request = arg;

    (void)kind;
    request->headers[request->n_headers++] =
        (struct http_header){name, value == NULL ? "" : value};
    return request->n_headers <= REQUEST_MAX_HEADERS ? MHD_YES : MHD_NO;
}

static enum MHD_Result collect_query(void *arg, enum MHD_ValueKind kind,
                                     const char *name, const char *value)
{
    struct request *request = arg;

    (void)kind;
    request->query[request->n_query++] =
        (struct http_header){name, value == NULL ? "" : value};
    return request->n_query <= REQUEST_MAX_QUERY ? MHD_YES : MHD_NO;
}

/* Sends `res`, whose body it takes over. A broken request also ends its
 * connection: what follows on it cannot be trusted to be a request. */
static enum MHD_Result send_response(struct MHD_Connection *connection,
                                     struct http_response *res, bool close)
{
    size_t len = res->body.len;
    char *data = buf_steal(&res->body);

    buf_done(&res->body);
    if (data == NULL) {
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(data);
        return MHD_NO;
    }
    bool ok =
        MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") ==
            MHD_YES;
    if (ok && res->content_type != NULL) {
        ok = MHD_add_response_header(response, "Content-Type", res->content_type) ==
             MHD_YES;
    }
    for (size_t i = 0; ok && i < res->n_headers; i++) {
        ok = MHD_add_response_header(response, res->headers[i].name,
                                     res->headers[i].value) == MHD_YES;
    }
    if (ok && close) {
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    }
    enum MHD_Result result =
        ok ? MHD_queue_response(connection, res->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(const struct http_server *server,
                              struct MHD_Connection *connection,
                              struct request_verdict verdict)
{
    struct http_response res = {.body = buf_make(4096)};

    if (server->options.refuse != NULL) {
        server->options.refuse(server->options.arg, verdict.status, verdict.reason,
                               &res);
    } else {
        http_response_text(&res, verdict.status, verdict.reason);
    }
    return send_response(connection, &res, true);
}

/* Whether the announced length is above the cap; too many digits count as one. */
static bool announces_too_much(const struct request *request, size_t max)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        const char *value = request->headers[i].value;

        if (strcasecmp(request->headers[i].name, "Content-Length") == 0) {
            errno = 0;
            return strtoull(value, NULL, 10) > max || errno == ERANGE;
        }
    }
    return false;
}

static struct request_verdict check_request(const struct http_server *server,
                                            const struct request *request,
                                            const char *method, const char *path)
{
    struct request_verdict verdict =
        request_check_headers(request->headers, request->n_headers);

    if (verdict.status == 0) {
        verdict = request_check_method(method);
    }
    if (verdict.status == 0) {
        verdict = request_check_path(path);
    }
    if (verdict.status == 0 && request->n_query > REQUEST_MAX_QUERY) {
        return (struct request_verdict){400, "too many query parameters"};
    }
    if (verdict.status == 0 && announces_too_much(request, server->options.max_body)) {
        return (struct request_verdict){413, "request body too large"};
    }
    return verdict;
}

static void describe_remote(struct MHD_Connection *connection,
                            char out[LISTEN_ADDRESS_SIZE])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (info == NULL || info->client_addr == NULL) {
        (void)snprintf(out, LISTEN_ADDRESS_SIZE, "?");
        return;
    }
    listen_address_format(info->client_addr, out);
}

static struct http_request make_request(const struct request *request,
                                        const char *method, const char *path,
                                        const char *remote)
{
    return (struct http_request){
        .method = method,
        .path = path,
        .remote = remote,
        .headers = request->headers,
        .n_headers = request->n_headers,
        .query = request->query,
        .n_query = request->n_query,
        .body = buf_text(&request->body),
        .body_len = request->body.len,
    };
}

static enum MHD_Result ask_admission(const struct http_server *server,
                                     struct MHD_Connection *connection,
                                     const struct request *request, const char *method,
                                     const char *path)
{
    char remote[LISTEN_ADDRESS_SIZE];

    if (server->options.admit == NULL) {
        return MHD_YES;
    }
    describe_remote(connection, remote);
    const struct http_request req = make_request(request, method, path, remote);
    struct http_response res = {
        .status = 200,
        .body = buf_make(server->options.max_response),
    };
    if (server->options.admit(server->options.arg, &req, &res)) {
        buf_done(&res.body);
        return MHD_YES;
    }
    return send_response(connection, &res, true);
}

/* The first call: nothing of the body has been read yet. */
static enum MHD_Result begin_request(struct http_server *server,
                                     struct MHD_Connection *connection,
                                     const char *method, const char *path,
                                     void **request_slot)
{
    struct request *request = calloc(1, sizeof(*request));

    if (request == NULL) {
        return MHD_NO;
    }
    request->body = buf_make(server->options.max_body);
    *request_slot = request;
    (void)pthread_mutex_lock(&server->lock);
    server->open++;
    (void)pthread_mutex_unlock(&server->lock);

    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, collect_header,
                                    request);
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, collect_query,
                                    request);
    struct request_verdict verdict = check_request(server, request, method, path);
    if (verdict.status != 0) {
        return refuse(server, connection, verdict);
    }
    return ask_admission(server, connection, request, method, path);
}

/* A piece of the body. The library cannot answer before the body has ended, so
 * what is above the cap is thrown away, and a client that sends as much again
 * loses its connection. */
static enum MHD_Result take_body(const struct http_server *server,
                                 struct request *request, const char *data, size_t *len)
{
    size_t room = server->options.max_body - request->body.len;

    if (request->excess > 0 || *len > room) {
        request->excess += *len;
        if (request->excess > server->options.max_body + CONNECTION_MEMORY) {
            return MHD_NO;
        }
    } else {
        buf_append(&request->body, data, *len);
        if (request->body.failed) {
            return MHD_NO;
        }
    }
    *len = 0;
    return MHD_YES;
}

static void set_pace(const struct http_server *server,
                     struct MHD_Connection *connection, enum slow_state state)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    slow_watch_set(server->watch, info == NULL ? NULL : info->socket_context, state);
}

static void connection_changed(void *arg, struct MHD_Connection *connection,
                               void **context, enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = arg;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        slow_watch_close(server->watch, *context);
        *context = NULL;
    } else {
        *context =
            info == NULL ? NULL : slow_watch_open(server->watch, info->connect_fd);
    }
}

static enum MHD_Result finish_request(const struct http_server *server,
                                      struct MHD_Connection *connection,
                                      const struct request *request, const char *method,
                                      const char *path)
{
    char remote[LISTEN_ADDRESS_SIZE];

    if (request->excess > 0) {
        return refuse(server, connection,
                      (struct request_verdict){413, "request body too large"});
    }
    describe_remote(connection, remote);
    const struct http_request req = make_request(request, method, path, remote);
    struct http_response res = {
        .status = 200,
        .body = buf_make(server->options.max_response),
    };
    set_pace(server, connection, SLOW_HANDLING);
    server->options.handler(server->options.arg, &req, &res);
    set_pace(server, connection, SLOW_SENDING);
    if (res.body.failed || res.overflow) {
        http_response_text(&res, 500, "the answer is too large");
    }
    return send_response(connection, &res, false);
}

/* MHD_AccessHandlerCallback: the eight parameters are prescribed. */
/* NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result answer(void *arg, struct MHD_Connection *connection,
                              const char *path, const char *method, const char *version,
                              const char *data, size_t *len, void **request_slot)
{
    struct http_server *server = arg;
    struct request *request = *request_slot;

    (void)version;
    if (request == NULL) {
        return begin_request(server, connection, method, path, request_slot);
    }
    if (*len > 0) {
        return take_body(server, request, data, len);
    }
    return finish_request(server, connection, request, method, path);
}

static void request_completed(void *arg, struct MHD_Connection *connection,
                              void **request_slot, enum MHD_RequestTerminationCode why)
{
    struct http_server *server = arg;
    struct request *request = *request_slot;

    (void)why;
    set_pace(server, connection, SLOW_RECEIVING);
    if (request == NULL) {
        return;
    }
    *request_slot = NULL;
    buf_done(&request->body);
    free(request);
    (void)pthread_mutex_lock(&server->lock);
    if (--server->open == 0) {
        (void)pthread_cond_broadcast(&server->idle);
    }
    (void)pthread_mutex_unlock(&server->lock);
}

static bool listen_on(int fd, struct listen_address *address)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           (address->addr.any.sa_family != AF_INET6 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
           bind(fd, &address->addr.any, address->len) == 0 && listen(fd, 128) == 0 &&
           getsockname(fd, &address->addr.any, &address->len) == 0;
}

static int open_socket(struct http_server *server, int *ret_fd, struct rider_error *err)
{
    struct listen_address address;
    int rc = listen_address_parse(server->options.listen, &address, err);

    if (rc != 0) {
        return rc;
    }
    int fd = socket(address.addr.any.sa_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not open a socket");
    }
    if (!listen_on(fd, &address)) {
        int errnum = errno;

        (void)close(fd);
        return rider_fail_errno(err, RIDER_E_IO, errnum, "could not listen on \"%s\"",
                                server->options.listen);
    }
    /* Both families keep the port at the same place. */
    server->port = ntohs(address.addr.v4.sin_port);
    listen_address_format(&address.addr.any, server->address);
    *ret_fd = fd;
    return 0;
}

static int start_daemon(struct http_server *server, struct rider_error *err)
{
    const struct http_server_options *o = &server->options;
    unsigned int flags = MHD_USE_ITC | MHD_USE_ERROR_LOG;
    int fd = -1;
    int rc = open_socket(server, &fd, err);

    if (rc != 0) {
        return rc;
    }
    flags |= o->thread_per_connection
                 ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION
                 : MHD_USE_EPOLL_INTERNAL_THREAD;
    /* A pool of one is refused by the library: that is no pool at all. */
    enum MHD_OPTION pool = o->threads > 1 && !o->thread_per_connection
                               ? MHD_OPTION_THREAD_POOL_SIZE
                               : MHD_OPTION_END;
    /* The port is not used: the socket is ours. */
    server->daemon = MHD_start_daemon(
        flags, 1, NULL, NULL, answer, server, MHD_OPTION_EXTERNAL_LOGGER, log_library,
        server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, server, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_CONNECTION_LIMIT, o->max_connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->max_connections_per_ip,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server,
        MHD_OPTION_THREAD_STACK_SIZE, STACK_SIZE, MHD_OPTION_CONNECTION_TIMEOUT,
        o->timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, pool, o->threads, MHD_OPTION_END);
    if (server->daemon == NULL) {
        int errnum = errno;

        (void)close(fd);
        return rider_fail_errno(err, RIDER_E_IO, errnum,
                                "could not start the HTTP server on \"%s\"", o->listen);
    }
    return 0;
}

static void set_defaults(struct http_server_options *o)
{
    o->max_response = o->max_response == 0 ? DEFAULT_RESPONSE : o->max_response;
    o->threads = o->threads == 0 ? 2 : o->threads;
    o->max_connections = o->max_connections == 0 ? 256 : o->max_connections;
    o->max_connections_per_ip =
        o->max_connections_per_ip == 0 ? 128 : o->max_connections_per_ip;
    o->timeout_s = o->timeout_s == 0 ? 10 : o->timeout_s;
    o->request_s = o->request_s == 0 ? 30 : o->request_s;
}

static void free_server(struct http_server *server)
{
    (void)pthread_cond_destroy(&server->idle);
    (void)pthread_mutex_destroy(&server->lock);
    slow_watch_destroy(server->watch);
    free(server);
}

int http_server_start(const struct http_server_options *options,
                      struct http_server **ret, struct rider_error *err)
{
    pthread_condattr_t monotonic;
    struct http_server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "could not allocate an HTTP server");
    }
    server->options = *options;
    set_defaults(&server->options);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&server->idle, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);

    int rc = slow_watch_create(server->options.max_connections,
                               server->options.request_s, &server->watch, err);
    if (rc == 0) {
        rc = start_daemon(server, err);
    }
    if (rc != 0) {
        free_server(server);
        return rc;
    }
    server->options.listen = server->address; /* the caller's text may go away */
    *ret = server;
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

static void wait_until_idle(struct http_server *server)
{
    struct timespec deadline;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += STOP_WAIT_S;
    (void)pthread_mutex_lock(&server->lock);
    while (server->open > 0 && rc == 0) {
        rc = pthread_cond_timedwait(&server->idle, &server->lock, &deadline);
    }
    (void)pthread_mutex_unlock(&server->lock);
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    int fd = MHD_quiesce_daemon(server->daemon);

    if (fd != MHD_INVALID_SOCKET) {
        (void)close(fd);
    }
    wait_until_idle(server);
    MHD_stop_daemon(server->daemon);
    free_server(server);
}
