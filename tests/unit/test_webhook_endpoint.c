/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_endpoint.c - turns and shares: nobody waits for somebody else's endpoint.
 */
#include "webhook/webhook_endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ED25519                                                                        \
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9" \
    "lMicMFs6Kvg=="
#define IN_FLIGHT 64

/* A braced initialiser, and the same as a value. */
#define INIT(text)               \
    {                            \
        (text), sizeof(text) - 1 \
    }
#define BYTES(text) ((struct rider_bytes)INIT(text))

static const struct rider_bytes one_secret[] = {INIT(SECRET)};

static struct rider_result refusal;

static struct webhook_endpoint *get(struct webhook_endpoints *endpoints, size_t n)
{
    char id[32];
    int len = snprintf(id, sizeof(id), "sub_%zu", n);
    const struct rider_target target = {.struct_size = sizeof(target),
                                        .id = {id, (size_t)len},
                                        .url = BYTES("https://example.com/"),
                                        .n_secrets = 1,
                                        .secrets = one_secret};
    struct webhook_endpoint *endpoint =
        webhook_endpoints_get(endpoints, &target, &refusal);

    assert_non_null(endpoint);
    return endpoint;
}

/** Puts `n` deliveries of `list` into the endpoint's queue. */
static void put(struct webhook_endpoints *endpoints, struct webhook_endpoint *endpoint,
                struct webhook_delivery *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        webhook_endpoints_enqueue(endpoints, endpoint, &list[i]);
    }
}

static size_t start_all(struct webhook_endpoints *endpoints)
{
    struct webhook_delivery *delivery = NULL;
    size_t n = 0;

    while (webhook_endpoints_next(endpoints, &delivery) != NULL) {
        n++;
    }
    return n;
}

static void takes_turns(void **state)
{
    struct webhook_endpoints *endpoints = webhook_endpoints_create(IN_FLIGHT, 1000);
    struct webhook_endpoint *first = get(endpoints, 1), *second = get(endpoints, 2);
    struct webhook_delivery long_queue[5], short_queue[2], *got = NULL;

    (void)state;
    put(endpoints, first, long_queue, 5);
    put(endpoints, second, short_queue, 2);
    assert_ptr_equal(webhook_endpoints_next(endpoints, &got), first);
    assert_ptr_equal(got, &long_queue[0]);
    assert_ptr_equal(webhook_endpoints_next(endpoints, &got), second);
    assert_ptr_equal(got, &short_queue[0]);
    assert_ptr_equal(webhook_endpoints_next(endpoints, &got), first);
    assert_ptr_equal(webhook_endpoints_next(endpoints, &got), second);
    assert_ptr_equal(webhook_endpoints_next(endpoints, &got), first);
    assert_ptr_equal(got, &long_queue[2]);
    webhook_endpoints_destroy(endpoints);
}

static void one_endpoint_is_held_to_its_limit(void **state)
{
    struct webhook_endpoints *endpoints = webhook_endpoints_create(2, 1000);
    struct webhook_endpoint *only = get(endpoints, 1);
    struct webhook_delivery queue[3];

    (void)state;
    put(endpoints, only, queue, 3);
    assert_int_equal(start_all(endpoints), 2);
    webhook_endpoints_finish(endpoints, only);
    assert_int_equal(start_all(endpoints), 1);
    webhook_endpoints_destroy(endpoints);
}

/* 40 endpoints whose requests never end have long queues; the other 160 still start
 * whatever they get, and each as much as is left. */
static void those_that_hang_leave_room(void **state)
{
    enum { HANGING = 40, EACH = 100, HEALTHY = 160, TOTAL = 1024 };
    struct webhook_endpoints *endpoints = webhook_endpoints_create(IN_FLIGHT, TOTAL);
    struct webhook_delivery *hung = calloc(HANGING, EACH * sizeof(*hung));
    struct webhook_delivery healthy[HEALTHY], *got = NULL;

    (void)state;
    assert_non_null(hung);
    for (size_t i = 0; i < HANGING; i++) {
        put(endpoints, get(endpoints, i), hung + i * EACH, EACH);
    }
    size_t stuck = start_all(endpoints);

    /* Without shares 16 of them would hold everything. */
    assert_in_range(stuck, HANGING, TOTAL - TOTAL / (HANGING + 2));
    for (size_t i = 0; i < HANGING; i++) {
        assert_in_range(get(endpoints, i)->in_flight, 1, TOTAL / HANGING);
    }
    for (size_t i = 0; i < HEALTHY; i++) {
        struct webhook_endpoint *endpoint = get(endpoints, HANGING + i);

        put(endpoints, endpoint, &healthy[i], 1);
        assert_ptr_equal(webhook_endpoints_next(endpoints, &got), endpoint);
        assert_ptr_equal(got, &healthy[i]);
        webhook_endpoints_finish(endpoints, endpoint);
    }
    webhook_endpoints_destroy(endpoints);
    free(hung);
}

