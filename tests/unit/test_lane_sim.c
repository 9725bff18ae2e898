/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_sim.c - the promise, under random schedules.
 *
 * Each seed is one history: writers that commit late and out of order, a
 * receiver that fails in every way, a database that is lost before or after it
 * has executed a request, leases taken away, processes killed. When all faults
 * have stopped, everything must have been accepted or be dead, in the order of
 * each key, with replays that are contiguous. A failing seed is printed and
 * replays exactly: test_lane_sim SEED.
 */
#include "base/log.h"
#include "sim/lane_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS        6
#define STEPS       1500
#define SEEDS       300
#define HEAL_ROUNDS 4000

struct history {
    struct lane_world world;
    size_t pending[KEYS]; /* the uncommitted event of a key, +1; 0: none */
    bool hold_dead;
};

static uint64_t below(struct history *h, uint64_t n)
{
    return prng_below(&h->world.prng, n);
}

static void write_or_commit(struct history *h)
{
    size_t key = (size_t)below(h, KEYS);
    size_t n;

    /* The writer's contract: one transaction at a time holds the aggregate. */
    (void)sim_store_events(h->world.store, &n);
    if (h->pending[key] != 0) {
        sim_store_commit(h->world.store, h->pending[key] - 1);
        h->pending[key] = 0;
    } else if (n < SIM_MAX_EVENTS - KEYS) {
        h->pending[key] = sim_store_insert(h->world.store, (int)key) + 1;
    }
}

static void end_one(struct history *h)
{
    static const struct rider_result results[] = {
        {.outcome = RIDER_RETRY,
         .cause = RIDER_CAUSE_FAILED_5XX,
         .reason = "simulated"},
        {.outcome = RIDER_UNAVAILABLE, .cause = RIDER_CAUSE_UNREACHABLE},
        {.outcome = RIDER_UNROUTABLE, .cause = RIDER_CAUSE_NO_ROUTE},
        {.outcome = RIDER_REJECTED, .cause = RIDER_CAUSE_TOO_LARGE},
        {.outcome = RIDER_RETRY, .cause = RIDER_CAUSE_TIMEOUT, .retry_after_ms = 300},
    };
    static const struct rider_result delivered = {.outcome = RIDER_DELIVERED};
    struct sim_publisher *p = &h->world.publisher;

    if (p->n_open == 0) {
        return;
    }
    size_t i = (size_t)below(h, p->n_open);
    if (below(h, 10) < 8) {
        sim_publisher_end(p, i, &delivered);
        return;
    }
    const struct rider_result *result = &results[below(h, 5)];
    if (result->outcome != RIDER_REJECTED && below(h, 3) == 0) {
        sim_publisher_record(p, i); /* accepted, and the answer lost */
    }
    sim_publisher_end(p, i, result);
}

static void fault(struct history *h)
{
    struct lane_world *w = &h->world;

    switch (below(h, 4)) {
    case 0:
        sim_store_lose(w->store, below(h, 2) == 0);
        break;
    case 1:
        sim_store_steal(w->store);
        break;
    case 2:
        for (size_t i = 0; i < w->publisher.n_open; i++) {
            if (below(h, 2) == 0) {
                sim_publisher_record(&w->publisher, i);
            }
        }
        lane_world_kill(w);
        lane_world_boot(w);
        break;
    default:
        w->now_ms += below(h, 5000);
        break;
    }
}

static void random_step(struct history *h)
{
    struct lane_world *w = &h->world;
    uint64_t dice = below(h, 1000);

    if (dice < 250) {
        write_or_commit(h);
    } else if (dice < 550) {
        end_one(h);
    } else if (dice < 750) {
        (void)sim_store_pump(w->store, 1 + below(h, 3));
    } else if (dice < 970) {
        w->now_ms += below(h, 20);
    } else if (dice < 990) {
        sim_store_connect(w->store);
    } else {
        fault(h);
    }
    w->publisher.room = below(h, 50) == 0 ? below(h, 4) : w->publisher.room;
    if (below(h, 50) == 0) {
        w->publisher.room = SIM_MAX_OPEN;
    }
    lane_step(w->lane);
}

static bool all_done(struct history *h)
{
    size_t n;
    const struct sim_event *events = sim_store_events(h->world.store, &n);

    for (size_t i = 0; i < n; i++) {
        const struct sim_row *row = sim_store_row(h->world.store, events[i].seq);
        if (!sim_store_is_settled(h->world.store, &events[i]) ||
            (row != NULL && strcmp(row->state, "DELIVERED") != 0 &&
             strcmp(row->state, "DEAD") != 0 &&
             !(h->hold_dead && strcmp(row->state, "HELD") == 0))) {
            return false;
        }
    }
    return true;
}

/* No more faults: everything has to come to its end. */
static bool heal(struct history *h)
{
    static const struct rider_result delivered = {.outcome = RIDER_DELIVERED};
    struct lane_world *w = &h->world;

    for (size_t key = 0; key < KEYS; key++) {
        if (h->pending[key] != 0) {
            sim_store_commit(w->store, h->pending[key] - 1);
        }
    }
    w->publisher.room = SIM_MAX_OPEN;
    w->publisher.host->writable(w->publisher.host);
    sim_store_connect(w->store);
    for (int i = 0; i < HEAL_ROUNDS; i++) {
        lane_world_pass(w, 40);
        sim_publisher_end_all(&w->publisher, &delivered);
        lane_world_settle(w);
        if (all_done(h)) {
            return true;
        }
    }
    return false;
}

