/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_template.c - templates keep their braces, fields and limits.
 */
#include "common/template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct rider_bytes bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static struct rider_event an_event(void)
{
    return (struct rider_event){
        .struct_size = sizeof(struct rider_event),
        .version = -3,
        .id = bytes("01900000-0000-7000-8000-000000000001"),
        .type = bytes("REQUEST_SUBMITTED"),
        .aggregate_type = bytes("request"),
        .aggregate_id = bytes("r-1"),
    };
}

static void assert_expands(const char *text, const char *expected)
{
    struct rider_event event = an_event();
    struct template t;
    char out[128];
    char err[128] = "";

    assert_int_equal(template_parse(text, &t, err, sizeof(err)), 0);
    ssize_t len = template_expand(&t, &event, out, sizeof(out), err, sizeof(err));
    assert_int_equal(len, (ssize_t)strlen(expected));
    assert_string_equal(out, expected);
}

static void expands_every_field(void **state)
{
    (void)state;
    assert_expands("events.{aggregateType}", "events.request");
    assert_expands("{type}/{aggregateId}/{version}", "REQUEST_SUBMITTED/r-1/-3");
    assert_expands("{eventId}", "01900000-0000-7000-8000-000000000001");
    assert_expands("", "");
    assert_expands("plain", "plain");
}

static void keeps_escaped_braces(void **state)
{
    (void)state;
    assert_expands("{{{type}}}", "{REQUEST_SUBMITTED}");
    assert_expands("a{{b}}c", "a{b}c");
    assert_expands("{{type}}", "{type}");
}

static void an_absent_field_is_empty(void **state)
{
    struct rider_event event = an_event();
    struct template t;
    char out[16];
    char err[64];

    (void)state;
    event.aggregate_type = (struct rider_bytes){NULL, 0};
    assert_int_equal(template_parse("x{aggregateType}y", &t, err, sizeof(err)), 0);
    assert_int_equal(template_expand(&t, &event, out, sizeof(out), err, sizeof(err)),
                     2);
    assert_string_equal(out, "xy");
}

static void refuses_bad_text_with_its_place(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"a{b}", "character 2 an unknown field"},
        {"{type", "not closed"},
        {"type}", "character 5 a single"},
        {"{", "not closed"},
        {"{}", "unknown field"},
        {"{ty{pe}", "not closed"},
        {"{Type}", "unknown field"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct template t = {.n = 77};
        char err[256] = "";

        assert_int_equal(template_parse(bad[i].text, &t, err, sizeof(err)), EINVAL);
        assert_non_null(strstr(err, bad[i].says));
        assert_int_equal(t.n, 77);
    }
}

static void refuses_too_many_parts(void **state)
{
    char text[2 * TEMPLATE_MAX_PARTS + 3];
    struct template t;
    char err[256];

    (void)state;
    memset(text, '{', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(template_parse(text, &t, err, sizeof(err)), EINVAL);
    text[sizeof(text) - 3] = '\0';
    assert_int_equal(template_parse(text, &t, err, sizeof(err)), 0);
}

static void never_cuts_a_result(void **state)
{
    struct rider_event event = an_event();
    struct template t;
    char out[8];
    char err[128];

    (void)state;
    assert_int_equal(template_parse("{aggregateType}", &t, err, sizeof(err)), 0);
    assert_int_equal(template_expand(&t, &event, out, 8, err, sizeof(err)), 7);
    assert_int_equal(template_expand(&t, &event, out, 7, err, sizeof(err)), -1);
    assert_string_equal(err, "aggregateType of 7 bytes does not fit, limit 6");
}

static void tells_what_it_uses(void **state)
{
    struct template t;
    char err[64];

    (void)state;
    assert_int_equal(template_parse("a{{b", &t, err, sizeof(err)), 0);
    assert_true(template_is_constant(&t));
    assert_int_equal(template_parse("a{type}", &t, err, sizeof(err)), 0);
    assert_false(template_is_constant(&t));
    assert_true(template_uses(&t, TEMPLATE_TYPE));
    assert_false(template_uses(&t, TEMPLATE_AGGREGATE_ID));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands_every_field),
        cmocka_unit_test(keeps_escaped_braces),
        cmocka_unit_test(an_absent_field_is_empty),
        cmocka_unit_test(refuses_bad_text_with_its_place),
        cmocka_unit_test(refuses_too_many_parts),
        cmocka_unit_test(never_cuts_a_result),
        cmocka_unit_test(tells_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
