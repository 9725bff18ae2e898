/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rabbitmq_confirm.c - the tag ring alone, and against a model that keeps
 * every message in a plain array under a random broker.
 */
#include "rabbitmq/rabbitmq_confirm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_EVENTS 4096
#define MAX_ENDED  8192

static struct rider_event events[MAX_EVENTS];
static char ids[MAX_EVENTS][16];

struct ended {
    size_t n;
    struct rabbitmq_item items[MAX_ENDED];
};
static struct ended ended;

static void collect(void *arg, const struct rabbitmq_item *item)
{
    struct ended *e = arg;
    assert_true(e->n < MAX_ENDED);
    e->items[e->n++] = *item;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < MAX_EVENTS; i++) {
        int len = snprintf(ids[i], sizeof(ids[i]), "event-%zu", i);
        events[i].ticket = i;
        events[i].id = (struct rider_bytes){ids[i], (size_t)len};
    }
    ended.n = 0;
    return 0;
}

static struct rabbitmq_confirm *make(size_t capacity, size_t sent)
{
    struct rabbitmq_confirm *c = NULL;
    assert_int_equal(rabbitmq_confirm_create(capacity, &c), 0);
    for (size_t i = 0; i < sent; i++) {
        struct rabbitmq_item item = {.event = &events[i]};
        assert_true(rabbitmq_confirm_has_room(c));
        assert_int_equal(rabbitmq_confirm_add(c, &item), i + 1);
    }
    return c;
}

static void ends_one_tag(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(8, 3);
    assert_int_equal(rabbitmq_confirm_settle(c, 2, false, collect, &ended), 1);
    assert_int_equal(ended.items[0].event->ticket, 1);
    assert_int_equal(rabbitmq_confirm_open(c), 2);
    assert_int_equal(rabbitmq_confirm_oldest(c)->event->ticket, 0);
    rabbitmq_confirm_destroy(c);
}

static void ends_all_up_to_a_tag(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(8, 5);
    assert_int_equal(rabbitmq_confirm_settle(c, 2, false, collect, &ended), 1);
    assert_int_equal(rabbitmq_confirm_settle(c, 4, true, collect, &ended), 3);
    assert_int_equal(ended.items[1].event->ticket, 0);
    assert_int_equal(ended.items[2].event->ticket, 2);
    assert_int_equal(ended.items[3].event->ticket, 3);
    assert_int_equal(rabbitmq_confirm_open(c), 1);
    rabbitmq_confirm_destroy(c);
}

static void tag_zero_with_multiple_means_all(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(8, 3);
    assert_int_equal(rabbitmq_confirm_settle(c, 0, true, collect, &ended), 3);
    assert_int_equal(rabbitmq_confirm_settle(c, 0, true, collect, &ended), 0);
    assert_int_equal(rabbitmq_confirm_open(c), 0);
    assert_null(rabbitmq_confirm_oldest(c));
    rabbitmq_confirm_destroy(c);
}

static void ends_no_tag_twice(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(4, 4);
    assert_int_equal(rabbitmq_confirm_settle(c, 4, true, collect, &ended), 4);
    /* The same slots belong to tags 5 to 8 now. */
    for (size_t i = 4; i < 8; i++) {
        struct rabbitmq_item item = {.event = &events[i]};
        (void)rabbitmq_confirm_add(c, &item);
    }
    assert_int_equal(rabbitmq_confirm_settle(c, 1, false, collect, &ended), 0);
    assert_int_equal(rabbitmq_confirm_settle(c, 4, true, collect, &ended), 0);
    assert_int_equal(rabbitmq_confirm_open(c), 4);
    rabbitmq_confirm_destroy(c);
}

static void refuses_tags_that_were_never_sent(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(8, 2);
    assert_int_equal(rabbitmq_confirm_settle(c, 3, false, collect, &ended), -1);
    assert_int_equal(rabbitmq_confirm_settle(c, UINT64_MAX, true, collect, &ended), -1);
    assert_int_equal(rabbitmq_confirm_settle(c, 0, false, collect, &ended), -1);
    assert_int_equal(ended.n, 0);
    rabbitmq_confirm_destroy(c);
}

static void has_no_room_behind_a_slow_tag(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(4, 4);
    assert_false(rabbitmq_confirm_has_room(c));
    (void)rabbitmq_confirm_settle(c, 3, false, collect, &ended);
    assert_false(rabbitmq_confirm_has_room(c));
    (void)rabbitmq_confirm_settle(c, 1, false, collect, &ended);
    assert_true(rabbitmq_confirm_has_room(c));
    rabbitmq_confirm_destroy(c);
}

