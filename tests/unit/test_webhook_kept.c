/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_kept.c - real connections over loopback, and what lies in them.
 */
#include "webhook/webhook_kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int ours, theirs;
    struct webhook_ends ends;
};

static struct sockaddr_in loopback(const char *ip, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    assert_int_equal(inet_pton(AF_INET, ip, &in.sin_addr), 1);
    return in;
}

static int port_of(int fd)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof(in);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

/** Connects to a listener of its own on `ip`, from `local_port` unless that is 0. */
static struct connection connect_to(const char *ip, int local_port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct connection c = {.ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = loopback(ip, 0), from = loopback("127.0.0.1", local_port);

    assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(listen(listener, 1), 0);
    to = loopback(ip, port_of(listener));
    assert_int_equal(setsockopt(c.ours, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)),
                     0);
    assert_int_equal(bind(c.ours, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(c.ours, (struct sockaddr *)&to, sizeof(to)), 0);
    c.theirs = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(c.theirs >= 0);
    c.ends = (struct webhook_ends){ip, ntohs(to.sin_port), port_of(c.ours)};
    (void)close(listener);
    return c;
}

static void say(const struct connection *c)
{
    char byte = 0;

    assert_int_equal(write(c->theirs, "x", 1), 1);
    assert_int_equal(recv(c->ours, &byte, 1, MSG_PEEK), 1);
}

static void hang_up(const struct connection *c)
{
    (void)close(c->ours);
    (void)close(c->theirs);
}

static void input_is_seen(void **state)
{
    struct webhook_kept *kept = webhook_kept_create();
    struct connection c = connect_to("127.0.0.1", 0);
    char byte = 0;

    (void)state;
    assert_non_null(kept);
    assert_false(webhook_kept_is_clean(kept, &c.ends));
    webhook_kept_add(kept, (const int[]){c.theirs, 0, c.ours, -1}, 4, &c.ends);
    assert_true(webhook_kept_is_clean(kept, &c.ends));
    say(&c);
    assert_false(webhook_kept_is_clean(kept, &c.ends));
    assert_int_equal(read(c.ours, &byte, 1), 1);
    assert_true(webhook_kept_is_clean(kept, &c.ends));
    assert_int_equal(shutdown(c.theirs, SHUT_WR), 0);
    assert_int_equal(read(c.ours, &byte, 1), 0);
    assert_false(webhook_kept_is_clean(kept, &c.ends));
    hang_up(&c);
    webhook_kept_destroy(kept);
}

/** As the kernel does when many are open. */
static void a_local_port_may_be_shared(void **state)
{
    struct webhook_kept *kept = webhook_kept_create();
    struct connection a = connect_to("127.0.0.1", 0);
    struct connection b = connect_to("127.0.0.2", a.ends.local_port);

    (void)state;
    webhook_kept_add(kept, &a.ours, 1, &a.ends);
    webhook_kept_add(kept, &b.ours, 1, &b.ends);
    assert_true(webhook_kept_is_clean(kept, &a.ends));
    assert_true(webhook_kept_is_clean(kept, &b.ends));
    say(&a);
    assert_false(webhook_kept_is_clean(kept, &a.ends));
    assert_true(webhook_kept_is_clean(kept, &b.ends));
    hang_up(&a);
    hang_up(&b);
    webhook_kept_destroy(kept);
}

/** Among so many some share a slot: each of them stays known. */
static void many_are_known(void **state)
{
    static struct connection all[1400];
    struct rlimit files;
    struct webhook_kept *kept = webhook_kept_create();
    size_t n = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    while (n < sizeof(all) / sizeof(all[0]) && 2 * n + 100 < files.rlim_cur) {
        all[n] = connect_to("127.0.0.1", 0);
        webhook_kept_add(kept, &all[n].ours, 1, &all[n].ends);
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(webhook_kept_is_clean(kept, &all[i].ends));
        hang_up(&all[i]);
    }
    webhook_kept_destroy(kept);
}

static void a_number_that_stands_for_another_is_not_asked(void **state)
{
    struct webhook_kept *kept = webhook_kept_create();
    struct connection old = connect_to("127.0.0.1", 0);

    (void)state;
    webhook_kept_add(kept, &old.ours, 1, &old.ends);
    int number = old.ours;

    hang_up(&old);
    assert_false(webhook_kept_is_clean(kept, &old.ends));
    struct connection other = connect_to("127.0.0.3", 0);

    assert_int_equal(dup2(other.ours, number), number);
    assert_false(webhook_kept_is_clean(kept, &old.ends));
    webhook_kept_add(kept, &number, 1, &old.ends);
    assert_false(webhook_kept_is_clean(kept, &old.ends));
    (void)close(number);
    hang_up(&other);
    webhook_kept_destroy(kept);
    webhook_kept_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_is_seen),
        cmocka_unit_test(a_local_port_may_be_shared),
        cmocka_unit_test(many_are_known),
        cmocka_unit_test(a_number_that_stands_for_another_is_not_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
