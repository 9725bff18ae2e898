/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_routes.c - the HTTP API: who may, which route, what went wrong.
 *
 * One table from method and path to function and scope. A request without a known
 * token is answered before its body is read; what the database says about itself
 * goes to the log, and only what the client did wrong goes back.
 *
 * Invariant: a change is made only for a principal with scope write, and its name
 * is in the audit row.
 */
#include "admin/api_routes.h"

#include "admin/api_dead.h"
#include "admin/api_problem.h"
#include "admin/api_request.h"
#include "admin/http_server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "outbox/status_json.h"
#include "outbox/stuck_query.h"
#include "outbox/trace_query.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREADS     4
#define STUCK_LIMIT 1000

struct api {
    struct api_auth *auth;
    struct http_server *server;
    pthread_mutex_t lock; /* guards dsn, refusals */
    char *dsn;
    struct log_limit refusals;
};

typedef int route_fn(const struct api_call *call, struct buf *out,
                     struct rider_error *err);

static int show_status(const struct api_call *call, struct buf *out,
                       struct rider_error *err)
{
    struct outbox_status *status = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = outbox_status_read(call->dsn, &status, err);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        outbox_status_write(status, &w);
    }
    outbox_status_destroy(status);
    return rc;
}

enum { P_DESTINATION, P_CAUSE, P_OLDER, P_EVENTS, N_STUCK };

static int answer_stuck(const struct api_call *call, const struct api_parameter *p,
                        struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct stuck_filter filter = {.destination = buf_text(&p[P_DESTINATION].value),
                                  .cause = buf_text(&p[P_CAUSE].value)};
    uint64_t older = 0;
    int64_t limit = 0;

    if (p[P_OLDER].value.len > 0 &&
        parse_duration_ms(buf_text(&p[P_OLDER].value), &older, NULL) != 0) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "\"olderThan\" is a duration such as 30s or 10m");
    }
    filter.older_ms = (int64_t)older;
    if (p[P_EVENTS].value.len > 0 &&
        (parse_int(buf_text(&p[P_EVENTS].value), &limit, NULL) != 0 || limit < 1 ||
         limit > STUCK_LIMIT)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"events\" is a number from 1 to %d",
                          STUCK_LIMIT);
    }
    int rc = limit > 0 ? stuck_events(call->dsn, &filter, limit, &rows, err)
                       : stuck_groups(call->dsn, &filter, &rows, err);
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        jw_object(&w, NULL);
        row_set_write(rows, &w, limit > 0 ? "events" : "groups");
        jw_object_end(&w);
    }
    return rc;
}

static int show_stuck(const struct api_call *call, struct buf *out,
                      struct rider_error *err)
{
    struct api_parameter p[N_STUCK] = {{"destination", buf_make(256)},
                                       {"cause", buf_make(256)},
                                       {"olderThan", buf_make(64)},
                                       {"events", buf_make(64)}};
    int rc = api_request_parameters(call->req, p, N_STUCK, err);

    if (rc == 0) {
        rc = answer_stuck(call, p, out, err);
    }
    for (size_t i = 0; i < N_STUCK; i++) {
        buf_done(&p[i].value);
    }
    return rc;
}

static const char events_path[] = "/v1/events/";

static int show_event(const struct api_call *call, struct buf *out,
                      struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *event = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *places = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = trace_query_read(call->dsn, call->req->path + strlen(events_path), &event,
                              &places, err);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        jw_object(&w, NULL);
        row_set_write_row(event, 0, &w, "event");
        row_set_write(places, &w, "destinations");
        jw_object_end(&w);
    }
    return rc;
}

static const struct route {
    const char *method, *path;
    bool prefix; /* the path goes on */
    enum api_scope scope;
    route_fn *run;
} routes[] = {
    {"GET", "/v1/status", false, API_READ, show_status},
    {"GET", "/v1/stuck", false, API_READ, show_stuck},
    {"GET", events_path, true, API_READ, show_event},
    {"GET", "/v1/dead", false, API_READ, api_dead_list},
    {"POST", "/v1/dead:replay", false, API_WRITE, api_dead_replay},
    {"POST", "/v1/dead:discard", false, API_WRITE, api_dead_discard},
};

static bool matches(const struct route *route, const char *path)
{
    return route->prefix ? strncmp(path, route->path, strlen(route->path)) == 0
                         : strcmp(path, route->path) == 0;
}

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (matches(&routes[i], path)) {
            return &routes[i];
        }
    }
    return NULL;
}

static bool has_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void say_refusal(struct api *api, const struct http_request *req)
{
    uint64_t silent = 0;

    (void)pthread_mutex_lock(&api->lock);
    bool speak = log_limit_pass(&api->refusals, clock_mono_ms(), 5000, &silent);
    (void)pthread_mutex_unlock(&api->lock);
    if (speak) {
        log_warn("api", "api.unauthorized",
                 "request of %s without a known token refused, %llu more before",
                 req->remote, (unsigned long long)silent);
    }
}

