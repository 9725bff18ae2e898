/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_inbox.c - completions from many threads, none lost and none beyond the room.
 */
#include "dispatch/inbox.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS    4
#define PER_WORKER 20000
#define CAPACITY   ((size_t)WORKERS * PER_WORKER)

RIDER_DEFINE_PTR_CLEANUP(struct inbox, inbox_destroy);

static const struct rider_result delivered = {.outcome = RIDER_DELIVERED};

static struct inbox *make_for(size_t capacity, bool subscriptions)
{
    struct inbox *in = NULL;
    struct rider_error err;

    assert_int_equal(inbox_create("test", capacity, subscriptions, &in, &err), 0);
    return in;
}

static struct inbox *make(size_t capacity)
{
    return make_for(capacity, false);
}

static bool readable(const struct inbox *in)
{
    struct pollfd fd = {.fd = inbox_fd(in), .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

struct worker {
    const struct rider_host *host;
    uint64_t first;
    pthread_t thread;
};

/* Every third ticket fails, with its number as the reason. */
static void *work(void *arg)
{
    const struct worker *w = arg;

    for (uint64_t i = 0; i < PER_WORKER; i++) {
        uint64_t ticket = w->first + i;
        char reason[32];
        (void)snprintf(reason, sizeof(reason), "%llu", (unsigned long long)ticket);
        const struct rider_result failed = {
            .outcome = RIDER_RETRY, .remote_code = 503, .reason = reason};
        if (ticket % 3 == 0) {
            w->host->complete(w->host, ticket, &failed);
        } else {
            w->host->complete_many(w->host, &ticket, 1, &delivered);
        }
        if (i % 64 == 0) {
            w->host->writable(w->host);
        }
    }
    return NULL;
}

struct tally {
    unsigned char *seen;
    size_t n;
    bool writable;
};

static void take(struct inbox *in, struct tally *t)
{
    struct inbox_contents got = inbox_drain(in);

    assert_int_equal(got.dropped, 0);
    for (size_t i = 0; i < got.n_delivered; i++) {
        t->seen[got.delivered[i]]++;
    }
    for (size_t i = 0; i < got.n_failed; i++) {
        const struct inbox_failure *f = &got.failed[i];
        t->seen[f->ticket]++;
        assert_int_equal(f->ticket % 3, 0);
        assert_int_equal(strtoull(f->reason, NULL, 10), f->ticket);
        assert_int_equal(f->remote_code, 503);
    }
    t->n += got.n_delivered + got.n_failed;
    t->writable = t->writable || got.writable;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make(CAPACITY);
    struct worker workers[WORKERS];
    struct tally t = {.seen = calloc(CAPACITY, 1)};

    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.host = inbox_host(in), .first = i * PER_WORKER};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]),
                         0);
    }
    while (t.n < CAPACITY) {
        struct pollfd fd = {.fd = inbox_fd(in), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1); /* a lost wake-up would end here */
        take(in, &t);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    take(in, &t);
    assert_int_equal(t.n, CAPACITY);
    assert_true(t.writable);
    for (size_t i = 0; i < CAPACITY; i++) {
        assert_int_equal(t.seen[i], 1);
    }
    free(t.seen);
}

static void the_surplus_is_counted_and_dropped(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make(3);
    const struct rider_host *host = inbox_host(in);
    const uint64_t tickets[] = {1, 2, 3, 4, 5};
    const struct rider_result failed = {.outcome = RIDER_RETRY, .reason = "no"};

    host->complete_many(host, tickets, 2, &delivered);
    host->complete_many(host, tickets, 5, &delivered); /* what fits is taken */
    host->complete_many(host, tickets, 5, &failed);    /* too many: none of them */
    host->complete_many(host, tickets, 3, &failed);
    host->complete(host, 9, &failed);
    struct inbox_contents got = inbox_drain(in);
    assert_int_equal(got.n_delivered, 3);
    assert_int_equal(got.delivered[2], 1);
    assert_int_equal(got.n_failed, 3);
    assert_int_equal(got.dropped, 4 + 5 + 1);
    got = inbox_drain(in);
    assert_int_equal(got.n_delivered + got.n_failed + got.dropped, 0);
    host->complete_many(host, tickets, 3, &delivered); /* room again */
    assert_int_equal(inbox_drain(in).n_delivered, 3);
}

static void a_failure_keeps_all_that_was_said(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make(4);
    const struct rider_host *host = inbox_host(in);
    char reason[1000];

    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    const struct rider_result failed = {.outcome = RIDER_UNAVAILABLE,
                                        .flags = RIDER_RESULT_MAYBE_DELIVERED,
                                        .cause = RIDER_CAUSE_TIMEOUT,
                                        .retry_after_ms = 17,
                                        .remote_code = -3,
                                        .reason = reason};
    host->complete(host, 7, &failed);
    memset(reason, 'y', 10); /* borrowed for the call only */
    struct inbox_contents got = inbox_drain(in);
    assert_int_equal(got.n_failed, 1);
    assert_int_equal(got.failed[0].ticket, 7);
    assert_int_equal(got.failed[0].outcome, RIDER_UNAVAILABLE);
    assert_int_equal(got.failed[0].flags, RIDER_RESULT_MAYBE_DELIVERED);
    assert_int_equal(got.failed[0].cause, RIDER_CAUSE_TIMEOUT);
    assert_int_equal(got.failed[0].retry_after_ms, 17);
    assert_int_equal(got.failed[0].remote_code, -3);
    assert_int_equal(strlen(got.failed[0].reason), 240);
    assert_int_equal(got.failed[0].reason[0], 'x');
    host->complete(host, 8, &failed); /* never drained: freed with the inbox */
}

