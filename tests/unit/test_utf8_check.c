/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_utf8_check.c - the adapters' test for UTF-8 judges as the core's does.
 */
#include "base/utf8.h"
#include "common/utf8_check.h"

#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void some_texts(void **state)
{
    (void)state;
    assert_true(utf8_check("", 0));
    assert_true(utf8_check("caf\xc3\xa9 \xf0\x9f\x90\x8e", 10));
    assert_false(utf8_check("caf\xe9", 4));
    assert_false(utf8_check("\xc3", 1));         /* cut */
    assert_false(utf8_check("\xc0\x80", 2));     /* overlong */
    assert_false(utf8_check("\xed\xa0\x80", 3)); /* a surrogate */
}

/* Each lead byte with each second byte, and the edges of what follows. */
static void both_agree(void **state)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    const size_t n = sizeof(edges);
    (void)state;

    for (unsigned two = 0; two < 1u << 16; two++) {
        for (size_t k = 0; k < n * n; k++) {
            const char text[] = {(char)(two >> 8), (char)two, (char)edges[k / n],
                                 (char)edges[k % n]};
            for (size_t len = 1; len <= sizeof(text); len++) {
                if (utf8_check(text, len) != utf8_valid(text, len)) {
                    fail_msg("%04x and edges %zu, %zu bytes", two, k, len);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_texts),
        cmocka_unit_test(both_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