/* Before the body is read: false when `res` is the answer already. */
static bool admit(void *arg, const struct http_request *req, struct http_response *res)
{
    struct api *api = arg;
    struct api_principal who;

    if (!api_auth_check(api->auth, http_request_header(req, "Authorization"), &who)) {
        say_refusal(api, req);
        api_problem(res, 401, "a bearer token is needed");
        http_response_header(res, "WWW-Authenticate", "Bearer");
        return false;
    }
    const struct route *route = find_route(req->path);
    if (route == NULL) {
        api_problem(res, 404, "there is no such resource");
        return false;
    }
    if (!has_method(route, req->method)) {
        api_problem(res, 405, NULL);
        http_response_header(res, "Allow",
                             strcmp(route->method, "GET") == 0 ? "GET, HEAD" : "POST");
        return false;
    }
    if ((who.scopes & (unsigned int)route->scope) == 0) {
        api_problem(res, 403, "the token lacks scope write");
        return false;
    }
    return true;
}

static void fail(struct http_response *res, const struct http_request *req,
                 const struct rider_error *err)
{
    if (err->code == RIDER_E_CONFIG) {
        api_problem(res, strncmp(err->text, "Content-Type", 12) == 0 ? 415 : 400,
                    err->text);
        return;
    }
    if (err->code == RIDER_E_NOT_FOUND) {
        api_problem(res, 404, "no such event: not committed, or retired");
        return;
    }
    if (err->code == RIDER_E_DB_LOST || err->code == RIDER_E_SCHEMA) {
        api_problem(res, 503, "the database cannot answer now");
        http_response_header(res, "Retry-After", "5");
    } else {
        api_problem(res, 500, "the request failed; the relay's log tells why");
    }
    log_error("api", "api.failed", "%s %s: %s", req->method, req->path, err->text);
}

static char *copy_dsn(struct api *api)
{
    (void)pthread_mutex_lock(&api->lock);
    char *dsn = strdup(api->dsn);
    (void)pthread_mutex_unlock(&api->lock);
    return dsn;
}

static void handle(void *arg, const struct http_request *req, struct http_response *res)
{
    struct api *api = arg;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct api_principal who;

    /* admit() has let it pass; its verdict cannot be handed on, and is cheap. */
    if (!api_auth_check(api->auth, http_request_header(req, "Authorization"), &who)) {
        api_problem(res, 401, NULL);
        return;
    }
    const struct route *route = find_route(req->path);
    RIDER_CLEANUP_FREE char *dsn = copy_dsn(api);
    if (dsn == NULL || route == NULL ||
        (who.scopes & (unsigned int)route->scope) == 0) {
        api_problem(res, 500, NULL);
        return;
    }
    const struct api_call call = {.req = req, .dsn = dsn, .who = who.name};
    res->content_type = "application/json";
    if (route->run(&call, &res->body, &err) != 0) {
        fail(res, req, &err);
        return;
    }
    buf_putc(&res->body, '\n');
}

int api_set_dsn(struct api *api, const char *dsn, struct rider_error *err)
{
    char *copy = strdup(dsn);

    if (copy == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_lock(&api->lock);
    char *old = api->dsn;
    api->dsn = copy;
    (void)pthread_mutex_unlock(&api->lock);
    free(old);
    return 0;
}

int api_start(const struct api_options *options, struct api **ret,
              struct rider_error *err)
{
    struct api *api = calloc(1, sizeof(*api));

    if (api == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&api->lock, NULL);
    const struct http_server_options server = {
        .listen = options->listen,
        .handler = handle,
        .admit = admit,
        .arg = api,
        .max_body = API_MAX_BODY,
        .threads = THREADS,
        .max_connections = 64,
        .max_connections_per_ip = 32,
        .timeout_s = 60, /* a change may take that long */
    };
    int rc = api_set_dsn(api, options->dsn, err);
    if (rc == 0) {
        rc = api_auth_create(options->token_file, &api->auth, err);
    }
    if (rc == 0) {
        rc = http_server_start(&server, &api->server, err);
    }
    if (rc != 0) {
        api_stop(api);
        return rc;
    }
    *ret = api;
    return 0;
}

const char *api_address(const struct api *api)
{
    return http_server_address(api->server);
}

void api_stop(struct api *api)
{
    if (api == NULL) {
        return;
    }
    http_server_stop(api->server);
    api_auth_destroy(api->auth);
    (void)pthread_mutex_destroy(&api->lock);
    free(api->dsn);
    free(api);
}
