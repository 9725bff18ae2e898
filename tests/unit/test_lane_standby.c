/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_standby.c - a lane that may not run, against a store that only
 * writes down what it is asked for.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "dispatch/lane.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct script {
    struct lane_store store; /* first: a store pointer is a script pointer */
    char asked[200];         /* one letter a request */
    uint64_t now_ms;
    struct inbox *inbox;
    struct lane_stats stats;
    struct lane *lane;
    size_t published;
};

static void note(struct lane_store *s, char letter)
{
    struct script *script = (struct script *)s;
    size_t n = strlen(script->asked);

    assert_true(n + 1 < sizeof(script->asked));
    script->asked[n] = letter;
}

static void ask_claim(struct lane_store *s)
{
    note(s, 'c');
}

static void ask_held(struct lane_store *s)
{
    note(s, 'h');
}

static void ask_read(struct lane_store *s, const struct lane_read *read)
{
    note(s, read->kind == READ_DUE ? 'd' : 'w');
}

static void ask_settle(struct lane_store *s, const struct lane_cursor *cursor,
                       const struct lane_row *rows, size_t n)
{
    (void)cursor;
    (void)rows;
    (void)n;
    note(s, 's');
}

static void ask_write(struct lane_store *s, const struct lane_row *rows, size_t n,
                      const struct lane_key *keys, size_t n_keys)
{
    (void)rows;
    (void)n;
    (void)keys;
    (void)n_keys;
    note(s, 'r');
}

static void ask_release(struct lane_store *s)
{
    note(s, 'x');
}

static void ask_rebase(struct lane_store *s)
{
    note(s, 'b');
}

static const struct lane_store_ops script_ops = {
    .claim = ask_claim,
    .load_held = ask_held,
    .read = ask_read,
    .settle = ask_settle,
    .write_rows = ask_write,
    .release = ask_release,
    .rebase = ask_rebase,
};

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    (void)events;
    ((struct script *)(void *)self)->published += n;
    return n;
}

static const struct publisher_vtable vtable = {.publish = publish};

static uint64_t now_ms(void *arg)
{
    return ((struct script *)arg)->now_ms;
}

static int64_t wall_us(void *arg)
{
    return (int64_t)((struct script *)arg)->now_ms * 1000;
}

static bool take_all(void *arg, struct rider_bytes type,
                     struct rider_bytes aggregate_type, struct rider_bytes aggregate_id)
{
    (void)arg;
    (void)type;
    (void)aggregate_type;
    (void)aggregate_id;
    return true;
}

static struct script *begin(void)
{
    struct script *s = calloc(1, sizeof(*s));
    struct rider_error err;
    const struct lane_config config = {
        .name = "test",
        .ordered = true,
        .retry_initial_ms = 100,
        .retry_max_ms = 1000,
        .max_attempts = 3,
        .max_in_flight = 4,
        .max_bytes = 100000,
        .batch = 10,
        .poll_min_ms = 2,
        .poll_max_ms = 50,
        .lease_ms = 3000,
        .seed = 1,
        .route = take_all,
    };

    assert_non_null(s);
    s->store.ops = &script_ops;
    s->now_ms = 1000;
    assert_int_equal(inbox_create("test", config.max_in_flight, false, &s->inbox, &err),
                     0);
    const struct lane_ports ports = {
        .store = &s->store,
        .inbox = s->inbox,
        .vt = &vtable,
        .publisher = (struct publisher *)(void *)s,
        .stats = &s->stats,
        .now_ms = now_ms,
        .wall_us = wall_us,
        .clock_arg = s,
    };
    assert_int_equal(lane_create(&config, &ports, &s->lane, &err), 0);
    return s;
}

static void end(struct script *s)
{
    lane_destroy(s->lane);
    inbox_destroy(s->inbox);
    free(s);
}
RIDER_DEFINE_PTR_CLEANUP(struct script, end);

static const struct lane_claim ours = {
    .ours = true, .owner = "me", .state = "ACTIVE", .token = 5, .snap = "1:1:"};
static const struct lane_claim theirs = {
    .owner = "other", .state = "ACTIVE", .lease_left_ms = 2000};
static const struct lane_claim paused = {.state = "PAUSED"};

/* Comes to LANE_RUNNING with its first read asked for. */
static void run(struct script *s)
{
    s->store.events->connected(s->store.events_arg);
    lane_step(s->lane);
    s->store.events->claimed(s->store.events_arg, &ours);
    s->store.events->held(s->store.events_arg, NULL, 0, 0);
    lane_step(s->lane);
    assert_int_equal(s->stats.phase, LANE_RUNNING);
}