static void only_the_first_completion_wakes(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make(4);
    const struct rider_host *host = inbox_host(in);

    assert_false(readable(in));
    host->complete_many(host, NULL, 0, &delivered);
    assert_false(readable(in));
    host->complete(host, 1, &delivered);
    assert_true(readable(in));
    host->writable(host);
    struct inbox_contents got = inbox_drain(in);
    assert_true(got.writable);
    assert_int_equal(got.n_delivered, 1);
    assert_false(readable(in));
    host->writable(host);
    assert_true(readable(in));
    got = inbox_drain(in);
    assert_true(got.writable);
    inbox_wake(in);
    assert_true(readable(in));
    got = inbox_drain(in);
    assert_false(got.writable);
    assert_false(readable(in));
}

static void the_host_says_who_it_is(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make(1);
    const struct rider_host *host = inbox_host(in);

    assert_int_equal(host->struct_size, sizeof(*host));
    assert_int_equal(host->abi_minor, RIDER_PUBLISHER_ABI_MINOR);
    assert_string_equal(host->destination, "test");
    assert_true(host->now_ms(host) > 0);
    host->log(host, RIDER_LOG_DEBUG, "below the level %d", 1);
    host->log(host, 99, "of no level, taken for information");
}

static void with_subscriptions_attempts_are_kept(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make_for(4, true);
    const struct rider_host *host = inbox_host(in);
    char text[2000];
    char category[] = "http_5xx";

    assert_int_equal(host->flags, RIDER_HOST_SUBSCRIPTIONS);
    memset(text, 'r', sizeof(text));
    struct rider_attempt tried = {.struct_size = sizeof(tried),
                                  .flags = RIDER_ATTEMPT_REUSED,
                                  .started_at_us = 99,
                                  .total_us = 5,
                                  .requests = 1,
                                  .remote = {text, 9},
                                  .category = category,
                                  .response = {text + 100, sizeof(text) - 100}};
    const struct rider_result failed = {
        .struct_size = sizeof(failed), .outcome = RIDER_RETRY, .attempt = &tried};
    const struct rider_result fine = {.struct_size = sizeof(fine), .attempt = &tried};
    host->complete(host, 1, &failed);
    tried.remote.len = 500; /* longer than any address */
    tried.response.len = 0;
    host->complete(host, 2, &fine);
    memset(text, 'x', sizeof(text)); /* borrowed for the call only */
    memset(category, 'x', sizeof(category) - 1);
    struct inbox_contents got = inbox_drain(in);
    assert_int_equal(got.n_delivered, 0); /* it has more to tell than its ticket */
    assert_int_equal(got.n_failed, 2);
    const struct rider_attempt *a = got.failed[0].attempt;
    assert_non_null(a);
    assert_int_equal(a->started_at_us, 99);
    assert_int_equal(a->total_us, 5);
    assert_int_equal(a->flags, RIDER_ATTEMPT_REUSED);
    assert_int_equal(a->remote.len, 9);
    assert_memory_equal(a->remote.data, "rrrrrrrrr", 9);
    assert_string_equal(a->category, "http_5xx");
    assert_int_equal(a->response.len, 1024);
    assert_int_equal(((const char *)a->response.data)[1023], 'r');
    assert_int_equal(got.failed[1].outcome, RIDER_DELIVERED);
    assert_int_equal(got.failed[1].attempt->remote.len, 63);
    assert_int_equal(got.failed[1].attempt->response.len, 0);
    host->complete(host, 3, &failed); /* never drained: freed with the inbox */
}

static void an_older_plugin_s_results_end_before_the_attempt(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *in = make_for(4, true);
    const struct rider_host *host = inbox_host(in);
    const struct rider_attempt tried = {.struct_size = sizeof(tried)};
    const struct rider_attempt older = {.struct_size = 8};
    const void *wild = (const void *)(uintptr_t)16; /* NOLINT: never followed */
    const struct rider_result no_member = {.struct_size =
                                               offsetof(struct rider_result, attempt),
                                           .outcome = RIDER_RETRY,
                                           .attempt = wild};
    const struct rider_result too_short = {
        .struct_size = sizeof(too_short), .outcome = RIDER_RETRY, .attempt = &older};
    const struct rider_result nothing = {.struct_size = sizeof(nothing)};
    const struct rider_result failed = {
        .struct_size = sizeof(failed), .outcome = RIDER_RETRY, .attempt = &tried};

    host->complete(host, 1, &no_member);
    host->complete(host, 2, &too_short);
    host->complete(host, 3, &nothing);
    struct inbox_contents got = inbox_drain(in);
    assert_int_equal(got.n_failed, 2);
    assert_null(got.failed[0].attempt);
    assert_null(got.failed[1].attempt);
    assert_int_equal(got.n_delivered, 1);

    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *plain = make(4);
    assert_int_equal(inbox_host(plain)->flags, 0);
    inbox_host(plain)->complete(inbox_host(plain), 1, &failed);
    got = inbox_drain(plain);
    assert_int_equal(got.n_failed, 1);
    assert_null(got.failed[0].attempt); /* nobody would write it down */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(the_surplus_is_counted_and_dropped),
        cmocka_unit_test(a_failure_keeps_all_that_was_said),
        cmocka_unit_test(only_the_first_completion_wakes),
        cmocka_unit_test(the_host_says_who_it_is),
        cmocka_unit_test(with_subscriptions_attempts_are_kept),
        cmocka_unit_test(an_older_plugin_s_results_end_before_the_attempt),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
