/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_doctor.c - every cause has an advice, every check a statement.
 */
#include "dispatch/cause.h"
#include "outbox/doctor.h"
#include "outbox/doctor_checks.h"
#include "postrider/publisher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_cause_has_its_own_advice(void **state)
{
    const char *none = doctor_cause_advice("no such cause");

    (void)state;
    for (uint32_t c = RIDER_CAUSE_NONE + 1; c < RIDER_CAUSE_UNKNOWN; c++) {
        const char *advice = doctor_cause_advice(cause_word(c));

        if (strcmp(cause_word(c), "unknown") != 0 && advice == none) {
            fail_msg("cause %s has no advice", cause_word(c));
        }
    }
    assert_ptr_equal(doctor_cause_advice("unknown"), none);
}

static void a_cause_may_carry_an_event(void **state)
{
    (void)state;
    assert_string_equal(doctor_cause_advice("key_held_by:0193-x"),
                        doctor_cause_advice("key_held_by"));
    assert_ptr_not_equal(doctor_cause_advice("key_held_by"),
                         doctor_cause_advice("unknown"));
    /* A word that only begins like one is none. */
    assert_ptr_equal(doctor_cause_advice("tlsx"), doctor_cause_advice("unknown"));
}

static void checks_are_complete_and_named_once(void **state)
{
    (void)state;
    for (const struct doctor_check *c = doctor_checks; c->name != NULL; c++) {
        assert_non_null(c->well);
        assert_non_null(strstr(c->sql, "AS severity"));
        assert_non_null(strstr(c->sql, "AS advice"));
        for (const struct doctor_check *d = doctor_checks; d != c; d++) {
            assert_string_not_equal(c->name, d->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cause_has_its_own_advice),
        cmocka_unit_test(a_cause_may_carry_an_event),
        cmocka_unit_test(checks_are_complete_and_named_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
