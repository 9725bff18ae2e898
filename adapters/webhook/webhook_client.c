/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_client.c - moves deliveries from the inbox to completions.
 *
 * One turn of the thread: take what was put, start what may start (signing it at
 * that moment), wait for sockets, complete what ended. When an endpoint turns out to
 * be unavailable, what waits for it goes back to the host at once, unsent: the host's
 * breaker decides when to try again, instead of a long queue knocking on.
 *
 * Invariant: a delivery is in the inbox, in one endpoint's queue or in one transfer,
 * and its slot is released right after its ticket is completed.
 * Not here: limits of one exchange (webhook_transfer.c), outcomes (webhook_verdict.c).
 */
#include "webhook/webhook_client.h"

#include "webhook/webhook_check.h"
#include "webhook/webhook_loop.h"
#include "webhook/webhook_transfer.h"
#include "webhook/webhook_url.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define IDLE_WAIT_MS 1000
#define STOP_WAIT_MS 20
#define WAIT_STEP_MS 50u

#define RESERVED_DESCRIPTORS ((rlim_t)128) /* for the rest of the process */
/* Of a transfer: two of the resolver's or two while families race, and as many kept
 * connections as transfers, which are closed when others end. */
#define DESCRIPTORS_EACH ((rlim_t)4)

TAILQ_HEAD(transfer_list, webhook_transfer);

struct webhook_client {
    const struct rider_host *host;
    const struct webhook_config *config;
    struct webhook_policy policy; /* immutable after create */
    struct webhook_guard guard;
    struct webhook_kept *kept;
    struct webhook_inbox *inbox;
    struct webhook_loop *loop;
    struct webhook_endpoints *endpoints;
    struct transfer_list active, spare; /* active: in order of their start */
    pthread_t thread;
    bool running; /* host's thread only */
    atomic_bool stopping;
    _Atomic uint64_t stop_at_ms; /* host's clock */
    bool subscriptions;          /* immutable after create */
    _Atomic uint64_t requests, repeats, connections, blocked, cut, clamped,
        proxy_faults, in_flight, n_endpoints;
    _Atomic uint32_t cause, bad_streak, answered;
};

static void complete(struct webhook_client *client, struct webhook_delivery *delivery,
                     const struct rider_result *result)
{
    const struct rider_host *host = client->host;

    host->complete(host, delivery->event->ticket, result);
    if (webhook_inbox_release(client->inbox, delivery)) {
        host->writable(host);
    }
}

/** Returns everything that waits for `endpoint` with the same result, unsent. */
static void give_back(struct webhook_client *client, struct webhook_endpoint *endpoint,
                      const struct rider_result *result)
{
    struct webhook_delivery_list list = STAILQ_HEAD_INITIALIZER(list);
    struct rider_result unsent = *result;

    unsent.flags &= ~(uint32_t)RIDER_RESULT_MAYBE_DELIVERED;
    unsent.attempt = NULL;
    webhook_endpoints_take_waiting(client->endpoints, endpoint, &list);
    while (!STAILQ_EMPTY(&list)) {
        struct webhook_delivery *delivery = STAILQ_FIRST(&list);

        STAILQ_REMOVE_HEAD(&list, link);
        complete(client, delivery, &unsent);
    }
}

static void sort_inbox(struct webhook_client *client)
{
    struct webhook_delivery_list list = STAILQ_HEAD_INITIALIZER(list);

    webhook_inbox_take(client->inbox, &list);
    while (!STAILQ_EMPTY(&list)) {
        struct webhook_delivery *delivery = STAILQ_FIRST(&list);
        struct rider_result refusal;

        STAILQ_REMOVE_HEAD(&list, link);
        struct webhook_endpoint *endpoint =
            webhook_endpoints_get(client->endpoints, delivery->event->target, &refusal);

        if (endpoint == NULL) {
            complete(client, delivery, &refusal);
            continue;
        }
        webhook_endpoints_enqueue(client->endpoints, endpoint, delivery);
    }
    client->n_endpoints = webhook_endpoints_count(client->endpoints);
}

static struct webhook_transfer *spare_transfer(struct webhook_client *client)
{
    struct webhook_transfer *transfer = TAILQ_FIRST(&client->spare);

    if (transfer != NULL) {
        TAILQ_REMOVE(&client->spare, transfer, link);
        return transfer;
    }
    return webhook_transfer_create(client->config, &client->guard, client->kept);
}

/** Ends a transfer and keeps its handle for the next one. */
static void put_back(struct webhook_client *client, struct webhook_transfer *transfer)
{
    if (webhook_transfer_end(transfer)) {
        TAILQ_INSERT_HEAD(&client->spare, transfer, link);
    } else {
        webhook_transfer_destroy(transfer);
    }
}

