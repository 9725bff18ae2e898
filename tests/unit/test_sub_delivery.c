/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sub_delivery.c - a delivery keeps what its row said, and shares it with the
 * deliveries beside it.
 */
#include "dispatch/sub_delivery.h"

#include "base/cleanup.h"
#include "dispatch/lane_store.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* All that a row points to, on the stack of whoever hands it over. */
struct source {
    char url[32], secrets[2][32], name[16], value[16], ca[16];
    uint32_t schedule[2];
    struct rider_bytes secret_list[2];
    struct rider_header header;
    struct subscription_row to;
    struct event_row row;
};

static struct rider_bytes bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static void fill(struct source *s)
{
    *s = (struct source){
        .url = "https://example.com/a",
        .secrets = {"whsec_current", "whsec_older"},
        .name = "x-team",
        .value = "blue",
        .ca = "internal",
        .schedule = {5, 300},
    };
    s->secret_list[0] = bytes(s->secrets[0]);
    s->secret_list[1] = bytes(s->secrets[1]);
    s->header = (struct rider_header){bytes(s->name), bytes(s->value)};
    s->to = (struct subscription_row){
        .target = {.struct_size = sizeof(struct rider_target),
                   .n_secrets = 2,
                   .id = bytes("sub_1"),
                   .url = bytes(s->url),
                   .secrets = s->secret_list,
                   .headers = &s->header,
                   .n_headers = 1,
                   .timeout_ms = 7000,
                   .ca_ref = bytes(s->ca)},
        .schedule_s = s->schedule,
        .n_schedule = 2,
    };
    s->row = (struct event_row){.seq = 11,
                                .subscription = 4,
                                .to = &s->to,
                                .progress = {3, 2, 77, "a-trigger-that-is-long"}};
}

static void assert_bytes(struct rider_bytes b, const char *text)
{
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.data, text, b.len);
}

static void the_row_may_go(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump memory = {0};
    struct source s;

    fill(&s);
    struct sub_delivery *to = sub_delivery_create(&memory, &s.row, NULL);
    memset(&s, 'x', sizeof(s));
    assert_non_null(to);
    assert_int_equal(to->seq, 11);
    assert_int_equal(to->setbacks, 3);
    assert_int_equal(to->asked, 2);
    assert_int_equal(to->failed_at_us, 77);
    assert_string_equal(to->trigger, "a-trigger-that-");
    assert_bytes(to->target.id, "sub_1");
    assert_bytes(to->target.url, "https://example.com/a");
    assert_int_equal(to->target.n_secrets, 2);
    assert_bytes(to->target.secrets[0], "whsec_current");
    assert_bytes(to->target.secrets[1], "whsec_older");
    assert_bytes(to->target.headers[0].name, "x-team");
    assert_bytes(to->target.headers[0].value, "blue");
    assert_bytes(to->target.ca_ref, "internal");
    assert_int_equal(to->target.cert_ref.len, 0);
    assert_int_equal(to->target.timeout_ms, 7000);
    assert_int_equal(to->n_schedule, 2);
    assert_int_equal(to->schedule_s[1], 300);
    assert_null(to->problem);
    assert_null(to->end);
}

static void one_subscription_s_deliveries_share_it(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump memory = {0};
    struct source s;

    fill(&s);
    struct delivery first = {.subscription = 4};
    first.to = sub_delivery_create(&memory, &s.row, NULL);
    s.row.seq = 12;
    s.row.progress = (struct row_progress){.trigger = "schedule"};
    struct sub_delivery *second = sub_delivery_create(&memory, &s.row, &first);
    assert_ptr_equal(second->target.url.data, first.to->target.url.data);
    assert_ptr_equal(second->target.secrets, first.to->target.secrets);
    assert_ptr_equal(second->schedule_s, first.to->schedule_s);
    assert_int_equal(second->seq, 12);
    assert_int_equal(second->setbacks, 0);
    assert_string_equal(second->trigger, "schedule");

    s.row.subscription = 5; /* somebody else's is not shared */
    memcpy(s.url, "https://example.org/b", 21);
    struct sub_delivery *third = sub_delivery_create(&memory, &s.row, &first);
    assert_bytes(third->target.url, "https://example.org/b");
    assert_bytes(first.to->target.url, "https://example.com/a");
}

static void a_target_with_nothing_but_an_address(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump memory = {0};
    const struct subscription_row bare = {.target = {.url = bytes("https://e.example")},
                                          .problem = "no secret"};
    const struct event_row row = {.to = &bare, .progress = {.trigger = "schedule"}};
    struct sub_delivery *to = sub_delivery_create(&memory, &row, NULL);

    assert_int_equal(to->target.n_secrets, 0);
    assert_int_equal(to->target.n_headers, 0);
    assert_null(to->schedule_s);
    assert_string_equal(to->problem, "no secret");
}

static void its_end_goes_with_it(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump memory = {0};
    struct source s;

    fill(&s);
    struct sub_delivery *to = sub_delivery_create(&memory, &s.row, NULL);
    to->end = calloc(1, sizeof(*to->end));
    assert_non_null(to->end);
    to->end->response = strdup("an answer"); /* a sanitizer sees what stays behind */
    sub_delivery_done(to);
    assert_null(to->end);
    sub_delivery_done(to);
    sub_delivery_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_row_may_go),
        cmocka_unit_test(one_subscription_s_deliveries_share_it),
        cmocka_unit_test(a_target_with_nothing_but_an_address),
        cmocka_unit_test(its_end_goes_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