static void matches_returns_by_id(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(8, 4);
    assert_true(rabbitmq_confirm_returned(c, events[2].id));
    assert_true(rabbitmq_confirm_returned(c, events[0].id));
    assert_false(rabbitmq_confirm_returned(c, events[0].id));
    assert_false(rabbitmq_confirm_returned(c, events[7].id));
    assert_false(rabbitmq_confirm_returned(c, (struct rider_bytes){NULL, 0}));
    (void)rabbitmq_confirm_settle(c, 4, true, collect, &ended);
    for (size_t i = 0; i < 4; i++) {
        bool returned = ended.items[i].flags & RABBITMQ_ITEM_RETURNED;
        assert_int_equal(returned, i == 0 || i == 2);
    }
    rabbitmq_confirm_destroy(c);
}

static void reset_gives_back_newest_first_and_restarts(void **state)
{
    (void)state;
    struct rabbitmq_confirm *c = make(8, 5);
    (void)rabbitmq_confirm_settle(c, 2, false, collect, &ended);
    ended.n = 0;
    rabbitmq_confirm_reset(c, collect, &ended);
    assert_int_equal(ended.n, 4);
    const uint64_t want[] = {4, 3, 2, 0};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ended.items[i].event->ticket, want[i]);
    }
    struct rabbitmq_item item = {.event = &events[9]};
    assert_int_equal(rabbitmq_confirm_add(c, &item), 1);
    rabbitmq_confirm_destroy(c);
}

/** A broker that confirms in any way the protocol allows, and the truth. */
struct model {
    uint64_t random;
    struct rabbitmq_confirm *c;
    bool open[MAX_EVENTS], returned[MAX_EVENTS];
    size_t next; /* event n has tag n + 1 */
    size_t n_open;
};
static struct model model;

static size_t below(struct model *m, size_t n)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (size_t)(m->random % n);
}

static void model_send(struct model *m)
{
    if (m->next < MAX_EVENTS && rabbitmq_confirm_has_room(m->c)) {
        struct rabbitmq_item item = {.event = &events[m->next]};
        assert_int_equal(rabbitmq_confirm_add(m->c, &item), m->next + 1);
        m->open[m->next++] = true;
        m->n_open++;
    }
}

static void model_settle(struct model *m)
{
    if (m->next == 0) {
        return;
    }
    size_t back = below(m, m->next < 70 ? m->next : 70);
    size_t last = m->next - 1 - back;
    bool multiple = below(m, 4) == 0;
    size_t want = 0;
    for (size_t i = multiple ? 0 : last; i <= last; i++) {
        want += m->open[i];
    }
    ended.n = 0;
    long got = rabbitmq_confirm_settle(m->c, last + 1, multiple, collect, &ended);
    assert_int_equal(got, want);
    assert_int_equal(ended.n, want);
    for (size_t i = 0; i < ended.n; i++) {
        size_t event = (size_t)ended.items[i].event->ticket;
        bool returned = ended.items[i].flags & RABBITMQ_ITEM_RETURNED;
        assert_true(m->open[event]);
        assert_int_equal(returned, m->returned[event]);
        m->open[event] = false;
    }
    m->n_open -= want;
}

static void model_return(struct model *m)
{
    size_t event = m->next > 0 ? below(m, m->next) : 0;
    bool want = m->open[event] && !m->returned[event];
    assert_int_equal(rabbitmq_confirm_returned(m->c, events[event].id), want);
    m->returned[event] = m->returned[event] || want;
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        memset(&model, 0, sizeof(model));
        model.random = seed * 0x9E3779B97F4A7C15u;
        assert_int_equal(rabbitmq_confirm_create(64, &model.c), 0);
        for (int step = 0; step < 4000; step++) {
            size_t dice = below(&model, 10);
            if (dice < 6) {
                model_send(&model);
            } else if (dice < 9) {
                model_settle(&model);
            } else {
                model_return(&model);
            }
            assert_int_equal(rabbitmq_confirm_open(model.c), model.n_open);
        }
        ended.n = 0;
        (void)rabbitmq_confirm_settle(model.c, 0, true, collect, &ended);
        assert_int_equal(ended.n, model.n_open);
        rabbitmq_confirm_destroy(model.c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ends_one_tag, setup),
        cmocka_unit_test_setup(ends_all_up_to_a_tag, setup),
        cmocka_unit_test_setup(tag_zero_with_multiple_means_all, setup),
        cmocka_unit_test_setup(ends_no_tag_twice, setup),
        cmocka_unit_test_setup(refuses_tags_that_were_never_sent, setup),
        cmocka_unit_test_setup(has_no_room_behind_a_slow_tag, setup),
        cmocka_unit_test_setup(matches_returns_by_id, setup),
        cmocka_unit_test_setup(reset_gives_back_newest_first_and_restarts, setup),
        cmocka_unit_test_setup(agrees_with_a_model, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