/** Judges what the owner of a subscription wrote; the own endpoint was checked once.
 *  0 with the files and the URL to use, or -1 with the completion in *ret. */
static int check_target(const struct webhook_client *client,
                        const struct rider_event *event, struct webhook_tls *ret_tls,
                        char ret_url[WEBHOOK_URL_MAX + 1], struct rider_result *ret)
{
    const struct webhook_config *config = client->config;
    const struct rider_target target = webhook_request_target(event->target);
    const char *member = NULL;
    char why[256];

    ret->outcome = RIDER_UNROUTABLE;
    ret->reason = webhook_tls_find(config->tls_folder, &target, ret_tls, &member);
    if (ret->reason != NULL) {
        ret->cause = RIDER_CAUSE_TLS;
        return -1;
    }
    /* A proxy is given names; an address in the URL is judged here. */
    if (event->target != NULL &&
        (!webhook_url_copy(target.url.data, target.url.len, ret_url) ||
         webhook_url_check(client->guard.proxied ? &client->policy : NULL,
                           config->allow_http, ret_url, why, sizeof(why)) != 0)) {
        ret->cause = RIDER_CAUSE_BLOCKED_ADDRESS;
        ret->reason = "the URL is not acceptable";
        return -1;
    }
    return 0;
}

/** Starts one delivery. 0, or -1 with the completion in *ret. */
static int start_one(struct webhook_client *client, struct webhook_endpoint *endpoint,
                     struct webhook_delivery *delivery, struct rider_result *ret)
{
    const struct rider_result short_of_memory = {.struct_size = sizeof(*ret),
                                                 .outcome = RIDER_UNAVAILABLE,
                                                 .cause = RIDER_CAUSE_ADAPTER_FAULT,
                                                 .reason = "memory is short"};
    struct curl_slist *headers = NULL;
    struct webhook_tls tls;
    char url[WEBHOOK_URL_MAX + 1];

    *ret = (struct rider_result){.struct_size = sizeof(*ret)};
    if (check_target(client, delivery->event, &tls, url, ret) != 0 ||
        webhook_request_build(delivery->event, &endpoint->signers, (int64_t)time(NULL),
                              &headers, ret) != 0) {
        return -1;
    }
    struct webhook_transfer *transfer = spare_transfer(client);

    *ret = short_of_memory;
    if (transfer == NULL) {
        curl_slist_free_all(headers);
        return -1;
    }
    const char *to = delivery->event->target != NULL ? url : client->config->url;

    if (!webhook_transfer_begin(transfer, endpoint, delivery, to, headers, &tls) ||
        !webhook_loop_add(client->loop, transfer->easy)) {
        put_back(client, transfer);
        return -1;
    }
    TAILQ_INSERT_TAIL(&client->active, transfer, link);
    client->in_flight++;
    return 0;
}

static void start_ready(struct webhook_client *client)
{
    for (;;) {
        struct webhook_delivery *delivery = NULL;
        struct rider_result refusal;
        struct webhook_endpoint *endpoint =
            webhook_endpoints_next(client->endpoints, &delivery);

        if (endpoint == NULL) {
            return;
        }
        if (start_one(client, endpoint, delivery, &refusal) != 0) {
            webhook_endpoints_finish(client->endpoints, endpoint);
            complete(client, delivery, &refusal);
        }
    }
}

static void count(struct webhook_client *client,
                  const struct webhook_transfer *transfer,
                  const struct webhook_exchange *exchange,
                  const struct rider_result *result)
{
    client->requests += transfer->requests;
    client->repeats += transfer->requests > 1 ? transfer->requests - 1 : 0;
    client->connections += transfer->opened;
    client->blocked += transfer->refused;
    client->cut += exchange->cut ? 1 : 0;
    client->clamped += exchange->retry_after_ms == WEBHOOK_RETRY_AFTER_CAP_MS ? 1 : 0;
    client->proxy_faults += exchange->at_proxy ? 1 : 0;
    if (transfer->delivery->event->target != NULL) {
        return; /* an endpoint of a subscription is not the destination */
    }
    if (exchange->answered && result->outcome != RIDER_UNAVAILABLE) {
        client->bad_streak = 0;
        client->answered = 1;
    } else {
        client->cause = result->cause;
        client->bad_streak++;
    }
}

static uint64_t mono_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/** Takes a transfer that has ended, or is to end now, out of everything. */
static void finish_one(struct webhook_client *client, struct webhook_transfer *transfer,
                       const struct webhook_exchange *exchange,
                       struct rider_result *result)
{
    struct webhook_endpoint *endpoint = transfer->endpoint;
    struct rider_attempt attempt;

