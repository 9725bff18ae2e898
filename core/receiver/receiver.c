/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receiver.c - a webhook receiver for trying things out.
 *
 * Every request runs through the same three questions: is it a POST, was it
 * signed with one of our keys just now, is its id new. An id is remembered only
 * after its signature was found good, so that strangers cannot fill the memory.
 * Handshakes are agreed to, repeated ones too, since the first answer may have been
 * lost: who gives it a secret wants the deliveries.
 *
 * Invariant: judge() runs on one thread, so the store of ids needs no lock.
 *
 * Not here: the cryptography (postrider/signature.h), printing (cmd_receive.c).
 */
#include "receiver/receiver.h"

#include "base/clock.h"
#include "base/json_tree.h"
#include "http/http_server.h"
#include "receiver/seen_ids.h"

#include <stdlib.h>
#include <string.h>

struct receiver {
    struct http_server *server; /* NULL: judges only */
    struct seen_ids *seen;
    struct rider_key keys[RECEIVER_MAX_KEYS];
    size_t n_keys;
    int64_t tolerance_s;
    receiver_fn *on_delivery;
    void *arg;
};

static struct receiver_delivery refuse(struct receiver_delivery delivery,
                                       struct http_response *res, unsigned int status,
                                       const char *reason)
{
    delivery.verdict = RECEIVER_REFUSED;
    delivery.status = status;
    delivery.reason = reason;
    http_response_text(res, status, reason);
    return delivery;
}

/* RIDER_SIGNATURE_OK, too, where there is no key to check with. */
static enum rider_signature_status check_signature(const struct receiver *receiver,
                                                   const struct http_request *req,
                                                   int64_t now)
{
    const struct rider_signed_message message = {
        .id = http_request_header(req, "webhook-id"),
        .timestamp = http_request_header(req, "webhook-timestamp"),
        .signature = http_request_header(req, "webhook-signature"),
        .body = req->body,
        .body_len = req->body_len,
    };

    if (receiver->n_keys == 0) {
        return RIDER_SIGNATURE_OK;
    }
    return rider_signature_verify(receiver->keys, receiver->n_keys, &message, now,
                                  receiver->tolerance_s);
}

/* A subscription is agreed to by saying the challenge of its handshake again. */
static bool agree(const struct http_request *req, struct http_response *res)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *tree = NULL;
    struct json_fault fault;

    if (json_tree_parse(req->body, req->body_len, &tree, &fault) != 0) {
        return false;
    }
    const struct json_node *type = json_node_member(json_tree_root(tree), "type");
    const struct json_node *challenge =
        json_node_member(json_tree_root(tree), "challenge");
    if (type == NULL || type->kind != JSON_NODE_TEXT ||
        strcmp(type->text, "verification") != 0 || challenge == NULL ||
        challenge->kind != JSON_NODE_TEXT) {
        return false;
    }
    struct json_writer w = jw_begin(&res->body);
    jw_object(&w, NULL);
    json_node_write(challenge, &w, "challenge");
    jw_object_end(&w);
    res->status = 200;
    res->content_type = "application/json";
    return true;
}

struct receiver_delivery receiver_judge(struct receiver *receiver,
                                        const struct http_request *req, int64_t now,
                                        struct http_response *res)
{
    struct receiver_delivery delivery = {
        .id = http_request_header(req, "webhook-id"),
        .timestamp = http_request_header(req, "webhook-timestamp"),
        .test = http_request_header(req, "webhook-test") != NULL,
        .req = req,
    };

    if (strcmp(req->method, "POST") != 0) {
        http_response_header(res, "Allow", "POST");
        return refuse(delivery, res, 405, "only POST is accepted");
    }
    enum rider_signature_status status = check_signature(receiver, req, now);
    if (status != RIDER_SIGNATURE_OK) {
        return refuse(delivery, res, status == RIDER_SIGNATURE_NO_MATCH ? 401 : 400,
                      rider_signature_text(status));
    }
    if (delivery.id == NULL || delivery.id[0] == '\0' ||
        strlen(delivery.id) > SEEN_IDS_MAX_LEN) {
        return refuse(delivery, res, 400, "webhook-id is missing or too long");
    }
    bool repeated = seen_ids_contains(receiver->seen, delivery.id);
    if (!repeated && seen_ids_add(receiver->seen, delivery.id, NULL) != 0) {
        return refuse(delivery, res, 503, "out of memory");
    }
    delivery.verdict = repeated ? RECEIVER_DUPLICATE : RECEIVER_ACCEPTED;
    delivery.status = 200;
    if (!delivery.test || !agree(req, res)) {
        http_response_text(res, 200, repeated ? "duplicate" : "accepted");
    }
    return delivery;
}

static void handle(void *arg, const struct http_request *req, struct http_response *res)
{
    struct receiver *receiver = arg;
    struct receiver_delivery delivery =
        receiver_judge(receiver, req, clock_wall_us() / 1000000, res);

    receiver->on_delivery(receiver->arg, &delivery);
}

int receiver_create(const struct receiver_options *options, struct receiver **ret,
                    struct rider_error *err)
{
    if (options->n_keys > RECEIVER_MAX_KEYS) {
        return rider_fail(err, RIDER_E_CONFIG, "more than %d keys", RECEIVER_MAX_KEYS);
    }
    RIDER_CLEANUP_PTR(receiver_stop)
    struct receiver *receiver = calloc(1, sizeof(*receiver));
    if (receiver == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "could not allocate a receiver");
    }
    int rc = seen_ids_create(options->remember, &receiver->seen, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < options->n_keys; i++) {
        receiver->keys[i] = options->keys[i];
    }
    receiver->n_keys = options->n_keys;
    receiver->tolerance_s = options->tolerance_s;
    receiver->on_delivery = options->on_delivery;
    receiver->arg = options->arg;
    *ret = RIDER_STEAL(receiver);
    return 0;
}

int receiver_start(const struct receiver_options *options, struct receiver **ret,
                   struct rider_error *err)
{
    RIDER_CLEANUP_PTR(receiver_stop) struct receiver *receiver = NULL;
    int rc = receiver_create(options, &receiver, err);

    if (rc != 0) {
        return rc;
    }
    const struct http_server_options server = {
        .listen = options->listen,
        .handler = handle,
        .arg = receiver,
        .max_body = options->max_body,
        .threads = 1,
    };
    rc = http_server_start(&server, &receiver->server, err);
    if (rc != 0) {
        return rc;
    }
    *ret = RIDER_STEAL(receiver);
    return 0;
}

const char *receiver_address(const struct receiver *receiver)
{
    return http_server_address(receiver->server);
}

void receiver_stop(struct receiver *receiver)
{
    if (receiver == NULL) {
        return;
    }
    http_server_stop(receiver->server);
    seen_ids_destroy(receiver->seen);
    for (size_t i = 0; i < receiver->n_keys; i++) {
        rider_key_clear(&receiver->keys[i]);
    }
    free(receiver);
}
