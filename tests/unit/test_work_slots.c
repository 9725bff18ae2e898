/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_work_slots.c - who is refused a trial runs only where there is room.
 */
#include "api/work_slots.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum { RUNNING = 24, TRIALS = 8 };

static void *try_one(void *arg)
{
    return work_slots_trial_begin(arg, "c") ? arg : NULL;
}

/* Whether the thread ends within `seconds`; *ret is what it returned. */
static int join_within(pthread_t thread, int seconds, void **ret)
{
    struct timespec until;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += seconds;
    return pthread_timedjoin_np(thread, ret, &until);
}

/* One of those that run asks for a trial, and another one takes its slot; it has the slot
 * back if a busy machine is late with that. */
static bool take_its_slot(struct work_slots *slots, pthread_t *ret)
{
    uint64_t began = clock_mono_ms();

    assert_int_equal(pthread_create(ret, NULL, try_one, slots), 0);
    bool begun = work_slots_begin(slots);
    if (begun && clock_mono_ms() - began < 1500) { /* it waits for two seconds */
        return true;
    }
    if (begun) {
        work_slots_end(slots);
    }
    assert_int_equal(pthread_join(*ret, NULL), 0);
    return false;
}

static void whoever_is_refused_waits_for_a_slot(void **state)
{
    RIDER_CLEANUP_PTR(work_slots_destroy) struct work_slots *slots = NULL;
    struct rider_error err;
    pthread_t thread;
    void *got = &thread;

    (void)state;
    assert_int_equal(work_slots_create(&slots, &err), 0);
    for (int i = 0; i < TRIALS; i++) {
        assert_true(work_slots_begin(slots));
        assert_true(work_slots_trial_begin(slots, i % 2 == 0 ? "a" : "b"));
    }
    for (int i = 0; i < RUNNING; i++) {
        assert_true(work_slots_begin(slots));
    }
    bool taken = false;
    for (int i = 0; i < 5 && !taken; i++) {
        taken = take_its_slot(slots, &thread);
    }
    assert_true(taken);
    assert_int_equal(join_within(thread, 4, &got), ETIMEDOUT);
    work_slots_end(slots);
    assert_int_equal(join_within(thread, 20, &got), 0);
    assert_null(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_refused_waits_for_a_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
