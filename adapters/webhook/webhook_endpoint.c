/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_endpoint.c - the table of endpoints and their turns.
 *
 * Endpoints that can start something stand in the ready list and move to its end
 * after each start. One without work moves to the idle list and keeps its keyed
 * signers; when more than IDLE_MAX are idle, the one idle longest is freed.
 *
 * Invariant: an endpoint is in the ready list exactly if it has something waiting
 * and is below its limit, in the idle list exactly if it has nothing at all, otherwise in
 * the busy list.
 * Not here: transfers, addresses, retries.
 */
#include "webhook/webhook_endpoint.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 4096u

TAILQ_HEAD(endpoint_list, webhook_endpoint);

struct webhook_endpoints {
    void *tree; /* by key, tsearch(3) */
    struct endpoint_list ready, idle, busy;
    size_t max_in_flight, max_total, total, count, n_idle;
    struct webhook_endpoint *own;
};

static int compare(const void *a, const void *b)
{
    const struct webhook_endpoint *left = a, *right = b;

    return strcmp(left->key, right->key);
}

struct webhook_endpoints *webhook_endpoints_create(size_t max_in_flight,
                                                   size_t max_total)
{
    struct webhook_endpoints *endpoints = calloc(1, sizeof(*endpoints));

    if (endpoints != NULL) {
        endpoints->max_in_flight = max_in_flight;
        endpoints->max_total = max_total;
        TAILQ_INIT(&endpoints->ready);
        TAILQ_INIT(&endpoints->idle);
        TAILQ_INIT(&endpoints->busy);
    }
    return endpoints;
}

static void drop_signers(struct webhook_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->signers.n; i++) {
        rider_signer_destroy(endpoint->signers.list[i]);
        rider_key_clear(&endpoint->keys[i]);
    }
    endpoint->signers.n = 0;
}

static void endpoint_destroy(struct webhook_endpoint *endpoint)
{
    drop_signers(endpoint);
    free(endpoint->key);
    free(endpoint);
}

static void free_list(struct endpoint_list *list)
{
    struct webhook_endpoint *endpoint = TAILQ_FIRST(list);

    while (endpoint != NULL) {
        struct webhook_endpoint *next = TAILQ_NEXT(endpoint, link);

        endpoint_destroy(endpoint);
        endpoint = next;
    }
}

static void keep_node(void *node)
{
    (void)node; /* the lists own the endpoints */
}

void webhook_endpoints_destroy(struct webhook_endpoints *endpoints)
{
    if (endpoints == NULL) {
        return;
    }
    tdestroy(endpoints->tree, keep_node);
    free_list(&endpoints->ready);
    free_list(&endpoints->idle);
    free_list(&endpoints->busy);
    free(endpoints);
}

static void evict_oldest(struct webhook_endpoints *endpoints)
{
    struct webhook_endpoint *oldest = TAILQ_FIRST(&endpoints->idle);

    if (oldest == endpoints->own) {
        oldest = TAILQ_NEXT(oldest, link);
    }
    if (oldest == NULL) {
        return;
    }
    TAILQ_REMOVE(&endpoints->idle, oldest, link);
    (void)tdelete(oldest, &endpoints->tree, compare);
    endpoints->n_idle--;
    endpoints->count--;
    endpoint_destroy(oldest);
}

/** A new idle endpoint, or NULL. */
static struct webhook_endpoint *make(struct webhook_endpoints *endpoints,
                                     const char *key)
{
    struct webhook_endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (endpoint == NULL) {
        return NULL;
    }
    STAILQ_INIT(&endpoint->waiting);
    endpoint->key = strdup(key);
    if (endpoint->key == NULL || tsearch(endpoint, &endpoints->tree, compare) == NULL) {
        endpoint_destroy(endpoint);
        return NULL;
    }
    if (endpoints->n_idle >= IDLE_MAX) {
        evict_oldest(endpoints);
    }
    TAILQ_INSERT_TAIL(&endpoints->idle, endpoint, link);
    endpoints->n_idle++;
    endpoints->count++;
    return endpoint;
}

/** Keeps the signers as long as the keys are the same, in the same order. */
static enum rider_signature_status set_keys(struct webhook_endpoint *endpoint,
                                            const struct rider_key *keys, size_t n)
{
    if (endpoint->signers.n == n &&
        memcmp(endpoint->keys, keys, n * sizeof(keys[0])) == 0) {
        return RIDER_SIGNATURE_OK;
    }
    drop_signers(endpoint);
    for (size_t i = 0; i < n; i++) {
        enum rider_signature_status status =
            rider_signer_create(&keys[i], &endpoint->signers.list[i]);

        if (status != RIDER_SIGNATURE_OK) {
            drop_signers(endpoint);
            return status;
        }
        endpoint->keys[i] = keys[i];
        endpoint->signers.n = i + 1;
    }
    return RIDER_SIGNATURE_OK;
}

