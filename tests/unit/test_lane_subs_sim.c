/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_subs_sim.c - the promise to each subscription, under random schedules.
 *
 * Each seed is one history: writers that commit late and out of order, subscriptions that
 * differ in all they may, endpoints that fail in every way, a database that is lost
 * before or after it has executed a request, leases taken away, processes killed, people
 * who pause, resume, disable, recover and ask again. The adapter holds the lane to its word with
 * each offer; when all faults have stopped, every row must have come to its end. One in
 * four histories has no faults and is judged to the attempt. A failing seed is printed
 * and replays exactly: test_lane_subs_sim SEED.
 */
#include "base/log.h"
#include "sim/subs_world.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SUBS        5
#define KEYS        6
#define TYPES       3
#define EVENTS      300
#define STEPS       2500
#define SEEDS       240
#define HEAL_ROUNDS 1000

struct history {
    struct subs_world world;
    struct prng dice;
    int64_t pending[KEYS]; /* seq of the uncommitted event of a key; 0: none */
    bool calm;             /* nothing is lost, stolen or killed */
    size_t faults;
    unsigned char unsure[SUBS + 1][EVENTS + 1]; /* accepted, and the answer lost */
};

static uint64_t below(struct history *h, uint64_t n)
{
    return prng_below(&h->dice, n);
}

static void write_or_commit(struct history *h)
{
    size_t key = (size_t)below(h, KEYS);

    /* The writer's contract: one transaction at a time holds the aggregate. */
    if (h->pending[key] != 0) {
        sim_subs_commit(h->world.store, h->pending[key]);
        h->pending[key] = 0;
    } else {
        h->pending[key] =
            sim_subs_insert(h->world.store, (int)key, (int)below(h, TYPES));
    }
}

static void end_one(struct history *h)
{
    static const struct subs_answer answers[] = {
        {.outcome = RIDER_RETRY, .cause = RIDER_CAUSE_FAILED_5XX, .code = 500},
        {.outcome = RIDER_RETRY, .cause = RIDER_CAUSE_TIMEOUT, .retry_after_ms = 300},
        {.outcome = RIDER_UNAVAILABLE, .cause = RIDER_CAUSE_UNREACHABLE},
        {.outcome = RIDER_UNAVAILABLE,
         .cause = RIDER_CAUSE_RATE_LIMITED,
         .code = 429,
         .retry_after_ms = 700},
        {.outcome = RIDER_UNAVAILABLE, .cause = RIDER_CAUSE_FAILED_5XX, .code = 503},
        {.outcome = RIDER_UNAVAILABLE,
         .cause = RIDER_CAUSE_UNREACHABLE,
         .untried = true},
        {.outcome = RIDER_UNROUTABLE, .cause = RIDER_CAUSE_NO_ROUTE},
        {.outcome = RIDER_REJECTED, .cause = RIDER_CAUSE_TOO_LARGE, .code = 413},
        {.outcome = RIDER_REJECTED, .cause = RIDER_CAUSE_GONE_410, .code = 410},
    };
    const size_t n = sizeof(answers) / sizeof(answers[0]);
    struct subs_world *w = &h->world;

    if (w->n_open == 0) {
        return;
    }
    size_t i = (size_t)below(h, w->n_open);
    struct subs_answer answer = {.outcome = RIDER_DELIVERED};
    if (below(h, 10) >= 8) {
        answer = answers[below(h, n - (below(h, 4) > 0))]; /* 410 is rare */
        answer.taken =
            !answer.untried && answer.outcome != RIDER_REJECTED && below(h, 3) == 0;
    }
    if (answer.taken) {
        h->unsure[w->open[i].number][w->open[i].seq]++;
    }
    subs_world_end(w, i, &answer);
}

