/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_listen_address.c - what can be listened on, and its text form.
 */
#include "http/listen_address.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void addresses_survive_a_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:9464", true},  {"127.9.9.9:1", true}, {"0.0.0.0:0", false},
        {"10.1.2.3:65535", false}, {"[::1]:9464", true},  {"[::]:80", false},
        {"[fe80::1]:443", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct listen_address address;
        struct rider_error err;
        char text[LISTEN_ADDRESS_SIZE];

        assert_int_equal(listen_address_parse(cases[i].text, &address, &err), 0);
        listen_address_format(&address.addr.any, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(listen_address_is_loopback(&address), cases[i].loopback);
    }
}

static void malformed_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "9464",
        ":9464",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0:80",
        "localhost:80",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1:65536",
        "::1:9464",
        "[::1]",
        "[::1]9464",
        "[]:80",
        "[127.0.0.1]:80",
        "[::1:80",
        "127.0.0.1: 80",
        "127.0.0.1:80x",
        " 127.0.0.1:80",
        "[::1%lo]:80",
        "[:80",
        "]:80",
        "[aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa]:80",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct listen_address address;
        struct rider_error err = {.code = RIDER_OK};

        if (listen_address_parse(cases[i], &address, &err) != RIDER_E_CONFIG) {
            fail_msg("\"%s\" passes", cases[i]);
        }
        assert_non_null(strstr(err.text, "127.0.0.1:9464"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_survive_a_round_trip),
        cmocka_unit_test(malformed_addresses_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