static const struct sim_event *find(const struct sim_event *events, size_t n, int key,
                                    int number)
{
    for (size_t i = 0; i < n; i++) {
        if (events[i].key == key && events[i].number == number &&
            events[i].commit != 0) {
            return &events[i];
        }
    }
    return NULL;
}

static bool is_state(struct history *h, const struct sim_event *e, const char *state)
{
    const struct sim_row *row =
        e == NULL ? NULL : sim_store_row(h->world.store, e->seq);

    return row != NULL && strcmp(row->state, state) == 0;
}

/* The next number of the key that is not dead. */
static int next_number(struct history *h, const struct sim_event *events, size_t n,
                       int key, int number)
{
    do {
        number++;
    } while (is_state(h, find(events, n, key, number), "DEAD"));
    return number;
}

/* First acceptances in order; a step back is followed without a gap. */
static const char *check_order(struct history *h, int key)
{
    const struct sim_publisher *p = &h->world.publisher;
    size_t n;
    const struct sim_event *events = sim_store_events(h->world.store, &n);
    int last = -1;
    int most = -1;
    bool held = false; /* behind a dead event: the replay ends there by design */

    for (size_t i = 0; i < n; i++) {
        held = held || (events[i].key == key && is_state(h, &events[i], "HELD"));
    }

    for (size_t i = 0; i < p->n_accepted; i++) {
        if (p->accepted[i].key != key) {
            continue;
        }
        int number = p->accepted[i].number;
        if (is_state(h, find(events, n, key, number), "DEAD")) {
            continue; /* accepted and then given up: the answer was lost */
        }
        if (number > last && number != next_number(h, events, n, key, last)) {
            return "an event was accepted before an earlier one of its key";
        }
        last = number;
        most = number > most ? number : most;
    }
    if (last != most && !held) {
        return "the last acceptance of a key is not its newest event";
    }
    return NULL;
}

static const char *check_complete(struct history *h)
{
    const struct sim_publisher *p = &h->world.publisher;
    size_t n;
    const struct sim_event *events = sim_store_events(h->world.store, &n);

    for (size_t i = 0; i < n; i++) {
        bool found = is_state(h, &events[i], "DEAD") || is_state(h, &events[i], "HELD");
        for (size_t a = 0; !found && a < p->n_accepted; a++) {
            found = p->accepted[a].key == events[i].key &&
                    p->accepted[a].number == events[i].number;
        }
        if (!found) {
            return "a committed event was lost";
        }
    }
    return NULL;
}

static const char *judge(struct history *h)
{
    const char *wrong = check_complete(h);

    for (int key = 0; wrong == NULL && key < KEYS; key++) {
        wrong = check_order(h, key);
    }
    if (wrong == NULL && h->world.publisher.most_open_of_a_key > 1) {
        wrong = "two deliveries of a key were open at once";
    }
    if (wrong == NULL && h->world.publisher.n_accepted == 0) {
        wrong = "nothing was accepted at all";
    }
    return wrong;
}

/* For whoever has to find out why a seed failed. */
static void describe(struct history *h)
{
    const struct lane_stats *stats = &h->world.stats;
    size_t n;
    const struct sim_event *events = sim_store_events(h->world.store, &n);

    (void)fprintf(stderr,
                  "phase %s, breaker %d, ready %d, in flight %d, held keys %d\n",
                  lane_phase_word(stats->phase), (int)stats->breaker, (int)stats->ready,
                  (int)stats->in_flight, (int)stats->held_keys);
    for (size_t i = 0; i < n; i++) {
        const struct sim_row *row = sim_store_row(h->world.store, events[i].seq);
        if (row != NULL || !sim_store_is_settled(h->world.store, &events[i])) {
            (void)fprintf(
                stderr, "event %d key %d number %d commit %d: %s attempts %u\n",
                (int)events[i].seq, events[i].key, events[i].number,
                (int)events[i].commit, row == NULL ? "not settled" : row->state,
                row == NULL ? 0 : row->attempts);
        }
    }
    for (int key = 0; key < KEYS; key++) {
        (void)fprintf(stderr, "key %d accepted:", key);
        for (size_t i = 0; i < h->world.publisher.n_accepted; i++) {
            if (h->world.publisher.accepted[i].key == key) {
                (void)fprintf(stderr, " %d", h->world.publisher.accepted[i].number);
            }
        }
        (void)fprintf(stderr, "\n");
    }
}

static const char *run_seed(uint64_t seed)
{
    struct history *h = calloc(1, sizeof(*h));
    const char *wrong = NULL;

    h->hold_dead = seed % 3 == 0;
    lane_world_init(&h->world, seed, h->hold_dead);
    h->world.config.max_in_flight = 1 + seed % 17;
    h->world.config.batch = 1 + seed % 11;
    lane_world_boot(&h->world);
    for (int i = 0; i < STEPS; i++) {
        random_step(h);
    }
    wrong = heal(h) ? judge(h) : "it did not come to an end";
    if (wrong != NULL) {
        describe(h);
    }
    lane_world_done(&h->world);
    free(h);
    return wrong;
}

static void test_random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const char *wrong = run_seed(seed);
        if (wrong != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, wrong);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_histories)};

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    if (argc == 2) {
        const char *wrong = run_seed(strtoull(argv[1], NULL, 10));
        (void)printf("%s\n", wrong == NULL ? "fine" : wrong);
        return wrong != NULL;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
