/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.c - makes, drives and ends one instance.
 *
 * Every trial ends the same way, so the rules for stop() and for completions
 * are checked by each check that publishes.
 *
 * Not here: the checks.
 */
#include "conformance/trial.h"

#include "base/clock.h"
#include "support/option_fill.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define OFFER_MAX         500u
#define PUBLISH_LIMIT_MS  1000u
#define LATE_CALL_WAIT_MS 100u
#define STOP_MS           500u

void trial_fail(struct trial *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    t->failed = true;
    suite_fail(t->suite, t->check, "%s", text);
}

bool trial_begin(struct trial *t, struct suite *s, const char *check, bool start)
{
    struct rider_error err = {0};
    char text[512] = "";

    *t = (struct trial){.suite = s, .check = check};
    t->fake = fake_host_create("conformance", s->n_events + 64);
    if (t->fake == NULL) {
        trial_fail(t, "out of memory");
        return false;
    }
    fake_host_set_verbose(t->fake, s->verbose);
    if (s->target != NULL) {
        fake_host_set_target(t->fake, s->target);
    }
    if (option_fill(s->vt, s->pairs, s->n_pairs, &t->config, &err) < 0) {
        trial_fail(t, "%s", err.text);
        return false;
    }
    int r =
        s->vt->create(fake_host_host(t->fake), t->config, &t->self, text, sizeof(text));
    if (r != 0 || t->self == NULL) {
        trial_fail(t, "create() returned %d: %s", r, text);
        return false;
    }
    if (start) {
        r = s->vt->start(t->self, text, sizeof(text));
        if (r != 0) {
            trial_fail(t, "start() returned %d: %s", r, text);
            return false;
        }
        t->started = true;
    }
    return true;
}

uint64_t trial_clock_ms(void)
{
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    unsigned long long ran_ns = 0;
    unsigned long long delayed_ns = 0;

    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &ran_ns, &delayed_ns) !=
            2) { /* NOLINT: numbers */
            delayed_ns = 0;
        }
        (void)fclose(file);
    }
    return clock_mono_ms() - delayed_ns / 1000000;
}

uint64_t trial_since_ms(uint64_t began_ms)
{
    uint64_t now_ms = trial_clock_ms();

    return now_ms > began_ms ? now_ms - began_ms : 0; /* two clocks, both rounded */
}

/* One offer, with the time it took checked. */
static size_t offer(struct trial *t, const struct rider_event *const *events, size_t n)
{
    uint64_t began_ms = trial_clock_ms();
    size_t taken = fake_host_offer(t->fake, t->suite->vt, t->self, events, n);
    uint64_t took_ms = trial_since_ms(began_ms);

    if (took_ms > PUBLISH_LIMIT_MS) {
        trial_fail(t, "publish() blocked for %llu ms", (unsigned long long)took_ms);
    }
    return taken;
}

/* Whether the adapter says that it cannot take events now. */
static bool says_down(const struct trial *t)
{
    struct rider_health health = {.struct_size = sizeof(health)};

    if (t->suite->vt->health == NULL) {
        return t->suite->peer == PEER_DOWN;
    }
    t->suite->vt->health(t->self, &health);
    return health.state != RIDER_UP;
}

size_t trial_publish(struct trial *t, const struct fake_event *like, size_t n)
{
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
    const struct rider_event **events = calloc(n + 1, sizeof(*events));
    size_t taken = 0;

    for (size_t i = 0; events != NULL && i < n; i++) {
        events[i] = fake_host_event(t->fake, like);
        if (events[i] == NULL) {
            trial_fail(t, "out of memory");
            free(events);
            return 0;
        }
    }
    while (events != NULL && taken < n) {
        size_t chunk = n - taken < OFFER_MAX ? n - taken : OFFER_MAX;
        size_t got = offer(t, events + taken, chunk);

        taken += got;
        if (got == chunk) {
            continue;
        }
        if (!fake_host_wait_writable(t->fake, t->suite->timeout_ms)) {
            if (!says_down(t)) {
                trial_fail(t,
                           "publish() took %zu of %zu events and writable() never came",
                           taken, n);
            }
            break;
        }
    }
    free(events);
    return taken;
}

/* What the adapter did to the host. */
static void check_counts(struct trial *t)
{
    struct fake_host_counts counts = fake_host_counts(t->fake);

    if (counts.unknown_tickets > 0) {
        trial_fail(t, "%llu completions of tickets that were not open",
                   (unsigned long long)counts.unknown_tickets);
    }
    if (counts.bad_results > 0) {
        trial_fail(t, "%llu bad results: %s", (unsigned long long)counts.bad_results,
                   counts.last_reason);
    }
    if (counts.late_calls > 0) {
        trial_fail(t, "%llu calls into the host after stop() returned",
                   (unsigned long long)counts.late_calls);
    }
}

void trial_stop(struct trial *t, uint64_t deadline_ms)
{
    uint64_t began_ms = clock_mono_ms();

    t->suite->vt->stop(t->self, began_ms + deadline_ms);
    fake_host_close(t->fake);
    uint64_t took_ms = clock_mono_ms() - began_ms;
    t->started = false;
    if (took_ms > deadline_ms + TRIAL_SLACK_MS) {
        trial_fail(t, "stop() took %llu ms with a deadline of %llu ms",
                   (unsigned long long)took_ms, (unsigned long long)deadline_ms);
    }
    size_t open = fake_host_open(t->fake);
    if (open > 0) {
        trial_fail(t, "stop() left %zu events open", open);
    }
    /* Gives a thread that should not exist the time to show itself. */
    (void)fake_host_wait_writable(t->fake, LATE_CALL_WAIT_MS);
    check_counts(t);
}

void trial_end(struct trial *t)
{
    if (t->started) {
        trial_stop(t, STOP_MS);
    }
    if (t->self != NULL) {
        t->suite->vt->destroy(t->self);
    }
    option_fill_free(t->suite->vt, t->config);
    fake_host_destroy(t->fake);
    if (!t->failed) {
        suite_pass(t->suite, t->check);
    }
}