static void fault(struct history *h)
{
    struct subs_world *w = &h->world;

    if (h->calm) {
        return;
    }
    h->faults++;
    switch (below(h, 4)) {
    case 0:
        sim_subs_lose(w->store, below(h, 2) == 0);
        break;
    case 1:
        sim_subs_steal(w->store);
        break;
    case 2:
        for (size_t i = 0; i < w->n_open; i++) {
            if (below(h, 2) == 0) {
                subs_world_accept(w, i);
            }
        }
        subs_world_kill(w);
        subs_world_boot(w);
        memset(w->not_before_ms, 0, (SUBS + 1) * sizeof(*w->not_before_ms));
        break;
    default:
        w->now_ms += below(h, 5000);
        break;
    }
}

/* What people do meanwhile. */
static void interfere(struct history *h)
{
    struct subs_world *w = &h->world;
    int64_t number = 1 + (int64_t)below(h, SUBS);
    struct sim_sub *sub = sim_subs_sub(w->store, number);
    size_t n = sim_subs_n_events(w->store);

    switch (below(h, 5)) {
    case 0:
        sub->status = SIM_PAUSED;
        break;
    case 1:
        sub->status = below(h, 3) == 0 ? SIM_DISABLED : SIM_ACTIVE;
        break;
    case 2:
        sub->status = SIM_ACTIVE;
        break;
    case 3:
        sim_subs_recover(w->store, number);
        break;
    default:
        if (n > 0) {
            sim_subs_redeliver(w->store, number, 1 + (int64_t)below(h, n));
        }
        break;
    }
}

static void enable_all(struct history *h)
{
    for (int64_t number = 1; number <= SUBS; number++) {
        sim_subs_sub(h->world.store, number)->status = SIM_ACTIVE;
        sim_subs_recover(h->world.store, number);
    }
}

static void random_step(struct history *h)
{
    struct subs_world *w = &h->world;
    uint64_t dice = below(h, 1000);

    if (dice < 220) {
        write_or_commit(h);
    } else if (dice < 520) {
        end_one(h);
    } else if (dice < 750) {
        (void)sim_subs_pump(w->store, 1 + below(h, 3));
    } else if (dice < 950) {
        w->now_ms += below(h, 20);
    } else if (dice < 975) {
        sim_subs_connect(w->store);
    } else if (dice < 990) {
        interfere(h);
    } else {
        fault(h);
    }
    w->room = below(h, 50) == 0 ? below(h, 4) : w->room;
    if (below(h, 50) == 0) {
        w->room = SUBS_MAX_OPEN;
    }
    subs_world_step(w);
}

/* ---- afterwards ---------------------------------------------------------------------- */

static bool is_behind_dead(struct history *h, int64_t number, int64_t seq)
{
    struct sim_subs_store *s = h->world.store;

    for (int64_t i = 1; i < seq; i++) {
        if (sim_subs_event(s, i)->key == sim_subs_event(s, seq)->key &&
            sim_subs_row(s, number, i)->state == SIM_DEAD) {
            return true;
        }
    }
    return false;
}

static bool has_ended(struct history *h, int64_t number, int64_t seq)
{
    enum sim_state state = sim_subs_row(h->world.store, number, seq)->state;
    bool takes = (sim_subs_sub(h->world.store, number)->types >>
                      sim_subs_event(h->world.store, seq)->type &
                  1) != 0;

    return (state == SIM_NONE && !takes) || state == SIM_DELIVERED ||
           state == SIM_DEAD ||
           (h->world.config.hold_dead &&
            sim_subs_sub(h->world.store, number)->ordered &&
            is_behind_dead(h, number, seq));
}

static bool all_done(struct history *h)
{
    struct sim_subs_store *s = h->world.store;

    for (int64_t seq = 1; seq <= (int64_t)sim_subs_n_events(s); seq++) {
        if (!sim_subs_is_expanded(s, seq)) {
            return false;
        }
        for (int64_t number = 1; number <= SUBS; number++) {
            if (!has_ended(h, number, seq)) {
                return false;
            }
        }
    }
    return h->world.n_open == 0;
}

