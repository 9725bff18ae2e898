/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rabbitmq_watchdog.c - a blocked read on a socket ends when the limit
 * passes, and never when the call was in time.
 */
#include "rabbitmq/rabbitmq_inbox.h"
#include "rabbitmq/rabbitmq_watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct rabbitmq_watchdog *w;
static int pair[2];

static int setup(void **state)
{
    (void)state;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        return -1;
    }
    if (rabbitmq_watchdog_create(&w) != 0) {
        return -1;
    }
    return rabbitmq_watchdog_watch(w, pair[0]);
}

static int teardown(void **state)
{
    (void)state;
    rabbitmq_watchdog_destroy(w);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return 0;
}

static void ends_a_call_that_blocks(void **state)
{
    (void)state;
    char byte;
    rabbitmq_watchdog_arm(w, 20);
    assert_int_equal(read(pair[0], &byte, 1), 0);
    assert_true(rabbitmq_watchdog_disarm(w));
}

/* Lets a limit pass on a socket of its own; returns how long that took. */
static uint64_t bite_another(uint64_t limit_ms)
{
    char byte;
    int other[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    assert_int_equal(rabbitmq_watchdog_watch(w, other[0]), 0);
    uint64_t began = rabbitmq_now_ms();
    rabbitmq_watchdog_arm(w, limit_ms);
    assert_int_equal(read(other[0], &byte, 1), 0);
    uint64_t took = rabbitmq_now_ms() - began;
    assert_true(rabbitmq_watchdog_disarm(w));
    (void)close(other[0]);
    (void)close(other[1]);
    return took;
}

/* After a bite the thread sleeps for five seconds, unless arm() wakes it. Without that
 * it would be late each time, on a busy machine it may be once. */
static void wakes_from_its_long_sleep(void **state)
{
    (void)state;
    uint64_t took = 0;

    (void)bite_another(20);
    for (int i = 0; i < 5; i++) {
        took = bite_another(20);
        if (took < 3000) {
            break;
        }
    }
    assert_true(took < 3000);
}

static void leaves_a_disarmed_socket_alone(void **state)
{
    (void)state;
    uint64_t limit_ms = 10;
    char byte = 'x';

    rabbitmq_watchdog_arm(w, limit_ms);
    /* A busy machine may be late with disarm(): it says so. */
    while (rabbitmq_watchdog_disarm(w) && limit_ms < 10000) {
        (void)teardown(NULL);
        assert_int_equal(setup(NULL), 0);
        limit_ms *= 10;
        rabbitmq_watchdog_arm(w, limit_ms);
    }
    /* A second limit that does pass orders this after the first one. */
    (void)bite_another(limit_ms + 20);
    assert_int_equal(write(pair[1], "y", 1), 1);
    assert_int_equal(read(pair[0], &byte, 1), 1);
}

static void bites_at_once_when_told(void **state)
{
    (void)state;
    char byte;
    rabbitmq_watchdog_bite(w);
    assert_int_equal(read(pair[0], &byte, 1), 0);
}

static void keeps_no_socket_open_after_watch_ended(void **state)
{
    (void)state;
    char byte;
    assert_int_equal(rabbitmq_watchdog_watch(w, -1), 0);
    (void)close(pair[0]);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    pair[0] = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ends_a_call_that_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(wakes_from_its_long_sleep, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_a_disarmed_socket_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bites_at_once_when_told, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_no_socket_open_after_watch_ended, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
