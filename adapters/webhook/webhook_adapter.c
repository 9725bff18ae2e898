/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_adapter.c - the plugin contract of the webhook adapter.
 *
 * Maps the vtable onto the client. Delivered means that the endpoint answered 2xx.
 * Order per key comes from the host, which offers one event of a key at a time; the
 * adapter itself sends in parallel.
 *
 * Not here: threads and transfers (webhook_client.c).
 */
#include "webhook/webhook_client.h"
#include "webhook/webhook_request.h"
#include "webhook/webhook_url.h"

#include "postrider/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DOWN_AFTER 3u /* exchanges in a row without a usable answer */

struct publisher {
    struct webhook_client *client;
    const struct webhook_config *config;
};

static int webhook_create(const struct rider_host *host, const void *config,
                          struct publisher **ret, char *err, size_t err_size)
{
    struct publisher *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        (void)snprintf(err, err_size, "memory is short");
        return ENOMEM;
    }
    self->config = config;
    int rc = webhook_client_create(host, config, &self->client, err, err_size);

    if (rc != 0) {
        free(self);
        return rc;
    }
    *ret = self;
    return 0;
}

static int webhook_start(struct publisher *self, char *err, size_t err_size)
{
    return webhook_client_start(self->client, err, err_size);
}

static size_t webhook_publish(struct publisher *self,
                              const struct rider_event *const *events, size_t n)
{
    return webhook_client_publish(self->client, events, n);
}

static size_t webhook_flush(struct publisher *self, uint64_t deadline_ms)
{
    return webhook_client_flush(self->client, deadline_ms);
}

static void webhook_stop(struct publisher *self, uint64_t deadline_ms)
{
    webhook_client_stop(self->client, deadline_ms);
}

static void webhook_destroy(struct publisher *self)
{
    if (self != NULL) {
        webhook_client_destroy(self->client);
        free(self);
    }
}

static void webhook_health(struct publisher *self, struct rider_health *ret)
{
    struct webhook_counts counts;

    webhook_client_counts(self->client, &counts);
    ret->struct_size = sizeof(*ret);
    if (counts.subscriptions) {
        /* What endpoints do is the subscriptions' health, not the destination's. */
        ret->state = RIDER_UP;
        ret->cause = RIDER_CAUSE_NONE;
        (void)snprintf(
            ret->detail, sizeof(ret->detail), "%llu endpoints, %llu requests in flight",
            (unsigned long long)counts.endpoints, (unsigned long long)counts.in_flight);
        return;
    }
    if (counts.bad_streak > 0) {
        ret->state = counts.bad_streak < DOWN_AFTER ? RIDER_DEGRADED : RIDER_DOWN;
        ret->cause = counts.cause;
        (void)snprintf(ret->detail, sizeof(ret->detail),
                       "no usable answer from the endpoint %u times in a row",
                       (unsigned)counts.bad_streak);
        return;
    }
    ret->state = counts.answered != 0 ? RIDER_UP : RIDER_STARTING;
    ret->cause = RIDER_CAUSE_NONE;
    (void)snprintf(ret->detail, sizeof(ret->detail), "%s",
                   counts.answered != 0 ? "the endpoint answers" : "nothing sent yet");
}

static void webhook_stats(struct publisher *self, rider_stat_fn *emit, void *arg)
{
    struct webhook_counts counts;

    webhook_client_counts(self->client, &counts);
    emit(arg, "webhook_requests_total", 1, (double)counts.requests);
    emit(arg, "webhook_repeated_requests_total", 1, (double)counts.repeats);
    emit(arg, "webhook_connections_total", 1, (double)counts.connections);
    emit(arg, "webhook_blocked_addresses_total", 1, (double)counts.blocked);
    emit(arg, "webhook_cut_answers_total", 1, (double)counts.cut);
    emit(arg, "webhook_clamped_retry_after_total", 1, (double)counts.clamped);
    emit(arg, "webhook_proxy_faults_total", 1, (double)counts.proxy_faults);
    emit(arg, "webhook_in_flight", 0, (double)counts.in_flight);
    emit(arg, "webhook_endpoints", 0, (double)counts.endpoints);
}