static void it_asks_in_order(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(end) struct script *s = begin();

    lane_step(s->lane);
    assert_string_equal(s->asked, ""); /* no connection yet */
    assert_int_equal(lane_deadline(s->lane), UINT64_MAX);
    run(s);
    assert_memory_equal(s->asked, "chd", 3);
    assert_int_equal(s->stats.token, 5);
}

static void a_lane_of_somebody_else_is_asked_for_again(void **state)
{
    (void)state;
    static const struct lane_claim *const answers[] = {&theirs, &paused};

    for (size_t i = 0; i < 2; i++) {
        RIDER_CLEANUP_PTR(end) struct script *s = begin();

        s->store.events->connected(s->store.events_arg);
        for (size_t asked = 1; asked <= 5; asked++) {
            lane_step(s->lane);
            assert_int_equal(strlen(s->asked), asked);
            s->store.events->claimed(s->store.events_arg, answers[i]);
            lane_step(s->lane);
            assert_int_equal(s->stats.phase, LANE_STANDBY);
            assert_int_equal(strlen(s->asked), asked); /* not at once */
            assert_in_range(lane_deadline(s->lane), s->now_ms + 100, s->now_ms + 1000);
            s->now_ms = lane_deadline(s->lane);
        }
        run(s); /* connected() again is harmless */
        assert_int_equal(s->published, 0);
    }
}

static void a_rebase_is_asked_for_and_then_claimed(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(end) struct script *s = begin();
    struct lane_claim claim = theirs;

    claim.needs_rebase = true;
    s->store.events->connected(s->store.events_arg);
    lane_step(s->lane);
    s->store.events->claimed(s->store.events_arg, &claim);
    assert_string_equal(s->asked, "cb");
    s->now_ms += 5000;
    lane_step(s->lane);
    assert_string_equal(s->asked, "cb");
    s->store.events->rebased(s->store.events_arg);
    assert_string_equal(s->asked, "cbc");
    s->store.events->claimed(s->store.events_arg, &ours);
    assert_string_equal(s->asked, "cbch");
}

static void answers_of_another_life_change_nothing(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(end) struct script *s = begin();
    const struct rider_error why = {RIDER_E_DB_LOST, "gone"};

    s->store.events->connected(s->store.events_arg);
    lane_step(s->lane);
    s->store.events->lost(s->store.events_arg, &why);
    lane_step(s->lane);
    assert_int_equal(s->stats.phase, LANE_OFFLINE);
    s->store.events->claimed(s->store.events_arg, &ours);
    s->store.events->held(s->store.events_arg, NULL, 0, 0);
    s->store.events->settled(s->store.events_arg, LANE_FENCED);
    s->store.events->rows_written(s->store.events_arg, true);
    s->store.events->released(s->store.events_arg);
    s->store.events->rebased(s->store.events_arg);
    s->store.events->read_end(s->store.events_arg,
                              &(struct lane_read_end){.kind = READ_WINDOW});
    lane_step(s->lane);
    assert_int_equal(s->stats.phase, LANE_OFFLINE);
    assert_string_equal(s->asked, "c");
}

static void a_paused_lane_is_given_back(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(end) struct script *s = begin();

    run(s);
    s->now_ms += 1500;
    lane_step(s->lane); /* renews */
    assert_non_null(strchr(s->asked, 's'));
    s->store.events->settled(s->store.events_arg, LANE_PAUSED);
    lane_step(s->lane);
    assert_non_null(strchr(s->asked, 'x'));
    assert_int_equal(s->stats.phase, LANE_RELEASING);
    s->store.events->released(s->store.events_arg);
    lane_step(s->lane);
    assert_int_equal(s->stats.phase, LANE_STANDBY);
    memset(s->asked, 0, sizeof(s->asked));
    s->now_ms = lane_deadline(s->lane);
    lane_step(s->lane);
    assert_string_equal(s->asked, "c"); /* it may have been resumed */
}

static void phases_have_words(void **state)
{
    (void)state;
    assert_string_equal(lane_phase_word(LANE_RUNNING), "running");
    assert_string_equal(lane_phase_word(LANE_STOPPED), "stopped");
    assert_string_equal(lane_phase_word(LANE_STOPPED + 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_asks_in_order),
        cmocka_unit_test(a_lane_of_somebody_else_is_asked_for_again),
        cmocka_unit_test(a_rebase_is_asked_for_and_then_claimed),
        cmocka_unit_test(answers_of_another_life_change_nothing),
        cmocka_unit_test(a_paused_lane_is_given_back),
        cmocka_unit_test(phases_have_words),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
