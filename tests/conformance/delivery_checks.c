/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_checks.c - publish, completions, flush, and stop with open events.
 *
 * With a peer that is down an adapter may refuse events, complete them as
 * unavailable, or hold them until stop(); it may not deliver, lose or burn them.
 *
 * Not here: the rules every stop() is held to (trial.c).
 */
#include "conformance/trial.h"

#include "base/clock.h"

#define BIG_BODY 1048576u
#define FLUSH_MS 300u
#define HURRY_MS 100u

/* Whether the outcomes fit what is known about the peer. */
static void check_outcomes(struct trial *t, size_t taken)
{
    struct fake_host_counts counts = fake_host_counts(t->fake);
    unsigned long long delivered = counts.by_outcome[RIDER_DELIVERED];

    if (t->suite->peer == PEER_UP && delivered != taken) {
        trial_fail(t, "%llu of %zu events delivered; the last failure: %s", delivered,
                   taken, counts.last_reason);
    }
    if (t->suite->peer == PEER_DOWN && delivered > 0) {
        trial_fail(t, "%llu events delivered to a peer that is down", delivered);
    }
    unsigned long long burnt = counts.by_outcome[RIDER_RETRY];

    burnt += counts.by_outcome[RIDER_REJECTED];
    if (t->suite->peer == PEER_DOWN && burnt > 0) {
        trial_fail(t, "%llu attempts burnt by a peer that is down (%s)", burnt,
                   counts.last_reason);
    }
}

/* Waits for all completions, unless the peer is one that gives none. */
static void await_all(struct trial *t)
{
    uint64_t wait_ms = t->suite->peer == PEER_DOWN ? FLUSH_MS : t->suite->timeout_ms;

    if (!fake_host_wait_open(t->fake, 0, wait_ms) && t->suite->peer == PEER_UP) {
        trial_fail(t, "%zu events not completed after %llu ms", fake_host_open(t->fake),
                   (unsigned long long)wait_ms);
    }
}

static void check_nothing(struct suite *s)
{
    struct trial t;

    if (trial_begin(&t, s, "publish() of no events takes none", true) &&
        fake_host_offer(t.fake, s->vt, t.self, NULL, 0) != 0) {
        trial_fail(&t, "it returned another number");
    }
    trial_end(&t);
}

/* An adapter may know without its peer that an event is too large. */
static void check_big(struct suite *s)
{
    const struct fake_event like = {.body_size = BIG_BODY};
    struct trial t;

    if (trial_begin(&t, s, "an event of 1 MB is taken or refused, not lost", true)) {
        (void)trial_publish(&t, &like, 3);
        await_all(&t);
    }
    trial_end(&t);
}

/* Publishes a few events of one kind and follows them to their end. */
static void check_kind(struct suite *s, const char *check,
                       const struct fake_event *like)
{
    struct trial t;
    size_t taken = 0;

    if (trial_begin(&t, s, check, true)) {
        taken = trial_publish(&t, like, 3);
        await_all(&t);
        trial_stop(&t, s->timeout_ms < 500 ? s->timeout_ms : 500);
        check_outcomes(&t, taken);
    }
    trial_end(&t);
}

static void check_bulk(struct suite *s)
{
    const struct fake_event like = {0};
    struct trial t;
    size_t taken = 0;

    if (trial_begin(&t, s, "many events: each completes exactly once", true)) {
        taken = trial_publish(&t, &like, s->n_events);
        if (taken < s->n_events && s->peer == PEER_UP) {
            trial_fail(&t, "%zu of %zu events taken", taken, s->n_events);
        }
        await_all(&t);
        trial_stop(&t, 500);
        check_outcomes(&t, taken);
    }
    trial_end(&t);
}

static void check_flush(struct suite *s)
{
    const struct fake_event like = {0};
    struct trial t;

    if (trial_begin(&t, s, "flush() returns by its deadline and counts what is open",
                    true)) {
        (void)trial_publish(&t, &like, s->n_events < 100 ? s->n_events : 100);
        uint64_t wait_ms = s->peer == PEER_UP ? s->timeout_ms : FLUSH_MS;
        uint64_t began_ms = clock_mono_ms();
        size_t reported = s->vt->flush(t.self, began_ms + wait_ms);
        size_t open = fake_host_open(t.fake);

        if (clock_mono_ms() - began_ms > wait_ms + TRIAL_SLACK_MS) {
            trial_fail(&t, "it took %llu ms",
                       (unsigned long long)(clock_mono_ms() - began_ms));
        }
        if (open > reported || (s->peer == PEER_UP && reported > 0)) {
            trial_fail(&t, "it returned %zu while %zu events are open", reported, open);
        }
    }
    trial_end(&t);
}

static void check_hurried_stop(struct suite *s, const char *check, uint64_t deadline_ms)
{
    const struct fake_event like = {0};
    struct trial t;

    if (trial_begin(&t, s, check, true)) {
        (void)trial_publish(&t, &like, s->n_events < 500 ? s->n_events : 500);
        trial_stop(&t, deadline_ms);
        if (s->peer == PEER_DOWN) {
            check_outcomes(&t, 0);
        }
    }
    trial_end(&t);
}

void suite_run_delivery(struct suite *s)
{
    const struct fake_event plain = {0};
    const struct fake_event bare = {.bare = true, .envelope = RIDER_ENVELOPE_PAYLOAD};
    const struct fake_event binary = {.envelope = RIDER_ENVELOPE_CE_BINARY};

    check_nothing(s);
    check_kind(s, "events complete exactly once", &plain);
    check_kind(s, "an event without aggregate type and headers", &bare);
    check_kind(s, "an event with CloudEvents attributes", &binary);
    check_big(s);
    check_bulk(s);
    check_flush(s);
    check_hurried_stop(s, "stop() with open events and little time", HURRY_MS);
    check_hurried_stop(s, "stop() with open events and no time", 0);
}
