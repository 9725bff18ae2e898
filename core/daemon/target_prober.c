/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target_prober.c - trials of targets.
 *
 * Each trial waits in a slot of its instance until the adapter completes its ticket,
 * which an adapter does for every event within the target's time; the event is the
 * caller's and must live that long, so nobody gives up before.
 *
 * Invariant: publish() of an instance is called under its lock, and by nobody else; it
 * does not block. complete() of the host takes another lock, since an adapter may call
 * it inside publish().
 */
#include "daemon/target_prober.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/cause.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS   12 /* more than the API sends at once */
#define STOP_MS 2000

struct slot {
    uint64_t ticket; /* 0: free */
    bool done;
    struct prober_result *result;
};

struct instance {
    struct rider_host host; /* first: a host pointer is an instance pointer */
    const char *name;
    const struct publisher_vtable *vt;
    struct publisher *publisher;
    bool started;
    pthread_mutex_t publish_lock; /* guards publish() */
    pthread_mutex_t lock;         /* guards slots, next */
    pthread_cond_t changed;
    struct slot slots[SLOTS];
    uint64_t next;
};

struct target_prober {
    struct instance **instances;
    size_t n;
};

static struct instance *from_host(const struct rider_host *host)
{
    /* The host is the first member of a heap object that is never const. */
    return (struct instance *)(uintptr_t)host; /* NOLINT(performance-no-int-to-ptr) */
}

/* ---- the host -------------------------------------------------------------------- */

static void copy_bytes(char *out, size_t size, struct rider_bytes text)
{
    size_t n = text.len < size ? text.len : size - 1;

    if (n > 0) {
        memcpy(out, text.data, n);
    }
    out[n] = '\0';
}

static void copy_attempt(struct prober_result *to, const struct rider_attempt *attempt)
{
    to->tried = true;
    to->reused = (attempt->flags & RIDER_ATTEMPT_REUSED) != 0;
    to->started_at_us = attempt->started_at_us;
    to->dns_us = attempt->dns_us;
    to->connect_us = attempt->connect_us;
    to->tls_us = attempt->tls_us;
    to->first_byte_us = attempt->first_byte_us;
    to->total_us = attempt->total_us;
    to->requests = attempt->requests;
    copy_bytes(to->remote, sizeof(to->remote), attempt->remote);
    (void)snprintf(to->category, sizeof(to->category), "%s",
                   attempt->category == NULL ? "" : attempt->category);
    to->response_len = attempt->response.len < sizeof(to->response)
                           ? attempt->response.len
                           : sizeof(to->response);
    if (to->response_len > 0) {
        memcpy(to->response, attempt->response.data, to->response_len);
    }
}

static void copy_result(struct prober_result *to, const struct rider_result *from)
{
    *to = (struct prober_result){.outcome = from->outcome,
                                 .cause = from->cause,
                                 .remote_code = from->remote_code};
    if (from->outcome != RIDER_DELIVERED) {
        (void)snprintf(to->cause_word, sizeof(to->cause_word), "%s",
                       cause_word(from->cause));
    }
    (void)snprintf(to->reason, sizeof(to->reason), "%s",
                   from->reason == NULL ? "" : from->reason);
    if (from->struct_size >= sizeof(*from) && from->attempt != NULL) {
        copy_attempt(to, from->attempt);
    }
}

static void host_complete(const struct rider_host *host, uint64_t ticket,
                          const struct rider_result *result)
{
    struct instance *in = from_host(host);

    (void)pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &in->slots[i];

        if (slot->ticket == ticket && !slot->done) {
            copy_result(slot->result, result);
            slot->done = true;
            (void)pthread_cond_broadcast(&in->changed);
        }
    }
    (void)pthread_mutex_unlock(&in->lock);
}

static void host_complete_many(const struct rider_host *host, const uint64_t *tickets,
                               size_t n, const struct rider_result *result)
{
    for (size_t i = 0; i < n; i++) {
        host_complete(host, tickets[i], result);
    }
}

static void host_writable(const struct rider_host *host)
{
    (void)host; /* a trial that found no room was told so */
}

RIDER_PRINTF_LIKE(3, 4)
static void host_log(const struct rider_host *host, int level, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (level < RIDER_LOG_ERROR || level > RIDER_LOG_DEBUG) {
        level = RIDER_LOG_INFO;
    }
    log_line((enum log_level)level, "prober", "adapter.log", "%s: %s",
             from_host(host)->name, text);
}

static uint64_t host_now_ms(const struct rider_host *host)
{
    (void)host;
    return clock_mono_ms();
}

/* ---- life ------------------------------------------------------------------------ */

