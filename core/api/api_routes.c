/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_routes.c - the HTTP API: who may, which route, what went wrong.
 *
 * A request without a known token, or for another host, is answered before its body is
 * read; what the database says about itself goes to the log, and only what the client
 * did wrong goes back. Each request has an id, which its answer and the log share.
 *
 * Invariant: a change is made only for a principal with the route's scope, and its name
 * is in the audit row. A backend lives until its last request has ended.
 */
#include "api/api_routes.h"

#include "api/api_dead.h"
#include "api/api_deliveries.h"
#include "api/api_keys.h"
#include "api/api_operations.h"
#include "api/api_route.h"
#include "api/api_subscriptions.h"
#include "api/api_visibility.h"
#include "api/work_slots.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/host_check.h"
#include "http/http_server.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 60 /* a change may take that long */

struct shared_backend {
    struct api_backend backend;
    size_t refs;
};

struct api {
    struct api_auth *auth;
    struct http_server *server;
    char *listen;
    struct work_slots *slots;
    pthread_mutex_t lock; /* guards shared and its refs, refusals */
    struct shared_backend *shared;
    struct log_limit refusals;
};

static const struct api_route visibility[] = {
    {"GET", "/v1/status", API_READ, api_show_status},
    {"GET", "/v1/stuck", API_READ, api_show_stuck},
    {"GET", "/v1/events/{eventId}", API_READ, api_show_event},
    {"GET", "/v1/dead", API_READ, api_dead_list},
    {"POST", "/v1/dead:replay", API_WRITE, api_dead_replay},
    {"POST", "/v1/dead:discard", API_WRITE, api_dead_discard},
};

static const struct api_route_table visibility_routes = API_ROUTES(visibility);

/* Each subject has its routes in a file of its own. */
static const struct api_route_table *const tables[] = {
    &visibility_routes, &api_subscription_routes, &api_trial_routes,
    &api_key_routes,    &api_delivery_routes,     &api_operation_routes,
};

static void make_request_id(char out[API_REQUEST_ID_LEN + 1])
{
    struct prng g = prng_random();

    (void)snprintf(out, API_REQUEST_ID_LEN + 1, "req_%016" PRIx64 "%016" PRIx64,
                   prng_next(&g), prng_next(&g));
}

/* ---- refusing -------------------------------------------------------------------- */

static void refuse(struct http_response *res, const char *request_id, const char *code,
                   const char *detail)
{
    struct api_problem problem = {.code = NULL};

    (void)api_problem_set(&problem, code, "%s", detail);
    http_response_header(res, "X-Request-Id", request_id);
    api_problem_write(&problem, request_id, res);
}

/* An http_refuse_fn: what the server itself refuses. */
static void refuse_request(void *arg, unsigned int status, const char *reason,
                           struct http_response *res)
{
    char id[API_REQUEST_ID_LEN + 1];

    (void)arg;
    make_request_id(id);
    refuse(res, id, api_problem_code(status), reason);
}

static void say_refusal(struct api *api, const struct http_request *req,
                        const char *request_id)
{
    uint64_t silent = 0;

    (void)pthread_mutex_lock(&api->lock);
    bool speak = log_limit_pass(&api->refusals, clock_mono_ms(), 5000, &silent);
    (void)pthread_mutex_unlock(&api->lock);
    if (speak) {
        log_warn("api", "api.unauthorized",
                 "request %s of %s without a known token refused, %llu more before",
                 request_id, req->remote, (unsigned long long)silent);
    }
}

static const char *scope_word(unsigned int scope)
{
    switch (scope) {
    case API_READ:
        return "read";
    case API_WRITE:
        return "write";
    case API_WEBHOOKS_READ:
        return "webhooks.read";
    default:
        return "webhooks.write";
    }
}

static bool is_public(const struct api_match *match)
{
    return match->route != NULL && match->route->scope == 0;
}

static void end_backend(const struct api_backend *backend)
{
    if (backend->destroy != NULL) {
        backend->destroy(backend->owner);
    }
}

static struct shared_backend *take_backend(struct api *api)
{
    (void)pthread_mutex_lock(&api->lock);
    struct shared_backend *shared = api->shared;
    shared->refs++;
    (void)pthread_mutex_unlock(&api->lock);
    return shared;
}

static void drop_backend(struct api *api, struct shared_backend *shared)
{
    if (shared == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&api->lock);
    bool last = --shared->refs == 0;
    (void)pthread_mutex_unlock(&api->lock);
    if (last) {
        end_backend(&shared->backend);
        free(shared);
    }
}

static bool is_ours(struct api *api, const struct http_request *req)
{
    struct shared_backend *shared = take_backend(api);
    bool ours = host_check(http_request_header(req, "Host"), api->listen,
                           shared->backend.hosts);

    drop_backend(api, shared);
    return ours;
}

/* The rules in their order; false when `res` is the answer. */
static bool check(struct api *api, const struct http_request *req, const char *id,
                  struct api_match *match, struct api_principal *who,
                  struct http_response *res)
{
    char detail[64];