static void explain_headers(const struct rider_event *event, rider_explain_fn *emit,
                            void *arg)
{
    /* Any key of the right kind: an explanation must not be a usable request. */
    struct rider_key key = {.kind = RIDER_KEY_HMAC, .len = RIDER_SECRET_MIN};
    struct webhook_signers signers = {.n = 1};
    struct curl_slist *list = NULL;
    struct rider_result refusal;

    if (rider_signer_create(&key, &signers.list[0]) != RIDER_SIGNATURE_OK) {
        return;
    }
    if (webhook_request_build(event, &signers, (int64_t)time(NULL), &list, &refusal) !=
        0) {
        emit(arg, "refused", refusal.reason, strlen(refusal.reason));
    }
    for (const struct curl_slist *line = list; line != NULL; line = line->next) {
        static const char signature[] = "webhook-signature: v1,(made when it is sent)";
        const char *shown = line->data;

        if (strncmp(shown, "webhook-signature:", strlen("webhook-signature:")) == 0) {
            shown = signature;
        }
        if (strcmp(shown, "Expect:") != 0) {
            emit(arg, "header", shown, strlen(shown));
        }
    }
    curl_slist_free_all(list);
    rider_signer_destroy(signers.list[0]);
}

/** Scheme, host and port; the rest of a URL is often the credential. */
static void explain_endpoint(const struct publisher *self,
                             const struct rider_target *target, rider_explain_fn *emit,
                             void *arg)
{
    static const char each[] = "that of each matching subscription";
    char url[WEBHOOK_URL_MAX + 1], origin[WEBHOOK_ORIGIN_MAX];
    const char *own = self->config->url;
    struct rider_bytes whole = target->url;

    if (whole.len == 0 && own == NULL) {
        emit(arg, "endpoint", each, strlen(each));
        return;
    }
    if (whole.len == 0) {
        whole = (struct rider_bytes){own, strlen(own)};
    }
    size_t len = whole.len < sizeof(url) ? whole.len : sizeof(url) - 1;

    memcpy(url, whole.data, len);
    url[len] = '\0';
    webhook_url_origin(url, origin);
    emit(arg, "endpoint", origin, strlen(origin));
}

static void webhook_explain(struct publisher *self, const struct rider_event *event,
                            rider_explain_fn *emit, void *arg)
{
    const struct rider_target target = webhook_request_target(event->target);
    struct rider_target bare = target;
    struct rider_event shown = *event;

    bare.n_headers = 0;
    shown.target = &bare;
    emit(arg, "method", "POST", strlen("POST"));
    explain_endpoint(self, &target, emit, arg);
    explain_headers(&shown, emit, arg);
    /* A value may be a credential. */
    for (size_t i = 0; i < target.n_headers; i++) {
        emit(arg, "header of the subscription", target.headers[i].name.data,
             target.headers[i].name.len);
    }
    emit(arg, "body", event->body.data, event->body.len);
}

static int webhook_judge_target(struct publisher *self,
                                const struct rider_target *target,
                                struct rider_target_fault *ret)
{
    return webhook_client_check(self->client, target, ret);
}

static const struct publisher_vtable vtable = {
    .magic = RIDER_PUBLISHER_MAGIC,
    .struct_size = sizeof(vtable),
    .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
    .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
    .caps = RIDER_CAP_SUBSCRIPTIONS,
    .name = "webhook",
    .version = RIDER_VERSION,
    .summary = "signed HTTP POST by the Standard Webhooks rules",
    .options = webhook_options,
    .option_size = sizeof(struct rider_option),
    .config_size = sizeof(struct webhook_config),
    .create = webhook_create,
    .start = webhook_start,
    .publish = webhook_publish,
    .flush = webhook_flush,
    .stop = webhook_stop,
    .destroy = webhook_destroy,
    .health = webhook_health,
    .stats = webhook_stats,
    .explain = webhook_explain,
    .check_target = webhook_judge_target,
};

const struct publisher_vtable *rider_publisher_entry(void)
{
    return &vtable;
}
