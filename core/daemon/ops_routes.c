/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_routes.c - /metrics, /livez, /readyz and /healthz.
 *
 * One table from path to function. Kubernetes reads the status alone
 * (kubernetes.io, "Kubernetes API health endpoints"); /healthz is the old name of
 * /livez and kept as an alias.
 *
 * Not here: what is live, ready or counted. The daemon decides that.
 */
#include "daemon/ops_routes.h"

#include "metrics/exposition.h"

#include <string.h>

typedef void route_fn(const struct ops_source *source, struct http_response *res);

static void show_metrics(const struct ops_source *source, struct http_response *res)
{
    res->content_type = EXPOSITION_CONTENT_TYPE;
    source->metrics(source->arg, &res->body);
}

static void show_state(struct http_response *res, bool good)
{
    res->status = good ? 200 : 503;
    res->content_type = "application/json";
    buf_putc(&res->body, '\n');
}

static void show_live(const struct ops_source *source, struct http_response *res)
{
    show_state(res, source->live(source->arg, &res->body));
}

static void show_ready(const struct ops_source *source, struct http_response *res)
{
    show_state(res, source->ready(source->arg, &res->body));
}

static const struct {
    const char *path;
    route_fn *show;
} routes[] = {
    {"/metrics", show_metrics},
    {"/livez", show_live},
    {"/readyz", show_ready},
    {"/healthz", show_live},
};

void ops_routes_handle(void *arg, const struct http_request *req,
                       struct http_response *res)
{
    const struct ops_source *source = arg;

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(req->path, routes[i].path) != 0) {
            continue;
        }
        if (strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0) {
            http_response_text(res, 405, "method not allowed");
            http_response_header(res, "Allow", "GET, HEAD");
            return;
        }
        routes[i].show(source, res);
        return;
    }
    http_response_text(res, 404,
                       "not found; try /metrics, /livez, /readyz or /healthz");
}