static void end_all(struct subs_world *w, void *arg)
{
    static const struct subs_answer ok = {.outcome = RIDER_DELIVERED};

    (void)arg;
    for (size_t n = w->n_open; n > 0; n--) {
        subs_world_end(w, 0, &ok);
    }
}

/* No more faults: everything has to come to its end, by the lane's own deadlines. */
static bool heal(struct history *h)
{
    struct subs_world *w = &h->world;

    for (size_t key = 0; key < KEYS; key++) {
        if (h->pending[key] != 0) {
            sim_subs_commit(w->store, h->pending[key]);
        }
    }
    w->room = SUBS_MAX_OPEN;
    inbox_host(w->inbox)->writable(inbox_host(w->inbox));
    sim_subs_connect(w->store);
    for (int i = 0; i < HEAL_ROUNDS && w->broken == NULL; i++) {
        enable_all(h); /* a 410 may still be on its way */
        subs_world_pass(w, 500, end_all, NULL);
        if (all_done(h)) {
            return true;
        }
    }
    return false;
}

static size_t acceptances(struct history *h, int64_t number, int64_t seq)
{
    const struct subs_world *w = &h->world;
    size_t n = 0;

    for (size_t i = 0; i < w->n_accepted; i++) {
        n += w->accepted[i].number == number && w->accepted[i].seq == seq;
    }
    return n;
}

/* Each event that a subscription takes has a row, and each row its acceptance. */
static const char *check_one(struct history *h, int64_t number, int64_t seq,
                             size_t *ret_surplus)
{
    struct sim_subs_store *s = h->world.store;
    const struct sim_sub *sub = sim_subs_sub(s, number);
    const struct sim_subs_row *row = sim_subs_row(s, number, seq);
    bool takes = (sub->types >> sim_subs_event(s, seq)->type & 1) != 0;
    size_t n = acceptances(h, number, seq);
    size_t fair = 1 + row->asked + h->unsure[number][seq];

    if (!takes && (row->state != SIM_NONE || n > 0)) {
        return "a subscription got what it does not take";
    }
    if (takes && row->state == SIM_NONE) {
        return "a subscription missed an event";
    }
    if (row->state == SIM_DELIVERED && n == 0) {
        return "an event is delivered that nobody accepted";
    }
    *ret_surplus += n > fair ? n - fair : 0;
    return NULL;
}

/* Of events that were queued once, in their turn, first acceptances are in order. */
static const char *check_order(struct history *h, int64_t number)
{
    struct sim_subs_store *s = h->world.store;
    const struct subs_world *w = &h->world;
    int64_t last[KEYS] = {0};
    bool seen[EVENTS + 1] = {false};

    for (size_t i = 0; i < w->n_accepted; i++) {
        int64_t seq = w->accepted[i].seq;
        const struct sim_subs_row *row = sim_subs_row(s, number, seq);
        if (w->accepted[i].number != number || seen[seq] || row->asked > 0 ||
            row->late || row->state == SIM_DEAD) {
            continue;
        }
        seen[seq] = true;
        int64_t *before = &last[sim_subs_event(s, seq)->key];
        if (seq < *before) {
            return "an event was accepted before an earlier one of its key";
        }
        *before = seq;
    }
    return NULL;
}

static const char *judge(struct history *h)
{
    struct subs_world *w = &h->world;
    size_t written = sim_subs_counts(w->store).tries;
    size_t window = h->faults * w->config.max_in_flight;
    size_t surplus = 0;
    const char *wrong = w->broken;

    for (int64_t number = 1; wrong == NULL && number <= SUBS; number++) {
        for (int64_t seq = 1;
             wrong == NULL && seq <= (int64_t)sim_subs_n_events(w->store); seq++) {
            wrong = check_one(h, number, seq, &surplus);
        }
        if (wrong == NULL && sim_subs_sub(w->store, number)->ordered) {
            wrong = check_order(h, number);
        }
    }
    if (wrong == NULL && surplus > window) {
        wrong = "there are more duplicates than faults explain";
    }
    if (wrong == NULL && (written > w->tried || w->tried - written > window)) {
        wrong = "attempts were not written down";
    }
    if (wrong == NULL && w->n_accepted == 0) {
        wrong = "nothing was accepted at all";
    }
    return wrong;
}