static void instance_destroy(struct instance *in)
{
    if (in == NULL) {
        return;
    }
    if (in->started) {
        in->vt->stop(in->publisher, clock_mono_ms() + STOP_MS);
    }
    if (in->publisher != NULL) {
        in->vt->destroy(in->publisher);
    }
    (void)pthread_cond_destroy(&in->changed);
    (void)pthread_mutex_destroy(&in->lock);
    (void)pthread_mutex_destroy(&in->publish_lock);
    free(in);
}
RIDER_DEFINE_PTR_CLEANUP(struct instance, instance_destroy);

static int start(struct instance *in, const void *options, struct rider_error *err)
{
    char text[256] = "";
    int rc = in->vt->create(&in->host, options, &in->publisher, text, sizeof(text));

    if (rc == 0) {
        rc = in->vt->start(in->publisher, text, sizeof(text));
    }
    if (rc != 0) {
        return rider_fail(err, RIDER_E_CONFIG, "destination \"%s\": adapter \"%s\": %s",
                          in->name, in->vt->name,
                          text[0] == '\0' ? "could not be started" : text);
    }
    in->started = true;
    return 0;
}

int target_prober_create(size_t capacity, struct target_prober **ret,
                         struct rider_error *err)
{
    struct target_prober *p = calloc(1, sizeof(*p));

    if (p != NULL) {
        p->instances = calloc(capacity + 1, sizeof(struct instance *));
    }
    if (p == NULL || p->instances == NULL) {
        target_prober_destroy(p);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *ret = p;
    return 0;
}

int target_prober_add(struct target_prober *p, const struct destination_settings *d,
                      const struct publisher_vtable *vt, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(instance_destroy) struct instance *in = calloc(1, sizeof(*in));

    if (in == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&in->publish_lock, NULL);
    (void)pthread_mutex_init(&in->lock, NULL);
    (void)pthread_cond_init(&in->changed, NULL);
    in->name = d->name;
    in->vt = vt;
    in->host = (struct rider_host){
        .struct_size = sizeof(in->host),
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .destination = d->name,
        .complete = host_complete,
        .complete_many = host_complete_many,
        .writable = host_writable,
        .log = host_log,
        .now_ms = host_now_ms,
        .flags = RIDER_HOST_SUBSCRIPTIONS,
    };
    int rc = start(in, d->options, err);
    if (rc == 0) {
        p->instances[p->n++] = RIDER_STEAL(in);
    }
    return rc;
}

void target_prober_destroy(struct target_prober *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        instance_destroy(p->instances[i]);
    }
    free(p->instances);
    free(p);
}

/* ---- the interface --------------------------------------------------------------- */

static struct instance *find(const struct target_prober *p, const char *destination)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->instances[i]->name, destination) == 0) {
            return p->instances[i];
        }
    }
    return NULL;
}

static int check(void *arg, const char *destination, const struct rider_target *target,
                 struct rider_target_fault *ret)
{
    const struct instance *in = find(arg, destination);

    return in == NULL || in->vt->check_target == NULL
               ? 0
               : in->vt->check_target(in->publisher, target, ret);
}

static struct slot *take_slot(struct instance *in, struct prober_result *result)
{
    struct slot *found = NULL;

    (void)pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < SLOTS && found == NULL; i++) {
        if (in->slots[i].ticket == 0) {
            found = &in->slots[i];
            *found = (struct slot){.ticket = ++in->next, .result = result};
        }
    }
    (void)pthread_mutex_unlock(&in->lock);
    return found;
}

static void wait_and_free(struct instance *in, struct slot *slot, bool wait)
{
    (void)pthread_mutex_lock(&in->lock);
    while (wait && !slot->done) {
        (void)pthread_cond_wait(&in->changed, &in->lock);
    }
    slot->ticket = 0;
    (void)pthread_mutex_unlock(&in->lock);
}

static int send(void *arg, const char *destination, const struct rider_event *event,
                struct prober_result *ret, struct rider_error *err)
{
    struct instance *in = find(arg, destination);

    if (in == NULL) {
        return rider_fail(err, RIDER_E_NOT_FOUND, "no destination \"%s\" here",
                          destination);
    }
    struct slot *slot = take_slot(in, ret);
    if (slot == NULL) {
        return rider_fail(err, RIDER_E_TIMEOUT, "too many trials at once");
    }
    struct rider_event mine = *event;
    const struct rider_event *const events[] = {&mine};
    mine.ticket = slot->ticket;
    (void)pthread_mutex_lock(&in->publish_lock);
    bool taken = in->vt->publish(in->publisher, events, 1) == 1;
    (void)pthread_mutex_unlock(&in->publish_lock);
    wait_and_free(in, slot, taken);
    return taken ? 0 : rider_fail(err, RIDER_E_TIMEOUT, "the adapter has no room");
}

struct prober target_prober_interface(struct target_prober *p)
{
    return (struct prober){.arg = p, .check = check, .send = send};
}