static void the_total_is_a_limit(void **state)
{
    enum { N = 10 };
    struct webhook_endpoints *endpoints = webhook_endpoints_create(IN_FLIGHT, 100);
    struct webhook_delivery queues[N];

    (void)state;
    webhook_endpoints_limit(endpoints, 4);
    for (size_t i = 0; i < N; i++) {
        put(endpoints, get(endpoints, i), &queues[i], 1);
    }
    assert_int_equal(start_all(endpoints), 4);
    webhook_endpoints_finish(endpoints, get(endpoints, 0));
    assert_int_equal(start_all(endpoints), 1);
    webhook_endpoints_destroy(endpoints);
}

/* A destination without subscriptions shares with nobody. */
static void the_own_endpoint_may_use_all(void **state)
{
    enum { N = 10 };
    struct webhook_endpoints *endpoints = webhook_endpoints_create(IN_FLIGHT, N);
    struct webhook_delivery queue[N];

    (void)state;
    assert_int_equal(webhook_endpoints_set_own(endpoints, SECRET, NULL),
                     RIDER_SIGNATURE_OK);
    put(endpoints, webhook_endpoints_get(endpoints, NULL, &refusal), queue, N);
    assert_int_equal(start_all(endpoints), N);
    webhook_endpoints_destroy(endpoints);
}

static void what_waits_can_be_taken(void **state)
{
    struct webhook_endpoints *endpoints = webhook_endpoints_create(1, 1000);
    struct webhook_endpoint *one = get(endpoints, 1), *other = get(endpoints, 2);
    struct webhook_delivery_list list = STAILQ_HEAD_INITIALIZER(list);
    struct webhook_delivery queue[3], elsewhere[2];

    (void)state;
    put(endpoints, one, queue, 3);
    put(endpoints, other, elsewhere, 2);
    assert_int_equal(start_all(endpoints), 2);
    webhook_endpoints_take_waiting(endpoints, one, &list);
    assert_ptr_equal(STAILQ_FIRST(&list), &queue[1]);
    assert_ptr_equal(STAILQ_NEXT(&queue[1], link), &queue[2]);
    assert_null(STAILQ_NEXT(&queue[2], link));
    assert_ptr_equal(webhook_endpoints_any_waiting(endpoints), other);
    webhook_endpoints_finish(endpoints, one);
    assert_int_equal(start_all(endpoints), 0);
    webhook_endpoints_destroy(endpoints);
}

static void an_event_needs_an_endpoint(void **state)
{
    struct webhook_endpoints *endpoints = webhook_endpoints_create(1, 1);

    (void)state;
    assert_null(webhook_endpoints_get(endpoints, NULL, &refusal));
    assert_int_equal(refusal.outcome, RIDER_UNROUTABLE);
    assert_int_equal(refusal.cause, RIDER_CAUSE_ADAPTER_FAULT);
    webhook_endpoints_destroy(endpoints);
}

static void secrets(void **state)
{
    struct rider_bytes many[WEBHOOK_MAX_SECRETS + 5];
    const struct rider_bytes wrong_order[] = {INIT(ED25519), INIT(SECRET)};
    const struct rider_bytes short_one[] = {INIT("whsec_dG9vc2hvcnQ=")};
    struct rider_key keys[WEBHOOK_MAX_SECRETS];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < WEBHOOK_MAX_SECRETS + 5; i++) {
        many[i] = BYTES(SECRET);
    }
    many[WEBHOOK_MAX_SECRETS + 4] = BYTES(ED25519);
    assert_int_equal(webhook_endpoint_keys(many, WEBHOOK_MAX_SECRETS + 5, keys, &n),
                     RIDER_SIGNATURE_OK);
    assert_int_equal(n, WEBHOOK_MAX_SECRETS);
    assert_int_equal(keys[n - 2].kind, RIDER_KEY_HMAC);
    assert_int_equal(keys[n - 1].kind, RIDER_KEY_ED25519_SECRET);
    assert_int_equal(webhook_endpoint_keys(wrong_order, 2, keys, &n),
                     RIDER_KEY_BAD_PREFIX);
    assert_int_equal(webhook_endpoint_keys(short_one, 1, keys, &n),
                     RIDER_KEY_TOO_SHORT);
    assert_int_equal(webhook_endpoint_keys(NULL, 0, keys, &n), RIDER_SIGNATURE_NO_KEY);
}

/* Subscriptions come and go; the table does not grow without end. */
static void idle_endpoints_are_forgotten(void **state)
{
    struct webhook_endpoints *endpoints = webhook_endpoints_create(1, 1);

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        (void)get(endpoints, i);
    }
    assert_int_equal(webhook_endpoints_count(endpoints), 4096);
    webhook_endpoints_destroy(endpoints);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_turns),
        cmocka_unit_test(one_endpoint_is_held_to_its_limit),
        cmocka_unit_test(those_that_hang_leave_room),
        cmocka_unit_test(the_total_is_a_limit),
        cmocka_unit_test(the_own_endpoint_may_use_all),
        cmocka_unit_test(what_waits_can_be_taken),
        cmocka_unit_test(an_event_needs_an_endpoint),
        cmocka_unit_test(secrets),
        cmocka_unit_test(idle_endpoints_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
