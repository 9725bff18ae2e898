/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox.c - completions on their way from an adapter's threads to its lane.
 *
 * Two sides swap at each drain: adapters fill one while the lane reads the
 * other, so the lock is never held for longer than a memcpy.
 */
#include "dispatch/inbox.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define REASON_MAX   240
#define REMOTE_MAX   63
#define RESPONSE_MAX 1024
#define CATEGORY_MAX 31

#define END_OF(S, member) (offsetof(S, member) + sizeof(((S *)0)->member))
#define RESULT_SIZE_1     (offsetof(struct rider_result, attempt) + sizeof(void *))
#define ATTEMPT_SIZE_1    END_OF(struct rider_attempt, response)

struct side {
    uint64_t *delivered;
    size_t n_delivered;
    struct inbox_failure *failed;
    size_t n_failed, cap_failed;
    size_t dropped;
    bool writable;
};

struct inbox {
    struct rider_host host; /* first: a host pointer is an inbox pointer */
    char component[80];
    size_t capacity;
    bool subscriptions;
    int fd;
    pthread_mutex_t lock; /* guards `filling` and what it points to */
    struct side *filling;
    struct side *draining; /* the lane's alone */
    struct side sides[2];
};

static struct inbox *from_host(const struct rider_host *host)
{
    /* The host is the first member of a heap object that is never const. */
    return (struct inbox *)(uintptr_t)host; /* NOLINT(performance-no-int-to-ptr) */
}

static bool is_empty(const struct side *s)
{
    return s->n_delivered == 0 && s->n_failed == 0 && s->dropped == 0 && !s->writable;
}

void inbox_wake(struct inbox *in)
{
    const uint64_t one = 1;

    /* A full counter is readable all the same. */
    ssize_t ignored = write(in->fd, &one, sizeof(one));
    (void)ignored;
}

/* A copy in one piece, its texts behind it; NULL: nothing to copy, or no memory. */
static struct rider_attempt *copy_attempt(const struct rider_attempt *from)
{
    if (from == NULL || from->struct_size < ATTEMPT_SIZE_1) {
        return NULL;
    }
    size_t remote = from->remote.len < REMOTE_MAX ? from->remote.len : REMOTE_MAX;
    size_t response =
        from->response.len < RESPONSE_MAX ? from->response.len : RESPONSE_MAX;
    size_t category =
        from->category == NULL ? 0 : strnlen(from->category, CATEGORY_MAX);
    struct rider_attempt *copy =
        malloc(sizeof(*copy) + remote + response + category + 1);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, from, ATTEMPT_SIZE_1);
    char *texts = (char *)(copy + 1);
    if (remote > 0) {
        memcpy(texts, from->remote.data, remote);
    }
    if (response > 0) {
        memcpy(texts + remote, from->response.data, response);
    }
    if (from->category != NULL) {
        char *word = texts + remote + response;
        memcpy(word, from->category, category);
        word[category] = '\0';
        copy->category = word;
    }
    copy->remote = (struct rider_bytes){texts, remote};
    copy->response = (struct rider_bytes){texts + remote, response};
    return copy;
}

static void add_delivered(struct inbox *in, struct side *s, const uint64_t *tickets,
                          size_t n)
{
    size_t room = in->capacity - s->n_delivered;
    size_t take = n < room ? n : room;

    memcpy(s->delivered + s->n_delivered, tickets, take * sizeof(*tickets));
    s->n_delivered += take;
    s->dropped += n - take;
}

/* What a result tells of its attempt; results of an older plugin tell nothing. */
static const struct rider_attempt *attempt_of(const struct inbox *in,
                                              const struct rider_result *r)
{
    return in->subscriptions && r->struct_size >= RESULT_SIZE_1 ? r->attempt : NULL;
}

static bool reserve_failures(struct side *s, size_t n)
{
    if (s->n_failed + n <= s->cap_failed) {
        return true;
    }
    size_t cap = s->cap_failed == 0 ? 16 : s->cap_failed;
    while (cap < s->n_failed + n) {
        cap *= 2;
    }
    struct inbox_failure *failed = realloc(s->failed, cap * sizeof(*failed));
    if (failed == NULL) {
        return false;
    }
    s->failed = failed;
    s->cap_failed = cap;
    return true;
}

static void add_failed(struct inbox *in, struct side *s, const uint64_t *tickets,
                       size_t n, const struct rider_result *r)
{
    if (n > in->capacity - s->n_failed || !reserve_failures(s, n)) {
        s->dropped += n;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        s->failed[s->n_failed++] = (struct inbox_failure){
            .ticket = tickets[i],
            .outcome = r->outcome,
            .flags = r->flags,
            .cause = r->cause,
            .retry_after_ms = r->retry_after_ms,
            .remote_code = r->remote_code,
            .reason = r->reason == NULL ? NULL : strndup(r->reason, REASON_MAX),
            .attempt = attempt_of(in, r) == NULL ? NULL : copy_attempt(r->attempt),
        };
    }
}

