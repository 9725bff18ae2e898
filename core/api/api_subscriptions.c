/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_subscriptions.c - subscriptions: list, create, show.
 *
 * Not here: what a document may say (subscription_document.c), changes
 * (api_subscription_change.c), rotation and trials (api_trials.c).
 */
#include "api/api_subscriptions.h"

#include "api/api_etag.h"
#include "api/api_idempotent.h"
#include "api/api_page.h"
#include "api/rfc3339.h"
#include "api/webhook_secret.h"
#include "api/work_slots.h"
#include "outbox/subscription_secrets.h"
#include "outbox/subscriptions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void api_actor(const struct api_call *call, char out[API_ACTOR_SIZE])
{
    (void)snprintf(out, API_ACTOR_SIZE, "api %.70s", call->who);
}

static void write_row(const struct row_set *rows, size_t row, struct json_writer *w)
{
    row_set_write_row_but(rows, row, w, NULL, "position");
}

/* ---- the target ------------------------------------------------------------------ */

static const char *code_of(const struct rider_target_fault *fault)
{
    if (strcmp(fault->member, "headers") == 0) {
        return "invalid-header";
    }
    if (strcmp(fault->member, "secrets") == 0) {
        return "invalid-secret";
    }
    if (strcmp(fault->member, "url") != 0) {
        return "invalid-value";
    }
    if (fault->cause == RIDER_CAUSE_BLOCKED_ADDRESS) {
        return "address-blocked";
    }
    return fault->cause == RIDER_CAUSE_TLS ? "tls-required" : "invalid-url";
}

static const char *pointer_of(const char *member)
{
    if (strcmp(member, "ca_ref") == 0) {
        return "/tls/ca_ref";
    }
    if (strcmp(member, "cert_ref") == 0) {
        return "/tls/cert_ref";
    }
    if (strcmp(member, "secrets") == 0) {
        return "/secret";
    }
    return strcmp(member, "headers") == 0 ? "/headers" : "/url";
}

static struct rider_bytes bytes_of(const char *text)
{
    return (struct rider_bytes){text, text == NULL ? 0 : strlen(text)};
}

int api_trial_begin(struct api_call *call)
{
    if (!work_slots_trial_begin(call->slots, call->who)) {
        http_response_header(call->res, "Retry-After", "5");
        return api_problem_set(call->problem, "too-many-trials",
                               "too many endpoints and names are being tried");
    }
    return 0;
}

void api_trial_end(struct api_call *call)
{
    work_slots_trial_end(call->slots, call->who);
}

int api_check_target(struct api_call *call, const char *destination,
                     const struct subscription_document *d)
{
    const struct prober *prober = call->backend->prober;
    struct rider_header headers[SUBSCRIPTION_MAX_HEADERS];
    struct rider_target target = {.struct_size = sizeof(target),
                                  .url = bytes_of(d->url),
                                  .ca_ref = bytes_of(d->ca_ref),
                                  .cert_ref = bytes_of(d->cert_ref),
                                  .headers = headers};
    struct rider_target_fault fault = {.struct_size = sizeof(fault), .member = "url"};

    if (prober == NULL || d->url == NULL) {
        return 0;
    }
    for (const struct json_node *m = d->headers == NULL ? NULL : d->headers->first;
         m != NULL && target.n_headers < SUBSCRIPTION_MAX_HEADERS; m = m->next) {
        if (m->kind == JSON_NODE_TEXT) {
            headers[target.n_headers++] =
                (struct rider_header){bytes_of(m->key), bytes_of(m->text)};
        }
    }
    int rc = api_trial_begin(call);
    if (rc != 0) {
        return rc;
    }
    bool usable = prober->check(prober->arg, destination, &target, &fault) == 0;
    api_trial_end(call);
    if (!usable) {
        api_problem_fault(call->problem, pointer_of(fault.member), code_of(&fault),
                          "%s", fault.detail);
    }
    return 0;
}

/* ---- the catalogue --------------------------------------------------------------- */