static enum rider_signature_status parse_key(struct rider_bytes text,
                                             struct rider_key *ret)
{
    char copy[128];

    if (text.len >= sizeof(copy)) {
        return RIDER_KEY_TOO_LONG;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    enum rider_signature_status status = rider_key_parse(copy, 0, ret);

    explicit_bzero(copy, sizeof(copy));
    if (status == RIDER_SIGNATURE_OK && ret->kind == RIDER_KEY_ED25519_PUBLIC) {
        status = RIDER_KEY_BAD_PREFIX;
    }
    return status;
}

enum rider_signature_status webhook_endpoint_keys(
    const struct rider_bytes *secrets, size_t n,
    struct rider_key ret[WEBHOOK_MAX_SECRETS], size_t *ret_n)
{
    enum rider_signature_status status = RIDER_SIGNATURE_OK;
    size_t kept = n < WEBHOOK_MAX_SECRETS ? n : WEBHOOK_MAX_SECRETS;

    *ret_n = kept;
    if (n == 0) {
        return RIDER_SIGNATURE_NO_KEY;
    }
    for (size_t i = 0; i < kept && status == RIDER_SIGNATURE_OK; i++) {
        status = parse_key(secrets[i + 1 < kept ? i : n - 1], &ret[i]);
    }
    return status == RIDER_SIGNATURE_OK && ret[0].kind != RIDER_KEY_HMAC
               ? RIDER_KEY_BAD_PREFIX
               : status;
}

static enum rider_signature_status update(struct webhook_endpoint *endpoint,
                                          const struct rider_bytes *secrets, size_t n)
{
    struct rider_key keys[WEBHOOK_MAX_SECRETS] = {0};
    enum rider_signature_status status = webhook_endpoint_keys(secrets, n, keys, &n);

    if (status == RIDER_SIGNATURE_OK) {
        status = set_keys(endpoint, keys, n);
    }
    explicit_bzero(keys, sizeof(keys));
    return status;
}

static struct rider_bytes text_bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

enum rider_signature_status webhook_endpoints_set_own(
    struct webhook_endpoints *endpoints, const char *secret, const char *previous)
{
    struct rider_bytes secrets[2] = {text_bytes(secret)};
    size_t n = 1;

    if (previous != NULL) {
        secrets[n++] = text_bytes(previous);
    }
    if (endpoints->own == NULL) {
        endpoints->own = make(endpoints, "");
    }
    return endpoints->own != NULL ? update(endpoints->own, secrets, n)
                                  : RIDER_SIGNATURE_FAILED;
}

struct webhook_endpoint *webhook_endpoints_get(struct webhook_endpoints *endpoints,
                                               const struct rider_target *target,
                                               struct rider_result *ret_refusal)
{
    if (target == NULL) {
        *ret_refusal =
            (struct rider_result){.struct_size = sizeof(*ret_refusal),
                                  .outcome = RIDER_UNROUTABLE,
                                  .cause = RIDER_CAUSE_ADAPTER_FAULT,
                                  .reason = "the event has no subscription to go to"};
        return endpoints->own;
    }
    enum rider_signature_status status = RIDER_SIGNATURE_FAILED;
    char key[128];
    const struct webhook_endpoint probe = {.key = key};

    if (target->id.len > 0 && target->id.len < sizeof(key)) {
        memcpy(key, target->id.data, target->id.len);
        key[target->id.len] = '\0';
        struct webhook_endpoint *const *found =
            tfind(&probe, &endpoints->tree, compare);
        struct webhook_endpoint *endpoint =
            found != NULL ? *found : make(endpoints, key);

        if (endpoint != NULL) {
            status = update(endpoint, target->secrets, target->n_secrets);
        }
        if (status == RIDER_SIGNATURE_OK) {
            return endpoint;
        }
    }
    *ret_refusal = (struct rider_result){
        .struct_size = sizeof(*ret_refusal),
        .outcome = RIDER_UNROUTABLE,
        .cause = status == RIDER_SIGNATURE_FAILED ? RIDER_CAUSE_ADAPTER_FAULT
                                                  : RIDER_CAUSE_SECRET_UNDECRYPTABLE,
        .reason = rider_signature_text(status)};
    return NULL;
}

static bool can_start(const struct webhook_endpoints *endpoints,
                      const struct webhook_endpoint *endpoint)
{
    return endpoint->n_waiting > 0 && endpoint->in_flight < endpoints->max_in_flight;
}

static struct endpoint_list *list_of(struct webhook_endpoints *endpoints,
                                     const struct webhook_endpoint *endpoint)
{
    if (endpoint->n_waiting == 0 && endpoint->in_flight == 0) {
        return &endpoints->idle;
    }
    return can_start(endpoints, endpoint) ? &endpoints->ready : &endpoints->busy;
}

/** Moves the endpoint to the end of the list it belongs to now. */
static void relist(struct webhook_endpoints *endpoints, struct endpoint_list *from,
                   struct webhook_endpoint *endpoint)
{
    struct endpoint_list *to = list_of(endpoints, endpoint);

