/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_utf8.c - what is UTF-8, compared with a decoder that works by value.
 */
#include "base/utf8.h"

#include "base/backoff.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Length of the sequence at `s` by the value it stands for; 0: none. */
static size_t by_value(const unsigned char *s, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc0 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
                             : 4;
    uint32_t value = n == 1 ? s[0] : s[0] & (0x7fU >> n);

    if (n == 0 || s[0] >= 0xf8 || n > len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (s[i] & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least[n] || value > 0x10ffff || surrogate ? 0 : n;
}

static void every_start_of_three_bytes(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < (1U << 24); v += 1 + v % 3) {
        char s[4] = {(char)(v >> 16), (char)(v >> 8), (char)v, (char)0x80};
        size_t n = utf8_sequence(s, 4);
        if (n != by_value((const unsigned char *)s, 4)) {
            fail_msg("%06x: %zu", v, n);
        }
    }
}

static void a_sequence_that_is_cut_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x93\xae"};

    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(texts[i]);
        assert_int_equal(utf8_sequence(texts[i], len), len);
        for (size_t cut = 0; cut < len; cut++) {
            assert_int_equal(utf8_sequence(texts[i], cut), 0);
        }
    }
}

static void whole_texts(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid("Gr\xc3\xbc\xc3\x9f"
                           "e \xf0\x9f\x93\xae",
                           12));
    assert_false(utf8_valid("Gr\xfc"
                            "e",
                            4));
    assert_false(utf8_valid("abc\xe2\x82", 5));
    assert_false(utf8_valid("\xed\xa0\x80", 3));
    assert_false(utf8_valid("\xc0\x80", 2));
}

static void a_scrubbed_text_is_valid_and_keeps_its_length(void **state)
{
    (void)state;
    struct prng g = prng_make(5);
    char known[] = "a\tb\x7f\xc3\xa9\xff\xe2\x82";

    utf8_scrub(known);
    assert_string_equal(known, "a?b?\xc3\xa9???");
    for (int i = 0; i < 5000; i++) {
        char text[40];
        size_t len = (size_t)prng_below(&g, sizeof(text) - 1);
        for (size_t b = 0; b < len; b++) {
            text[b] = (char)(1 + prng_below(&g, 255));
        }
        text[len] = '\0';
        utf8_scrub(text);
        assert_int_equal(strlen(text), len);
        assert_true(utf8_valid(text, len));
        for (size_t b = 0; b < len; b++) {
            assert_true((unsigned char)text[b] >= 0x20 && text[b] != 0x7f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_start_of_three_bytes),
        cmocka_unit_test(a_sequence_that_is_cut_is_none),
        cmocka_unit_test(whole_texts),
        cmocka_unit_test(a_scrubbed_text_is_valid_and_keeps_its_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
