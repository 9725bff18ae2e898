/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rabbitmq_inbox.c - the hand-over between two threads: bounds, wake-ups,
 * states, and that no event is lost or doubled under load.
 */
#include "rabbitmq/rabbitmq_inbox.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WINDOW 8
#define MANY   20000

static struct rabbitmq_inbox *in;
static struct rider_event events[MANY];
static const struct rider_event *pointers[MANY];
static uint64_t fake_now;

static uint64_t now_ms(const struct rider_host *host)
{
    (void)host;
    return fake_now += 10;
}

static const struct rider_host host = {.struct_size = sizeof(host), .now_ms = now_ms};

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        events[i].ticket = i;
        pointers[i] = &events[i];
    }
    return rabbitmq_inbox_create(WINDOW, &in);
}

static int teardown(void **state)
{
    (void)state;
    rabbitmq_inbox_destroy(in);
    return 0;
}

static size_t put(size_t n)
{
    bool down;
    return rabbitmq_inbox_put(in, pointers, n, &down);
}

static bool set_state(enum rabbitmq_state state)
{
    struct rabbitmq_status status = {.state = state};
    return rabbitmq_inbox_set_status(in, &status);
}

static bool readable(void)
{
    struct pollfd p = {.fd = rabbitmq_inbox_fd(in), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void takes_no_more_than_the_window(void **state)
{
    (void)state;
    const struct rider_event *out[WINDOW];
    assert_int_equal(put(5), 5);
    assert_int_equal(put(5), 3);
    assert_int_equal(put(5), 0);
    assert_int_equal(rabbitmq_inbox_take(in, out, WINDOW), WINDOW);
    assert_int_equal(out[0]->ticket, 0);
    assert_int_equal(out[5]->ticket, 0);
    /* Taken is not completed. */
    assert_int_equal(put(5), 0);
    assert_int_equal(rabbitmq_inbox_open(in), WINDOW);
}

static void asks_for_writable_once_there_is_room(void **state)
{
    (void)state;
    const struct rider_event *out[WINDOW];
    assert_int_equal(put(9), 8);
    (void)rabbitmq_inbox_take(in, out, WINDOW);
    assert_false(rabbitmq_inbox_settled(in, 1));
    assert_true(rabbitmq_inbox_settled(in, 1));
    assert_false(rabbitmq_inbox_settled(in, 6));
}

static void says_nothing_when_nobody_waits(void **state)
{
    (void)state;
    const struct rider_event *out[WINDOW];
    assert_int_equal(put(8), 8);
    (void)rabbitmq_inbox_take(in, out, WINDOW);
    assert_false(rabbitmq_inbox_settled(in, 8));
}

static void takes_nothing_while_blocked_or_down(void **state)
{
    (void)state;
    bool down;
    assert_true(set_state(RABBITMQ_UP));
    assert_false(set_state(RABBITMQ_BLOCKED));
    assert_int_equal(rabbitmq_inbox_put(in, pointers, 1, &down), 0);
    assert_false(down);
    assert_true(set_state(RABBITMQ_UP));
    assert_false(set_state(RABBITMQ_DOWN));
    assert_int_equal(rabbitmq_inbox_put(in, pointers, 1, &down), 0);
    assert_true(down);
}

static void wakes_a_sleeper_only(void **state)
{
    (void)state;
    assert_int_equal(put(1), 1);
    assert_false(readable());
    assert_false(rabbitmq_inbox_doze(in, true));
    assert_true(rabbitmq_inbox_doze(in, false));
    assert_int_equal(put(1), 1);
    assert_true(readable());
    rabbitmq_inbox_woke(in);
    assert_false(readable());
}

static void a_stop_before_the_sleep_is_not_missed(void **state)
{
    (void)state;
    uint64_t until;
    assert_false(rabbitmq_inbox_stopping(in, &until));
    rabbitmq_inbox_stop(in, 600000);
    assert_false(rabbitmq_inbox_doze(in, false));
    assert_true(rabbitmq_inbox_stopping(in, &until));
    assert_true(until > rabbitmq_now_ms());
    assert_true(rabbitmq_inbox_doze(in, false));
    assert_int_equal(put(1), 0);
}

static void waits_have_the_hosts_deadline(void **state)
{
    (void)state;
    fake_now = 0;
    assert_int_equal(rabbitmq_inbox_wait_idle(in, &host, 0), 0);
    assert_int_equal(put(3), 3);
    assert_int_equal(rabbitmq_inbox_wait_idle(in, &host, 25), 3);
    assert_false(rabbitmq_inbox_wait_finished(in, &host, fake_now + 25));
    rabbitmq_inbox_finished(in);
    assert_true(rabbitmq_inbox_wait_finished(in, &host, fake_now + 25));
}

static void abandons_only_while_connecting(void **state)
{
    (void)state;
    assert_false(rabbitmq_inbox_abandon(in));
    assert_true(rabbitmq_inbox_connecting(in, true));
    assert_true(rabbitmq_inbox_abandon(in));
    rabbitmq_inbox_release(in);
    assert_false(rabbitmq_inbox_connecting(in, false));
}

static size_t seen;

static void *consumer(void *arg)
{
    (void)arg;
    const struct rider_event *out[WINDOW];
    while (seen < MANY) {
        size_t n = rabbitmq_inbox_take(in, out, WINDOW);
        for (size_t i = 0; i < n; i++) {
            if (out[i]->ticket != seen++) {
                return NULL; /* the test then finds too few */
            }
        }
        if (n > 0) {
            (void)rabbitmq_inbox_settled(in, n);
        } else if (rabbitmq_inbox_doze(in, true)) {
            struct pollfd p = {.fd = rabbitmq_inbox_fd(in), .events = POLLIN};
            (void)poll(&p, 1, 5000);
            rabbitmq_inbox_woke(in);
        }
    }
    return NULL;
}

static void hands_over_everything_in_order(void **state)
{
    (void)state;
    pthread_t thread;
    seen = 0;
    assert_int_equal(pthread_create(&thread, NULL, consumer, NULL), 0);
    for (size_t i = 0; i < MANY;) {
        bool down;
        i += rabbitmq_inbox_put(in, pointers + i, MANY - i, &down);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(seen, MANY);
    assert_int_equal(rabbitmq_inbox_open(in), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_no_more_than_the_window, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_for_writable_once_there_is_room, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(says_nothing_when_nobody_waits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(takes_nothing_while_blocked_or_down, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(wakes_a_sleeper_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_before_the_sleep_is_not_missed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(waits_have_the_hosts_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(abandons_only_while_connecting, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(hands_over_everything_in_order, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
