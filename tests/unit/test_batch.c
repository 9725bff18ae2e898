/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_batch.c - events in memory: copied, counted, reused.
 */
#include "dispatch/batch.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

RIDER_DEFINE_PTR_CLEANUP(struct batch, batch_destroy);

static struct rider_bytes text(const char *s)
{
    return (struct rider_bytes){s, strlen(s)};
}

static struct event_row row_of(int64_t seq)
{
    return (struct event_row){
        .seq = seq,
        .subscription = 3,
        .attempts = 2,
        .version = 7,
        .occurred_at_us = 1,
        .id = "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f",
        .type = text("T"),
        .aggregate_type = text("thing"),
        .aggregate_id = text("k1"),
        .payload = text("{}"),
    };
}

static void a_row_is_copied_whole(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(batch_destroy) struct batch *b = batch_create(2);
    char type[] = "TYPE";
    char name[] = "name";
    char value[] = "value";
    const struct rider_header headers[] = {{text(name), text(value)}};
    struct event_row row = row_of(9);

    row.type = text(type);
    row.headers = headers;
    row.n_headers = 1;
    const struct delivery *d = batch_append(b, &row, RIDER_ENVELOPE_PAYLOAD);
    memset(type, 'x', 4);
    memset(name, 'x', 4);
    memset(value, 'x', 5);
    memset(row.id, 'x', EVENT_ID_LEN);

    const struct rider_event *ev = &d->event;
    assert_int_equal(d->seq, 9);
    assert_int_equal(d->subscription, 3);
    assert_int_equal(d->state, DELIVERY_WAITING);
    assert_ptr_equal(d->batch, b);
    assert_int_equal(ev->struct_size, sizeof(*ev));
    assert_int_equal(ev->attempt, 3);
    assert_int_equal(ev->version, 7);
    assert_string_equal(ev->id.data, "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f");
    assert_string_equal(ev->type.data, "TYPE"); /* with a NUL behind it */
    assert_int_equal(ev->n_headers, 1);
    assert_memory_equal(ev->headers[0].name.data, "name", 5);
    assert_memory_equal(ev->headers[0].value.data, "value", 6);
    assert_int_equal(b->n, 1);
    assert_int_equal(b->open, 1);
    assert_true(batch_bytes(b) > sizeof(*d));
}

static void a_reset_batch_is_as_new(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(batch_destroy) struct batch *b = batch_create(4);
    struct event_row row = row_of(1);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            struct delivery *d = batch_append(b, &row, RIDER_ENVELOPE_CANONICAL);
            assert_non_null(d);
            d->park = calloc(1, sizeof(*d->park)); /* the batch frees it */
        }
        b->snap = snapshot_create("1:2:");
        b->win = snapshot_ref(b->snap);
        b->complete = b->passed = true;
        b->done = b->settled = b->submitted = 4;
        b->charged = 17;
        b->last_seq = 5;
        batch_reset(b, BATCH_ROWS);
        assert_int_equal(b->kind, BATCH_ROWS);
        assert_int_equal(b->n + b->done + b->settled + b->submitted + b->open, 0);
        assert_false(b->complete || b->passed);
        assert_null(b->snap);
        assert_null(b->win);
        assert_int_equal(batch_bytes(b) + b->charged, 0);
        assert_int_equal(b->cap, 4);
    }
}

static void a_batch_that_is_mostly_empty_shrinks(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(batch_destroy) struct batch *few = batch_create(100);
    RIDER_CLEANUP_PTR(batch_destroy) struct batch *many = batch_create(100);
    RIDER_CLEANUP_PTR(batch_destroy) struct batch *none = batch_create(100);
    struct event_row row = row_of(1);

    for (int i = 0; i < 60; i++) {
        assert_non_null(batch_append(many, &row, RIDER_ENVELOPE_PAYLOAD));
    }
    assert_non_null(batch_append(few, &row, RIDER_ENVELOPE_PAYLOAD));
    batch_shrink(few);
    batch_shrink(many);
    batch_shrink(none);
    assert_int_equal(few->cap, 1);
    assert_int_equal(many->cap, 100);
    assert_int_equal(none->cap, 100);
    assert_string_equal(few->items[0].event.type.data, "T");
}

static void parts_of_a_key_do_not_run_together(void **state)
{
    (void)state;
    uint64_t base = batch_key_hash(text("ab"), text("c"), 0);

    assert_true(base == batch_key_hash(text("ab"), text("c"), 0));
    assert_true(base != batch_key_hash(text("a"), text("bc"), 0));
    assert_true(base != batch_key_hash(text("ab"), text("c"), 1));
    assert_true(base != batch_key_hash(text("c"), text("ab"), 0));
    assert_true(batch_key_hash(text(""), text(""), 0) != 0);
}

static void keys_spread(void **state)
{
    (void)state;
    size_t buckets[256] = {0};

    for (int i = 0; i < 25600; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%08d", i);
        buckets[batch_key_hash(text("order"), text(id), 0) & 255]++;
    }
    for (size_t i = 0; i < 256; i++) {
        assert_in_range(buckets[i], 50, 160);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_copied_whole),
        cmocka_unit_test(a_reset_batch_is_as_new),
        cmocka_unit_test(a_batch_that_is_mostly_empty_shrinks),
        cmocka_unit_test(parts_of_a_key_do_not_run_together),
        cmocka_unit_test(keys_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