    TAILQ_REMOVE(from, endpoint, link);
    TAILQ_INSERT_TAIL(to, endpoint, link);
    endpoints->n_idle -= from == &endpoints->idle ? 1 : 0;
    endpoints->n_idle += to == &endpoints->idle ? 1 : 0;
}

void webhook_endpoints_enqueue(struct webhook_endpoints *endpoints,
                               struct webhook_endpoint *endpoint,
                               struct webhook_delivery *delivery)
{
    struct endpoint_list *from = list_of(endpoints, endpoint);

    STAILQ_INSERT_TAIL(&endpoint->waiting, delivery, link);
    endpoint->n_waiting++;
    if (list_of(endpoints, endpoint) != from) {
        relist(endpoints, from, endpoint);
    }
}

void webhook_endpoints_limit(struct webhook_endpoints *endpoints, size_t max_total)
{
    endpoints->max_total = max_total;
}

/** The first in the ready list whose share is not used up. With N endpoints that
 *  hang, each ends up with 1/(N+1) of all, and as much stays free. */
static struct webhook_endpoint *first_startable(
    const struct webhook_endpoints *endpoints)
{
    size_t left = endpoints->total < endpoints->max_total
                      ? endpoints->max_total - endpoints->total
                      : 0;
    struct webhook_endpoint *endpoint = NULL;

    if (left == 0) {
        return NULL;
    }
    TAILQ_FOREACH(endpoint, &endpoints->ready, link)
    {
        if (endpoint == endpoints->own || endpoint->in_flight == 0 ||
            endpoint->in_flight < left) {
            return endpoint;
        }
    }
    return NULL;
}

struct webhook_endpoint *webhook_endpoints_next(struct webhook_endpoints *endpoints,
                                                struct webhook_delivery **ret)
{
    struct webhook_endpoint *endpoint = first_startable(endpoints);

    if (endpoint == NULL) {
        return NULL;
    }
    *ret = STAILQ_FIRST(&endpoint->waiting);
    STAILQ_REMOVE_HEAD(&endpoint->waiting, link);
    endpoint->n_waiting--;
    endpoint->in_flight++;
    endpoints->total++;
    relist(endpoints, &endpoints->ready, endpoint);
    return endpoint;
}

void webhook_endpoints_finish(struct webhook_endpoints *endpoints,
                              struct webhook_endpoint *endpoint)
{
    struct endpoint_list *from = list_of(endpoints, endpoint);

    endpoint->in_flight--;
    endpoints->total--;
    if (list_of(endpoints, endpoint) != from) {
        relist(endpoints, from, endpoint);
    }
    if (endpoints->n_idle > IDLE_MAX) {
        evict_oldest(endpoints);
    }
}

void webhook_endpoints_take_waiting(struct webhook_endpoints *endpoints,
                                    struct webhook_endpoint *endpoint,
                                    struct webhook_delivery_list *list)
{
    struct endpoint_list *from = list_of(endpoints, endpoint);

    STAILQ_CONCAT(list, &endpoint->waiting);
    endpoint->n_waiting = 0;
    if (list_of(endpoints, endpoint) != from) {
        relist(endpoints, from, endpoint);
    }
}

struct webhook_endpoint *webhook_endpoints_any_waiting(
    struct webhook_endpoints *endpoints)
{
    struct webhook_endpoint *endpoint = TAILQ_FIRST(&endpoints->ready);

    if (endpoint != NULL) {
        return endpoint;
    }
    TAILQ_FOREACH(endpoint, &endpoints->busy, link)
    {
        if (endpoint->n_waiting > 0) {
            return endpoint;
        }
    }
    return NULL;
}

size_t webhook_endpoints_count(const struct webhook_endpoints *endpoints)
{
    return endpoints->count;
}
