/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rabbitmq_exchanges.c - what is remembered about exchanges, and how long.
 */
#include "rabbitmq/rabbitmq_exchanges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct rabbitmq_exchanges *x;

static int setup(void **state)
{
    (void)state;
    return rabbitmq_exchanges_create(&x);
}

static int teardown(void **state)
{
    (void)state;
    rabbitmq_exchanges_destroy(x);
    return 0;
}

static enum rabbitmq_exchange_state get(const char *name, uint64_t now_ms)
{
    return rabbitmq_exchanges_get(x, name, strlen(name), now_ms);
}

static void set(const char *name, enum rabbitmq_exchange_state state, uint64_t now_ms)
{
    rabbitmq_exchanges_set(x, name, strlen(name), state, now_ms);
}

static void the_default_exchange_is_there(void **state)
{
    (void)state;
    assert_int_equal(get("", 0), RABBITMQ_EXCHANGE_PRESENT);
    set("", RABBITMQ_EXCHANGE_MISSING, 0);
    assert_int_equal(get("", 0), RABBITMQ_EXCHANGE_PRESENT);
}

static void presence_lasts(void **state)
{
    (void)state;
    assert_int_equal(get("a", 0), RABBITMQ_EXCHANGE_UNKNOWN);
    set("a", RABBITMQ_EXCHANGE_PRESENT, 0);
    assert_int_equal(get("a", 86400000000), RABBITMQ_EXCHANGE_PRESENT);
    assert_int_equal(get("aa", 0), RABBITMQ_EXCHANGE_UNKNOWN);
}

static void bad_news_is_asked_again(void **state)
{
    (void)state;
    set("gone", RABBITMQ_EXCHANGE_MISSING, 100);
    set("shut", RABBITMQ_EXCHANGE_REFUSED, 100);
    uint64_t before = 100 + RABBITMQ_EXCHANGE_RECHECK_MS - 1;
    assert_int_equal(get("gone", before), RABBITMQ_EXCHANGE_MISSING);
    assert_int_equal(get("shut", before), RABBITMQ_EXCHANGE_REFUSED);
    assert_int_equal(get("gone", before + 1), RABBITMQ_EXCHANGE_UNKNOWN);
    assert_int_equal(get("shut", before + 1), RABBITMQ_EXCHANGE_PROBE);
}

static void doubt_spares_bad_news(void **state)
{
    (void)state;
    set("a", RABBITMQ_EXCHANGE_PRESENT, 0);
    set("gone", RABBITMQ_EXCHANGE_MISSING, 0);
    rabbitmq_exchanges_doubt(x);
    assert_int_equal(get("a", 1), RABBITMQ_EXCHANGE_UNKNOWN);
    assert_int_equal(get("gone", 1), RABBITMQ_EXCHANGE_MISSING);
    rabbitmq_exchanges_clear(x);
    assert_int_equal(get("gone", 1), RABBITMQ_EXCHANGE_UNKNOWN);
}

static void forgets_rather_than_confuses(void **state)
{
    (void)state;
    char name[16];
    const unsigned n = 20 * RABBITMQ_EXCHANGES_MAX;
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "ex-%u", i);
        set(name, i % 2 ? RABBITMQ_EXCHANGE_PRESENT : RABBITMQ_EXCHANGE_MISSING, i);
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "ex-%u", i);
        enum rabbitmq_exchange_state got = get(name, n);
        if (got == RABBITMQ_EXCHANGE_UNKNOWN) {
            continue;
        }
        kept++;
        assert_int_equal(got,
                         i % 2 ? RABBITMQ_EXCHANGE_PRESENT : RABBITMQ_EXCHANGE_MISSING);
    }
    assert_in_range(kept, RABBITMQ_EXCHANGES_MAX / 4, RABBITMQ_EXCHANGES_MAX);
    (void)snprintf(name, sizeof(name), "ex-%u", n - 1);
    assert_int_equal(get(name, n), RABBITMQ_EXCHANGE_PRESENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_default_exchange_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(presence_lasts, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_news_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(doubt_spares_bad_news, setup, teardown),
        cmocka_unit_test_setup_teardown(forgets_rather_than_confuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
