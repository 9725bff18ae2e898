/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_slow_watch.c - connections that take too long are cut, others are not.
 */
#include "http/slow_watch.h"

#include "base/clock.h"

#include <poll.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    int mine, theirs;
};

static struct pair connect_pair(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return (struct pair){fds[0], fds[1]};
}

static void close_pair(struct pair p)
{
    (void)close(p.mine);
    (void)close(p.theirs);
}

/* Whether the other side sees the end within `ms`. */
static bool is_cut(struct pair p, int ms)
{
    struct pollfd fd = {.fd = p.theirs, .events = POLLIN};
    char byte;

    return poll(&fd, 1, ms) == 1 && recv(p.theirs, &byte, 1, 0) == 0;
}

#define LIMIT_MS 2000

/* Milliseconds since `began` or, with 0, since the machine started. */
static uint64_t since(uint64_t began)
{
    return clock_mono_ms() - began;
}

/* Adds a connection whose request is being handled, before its limit can have passed. */
static struct slow_entry *open_handled(struct slow_watch *watch, struct pair *ret)
{
    for (int i = 0; i < 10; i++) {
        uint64_t began = since(0);
        *ret = connect_pair();
        struct slow_entry *entry = slow_watch_open(watch, ret->mine);

        assert_non_null(entry);
        slow_watch_set(watch, entry, SLOW_HANDLING);
        if (since(began) < LIMIT_MS) {
            return entry;
        }
        slow_watch_close(watch, entry);
        close_pair(*ret);
    }
    fail_msg("this machine is too slow");
    return NULL;
}

static void the_slow_one_is_cut(void **state)
{
    struct rider_error err;
    struct slow_watch *watch = NULL;
    struct pair slow = connect_pair();
    struct pair busy;
    struct pair gone = connect_pair();
    struct pair more = connect_pair();

    (void)state;
    assert_int_equal(slow_watch_create(3, LIMIT_MS / 1000, &watch, &err), 0);
    struct slow_entry *b = open_handled(watch, &busy);
    uint64_t began = since(0);
    struct slow_entry *a = slow_watch_open(watch, slow.mine);
    struct slow_entry *c = slow_watch_open(watch, gone.mine);

    assert_non_null(a);
    assert_non_null(c);
    assert_null(slow_watch_open(watch, more.mine));
    slow_watch_close(watch, c);
    bool closed_in_time = since(began) < LIMIT_MS;
    slow_watch_set(watch, NULL, SLOW_SENDING);

    assert_true(is_cut(slow, 20000));
    assert_true(since(began) >= LIMIT_MS);
    assert_false(is_cut(busy, 0));
    assert_false(closed_in_time && is_cut(gone, 0));
    began = since(0);
    slow_watch_set(watch, b, SLOW_SENDING);
    assert_true(is_cut(busy, 20000));
    assert_true(since(began) >= LIMIT_MS);

    slow_watch_close(watch, a);
    slow_watch_close(watch, b);
    slow_watch_destroy(watch);
    close_pair(slow);
    close_pair(busy);
    close_pair(gone);
    close_pair(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_slow_one_is_cut)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
