/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_trials.c - secrets of subscriptions, and what is sent to them on demand: a test,
 * and the handshake by which an endpoint agrees.
 *
 * The handshake is that of the MCP Events profile of Standard Webhooks: a signed
 * {"type":"verification","challenge":"..."}, answered 2xx with {"challenge":"..."}. A
 * trial goes through the same adapter, and so the same guard of addresses, as a
 * delivery; it leaves an attempt, which counts for nothing.
 *
 * Invariant: the endpoint's answer is compared, never shown.
 */
#include "api/api_subscriptions.h"

#include "api/api_etag.h"
#include "api/api_idempotent.h"
#include "api/webhook_secret.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "outbox/secret_store.h"
#include "outbox/subscription_secrets.h"
#include "outbox/subscriptions.h"
#include "webhooks/crypto.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_OVERLAP_S 86400
#define MAX_OVERLAP_S     604800
#define MAX_DATA          ((size_t)256 * 1024)
#define UUID_SIZE         37

/* ---- rotation -------------------------------------------------------------------- */

/* What a rotation was asked to be. */
struct rotation {
    struct webhook_secret secret;
    int64_t overlap_s;
};

static int read_rotation(struct api_call *call, struct json_tree *body,
                         struct rotation *ret, struct rider_error *err)
{
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);
    const char *given = NULL;
    int rc = 0;

    ret->overlap_s = DEFAULT_OVERLAP_S;
    (void)api_fields_text(&f, "secret", 1, 200, &given);
    (void)api_fields_int(&f, "overlap_seconds", 0, MAX_OVERLAP_S, &ret->overlap_s);
    api_fields_finish(&f);
    if (given == NULL) {
        rc = webhook_secret_make(&ret->secret, err);
    } else {
        const char *why = webhook_secret_take(given, &ret->secret);
        if (why != NULL) {
            api_problem_fault(call->problem, "/secret", "invalid-secret", "%s", why);
        }
    }
    return rc == 0 ? api_problem_check(call->problem) : rc;
}

static void show_rotation(struct api_call *call, const struct rotation *r,
                          const struct row_set *rows, struct buf *out)
{
    struct json_writer w = jw_begin(out);

    api_etag_set(call, row_set_int(rows, 0, "version"));
    jw_object(&w, NULL);
    jw_string(&w, "secret", r->secret.text);
    jw_string(&w, "key_id", r->secret.id);
    row_set_write_value(rows, 0, "previous_secret_expires_at", &w);
    jw_object_end(&w);
}

/* An api_change_fn; `arg` is the struct rotation. */
static int apply_rotation(struct api_call *call, struct outbox_tx *tx, void *arg,
                          struct buf *out, struct rider_error *err)
{
    const struct rotation *r = arg;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    RIDER_CLEANUP(buf_done) struct buf hex = buf_make(4096);
    char actor[API_ACTOR_SIZE];
    struct secret_rotation order = {.id = call->values[0],
                                    .secret = {.id = r->secret.id},
                                    .overlap_s = r->overlap_s,
                                    .actor = actor};
    int rc = webhook_secret_seal(call->backend->ring, order.id, &r->secret,
                                 &order.secret.number, &hex, err);

    if (rc != 0) {
        return rc;
    }
    api_actor(call, actor);
    order.secret.hex = buf_text(&hex);
    rc = subscription_secret_rotate(tx, &order, &rows, err);
    if (rc == RIDER_E_CONFIG) {
        return api_problem_set(call->problem, "limit-reached",
                               "%d secrets sign already: rotate with a shorter overlap",
                               SUBSCRIPTION_MAX_SECRETS);
    }
    if (rc == 0) {
        show_rotation(call, r, rows, out);
    }
    return rc;
}

static int rotate(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    struct rotation r = {.overlap_s = 0};
    int rc = api_body_read(call, API_JSON, true, &body, err);

    if (rc == 0) {
        rc = read_rotation(call, body, &r, err);
    }
    if (rc == 0) {
        rc = api_idempotent_once(call, apply_rotation, &r, out, err);
    }
    webhook_secret_clear(&r.secret);
    return rc;
}

/* ---- what is sent ---------------------------------------------------------------- */

