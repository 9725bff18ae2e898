/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_bump.c - memory that goes all at once, and is aligned until then.
 */
#include "dispatch/bump.h"

#include "base/backoff.h"
#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    struct prng g = prng_make(1);
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    unsigned char *pieces[2000];
    size_t sizes[2000];

    for (int round = 0; round < 3; round++) {
        size_t least = 0;
        for (size_t i = 0; i < 2000; i++) {
            sizes[i] = (size_t)prng_below(&g, i % 100 == 0 ? 400000 : 300);
            pieces[i] = bump_alloc(&a, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            memset(pieces[i], (int)(i % 251), sizes[i]);
            least += sizes[i];
        }
        assert_in_range(a.bytes, least, least + (size_t)2000 * alignof(max_align_t));
        for (size_t i = 0; i < 2000; i++) {
            for (size_t b = 0; b < sizes[i]; b += 1 + sizes[i] / 7) {
                assert_int_equal(pieces[i][b], i % 251);
            }
        }
        bump_reset(&a);
        assert_int_equal(a.bytes, 0);
    }
}

static void what_is_trimmed_is_given_out_again(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    char *first = bump_alloc(&a, 1000);
    size_t before;

    memset(first, 'x', 1000);
    bump_trim(&a, first, 17);
    before = a.bytes;
    assert_in_range(before, 17, 17 + alignof(max_align_t));
    char *second = bump_alloc(&a, 8);
    assert_ptr_equal(second, first + before);
    bump_trim(&a, second, 8); /* all of it is used */
    assert_in_range(a.bytes, before + 8, before + 8 + alignof(max_align_t));
    char *third = bump_alloc(&a, 5000);
    bump_trim(&a, third, 0);
    assert_ptr_equal(bump_alloc(&a, 1), third);
}

static void a_piece_larger_than_any_chunk(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    size_t size = (size_t)3 << 20;
    char *big = bump_alloc(&a, size);

    assert_non_null(big);
    memset(big, 1, size);
    bump_trim(&a, big, 10);
    assert_non_null(bump_alloc(&a, 100));
    bump_reset(&a); /* such a chunk is not kept */
    assert_null(a.chunks);
    assert_null(bump_alloc(&a, SIZE_MAX));
    assert_null(bump_alloc(&a, SIZE_MAX / 2 + 1));
}

static void a_copy_is_a_copy(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    char text[] = "abc";
    const char *copy = bump_copy(&a, text, 3);

    text[0] = 'x';
    assert_memory_equal(copy, "abc", 3);
    assert_non_null(bump_copy(&a, NULL, 0));
}

static bool all_zero(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Whatever chunk it is in, newest or not. */
static void wiped_memory_holds_nothing(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    unsigned char *pieces[50];
    const size_t size = 3000;

    bump_wipe(&a); /* nothing yet */
    for (size_t i = 0; i < 50; i++) {
        pieces[i] = bump_alloc(&a, size);
        memset(pieces[i], 's', size);
    }
    bump_wipe(&a);
    for (size_t i = 0; i < 50; i++) {
        assert_true(all_zero(pieces[i], size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(what_is_trimmed_is_given_out_again),
        cmocka_unit_test(a_piece_larger_than_any_chunk),
        cmocka_unit_test(a_copy_is_a_copy),
        cmocka_unit_test(wiped_memory_holds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
