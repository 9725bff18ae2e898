/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_held_keys.c - the table of held keys, against a naive model.
 */
#include "dispatch/held_keys.h"

#include "base/backoff.h"
#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 500

RIDER_DEFINE_PTR_CLEANUP(struct held_keys, held_keys_destroy);

static struct rider_bytes text(const char *s)
{
    return (struct rider_bytes){s, strlen(s)};
}

struct name {
    char id[16];
    uint64_t hash;
    int64_t subscription;
};

/* Four keys share each hash: two ids, two subscriptions. */
static struct name name_of(size_t k)
{
    struct name n = {.hash = (uint64_t)(k / 4 + 1) << 6,
                     .subscription = (int64_t)(k % 4 / 2)};

    (void)snprintf(n.id, sizeof(n.id), "k%d", (int)(k / 4 * 2 + k % 2));
    return n;
}

static void count(void *arg, struct held_key *key)
{
    size_t *n = arg;

    assert_non_null(key);
    (*n)++;
}

static void it_agrees_with_the_model(void **state)
{
    (void)state;
    struct prng g = prng_make(9);
    RIDER_CLEANUP_PTR(held_keys_destroy) struct held_keys *h = held_keys_create();
    struct held_key *model[KEYS] = {NULL};
    size_t n = 0;

    for (int i = 0; i < 50000; i++) {
        size_t k = (size_t)prng_below(&g, KEYS);
        struct name name = name_of(k);
        struct held_key *key = held_keys_find(h, name.hash, name.subscription,
                                              text("order"), text(name.id));
        assert_ptr_equal(key, model[k]);
        if (key == NULL) {
            model[k] = held_keys_hold(h, name.hash, name.subscription, text("order"),
                                      text(name.id));
            assert_non_null(model[k]);
            assert_int_equal(model[k]->rows + model[k]->active, 0);
            model[k]->rows = (uint32_t)k;
            n++;
        } else if (prng_below(&g, i < 25000 ? 3 : 1) == 0) {
            assert_int_equal(key->rows, k);
            held_keys_remove(h, key);
            model[k] = NULL;
            n--;
        } else {
            assert_ptr_equal(held_keys_hold(h, name.hash, name.subscription,
                                            text("order"), text(name.id)),
                             key);
        }
        assert_int_equal(held_keys_count(h), n);
    }
    size_t seen = 0;
    held_keys_each(h, count, &seen);
    assert_int_equal(seen, n);
    held_keys_clear(h);
    assert_int_equal(held_keys_count(h), 0);
    seen = 0;
    held_keys_each(h, count, &seen);
    assert_int_equal(seen, 0);
}

static void a_key_is_all_of_its_parts(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(held_keys_destroy) struct held_keys *h = held_keys_create();

    assert_non_null(held_keys_hold(h, 1, 0, text("ab"), text("c")));
    assert_non_null(held_keys_find(h, 1, 0, text("ab"), text("c")));
    assert_null(held_keys_find(h, 1, 0, text("a"), text("bc")));
    assert_null(held_keys_find(h, 1, 1, text("ab"), text("c")));
    assert_null(held_keys_find(h, 2, 0, text("ab"), text("c")));
    assert_null(held_keys_find(h, 1, 0, text("ab"), text("")));
}

static void texts_are_copied_empty_ones_too(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(held_keys_destroy) struct held_keys *h = held_keys_create();
    char id[] = "gone";
    struct held_key *key =
        held_keys_hold(h, 1, 0, (struct rider_bytes){NULL, 0}, text(id));

    memset(id, 'x', sizeof(id) - 1);
    assert_int_equal(key->aggregate_type.len, 0);
    assert_int_equal(key->aggregate_id.len, 4);
    assert_memory_equal(key->aggregate_id.data, "gone", 4);
    assert_ptr_equal(held_keys_find(h, 1, 0, text(""), text("gone")), key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_the_model),
        cmocka_unit_test(a_key_is_all_of_its_parts),
        cmocka_unit_test(texts_are_copied_empty_ones_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