    if (!is_ours(api, req)) {
        refuse(res, id, "foreign-host", "the Host header names another server");
        return false;
    }
    api_route_find(tables, sizeof(tables) / sizeof(tables[0]), req->method, req->path,
                   match);
    *who = (struct api_principal){.name = ""};
    if (!is_public(match) &&
        !api_auth_check(api->auth, http_request_header(req, "Authorization"), who)) {
        say_refusal(api, req, id);
        http_response_header(res, "WWW-Authenticate", "Bearer");
        refuse(res, id, "unauthorized", "a bearer token is needed");
        return false;
    }
    if (match->route == NULL && match->allow[0] == '\0') {
        refuse(res, id, "not-found", "there is no such resource");
        return false;
    }
    if (match->route == NULL) {
        http_response_header(res, "Allow", match->allow);
        refuse(res, id, "method-not-allowed", "the resource knows other methods");
        return false;
    }
    if (!is_public(match) && (who->scopes & match->route->scope) == 0) {
        (void)snprintf(detail, sizeof(detail), "the token lacks scope %s",
                       scope_word(match->route->scope));
        refuse(res, id, "forbidden", detail);
        return false;
    }
    return true;
}

/* Before the body is read: false when `res` is the answer already. */
static bool admit(void *arg, const struct http_request *req, struct http_response *res)
{
    struct api_principal who;
    struct api_match match;
    char id[API_REQUEST_ID_LEN + 1];

    make_request_id(id);
    return check(arg, req, id, &match, &who, res);
}

/* ---- answering ------------------------------------------------------------------- */

static void fail(struct api_call *call, const struct rider_error *err)
{
    const char *id = call->request_id;

    if (call->problem->code != NULL) {
        api_problem_write(call->problem, id, call->res);
        return;
    }
    if (err->code == RIDER_E_CONFIG) {
        (void)api_problem_set(call->problem, "bad-request", "%s", err->text);
    } else if (err->code == RIDER_E_NOT_FOUND) {
        (void)api_problem_set(call->problem, "not-found", "%s", err->text);
    } else if (err->code == RIDER_E_DB_LOST || err->code == RIDER_E_SCHEMA ||
               err->code == RIDER_E_TIMEOUT) {
        http_response_header(call->res, "Retry-After", "5");
        (void)api_problem_set(call->problem, "unavailable",
                              "the database cannot answer now");
    } else {
        (void)api_problem_set(call->problem, "internal",
                              "the request failed; the relay's log tells why");
    }
    api_problem_write(call->problem, id, call->res);
    if (call->res->status >= 500) {
        log_error("api", "api.failed", "%s %s %s: %s", id, call->req->method,
                  call->req->path, err->text);
    }
}

static void run(const struct api_match *match, struct api_call *call)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct http_response *res = call->res;

    memcpy(call->values, match->values, sizeof(call->values));
    res->content_type = "application/json";
    if (match->route->run(call, &res->body, &err) != 0) {
        fail(call, &err);
    } else if (res->body.len > 0) {
        buf_putc(&res->body, '\n');
    } else {
        res->content_type = NULL;
    }
}

static void handle(void *arg, const struct http_request *req, struct http_response *res)
{
    struct api *api = arg;
    struct api_principal who;
    struct api_match match;
    struct api_problem problem = {.code = NULL};
    char id[API_REQUEST_ID_LEN + 1];

    make_request_id(id);
    /* admit() has let it pass; its verdict cannot be handed on, and is cheap. */
    if (!check(api, req, id, &match, &who, res)) {
        return;
    }
    /* Clients that are slow do not count here: their requests are complete, or not yet
     * requests. */
    if (!work_slots_begin(api->slots)) {
        http_response_header(res, "Retry-After", "5");
        refuse(res, id, "unavailable", "too many requests are at work");
        return;
    }
    struct shared_backend *shared = take_backend(api);
    struct api_call call = {
        .req = req,
        .res = res,
        .backend = &shared->backend,
        .dsn = shared->backend.dsn,
        .who = who.name,
        .scopes = who.scopes,
        .request_id = id,
        .problem = &problem,
        .slots = api->slots,
    };
    http_response_header(res, "X-Request-Id", id);
    run(&match, &call);
    drop_backend(api, shared);
    work_slots_end(api->slots);
}

/* ---- life ------------------------------------------------------------------------ */

int api_set_backend(struct api *api, const struct api_backend *backend,
                    struct rider_error *err)
{
    struct shared_backend *next = malloc(sizeof(*next));

    if (next == NULL) {
        end_backend(backend);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *next = (struct shared_backend){.backend = *backend, .refs = 1};
    (void)pthread_mutex_lock(&api->lock);
    struct shared_backend *old = api->shared;
    api->shared = next;
    (void)pthread_mutex_unlock(&api->lock);
    drop_backend(api, old);
    return 0;
}

static int listen_on(struct api *api, const struct api_options *options,
                     struct rider_error *err)
{
    const struct http_server_options server = {
        .listen = options->listen,
        .handler = handle,
        .admit = admit,
        .refuse = refuse_request,
        .arg = api,
        .max_body = API_MAX_BODY,
        .thread_per_connection = true,
        .max_connections = 256,
        .max_connections_per_ip = 192,
        .timeout_s = TIMEOUT_S,
    };

    return http_server_start(&server, &api->server, err);
}

int api_start(const struct api_options *options, struct api **ret,
              struct rider_error *err)
{
    struct api *api = calloc(1, sizeof(*api));

    if (api == NULL) {
        end_backend(&options->backend);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&api->lock, NULL);
    int rc = api_set_backend(api, &options->backend, err);
    api->listen = strdup(options->listen);
    if (rc == 0 && api->listen == NULL) {
        rc = rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    if (rc == 0) {
        rc = work_slots_create(&api->slots, err);
    }
    if (rc == 0) {
        rc = api_auth_create(options->token_file, &api->auth, err);
    }
    if (rc == 0) {
        rc = listen_on(api, options, err);
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
    drop_backend(api, api->shared);
    work_slots_destroy(api->slots);
    (void)pthread_mutex_destroy(&api->lock);
    free(api->listen);
    free(api);
}