    count(client, transfer, exchange, result);
    if (exchange->answered) {
        endpoint->answered_ms = mono_ms();
    }
    if (webhook_transfer_tell(transfer, exchange, &attempt)) {
        result->attempt = &attempt;
    }
    webhook_loop_remove(client->loop, transfer->easy);
    TAILQ_REMOVE(&client->active, transfer, link);
    client->in_flight--;
    complete(client, transfer->delivery, result);
    put_back(client, transfer); /* the attempt borrows from it */
    if (result->outcome == RIDER_UNAVAILABLE) {
        give_back(client, endpoint, result);
    }
    webhook_endpoints_finish(client->endpoints, endpoint);
}

/** Goes on with a new connection where the kept one could not be used. */
static bool start_again(struct webhook_client *client,
                        struct webhook_transfer *transfer)
{
    if (!transfer->unclean) {
        return false;
    }
    webhook_loop_remove(client->loop, transfer->easy);
    return webhook_transfer_again(transfer) &&
           webhook_loop_add(client->loop, transfer->easy);
}

static void finish_ended(struct webhook_client *client)
{
    CURLcode code = CURLE_OK;
    CURL *easy = NULL;

    while ((easy = webhook_loop_next_done(client->loop, &code)) != NULL) {
        struct webhook_transfer *transfer = NULL;

        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
        if (start_again(client, transfer)) {
            continue;
        }
        struct webhook_exchange exchange = webhook_transfer_result(transfer, code);
        struct rider_result result = webhook_verdict(&exchange);

        finish_one(client, transfer, &exchange, &result);
    }
}

/** Stopping: unsent deliveries go back now, the rest when the deadline has passed.
 *  True when nothing is left. */
static bool wind_down(struct webhook_client *client)
{
    struct rider_result result = {.struct_size = sizeof(result),
                                  .outcome = RIDER_UNAVAILABLE,
                                  .cause = RIDER_CAUSE_TIMEOUT,
                                  .reason = "the relay is stopping"};
    struct webhook_endpoint *endpoint = NULL;

    while ((endpoint = webhook_endpoints_any_waiting(client->endpoints)) != NULL) {
        give_back(client, endpoint, &result);
    }
    if (client->host->now_ms(client->host) >= client->stop_at_ms) {
        struct webhook_transfer *transfer = NULL;

        /* The oldest first: libcurl looks for a connection among all of its host. */
        while ((transfer = TAILQ_FIRST(&client->active)) != NULL) {
            const struct webhook_exchange exchange =
                webhook_transfer_result(transfer, CURLE_OPERATION_TIMEDOUT);
            struct rider_result aborted = result;

            aborted.flags = exchange.sent ? RIDER_RESULT_MAYBE_DELIVERED : 0;
            if (exchange.answered) {
                aborted = webhook_verdict(&exchange); /* only the body is missing */
            }
            finish_one(client, transfer, &exchange, &aborted);
        }
    }
    return TAILQ_EMPTY(&client->active);
}

static void *thread_main(void *arg)
{
    struct webhook_client *client = arg;

    for (;;) {
        sort_inbox(client);
        if (client->stopping && wind_down(client)) {
            return NULL;
        }
        start_ready(client);
        webhook_loop_run(client->loop, client->stopping ? STOP_WAIT_MS : IDLE_WAIT_MS);
        finish_ended(client);
    }
}

static int set_up(struct webhook_client *client, char *err, size_t err_size)
{
    const struct webhook_config *config = client->config;
    bool subscriptions = webhook_has_subscriptions(client->host);
    int rc =
        webhook_check_options(config, subscriptions, &client->policy, err, err_size);

    client->guard.policy = &client->policy;
    client->guard.proxied = config->proxy != NULL && config->proxy[0] != '\0';
    if (rc != 0 || client->subscriptions) {
        return rc;
    }
    enum rider_signature_status status = webhook_endpoints_set_own(
        client->endpoints, config->secret, config->previous_secret);

    if (status != RIDER_SIGNATURE_OK) {
        (void)snprintf(err, err_size, "secret or previous_secret: %s",
                       rider_signature_text(status));
        return EINVAL;
    }
    return 0;
}

int webhook_client_create(const struct rider_host *host,
                          const struct webhook_config *config,
                          struct webhook_client **ret, char *err, size_t err_size)
{
    struct webhook_client *client = calloc(1, sizeof(*client));

    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        (void)snprintf(err, err_size, "memory is short");
        return ENOMEM;
    }
    client->host = host;
    client->config = config;
    client->subscriptions = webhook_has_subscriptions(host);
    TAILQ_INIT(&client->active);
    TAILQ_INIT(&client->spare);
    client->inbox = webhook_inbox_create(WEBHOOK_INBOX_CAPACITY);
    client->endpoints = webhook_endpoints_create((size_t)config->max_in_flight,
                                                 (size_t)config->max_connections);
    client->kept = webhook_kept_create();
    int rc = ENOMEM;

    if (client->inbox == NULL || client->endpoints == NULL || client->kept == NULL) {
        (void)snprintf(err, err_size, "memory is short");
    } else {
        rc = set_up(client, err, err_size);
    }
    if (rc != 0) {
        webhook_client_destroy(client);
        return rc;
    }
    *ret = client;
    return 0;
}

