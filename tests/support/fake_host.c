/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_host.c - plays the relay for an adapter under test.
 *
 * A ticket is an index into one table, offset by a base so that a guessed ticket
 * does not hit. A ticket is MADE, then OPEN while the adapter may hold it, then
 * DONE; an offer opens its tickets before publish() is called, because they may
 * be completed inside it, and takes back what was not taken.
 *
 * Invariant: n_open is the number of tickets in state OPEN.
 * Not here: what to check (tests/conformance).
 */
#include "support/fake_host.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICKET_BASE UINT64_C(0x5000000000)
#define REASON_MAX  1024
#define URL_MAX     2048

/* Members that an adapter built for ABI 1.0 does not write. */
#define RESULT_SIZE_1_0 offsetof(struct rider_result, attempt)

enum ticket_state { TICKET_MADE, TICKET_OPEN, TICKET_DONE };

/* One event and all it points to, in one block of memory. */
struct made_event {
    struct rider_event event;
    struct rider_header headers[2];
    struct rider_header attributes[2];
    char id[40], type[64], aggregate_type[64], aggregate_id[64];
    char content_type[24], traceparent[64], tenant[16];
    struct rider_target target;
    struct rider_bytes secret;
    char subscription[16], url[URL_MAX];
    char body[];
};

struct ticket {
    enum ticket_state state;
    struct made_event *made;
    size_t size;
};

struct fake_host {
    struct rider_host host; /* first: the adapter's pointer is ours */
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed;
    struct ticket *tickets;
    size_t n_tickets, tickets_max, n_open;
    bool writable, closed, verbose;
    const char *url; /* of every event's target, NULL: none has one */
    struct fake_host_counts counts;
};

static struct fake_host *self_of(const struct rider_host *host)
{
    struct fake_host *fake = NULL;

    /* const for the adapter, not for us */
    memcpy(&fake, &host, sizeof(fake)); // NOLINT(bugprone-sizeof-expression)
    return fake;
}

static void free_event(struct ticket *ticket)
{
    if (ticket->made != NULL) {
        memset(ticket->made, 0xdb, ticket->size); /* seen without a sanitizer, too */
        free(ticket->made);
        ticket->made = NULL;
    }
}