int api_check_types(struct api_call *call, const struct subscription_document *d,
                    struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    RIDER_CLEANUP(buf_done) struct buf list = buf_make(65536);
    char pointer[48];

    if (d->event_types == NULL || call->problem->n_faults > 0) {
        return 0;
    }
    struct json_writer w = jw_begin(&list);
    json_node_write(d->event_types, &w, NULL);
    int rc = subscription_unknown_types(call->dsn, buf_text(&list), &rows, err);
    for (size_t i = 0; rc == 0 && i < row_set_count(rows); i++) {
        (void)snprintf(pointer, sizeof(pointer), "/event_types/%" PRId64,
                       row_set_int(rows, i, "index"));
        api_problem_fault(call->problem, pointer, "unknown-event-type",
                          "the catalogue has no such event type");
    }
    return rc;
}

/* ---- signatures ------------------------------------------------------------------ */

void api_check_schemes(const struct api_call *call, const struct api_fields *f,
                       const struct subscription_document *d)
{
    if (d->v1a != NULL && call->backend->signing_key == NULL) {
        api_fields_fault(f, d->v1a, "invalid-value",
                         "this relay has no key for v1a: set webhooks.signing_key");
    }
}

/* ---- create ---------------------------------------------------------------------- */

/* The destination that is meant; a fault when there is none. */
static void choose_destination(struct api_call *call, struct subscription_document *d)
{
    const struct api_backend *backend = call->backend;

    if (d->destination == NULL && backend->n_destinations == 1) {
        d->destination = backend->destinations[0];
        return;
    }
    for (size_t i = 0; d->destination != NULL && i < backend->n_destinations; i++) {
        if (strcmp(d->destination, backend->destinations[i]) == 0) {
            return;
        }
    }
    api_problem_fault(call->problem, "/destination",
                      d->destination == NULL ? "missing-member" : "unknown-destination",
                      "the name of a destination with subscriptions is expected");
}

static int take_secret(struct api_call *call, const char *given, const char *pointer,
                       struct webhook_secret *ret, struct rider_error *err)
{
    if (given == NULL) {
        return webhook_secret_make(ret, err);
    }
    const char *why = webhook_secret_take(given, ret);
    if (why != NULL) {
        api_problem_fault(call->problem, pointer, "invalid-secret", "%s", why);
    }
    return 0;
}

/* A new subscription on its way in. */
struct creation {
    struct subscription_document document;
    struct webhook_secret secret;
    char id[WEBHOOK_ID_SIZE];
    struct buf row;
};

static int explain_insert(struct api_call *call, const struct subscription_new *s,
                          int rc)
{
    if (s->ret_taken) {
        api_problem_fault(call->problem, "/uid", "uid-taken",
                          "another subscription has this uid");
        return api_problem_check(call->problem);
    }
    if (s->ret_full) {
        return api_problem_set(call->problem, "limit-reached",
                               "the destination has %d subscriptions",
                               SUBSCRIPTIONS_MAX);
    }
    if (rc == RIDER_E_NOT_FOUND) {
        api_problem_fault(call->problem, "/start_from/position", "window-too-large",
                          "there is no such event in the log (any more)");
        return api_problem_check(call->problem);
    }
    return rc;
}

static int insert_secret(struct api_call *call, struct outbox_tx *tx,
                         const struct creation *c, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf hex = buf_make(4096);
    struct sealed_secret sealed = {.id = c->secret.id};
    int rc = webhook_secret_seal(call->backend->ring, c->id, &c->secret, &sealed.number,
                                 &hex, err);

    sealed.hex = buf_text(&hex);
    return rc == 0 ? subscription_secret_add(tx, c->id, &sealed, err) : rc;
}