static void host_complete_many(const struct rider_host *host, const uint64_t *tickets,
                               size_t n, const struct rider_result *result)
{
    struct inbox *in = from_host(host);

    if (n == 0) {
        return;
    }
    (void)pthread_mutex_lock(&in->lock);
    bool was_empty = is_empty(in->filling);
    if (result->outcome == RIDER_DELIVERED && attempt_of(in, result) == NULL) {
        add_delivered(in, in->filling, tickets, n);
    } else {
        add_failed(in, in->filling, tickets, n, result);
    }
    (void)pthread_mutex_unlock(&in->lock);
    if (was_empty) {
        inbox_wake(in);
    }
}

static void host_complete(const struct rider_host *host, uint64_t ticket,
                          const struct rider_result *result)
{
    host_complete_many(host, &ticket, 1, result);
}

static void host_writable(const struct rider_host *host)
{
    struct inbox *in = from_host(host);

    (void)pthread_mutex_lock(&in->lock);
    bool was_empty = is_empty(in->filling);
    in->filling->writable = true;
    (void)pthread_mutex_unlock(&in->lock);
    if (was_empty) {
        inbox_wake(in);
    }
}

RIDER_PRINTF(3, 4)
static void host_log(const struct rider_host *host, int level, const char *fmt, ...)
{
    const struct inbox *in = from_host(host);
    char text[512];
    va_list ap;

    if (level < RIDER_LOG_ERROR || level > RIDER_LOG_DEBUG) {
        level = RIDER_LOG_INFO;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_line((enum log_level)level, in->component, "adapter.log", "%s", text);
}

static uint64_t host_now_ms(const struct rider_host *host)
{
    (void)host;
    return clock_mono_ms();
}

static void side_done(struct side *s)
{
    for (size_t i = 0; i < s->n_failed; i++) {
        free(s->failed[i].reason);
        free(s->failed[i].attempt);
    }
    free(s->failed);
    free(s->delivered);
}

static int allocate(struct inbox *in)
{
    in->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < 2; i++) {
        in->sides[i].delivered = calloc(in->capacity, sizeof(uint64_t));
        if (in->sides[i].delivered == NULL) {
            return RIDER_E_NOMEM;
        }
    }
    return in->fd < 0 ? RIDER_E_IO : 0;
}

int inbox_create(const char *destination, size_t capacity, bool subscriptions,
                 struct inbox **ret, struct rider_error *err)
{
    struct inbox *in = calloc(1, sizeof(*in));

    if (in == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    in->capacity = capacity;
    in->subscriptions = subscriptions;
    (void)pthread_mutex_init(&in->lock, NULL);
    in->filling = &in->sides[0];
    in->draining = &in->sides[1];
    (void)snprintf(in->component, sizeof(in->component), "adapter %s", destination);
    in->host = (struct rider_host){
        .struct_size = sizeof(in->host),
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .destination = destination,
        .complete = host_complete,
        .complete_many = host_complete_many,
        .writable = host_writable,
        .log = host_log,
        .now_ms = host_now_ms,
        .flags = subscriptions ? RIDER_HOST_SUBSCRIPTIONS : 0,
    };
    int rc = allocate(in);
    if (rc != 0) {
        inbox_destroy(in);
        return rider_fail(err, (enum rider_code)rc,
                          "could not set up the completion inbox");
    }
    *ret = in;
    return 0;
}

void inbox_destroy(struct inbox *in)
{
    if (in == NULL) {
        return;
    }
    side_done(&in->sides[0]);
    side_done(&in->sides[1]);
    if (in->fd >= 0) {
        (void)close(in->fd);
    }
    (void)pthread_mutex_destroy(&in->lock);
    free(in);
}

const struct rider_host *inbox_host(const struct inbox *in)
{
    return &in->host;
}

int inbox_fd(const struct inbox *in)
{
    return in->fd;
}

static void side_reset(struct side *s)
{
    for (size_t i = 0; i < s->n_failed; i++) {
        free(s->failed[i].reason);
        free(s->failed[i].attempt);
    }
    s->n_delivered = s->n_failed = s->dropped = 0;
    s->writable = false;
}

struct inbox_contents inbox_drain(struct inbox *in)
{
    uint64_t count;
    ssize_t ignored = read(in->fd, &count, sizeof(count));
    struct side *full;

    (void)ignored; /* EAGAIN: nobody woke us, which is fine */
    side_reset(in->draining);
    (void)pthread_mutex_lock(&in->lock);
    full = in->filling;
    in->filling = in->draining;
    (void)pthread_mutex_unlock(&in->lock);
    in->draining = full;
    return (struct inbox_contents){
        .delivered = full->delivered,
        .n_delivered = full->n_delivered,
        .failed = full->failed,
        .n_failed = full->n_failed,
        .dropped = full->dropped,
        .writable = full->writable,
    };
}