/* What is wrong with the account of a try, or NULL. */
static const char *wrong_attempt(const struct rider_attempt *attempt,
                                 const struct rider_result *result, size_t keep)
{
    if (attempt->struct_size != sizeof(*attempt) || attempt->started_at_us <= 0 ||
        (attempt->flags & ~RIDER_ATTEMPT_REUSED) != 0) {
        return "attempt with an unknown size or flag, or without a time";
    }
    if ((attempt->category == NULL) != (result->outcome == RIDER_DELIVERED)) {
        return "attempt whose category and outcome do not fit";
    }
    if (attempt->category != NULL &&
        (attempt->category[0] == '\0' ||
         attempt->category[strspn(attempt->category,
                                  "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')) {
        return "attempt with a category that is not made of a-z, 0-9 and \"_\"";
    }
    if (attempt->dns_us > attempt->total_us ||
        attempt->connect_us > attempt->total_us ||
        attempt->tls_us > attempt->total_us ||
        attempt->first_byte_us > attempt->total_us) {
        return "attempt with a phase that ends after the whole";
    }
    return attempt->response.len > keep
               ? "attempt with more response than was asked for"
               : NULL;
}

/* What is wrong with a result, or NULL. */
static const char *wrong_result(const struct rider_result *result)
{
    if (result == NULL || (result->struct_size != sizeof(*result) &&
                           result->struct_size != RESULT_SIZE_1_0)) {
        return "result without a valid struct_size";
    }
    if (result->outcome > RIDER_UNROUTABLE || result->cause > RIDER_CAUSE_UNKNOWN ||
        (result->flags & ~RIDER_RESULT_MAYBE_DELIVERED) != 0) {
        return "result with an unknown outcome, cause or flag";
    }
    if (result->outcome == RIDER_DELIVERED &&
        (result->retry_after_ms != 0 || result->flags != 0)) {
        return "a delivered event with a retry delay or in doubt";
    }
    if (result->outcome != RIDER_DELIVERED && result->cause == RIDER_CAUSE_NONE) {
        return "a failure without a cause";
    }
    if (result->reason != NULL && (strnlen(result->reason, REASON_MAX) == REASON_MAX ||
                                   strpbrk(result->reason, "\r\n") != NULL)) {
        return "a reason that is not one short line";
    }
    return NULL;
}

/* `ticket` may be NULL. */
static const char *wrong_completion(const struct ticket *ticket,
                                    const struct rider_result *result)
{
    const char *wrong = wrong_result(result);

    if (wrong != NULL || result->struct_size == RESULT_SIZE_1_0 ||
        result->attempt == NULL || ticket == NULL || ticket->made == NULL) {
        return wrong;
    }
    return wrong_attempt(result->attempt, result, ticket->made->target.keep_response);
}

/* Needs the lock. */
static void book(struct fake_host *fake, uint64_t id, const struct rider_result *result)
{
    struct ticket *ticket =
        id - TICKET_BASE < fake->n_tickets ? &fake->tickets[id - TICKET_BASE] : NULL;
    const char *wrong = wrong_completion(ticket, result);

    fake->counts.late_calls += fake->closed;
    if (wrong != NULL) {
        fake->counts.bad_results++;
        (void)snprintf(fake->counts.last_reason, sizeof(fake->counts.last_reason), "%s",
                       wrong);
    }
    if (ticket == NULL || ticket->state != TICKET_OPEN) {
        fake->counts.unknown_tickets++;
        return;
    }
    ticket->state = TICKET_DONE;
    fake->n_open--;
    free_event(ticket);
    if (wrong == NULL) {
        fake->counts.by_outcome[result->outcome]++;
        fake->counts.maybe += result->flags & RIDER_RESULT_MAYBE_DELIVERED;
        if (result->outcome != RIDER_DELIVERED) {
            (void)snprintf(fake->counts.last_reason, sizeof(fake->counts.last_reason),
                           "%.150s", result->reason != NULL ? result->reason : "");
        }
    }
}

static void host_complete_many(const struct rider_host *host, const uint64_t *tickets,
                               size_t n, const struct rider_result *result)
{
    struct fake_host *fake = self_of(host);

    (void)pthread_mutex_lock(&fake->lock);
    for (size_t i = 0; i < n; i++) {
        book(fake, tickets[i], result);
    }
    (void)pthread_cond_broadcast(&fake->changed);
    (void)pthread_mutex_unlock(&fake->lock);
}

static void host_complete(const struct rider_host *host, uint64_t ticket,
                          const struct rider_result *result)
{
    host_complete_many(host, &ticket, 1, result);
}

static void host_writable(const struct rider_host *host)
{
    struct fake_host *fake = self_of(host);

    (void)pthread_mutex_lock(&fake->lock);
    fake->counts.late_calls += fake->closed;
    fake->counts.writable++;
    fake->writable = true;
    (void)pthread_cond_broadcast(&fake->changed);
    (void)pthread_mutex_unlock(&fake->lock);
}

RIDER_PRINTF(3, 4)
static void host_log(const struct rider_host *host, int level, const char *fmt, ...)
{
    struct fake_host *fake = self_of(host);
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    (void)pthread_mutex_lock(&fake->lock);
    fake->counts.late_calls += fake->closed;
    fake->counts.logs++;
    bool verbose = fake->verbose;
    (void)pthread_mutex_unlock(&fake->lock);
    if (verbose) {
        (void)fprintf(stderr, "# log %d: %s\n", level, line);
    }
}

static uint64_t host_now_ms(const struct rider_host *host)
{
    (void)host;
    return clock_mono_ms();
}

struct fake_host *fake_host_create(const char *destination, size_t tickets_max)
{
    struct fake_host *fake = calloc(1, sizeof(*fake));
    pthread_condattr_t monotonic;

    if (fake == NULL) {
        return NULL;
    }
    fake->tickets = calloc(tickets_max, sizeof(*fake->tickets));
    if (fake->tickets == NULL) {
        free(fake);
        return NULL;
    }
    fake->tickets_max = tickets_max;
    fake->host = (struct rider_host){
        .struct_size = sizeof(struct rider_host),
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .destination = destination,
        .complete = host_complete,
        .complete_many = host_complete_many,
        .writable = host_writable,
        .log = host_log,
        .now_ms = host_now_ms,
    };
    (void)pthread_mutex_init(&fake->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&fake->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return fake;
}

void fake_host_destroy(struct fake_host *fake)
{
    if (fake == NULL) {
        return;
    }
    for (size_t i = 0; i < fake->n_tickets; i++) {
        free_event(&fake->tickets[i]);
    }
    (void)pthread_cond_destroy(&fake->changed);
    (void)pthread_mutex_destroy(&fake->lock);
    free(fake->tickets);
    free(fake);
}

const struct rider_host *fake_host_host(const struct fake_host *fake)
{
    return &fake->host;
}

void fake_host_set_verbose(struct fake_host *fake, bool verbose)
{
    fake->verbose = verbose;
}

void fake_host_set_target(struct fake_host *fake, const char *url)
{
    fake->url = url;
    fake->host.flags |= RIDER_HOST_SUBSCRIPTIONS;
}

static struct rider_bytes bytes_of(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static const char *or_default(const char *text, const char *fallback)
{
    return text != NULL ? text : fallback;
}

/* {"n":"xxx..."} of `size` bytes (at least 8), with a line break as white space. */
static void fill_body(char *body, size_t size)
{
    static const char head[] = {'{', '"', 'n', '"', ':', '\n', '"'};

    memset(body, 'x', size);
    memcpy(body, head, sizeof(head));
    body[size - 2] = '"';
    body[size - 1] = '}';
}

static void fill_texts(struct made_event *made, const struct fake_event *like, size_t n)
{
    (void)snprintf(made->id, sizeof(made->id), "01900000-0000-7000-8000-%012x",
                   (unsigned int)n);
    (void)snprintf(made->type, sizeof(made->type), "%.60s",
                   or_default(like->type, "ORDER_PLACED"));
    (void)snprintf(made->aggregate_type, sizeof(made->aggregate_type), "%.60s",
                   or_default(like->aggregate_type, "order"));
    if (like->aggregate_id != NULL) {
        (void)snprintf(made->aggregate_id, sizeof(made->aggregate_id), "%.60s",
                       like->aggregate_id);
    } else {
        (void)snprintf(made->aggregate_id, sizeof(made->aggregate_id), "order-%zu", n);
    }
    (void)snprintf(made->content_type, sizeof(made->content_type), "application/json");
    (void)snprintf(made->traceparent, sizeof(made->traceparent),
                   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    (void)snprintf(made->tenant, sizeof(made->tenant), "acme");
}

static void fill_event(struct made_event *made, const struct fake_event *like,
                       size_t body_len, uint64_t ticket)
{
    made->headers[0] =
        (struct rider_header){bytes_of("traceparent"), bytes_of(made->traceparent)};
    made->headers[1] =
        (struct rider_header){bytes_of("tenant"), bytes_of(made->tenant)};
    made->attributes[0] =
        (struct rider_header){bytes_of("specversion"), bytes_of("1.0")};
    made->attributes[1] = (struct rider_header){bytes_of("id"), bytes_of(made->id)};
    made->event = (struct rider_event){
        .struct_size = sizeof(struct rider_event),
        .attempt = 1,
        .ticket = ticket,
        .occurred_at_us = INT64_C(1795489249123456),
        .version = 1,
        .envelope = like->envelope,
        .id = bytes_of(made->id),
        .type = bytes_of(made->type),
        .aggregate_id = bytes_of(made->aggregate_id),
        .body = {made->body, body_len},
        .content_type = bytes_of(made->content_type),
        .payload = {made->body, body_len},
    };
    if (!like->bare) {
        made->event.aggregate_type = bytes_of(made->aggregate_type);
        made->event.headers = made->headers;
        made->event.n_headers = 2;
    }
    if (like->envelope == RIDER_ENVELOPE_CE_BINARY) {
        made->event.attributes = made->attributes;
        made->event.n_attributes = 2;
    }
}

/* Seven subscriptions take turns. */
static void fill_target(struct made_event *made, const char *url, size_t n)
{
    (void)snprintf(made->subscription, sizeof(made->subscription), "sub_%zu", n % 7);
    (void)snprintf(made->url, sizeof(made->url), "%s", url);
    made->secret = bytes_of(FAKE_HOST_SECRET);
    made->target = (struct rider_target){
        .struct_size = sizeof(made->target),
        .n_secrets = 1,
        .id = bytes_of(made->subscription),
        .url = bytes_of(made->url),
        .secrets = &made->secret,
        .keep_response = 64,
    };
    made->event.target = &made->target;
}

const struct rider_event *fake_host_event(struct fake_host *fake,
                                          const struct fake_event *like)
{
    const char *body =
        or_default(like->body, "{\"amount\": 1,\n \"currency\": \"EUR\"}");
    size_t body_len = like->body_size > 8 ? like->body_size : strlen(body);
    struct made_event *made = calloc(1, sizeof(*made) + body_len);

    if (made == NULL || fake->n_tickets == fake->tickets_max) {
        free(made);
        return NULL;
    }
    if (like->body_size > 8) {
        fill_body(made->body, body_len);
    } else {
        // NOLINTNEXTLINE(bugprone-not-null-terminated-result): it has a length
        memcpy(made->body, body, body_len);
    }
    (void)pthread_mutex_lock(&fake->lock);
    size_t n = fake->n_tickets++;
    fake->tickets[n] = (struct ticket){TICKET_MADE, made, sizeof(*made) + body_len};
    (void)pthread_mutex_unlock(&fake->lock);

    fill_texts(made, like, n);
    fill_event(made, like, body_len, TICKET_BASE + n);
    if (fake->url != NULL) {
        fill_target(made, fake->url, n);
    }
    return &made->event;
}

/* Makes tickets[taken..n) offerable again. One completed although it was not
 * taken is a breach; it and those before it count as taken. Needs the lock. */
static size_t take_back(struct fake_host *fake, const uint64_t *tickets, size_t taken,
                        size_t n)
{
    for (size_t i = n; i > taken; i--) {
        struct ticket *ticket = &fake->tickets[tickets[i - 1] - TICKET_BASE];

        if (ticket->state == TICKET_DONE) {
            fake->counts.unknown_tickets++;
            return i;
        }
        ticket->state = TICKET_MADE;
        fake->n_open--;
    }
    return taken;
}

size_t fake_host_offer(struct fake_host *fake, const struct publisher_vtable *vt,
                       struct publisher *self, const struct rider_event *const *events,
                       size_t n)
{
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
    const struct rider_event **array = calloc(n + 1, sizeof(*array));
    uint64_t *tickets = calloc(n + 1, sizeof(*tickets));
    size_t taken = 0;

    if (array != NULL && tickets != NULL) {
        (void)pthread_mutex_lock(&fake->lock);
        for (size_t i = 0; i < n; i++) {
            array[i] = events[i];
            tickets[i] = events[i]->ticket;
            fake->tickets[tickets[i] - TICKET_BASE].state = TICKET_OPEN;
        }
        fake->n_open += n;
        fake->writable = false;
        (void)pthread_mutex_unlock(&fake->lock);

        taken = vt->publish(self, array, n);

        (void)pthread_mutex_lock(&fake->lock);
        if (taken > n) {
            fake->counts.unknown_tickets += taken - n;
            taken = n;
        }
        taken = take_back(fake, tickets, taken, n);
        (void)pthread_mutex_unlock(&fake->lock);
    }
    free(tickets);
    free(array);
    return taken;
}

size_t fake_host_open(struct fake_host *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    size_t open = fake->n_open;
    (void)pthread_mutex_unlock(&fake->lock);
    return open;
}

/* Waits for `changed` until `until_ms`. Needs the lock; false once it passed. */
static bool wait_changed(struct fake_host *fake, uint64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};

    return pthread_cond_timedwait(&fake->changed, &fake->lock, &until) != ETIMEDOUT;
}

bool fake_host_wait_open(struct fake_host *fake, size_t open, uint64_t timeout_ms)
{
    uint64_t until_ms = clock_mono_ms() + timeout_ms;

    (void)pthread_mutex_lock(&fake->lock);
    while (fake->n_open > open && wait_changed(fake, until_ms)) {
    }
    bool reached = fake->n_open <= open;
    (void)pthread_mutex_unlock(&fake->lock);
    return reached;
}

bool fake_host_wait_writable(struct fake_host *fake, uint64_t timeout_ms)
{
    uint64_t until_ms = clock_mono_ms() + timeout_ms;

    (void)pthread_mutex_lock(&fake->lock);
    while (!fake->writable && wait_changed(fake, until_ms)) {
    }
    bool writable = fake->writable;
    (void)pthread_mutex_unlock(&fake->lock);
    return writable;
}

struct fake_host_counts fake_host_counts(struct fake_host *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    struct fake_host_counts counts = fake->counts;
    (void)pthread_mutex_unlock(&fake->lock);
    return counts;
}

void fake_host_close(struct fake_host *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->closed = true;
    (void)pthread_mutex_unlock(&fake->lock);
}