static int show_created(struct api_call *call, struct outbox_tx *tx,
                        const struct creation *c, struct buf *out,
                        struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char location[80];
    int rc = subscription_read_in(tx, c->id, &rows, err);

    if (rc != 0) {
        return rc;
    }
    (void)snprintf(location, sizeof(location), "/webhooks/subscriptions/%s", c->id);
    http_response_header(call->res, "Location", location);
    api_etag_set(call, row_set_int(rows, 0, "version"));
    call->res->status = 201;
    struct json_writer w = jw_begin(out);
    row_set_write_row_but(rows, 0, &w, NULL, "position");
    /* The row's object goes on with the secret, this once. */
    out->len--;
    jw_string(&w, "secret", c->secret.text);
    jw_object_end(&w);
    return 0;
}

/* An api_change_fn; `arg` is the struct creation. It holds the lane, so everything slow
 * has been done. */
static int insert(struct api_call *call, struct outbox_tx *tx, void *arg,
                  struct buf *out, struct rider_error *err)
{
    const struct creation *c = arg;
    char actor[API_ACTOR_SIZE];
    struct subscription_new s = {.row = buf_text(&c->row),
                                 .since = c->document.since,
                                 .from_event = c->document.from_event,
                                 .beginning = c->document.beginning,
                                 .actor = actor};

    api_actor(call, actor);
    int rc = subscription_insert(tx, &s, err);
    if (rc != 0) {
        return explain_insert(call, &s, rc);
    }
    rc = insert_secret(call, tx, c, err);
    return rc == 0 ? show_created(call, tx, c, out, err) : rc;
}

/* Checks everything that can be checked before the database is written. */
static int prepare(struct api_call *call, struct json_tree *body, struct creation *c,
                   struct rider_error *err)
{
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);

    subscription_document_read(&f, true, &c->document);
    choose_destination(call, &c->document);
    api_check_schemes(call, &f, &c->document);
    int rc = take_secret(call, c->document.secret, "/secret", &c->secret, err);
    if (rc == 0) {
        rc = api_check_types(call, &c->document, err);
    }
    if (rc == 0 && c->document.destination != NULL) {
        rc = api_check_target(call, c->document.destination, &c->document);
    }
    if (rc == 0) {
        rc = api_problem_check(call->problem);
    }
    if (rc == 0) {
        rc = webhook_id_make("sub_", c->id, err);
    }
    if (rc == 0) {
        subscription_document_row(json_tree_root(body), &c->document, c->id, &c->row);
        rc = c->row.failed ? rider_fail(err, RIDER_E_NOMEM, "out of memory") : 0;
    }
    return rc;
}

static int create(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    struct creation c = {.row = buf_make(4 << 20)};
    bool answered = false;
    int rc = api_body_read(call, API_JSON, false, &body, err);

    if (rc == 0) {
        rc = api_idempotent_ask(call, &answered, out, err);
    }
    if (rc == 0 && !answered) {
        rc = prepare(call, body, &c, err);
    }
    if (rc == 0 && !answered) {
        rc = api_idempotent_once(call, insert, &c, out, err);
    }
    webhook_secret_clear(&c.secret);
    buf_done(&c.row);
    return rc;
}

/* ---- list ------------------------------------------------------------------------ */

enum {
    P_DESTINATION,
    P_STATUS,
    P_UID,
    P_EVENT_TYPE,
    P_URL_CONTAINS,
    P_METADATA,
    P_HEALTH,
    P_CREATED_AFTER,
    P_LIMIT,
    P_CURSOR,
    N_LIST
};

static int bad_parameter(struct api_call *call, const char *text)
{
    return api_problem_set(call->problem, "invalid-parameter", "%s", text);
}

static int check_list(struct api_call *call, const struct api_parameter *p)
{
    static const char *const statuses[] = {"", "active", "paused", "disabled",
                                           "pending_verification"};
    bool known = false;

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        known = known || strcmp(buf_text(&p[P_STATUS].value), statuses[i]) == 0;
    }
    if (!known) {
        return bad_parameter(call, "\"status\" is active, paused, disabled or "
                                   "pending_verification");
    }
    if (p[P_HEALTH].value.len > 0 &&
        strcmp(buf_text(&p[P_HEALTH].value), "failing") != 0) {
        return bad_parameter(call, "\"health\" is failing, or left out");
    }
    if (p[P_CREATED_AFTER].value.len > 0 &&
        !rfc3339_is_time(buf_text(&p[P_CREATED_AFTER].value))) {
        return bad_parameter(call, "\"created_after\" is a time by RFC 3339");
    }
    return 0;
}