/* A subscription as a target, with what its pointers point to. */
struct trial {
    struct row_set *rows;
    struct json_tree *secrets, *headers;
    char opened[SUBSCRIPTION_MAX_SECRETS + 1][WEBHOOK_SECRET_SIZE];
    struct rider_bytes texts[SUBSCRIPTION_MAX_SECRETS + 1];
    struct rider_header fields[SUBSCRIPTION_MAX_HEADERS];
    struct rider_target target;
    char event_id[UUID_SIZE];
    struct prober_result result;
};

static void trial_done(struct trial *t)
{
    row_set_destroy(t->rows);
    json_tree_destroy(t->secrets);
    json_tree_destroy(t->headers);
    explicit_bzero(t->opened, sizeof(t->opened));
}

static struct rider_bytes bytes_of(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static int open_secret(const struct api_call *call, struct trial *t,
                       const struct json_node *entry, struct rider_error *err)
{
    RIDER_CLEANUP(webhook_buf_wipe)
    struct buf plain = buf_make(WEBHOOK_SECRET_SIZE - 1);
    char context[SECRET_CONTEXT_SIZE];
    const struct json_node *id = json_node_member(entry, "id");
    const struct json_node *hex = json_node_member(entry, "hex");
    const struct json_node *key = json_node_member(entry, "number");
    int64_t number = 0;

    if (id == NULL || hex == NULL || key == NULL ||
        !api_number_int(key, 1, UINT32_MAX, &number) ||
        t->target.n_secrets == SUBSCRIPTION_MAX_SECRETS) {
        return rider_fail(err, RIDER_E_INTERNAL, "a sealed secret cannot be read");
    }
    secret_context(call->values[0], id->text, context);
    int rc = webhook_open_hex(call->backend->ring, (uint32_t)number, context, hex->text,
                              &plain, err);
    if (rc != 0 || plain.failed) {
        return rider_fail(err, RIDER_E_INTERNAL,
                          "a secret of %s cannot be opened with the key ring",
                          call->values[0]);
    }
    size_t n = t->target.n_secrets++;
    memcpy(t->opened[n], buf_text(&plain), plain.len + 1);
    t->texts[n] = (struct rider_bytes){t->opened[n], plain.len};
    return 0;
}

static int open_secrets(const struct api_call *call, struct trial *t,
                        struct rider_error *err)
{
    const char *list = row_set_text(t->rows, 0, "secrets");
    struct json_fault fault;

    if (json_tree_parse(list, strlen(list), &t->secrets, &fault) != 0) {
        return rider_fail(err, RIDER_E_INTERNAL, "a list of secrets is no JSON");
    }
    const struct json_node *entry = json_tree_root(t->secrets)->first;
    for (; entry != NULL; entry = entry->next) {
        int rc = open_secret(call, t, entry, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (row_set_bool(t->rows, 0, "v1a") && call->backend->signing_key != NULL) {
        t->texts[t->target.n_secrets++] = bytes_of(call->backend->signing_key);
    }
    t->target.secrets = t->texts;
    return 0;
}

static int take_headers(struct trial *t, struct rider_error *err)
{
    const char *text = row_set_text(t->rows, 0, "headers");
    struct json_fault fault;

    if (json_tree_parse(text, strlen(text), &t->headers, &fault) != 0) {
        return rider_fail(err, RIDER_E_INTERNAL, "stored headers are no JSON");
    }
    const struct json_node *m = json_tree_root(t->headers)->first;
    for (; m != NULL && t->target.n_headers < SUBSCRIPTION_MAX_HEADERS; m = m->next) {
        t->fields[t->target.n_headers++] =
            (struct rider_header){bytes_of(m->key), bytes_of(m->text)};
    }
    t->target.headers = t->fields;
    return 0;
}

static int make_uuid(char out[UUID_SIZE], struct rider_error *err)
{
    char id[WEBHOOK_ID_SIZE];
    int rc = webhook_id_make("sub_", id, err);
    const char *hex = id + 4;

    if (rc == 0) { /* version 4, variant 10 (RFC 9562) */
        (void)snprintf(out, UUID_SIZE, "%.8s-%.4s-4%.3s-8%.3s-%.12s", hex, hex + 8,
                       hex + 13, hex + 17, hex + 20);
    }
    return rc;
}

static int prepare(const struct api_call *call, struct outbox_tx *tx, struct trial *t,
                   struct rider_error *err)
{
    int rc = subscription_target_read(tx, call->values[0], &t->rows, err);

    if (rc != 0) {
        return rc;
    }
    t->target = (struct rider_target){
        .struct_size = sizeof(t->target),
        .id = bytes_of(row_set_text(t->rows, 0, "id")),
        .url = bytes_of(row_set_text(t->rows, 0, "url")),
        .timeout_ms = (uint32_t)row_set_int(t->rows, 0, "timeout_ms"),
        .flags = RIDER_TARGET_TEST,
        .ca_ref = bytes_of(row_set_text(t->rows, 0, "ca_ref")),
        .cert_ref = bytes_of(row_set_text(t->rows, 0, "cert_ref")),
    };
    rc = open_secrets(call, t, err);
    if (rc == 0) {
        rc = take_headers(t, err);
    }
    return rc == 0 ? make_uuid(t->event_id, err) : rc;
}

static int send(struct api_call *call, struct trial *t, const char *type,
                const struct buf *body, struct rider_error *err)
{
    const struct prober *prober = call->backend->prober;
    const char *destination = row_set_text(t->rows, 0, "destination");
    const struct rider_event event = {
        .struct_size = sizeof(event),
        .attempt = 1,
        .ticket = 1,
        .occurred_at_us = clock_wall_us(),
        .version = 1,
        .envelope = RIDER_ENVELOPE_CANONICAL,
        .id = bytes_of(t->event_id),
        .type = bytes_of(type),
        .aggregate_id = bytes_of(t->event_id),
        .body = {buf_text(body), body->len},
        .content_type = bytes_of("application/json"),
        .payload = bytes_of("{}"),
        .target = &t->target,
    };

    int rc = prober == NULL
                 ? rider_fail(err, RIDER_E_NOT_FOUND, "nothing can be sent from here")
                 : prober->send(prober->arg, destination, &event, &t->result, err);
    if (rc == RIDER_E_NOT_FOUND) {
        http_response_header(call->res, "Retry-After", "5"); /* of another relay */
        return api_problem_set(call->problem, "unavailable",
                               "this relay does not carry the destination");
    }
    if (rc == RIDER_E_TIMEOUT) {
        http_response_header(call->res, "Retry-After", "5");
        return api_problem_set(call->problem, "unavailable",
                               "the trial could not be made in time");
    }
    return rc;
}

static const char *outcome_word(uint32_t outcome)
{
    static const char *const words[] = {"delivered", "retry", "rejected", "unavailable",
                                        "unroutable"};

    return outcome < sizeof(words) / sizeof(words[0]) ? words[outcome] : "retry";
}

static void text_or_null(struct json_writer *w, const char *key, const char *text)
{
    jw_string_or_null(w, key, text[0] == '\0' ? NULL : text);
}

/* Writes the attempt; *ret shows it. */
static int keep_attempt(const struct api_call *call, struct outbox_tx *tx,
                        const struct trial *t, const char *trigger,
                        struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf row = buf_make(65536);
    const struct prober_result *r = &t->result;
    struct json_writer w = jw_begin(&row);

    jw_object(&w, NULL);
    jw_int(&w, "subscription", row_set_int(t->rows, 0, "subscription"));
    jw_string(&w, "trigger", trigger);
    jw_string(&w, "outcome", outcome_word(r->outcome));
    jw_int(&w, "started_us", r->tried ? r->started_at_us : clock_wall_us());
    jw_int(&w, "dns_us", r->dns_us);
    jw_int(&w, "connect_us", r->connect_us);
    jw_int(&w, "tls_us", r->tls_us);
    jw_int(&w, "first_byte_us", r->first_byte_us);
    jw_int(&w, "total_us", r->total_us);
    text_or_null(&w, "remote", r->remote);
    jw_bool(&w, "reused", r->reused);
    jw_int(&w, "requests", r->requests);
    if (r->remote_code != 0) {
        jw_int(&w, "http_status", r->remote_code);
    }
    text_or_null(&w, "category", r->category);
    text_or_null(&w, "cause", r->cause_word);
    text_or_null(&w, "error", r->reason);
    if (row_set_bool(t->rows, 0, "keep_responses") && r->response_len > 0) {
        char text[1025];
        size_t n = r->response_len < 1024 ? r->response_len : 1024;
        memcpy(text, r->response, n);
        text[n] = '\0';
        utf8_scrub(text); /* the database takes neither that nor a NUL */
        jw_string(&w, "response", text);
    }
    jw_object_end(&w);
    return subscription_attempt_add(tx, buf_text(&row), (call->scopes & API_READ) != 0,
                                    ret, err);
}

/* ---- test ------------------------------------------------------------------------ */

static void write_envelope(const struct trial *t, const char *type,
                           const struct json_node *data, struct buf *out)
{
    struct json_writer w = jw_begin(out);
    char at[CLOCK_RFC3339_SIZE];

    (void)clock_format_rfc3339(clock_wall_us(), at);
    jw_object(&w, NULL);
    jw_string(&w, "eventId", t->event_id);
    jw_string(&w, "type", type);
    jw_string(&w, "occurredAt", at);
    jw_string(&w, "aggregateId", t->event_id);
    if (data == NULL) {
        jw_raw(&w, "payload", "{}", 2);
    } else {
        jw_raw(&w, "payload", data->raw, data->raw_len);
    }
    jw_int(&w, "version", 1);
    jw_object_end(&w);
}

/* A test on its way. */
struct test {
    const char *type;
    const struct json_node *data;
    struct trial trial;
};

static void test_done(struct test *t)
{
    trial_done(&t->trial);
}

static int read_test(struct api_call *call, struct json_tree *body, struct test *t)
{
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);

    (void)api_fields_text(&f, "event_type", 1, 255, &t->type);
    t->data = api_fields_any(&f, "data");
    if (t->data != NULL && t->data->raw_len > MAX_DATA) {
        api_fields_fault(&f, t->data, "invalid-value", "at most %zu bytes are sent",
                         MAX_DATA);
    }
    api_fields_finish(&f);
    return api_problem_check(call->problem);
}

/* The steps of an api_exchange; `arg` is the struct test. */

static int prepare_test(struct api_call *call, struct outbox_tx *tx, void *arg,
                        struct buf *out, struct rider_error *err)
{
    struct test *t = arg;
    int rc = prepare(call, tx, &t->trial, err);

    (void)out;
    if (rc == 0 &&
        strcmp(row_set_text(t->trial.rows, 0, "status"), "pending_verification") == 0) {
        return api_problem_set(call->problem, "not-verified",
                               "nothing is sent before the endpoint has agreed");
    }
    return rc;
}

static int send_test(struct api_call *call, void *arg, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf message = buf_make(2 * MAX_DATA);
    struct test *t = arg;
    int rc = api_trial_begin(call);

    if (rc != 0) {
        return rc;
    }
    t->trial.target.keep_response =
        row_set_bool(t->trial.rows, 0, "keep_responses") ? 1024 : 0;
    write_envelope(&t->trial, t->type, t->data, &message);
    rc = send(call, &t->trial, t->type, &message, err);
    api_trial_end(call);
    return rc;
}

static int finish_test(struct api_call *call, struct outbox_tx *tx, void *arg,
                       struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *attempt = NULL;
    const struct test *t = arg;
    int rc = keep_attempt(call, tx, &t->trial, "test", &attempt, err);

    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        row_set_write_row(attempt, 0, &w, NULL);
    }
    return rc;
}

static int test(struct api_call *call, struct buf *out, struct rider_error *err)
{
    static const struct api_exchange steps = {prepare_test, send_test, finish_test};
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    RIDER_CLEANUP(test_done) struct test t = {.type = "postrider.test"};
    int rc = api_body_read(call, API_JSON, true, &body, err);

    if (rc == 0) {
        rc = read_test(call, body, &t);
    }
    return rc == 0 ? api_idempotent_exchange(call, &steps, &t, out, err) : rc;
}

/* ---- verify ---------------------------------------------------------------------- */

/* Whether the answer is an object whose challenge is the one that was sent. */
static bool agrees(const struct prober_result *result, const char *challenge)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *tree = NULL;
    struct json_fault fault;

    if (result->outcome != RIDER_DELIVERED ||
        json_tree_parse(result->response, result->response_len, &tree, &fault) != 0) {
        return false;
    }
    const struct json_node *m = json_node_member(json_tree_root(tree), "challenge");
    return m != NULL && m->kind == JSON_NODE_TEXT && m->len == strlen(challenge) &&
           crypto_equal(m->text, challenge, m->len);
}