/* For whoever has to find out why a seed failed. */
static void describe(struct history *h)
{
    struct subs_world *w = &h->world;

    (void)fprintf(
        stderr, "phase %s, ready %d, in flight %d, %d faults, %d tried, %d written\n",
        lane_phase_word(w->stats.phase), (int)w->stats.ready, (int)w->stats.in_flight,
        (int)h->faults, (int)w->tried, (int)sim_subs_counts(w->store).tries);
    for (int64_t number = 1; number <= SUBS; number++) {
        const struct sim_sub *sub = sim_subs_sub(w->store, number);
        (void)fprintf(stderr, "subscription %d: ordered %d types %x limits %d %g\n",
                      (int)number, sub->ordered, sub->types,
                      (int)sub->limits.max_in_flight, sub->limits.rate);
        for (int64_t seq = 1; seq <= (int64_t)sim_subs_n_events(w->store); seq++) {
            const struct sim_subs_row *row = sim_subs_row(w->store, number, seq);
            if (!has_ended(h, number, seq) || row->asked > 0 || row->attempts > 1) {
                (void)fprintf(
                    stderr,
                    "  seq %d key %d state %d attempts %u setbacks %u asked %u "
                    "accepted %d\n",
                    (int)seq, sim_subs_event(w->store, seq)->key, (int)row->state,
                    row->attempts, row->setbacks, row->asked,
                    (int)acceptances(h, number, seq));
            }
        }
    }
}

static void vary(struct history *h, uint64_t seed)
{
    static const uint32_t schedule[] = {1, 1, 2, 3};
    struct lane_config *config = &h->world.config;

    h->calm = seed % 4 == 0;
    config->max_in_flight = 1 + seed % 23;
    config->batch = 1 + seed % 11;
    config->max_bytes = seed % 5 == 0 ? 3000 : config->max_bytes;
    for (int i = 0; i < SUBS; i++) {
        struct sim_sub *sub =
            sim_subs_sub(h->world.store, sim_subs_add(h->world.store));
        sub->types = (uint32_t)(1 + below(h, (1 << TYPES) - 1));
        sub->ordered = below(h, 3) > 0;
        sub->limits.max_in_flight = 1 + below(h, 8);
        sub->limits.rate = below(h, 4) == 0 ? 5 + (double)below(h, 50) : 0;
        sub->limits.burst = (double)below(h, 5);
        if (below(h, 2) == 0) {
            sub->schedule_s = schedule;
            sub->n_schedule = 1 + below(h, 4);
        }
    }
}

static const char *run_seed(uint64_t seed)
{
    struct history *h = calloc(1, sizeof(*h));
    const struct sim_subs_config config = {.max_subs = SUBS,
                                           .max_events = EVENTS,
                                           .hold_dead = seed % 3 == 0,
                                           .lease_ms = 3000};

    if (h == NULL) {
        return "out of memory";
    }
    h->dice = prng_make(seed);
    subs_world_init(&h->world, seed, &config);
    vary(h, seed);
    subs_world_boot(&h->world);
    for (int i = 0; i < STEPS && h->world.broken == NULL; i++) {
        random_step(h);
    }
    bool ended = h->world.broken == NULL && heal(h);
    const char *wrong = judge(h);
    wrong = wrong == NULL && !ended ? "it did not come to an end" : wrong;
    if (wrong != NULL) {
        describe(h);
    }
    subs_world_done(&h->world);
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