static const struct api_list subscriptions_page = {"subscriptions", "b"};

static int answer_list(struct api_call *call, const struct api_parameter *p,
                       struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    RIDER_CLEANUP(buf_done) struct buf metadata = buf_make(16384);
    const struct subscription_filter filter = {
        .destination = buf_text(&p[P_DESTINATION].value),
        .status = buf_text(&p[P_STATUS].value),
        .uid = buf_text(&p[P_UID].value),
        .url_contains = buf_text(&p[P_URL_CONTAINS].value),
        .event_type = buf_text(&p[P_EVENT_TYPE].value),
        .metadata = p[P_METADATA].value.len == 0 ? NULL : "",
        .created_after = buf_text(&p[P_CREATED_AFTER].value),
        .failing = p[P_HEALTH].value.len > 0,
    };
    struct subscription_filter wanted = filter;
    struct api_page page;
    int rc = check_list(call, p);

    if (rc == 0) {
        rc = api_page_read(call, &subscriptions_page, &p[P_LIMIT], &p[P_CURSOR], &page);
    }
    if (rc != 0) {
        return rc;
    }
    if (filter.metadata != NULL) {
        buf_printf(&metadata, "{%s}", buf_text(&p[P_METADATA].value));
        wanted.metadata = buf_text(&metadata);
    }
    rc = subscriptions_list(call->dsn, &wanted, page.after, page.limit + 1, &rows, err);
    if (rc == 0) {
        api_page_write(call, &page, rows, "position", write_row, out);
    }
    return rc;
}

static int list(struct api_call *call, struct buf *out, struct rider_error *err)
{
    static const char *const names[N_LIST] = {
        "destination", "status", "uid",           "event_type", "url_contains",
        "metadata[]",  "health", "created_after", "limit",      "cursor"};
    struct api_parameter p[N_LIST];

    for (size_t i = 0; i < N_LIST; i++) {
        p[i] = (struct api_parameter){names[i], buf_make(4096)};
    }
    int rc = api_request_parameters(call->req, p, N_LIST, err);
    if (rc == 0) {
        rc = answer_list(call, p, out, err);
    }
    for (size_t i = 0; i < N_LIST; i++) {
        buf_done(&p[i].value);
    }
    return rc;
}

/* ---- show ------------------------------------------------------------------------ */

static int show(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *known = http_request_header(call->req, "If-None-Match");
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = subscription_read(call->dsn, call->values[0], &rows, err);
    }
    if (rc != 0) {
        return rc;
    }
    api_etag_set(call, row_set_int(rows, 0, "version"));
    if (known != NULL &&
        api_etag_names(known, row_set_int(rows, 0, "version"), false)) {
        call->res->status = 304;
        return 0;
    }
    struct json_writer w = jw_begin(out);
    write_row(rows, 0, &w);
    return 0;
}

static int show_health(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = subscription_health(call->dsn, call->values[0], &rows, err);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        row_set_write_row(rows, 0, &w, NULL);
    }
    return rc;
}

static const struct api_route routes[] = {
    {"GET", "/webhooks/subscriptions", API_WEBHOOKS_READ, list},
    {"POST", "/webhooks/subscriptions", API_WEBHOOKS_WRITE, create},
    {"GET", "/webhooks/subscriptions/{id}", API_WEBHOOKS_READ, show},
    {"PATCH", "/webhooks/subscriptions/{id}", API_WEBHOOKS_WRITE,
     api_subscription_patch},
    {"DELETE", "/webhooks/subscriptions/{id}", API_WEBHOOKS_WRITE,
     api_subscription_delete},
    {"GET", "/webhooks/subscriptions/{id}/health", API_WEBHOOKS_READ, show_health},
};

const struct api_route_table api_subscription_routes = API_ROUTES(routes);