/* Without a transaction: the endpoint may take its time. */
static int shake_hands(struct api_call *call, struct trial *t, bool *ret_agreed,
                       struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf message = buf_make(512);
    char challenge[WEBHOOK_ID_SIZE];
    int rc = webhook_id_make("chl_", challenge, err);

    if (rc != 0) {
        return rc;
    }
    struct json_writer w = jw_begin(&message);
    jw_object(&w, NULL);
    jw_string(&w, "type", "verification");
    jw_string(&w, "challenge", challenge);
    jw_object_end(&w);
    t->target.keep_response = PROBER_MAX_RESPONSE;
    t->target.flags = 0;
    rc = send(call, t, "verification", &message, err);
    *ret_agreed = rc == 0 && agrees(&t->result, challenge);
    /* What the endpoint said is not for the client. */
    t->result.response_len = 0;
    return rc;
}

static int read_partner(struct api_call *call, struct trial *t, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    int rc = outbox_tx_begin(call->dsn, &tx, err);

    if (rc == 0) {
        rc = prepare(call, tx, t, err);
    }
    if (rc == 0 && strcmp(row_set_text(t->rows, 0, "status"), "disabled") == 0) {
        return api_problem_set(call->problem, "subscription-disabled",
                               "a disabled subscription is not asked");
    }
    return rc;
}

