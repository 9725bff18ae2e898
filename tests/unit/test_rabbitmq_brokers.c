/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rabbitmq_brokers.c - addresses from options, and the pace of attempts.
 */
#include "rabbitmq/rabbitmq_brokers.h"
#include "rabbitmq/rabbitmq_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct rabbitmq_brokers b;
static char err[200];

static int init(struct rabbitmq_config config)
{
    config.heartbeat_ms = 1500;
    config.connect_timeout_ms = 5000;
    return rabbitmq_brokers_init(&b, &config, "partners", err, sizeof(err));
}

static void splits_a_url(void **state)
{
    (void)state;
    struct rabbitmq_config config = {.url =
                                         "amqp://me:p%40ss@mq.example:5673/my%2Fvhost"};
    assert_int_equal(init(config), 0);
    assert_int_equal(b.n, 1);
    assert_string_equal(b.items[0].host, "mq.example");
    assert_int_equal(b.items[0].port, 5673);
    assert_string_equal(b.username, "me");
    assert_string_equal(b.password, "p@ss");
    assert_string_equal(b.vhost, "my/vhost");
    assert_string_equal(b.connection_name, "partners");
    assert_int_equal(b.heartbeat_s, 2);
    assert_false(b.tls);
    rabbitmq_brokers_done(&b);
}

static void fills_in_what_a_url_leaves_out(void **state)
{
    (void)state;
    struct rabbitmq_config config = {.url = "amqps://mq.example/"};
    assert_int_equal(init(config), 0);
    assert_int_equal(b.items[0].port, 5671);
    assert_true(b.tls);
    assert_string_equal(b.vhost, "/");
    assert_string_equal(b.username, "guest");
    rabbitmq_brokers_done(&b);
}

static void options_replace_parts_of_the_url(void **state)
{
    (void)state;
    struct rabbitmq_config config = {.url = "amqp://a:b@ignored/v",
                                     .hosts = "one:1, [::1]:2 ,three",
                                     .vhost = "w",
                                     .username = "u",
                                     .password = "p",
                                     .tls = true};
    assert_int_equal(init(config), 0);
    assert_int_equal(b.n, 3);
    assert_string_equal(b.items[0].host, "one");
    assert_int_equal(b.items[0].port, 1);
    assert_string_equal(b.items[1].host, "::1");
    assert_int_equal(b.items[1].port, 2);
    assert_string_equal(b.items[2].host, "three");
    assert_int_equal(b.items[2].port, 5671);
    assert_string_equal(b.vhost, "w");
    assert_string_equal(b.username, "u");
    assert_string_equal(b.password, "p");
    rabbitmq_brokers_done(&b);
}

static void refuses_bad_addresses_without_repeating_them(void **state)
{
    (void)state;
    const char *urls[] = {"", "http://u:hunter2@h", "amqp://u:hunter2@h:port",
                          "amqp://u:hunter2@h/v/w", "amqp://u:hunter2@h?heartbeat=5"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct rabbitmq_config config = {.url = urls[i]};
        assert_int_not_equal(init(config), 0);
        assert_null(strstr(err, "hunter2"));
        assert_non_null(strstr(err, "url"));
    }
    const char *hosts[] = {"",     ",",    "a,",    "a:0",    "a:65536",
                           "a:1x", "[::1", ":5672", "[::1]x", "a:99999999999"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct rabbitmq_config config = {.hosts = hosts[i]};
        assert_int_not_equal(init(config), 0);
        assert_non_null(strstr(err, "hosts"));
    }
}

static void refuses_half_a_client_certificate(void **state)
{
    (void)state;
    struct rabbitmq_config config = {.hosts = "a"};
    assert_int_equal(init((struct rabbitmq_config){0}), 22);
    config.cert_file = "/c.pem";
    assert_int_not_equal(init(config), 0);
    config.key_file = "/k.pem";
    assert_int_equal(init(config), 0);
    rabbitmq_brokers_done(&b);
    config.cert_file = config.key_file = NULL;
    config.auth = RABBITMQ_AUTH_EXTERNAL;
    assert_int_not_equal(init(config), 0);
}

static void pauses_between_rounds_only(void **state)
{
    (void)state;
    struct rabbitmq_config config = {.hosts = "a,b,c"};
    assert_int_equal(init(config), 0);
    uint64_t longest = 0;
    for (int round = 0; round < 200; round++) {
        const char *first = rabbitmq_brokers_next(&b)->host;
        assert_int_equal(rabbitmq_brokers_failed(&b), 0);
        assert_string_not_equal(rabbitmq_brokers_next(&b)->host, first);
        assert_int_equal(rabbitmq_brokers_failed(&b), 0);
        uint64_t wait = rabbitmq_brokers_failed(&b);
        assert_string_equal(rabbitmq_brokers_next(&b)->host, first);
        assert_in_range(wait, 50, 5050);
        if (round == 0) {
            assert_in_range(wait, 50, 450);
        }
        longest = wait > longest ? wait : longest;
    }
    assert_true(longest > 3000);
    rabbitmq_brokers_succeeded(&b);
    (void)rabbitmq_brokers_failed(&b);
    (void)rabbitmq_brokers_failed(&b);
    assert_in_range(rabbitmq_brokers_failed(&b), 50, 450);
    rabbitmq_brokers_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_a_url),
        cmocka_unit_test(fills_in_what_a_url_leaves_out),
        cmocka_unit_test(options_replace_parts_of_the_url),
        cmocka_unit_test(refuses_bad_addresses_without_repeating_them),
        cmocka_unit_test(refuses_half_a_client_certificate),
        cmocka_unit_test(pauses_between_rounds_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