/** How many transfers the process has descriptors for. */
static size_t fit_connections(struct webhook_client *client)
{
    const struct rider_host *host = client->host;
    rlim_t wanted = (rlim_t)client->config->max_connections;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= wanted * DESCRIPTORS_EACH + RESERVED_DESCRIPTORS) {
        return (size_t)wanted;
    }
    rlim_t left = limit.rlim_cur > 2u * RESERVED_DESCRIPTORS
                      ? limit.rlim_cur - RESERVED_DESCRIPTORS
                      : limit.rlim_cur / 2u;
    rlim_t fits = left / DESCRIPTORS_EACH > 0 ? left / DESCRIPTORS_EACH : 1u;

    if (fits >= wanted) {
        return (size_t)wanted;
    }
    webhook_endpoints_limit(client->endpoints, (size_t)fits);
    host->log(
        host, RIDER_LOG_WARN,
        "max_connections is %llu, but this process may open %llu files: using %llu",
        (unsigned long long)wanted, (unsigned long long)limit.rlim_cur,
        (unsigned long long)fits);
    return (size_t)fits;
}

int webhook_client_start(struct webhook_client *client, char *err, size_t err_size)
{
    sigset_t all, before;
    int rc = webhook_check_files(client->config, err, err_size);

    if (rc != 0) {
        return rc;
    }
    client->loop = webhook_loop_create((long)fit_connections(client));
    if (client->loop == NULL) {
        (void)snprintf(err, err_size, "could not set up libcurl and epoll");
        return errno != 0 ? errno : ENOMEM;
    }
    /* Signals, SIGPIPE among them, are the host's business. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&client->thread, NULL, thread_main, client);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)snprintf(err, err_size, "could not start a thread");
        return rc;
    }
    (void)pthread_setname_np(client->thread, "webhook");
    client->running = true;
    return 0;
}

size_t webhook_client_publish(struct webhook_client *client,
                              const struct rider_event *const *events, size_t n)
{
    size_t taken = webhook_inbox_put(client->inbox, events, n);

    if (taken > 0 && client->running) {
        webhook_loop_wake(client->loop);
    }
    return taken;
}

size_t webhook_client_flush(struct webhook_client *client, uint64_t deadline_ms)
{
    const struct rider_host *host = client->host;
    size_t open = webhook_inbox_open(client->inbox);

    /* The host's clock may be a test's, so the wait is in short real steps. */
    while (open > 0 && host->now_ms(host) < deadline_ms) {
        uint64_t left = deadline_ms - host->now_ms(host);

        open = webhook_inbox_wait_empty(client->inbox,
                                        left < WAIT_STEP_MS ? left : WAIT_STEP_MS);
    }
    return open;
}

void webhook_client_stop(struct webhook_client *client, uint64_t deadline_ms)
{
    if (!client->running) {
        return;
    }
    client->stop_at_ms = deadline_ms;
    client->stopping = true;
    webhook_loop_wake(client->loop);
    (void)pthread_join(client->thread, NULL);
    client->running = false;
}

void webhook_client_destroy(struct webhook_client *client)
{
    if (client == NULL) {
        return;
    }
    struct webhook_transfer *transfer = NULL;

    while ((transfer = TAILQ_FIRST(&client->spare)) != NULL) {
        TAILQ_REMOVE(&client->spare, transfer, link);
        webhook_transfer_destroy(transfer);
    }
    webhook_loop_destroy(client->loop);
    webhook_endpoints_destroy(client->endpoints);
    webhook_inbox_destroy(client->inbox);
    webhook_kept_destroy(client->kept);
    free(client);
    curl_global_cleanup();
}

int webhook_client_check(const struct webhook_client *client,
                         const struct rider_target *target,
                         struct rider_target_fault *ret)
{
    return webhook_check_target(client->config, &client->policy, target, ret);
}

void webhook_client_counts(struct webhook_client *client, struct webhook_counts *ret)
{
    *ret = (struct webhook_counts){
        .requests = client->requests,
        .repeats = client->repeats,
        .connections = client->connections,
        .blocked = client->blocked,
        .cut = client->cut,
        .clamped = client->clamped,
        .proxy_faults = client->proxy_faults,
        .in_flight = client->in_flight,
        .open = webhook_inbox_open(client->inbox),
        .endpoints = client->n_endpoints,
        .cause = client->cause,
        .bad_streak = client->bad_streak,
        .answered = client->answered,
        .subscriptions = client->subscriptions,
    };
}