static int keep_handshake(struct api_call *call, const struct trial *t, bool agreed,
                          struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *attempt = NULL;
    char actor[API_ACTOR_SIZE];
    int rc = outbox_tx_begin(call->dsn, &tx, err);

    if (rc == 0) {
        rc = keep_attempt(call, tx, t, "verify", &attempt, err);
    }
    if (rc == 0 && agreed) {
        api_actor(call, actor);
        rc = subscription_verified(tx, call->values[0], row_set_text(t->rows, 0, "url"),
                                   actor, err);
        if (rc == RIDER_E_NOT_FOUND) {
            return api_problem_set(call->problem, "verification-failed",
                                   "the subscription was changed meanwhile");
        }
    }
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}

static int show_handshake(struct api_call *call, const struct trial *t, bool agreed,
                          struct buf *out)
{
    if (!agreed) {
        return api_problem_set(
            call->problem, "verification-failed", "%s",
            t->result.outcome == RIDER_DELIVERED
                ? "challenge_failed"
                : (t->result.category[0] != '\0' ? t->result.category : "failed"));
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    jw_bool(&w, "verified", true);
    jw_string(&w, "method", "challenge");
    jw_object_end(&w);
    return 0;
}

static int verify(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(trial_done) struct trial t = {.rows = NULL};
    bool agreed = false;
    int rc = api_body_read_none(call, err);

    if (rc == 0) {
        rc = read_partner(call, &t, err);
    }
    if (rc == 0) {
        rc = api_trial_begin(call);
    }
    if (rc == 0) {
        rc = shake_hands(call, &t, &agreed, err);
        api_trial_end(call);
    }
    if (rc == 0) {
        rc = keep_handshake(call, &t, agreed, err);
    }
    return rc == 0 ? show_handshake(call, &t, agreed, out) : rc;
}

static const struct api_route routes[] = {
    {"POST", "/webhooks/subscriptions/{id}/secret/rotate", API_WEBHOOKS_WRITE, rotate},
    {"POST", "/webhooks/subscriptions/{id}/test", API_WEBHOOKS_WRITE, test},
    {"POST", "/webhooks/subscriptions/{id}/verify", API_WEBHOOKS_WRITE, verify},
};

const struct api_route_table api_trial_routes = API_ROUTES(routes);
