/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_key_ring.c - what a ring seals opens in its place only; files that are refused.
 */
#include "webhooks/key_ring.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_A   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B   "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define CONTEXT "subscription_secret:sub_1:key_1"
#define PLAIN   "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define LEN     (sizeof(PLAIN) - 1)
#define SEALED  (LEN + KEY_RING_OVERHEAD)

struct place {
    char folder[64];
    char path[96];
};

static void write_file(const struct place *place, const char *text, size_t len,
                       mode_t mode)
{
    FILE *file = fopen(place->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(place->path, mode), 0);
}

static int set_up(void **state)
{
    struct place *place = test_calloc(1, sizeof(*place));

    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/key_ring.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof(place->path), "%s/keys", place->folder);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    (void)unlink(place->path);
    (void)rmdir(place->folder);
    test_free(place);
    return 0;
}

static struct key_ring *ring_of(void **state, const char *text)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct key_ring *ring = NULL;

    write_file(*state, text, strlen(text), 0600);
    if (key_ring_read(((struct place *)*state)->path, &ring, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return ring;
}

static int open_as(const struct key_ring *ring, uint32_t number, const char *context,
                   const unsigned char *sealed, size_t len)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    unsigned char out[SEALED];

    memset(out, 'x', sizeof(out));
    int rc = key_ring_open(ring, context,
                           &(struct key_ring_sealed){number, sealed, len}, out, &err);

    assert_null(strstr(err.text, "whsec"));
    if (rc == 0) {
        assert_memory_equal(out, PLAIN, LEN);
    }
    return rc;
}

static void seals_and_opens(void **state)
{
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring =
        ring_of(state, "# keys\n\n1 " KEY_A "\r\n  3\t" KEY_B " # the new one\n");
    unsigned char sealed[SEALED], again[SEALED];
    uint32_t numbers[KEY_RING_MAX_KEYS];

    assert_int_equal(key_ring_current(ring), 3);
    assert_int_equal(key_ring_numbers(ring, numbers), 2);
    assert_true(numbers[0] == 1 && numbers[1] == 3);
    assert_true(key_ring_has(ring, 1) && key_ring_has(ring, 3));
    assert_false(key_ring_has(ring, 2) || key_ring_has(ring, 0));
    assert_int_equal(key_ring_seal(ring, CONTEXT, PLAIN, LEN, sealed, NULL), 0);
    assert_null(memmem(sealed, SEALED, PLAIN, 8));
    assert_int_equal(open_as(ring, 3, CONTEXT, sealed, SEALED), 0);
    assert_int_equal(key_ring_seal(ring, CONTEXT, PLAIN, LEN, again, NULL), 0);
    assert_memory_not_equal(sealed, again, SEALED);
}

static void opens_nowhere_else(void **state)
{
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring =
        ring_of(state, "1 " KEY_A "\n2 " KEY_B "\n4 " KEY_B "\ncurrent 2\n");
    unsigned char sealed[SEALED];

    assert_int_equal(key_ring_seal(ring, CONTEXT, PLAIN, LEN, sealed, NULL), 0);
    assert_int_equal(key_ring_current(ring), 2);
    assert_int_equal(
        open_as(ring, 2, "subscription_secret:sub_2:key_1", sealed, SEALED),
        RIDER_E_CONFIG);
    assert_int_equal(open_as(ring, 2, "", sealed, SEALED), RIDER_E_CONFIG);
    assert_int_equal(open_as(ring, 1, CONTEXT, sealed, SEALED), RIDER_E_CONFIG);
    /* The same bytes under another number: the number is bound, too. */
    assert_int_equal(open_as(ring, 4, CONTEXT, sealed, SEALED), RIDER_E_CONFIG);
    assert_int_equal(open_as(ring, 3, CONTEXT, sealed, SEALED), RIDER_E_CONFIG);
    for (size_t len = 0; len < SEALED; len++) {
        assert_int_equal(open_as(ring, 2, CONTEXT, sealed, len), RIDER_E_CONFIG);
    }
}

static void every_flipped_byte_fails(void **state)
{
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring = ring_of(state, "1 " KEY_A "\n");
    unsigned char sealed[SEALED], zeros[LEN] = {0}, out[LEN];
    const struct key_ring_sealed text = {1, sealed, SEALED};

    assert_int_equal(key_ring_seal(ring, CONTEXT, PLAIN, LEN, sealed, NULL), 0);
    for (size_t i = 0; i < SEALED; i++) {
        for (unsigned int bit = 0; bit < 8; bit++) {
            sealed[i] ^= (unsigned char)(1u << bit);
            memset(out, 'x', sizeof(out));
            assert_int_equal(key_ring_open(ring, CONTEXT, &text, out, NULL),
                             RIDER_E_CONFIG);
            assert_memory_equal(out, zeros, LEN);
            sealed[i] ^= (unsigned char)(1u << bit);
        }
    }
    assert_int_equal(open_as(ring, 1, CONTEXT, sealed, SEALED), 0);
}

static void seals_nothing_at_all(void **state)
{
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring = ring_of(state, "2147483647 " KEY_A);
    unsigned char sealed[KEY_RING_OVERHEAD], out[1];
    const struct key_ring_sealed text = {2147483647, sealed, sizeof(sealed)};

    assert_int_equal(key_ring_seal(ring, CONTEXT, NULL, 0, sealed, NULL), 0);
    assert_int_equal(key_ring_current(ring), 2147483647);
    assert_int_equal(key_ring_open(ring, CONTEXT, &text, out, NULL), 0);
    sealed[KEY_RING_OVERHEAD - 1] ^= 1;
    assert_int_equal(key_ring_open(ring, CONTEXT, &text, out, NULL), RIDER_E_CONFIG);
}

#define N_NONCES 100000

static int compare_nonces(const void *a, const void *b)
{
    return memcmp(a, b, 12);
}

static void nonces_are_distinct(void **state)
{
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring = ring_of(state, "1 " KEY_A "\n");
    unsigned char(*nonces)[12] = test_malloc(sizeof(*nonces) * N_NONCES);

    for (size_t i = 0; i < N_NONCES; i++) {
        unsigned char sealed[KEY_RING_OVERHEAD + 1];

        assert_int_equal(key_ring_seal(ring, CONTEXT, "x", 1, sealed, NULL), 0);
        memcpy(nonces[i], sealed, 12);
    }
    qsort(nonces, N_NONCES, sizeof(*nonces), compare_nonces);
    for (size_t i = 1; i < N_NONCES; i++) {
        assert_memory_not_equal(nonces[i - 1], nonces[i], 12);
    }
    test_free(nonces);
}

static void bad_files_are_refused(void **state)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "keys: there is no key in it"},
        {"# nothing\n\n", "keys: there is no key in it"},
        {"1\n", "keys:1: a key is 32 bytes in padded standard base64"},
        {"\n1 " KEY_A "x\n", "keys:2: a key is 32 bytes in padded standard base64"},
        {"1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n",
         "keys:1: the key is shorter"},
        {"1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n",
         "keys:1: a key is 32 bytes"},
        {"1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
         "keys:1: a key is 32 bytes"},
        {"1 __ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
         "keys:1: a key is 32 bytes"},
        {"0 " KEY_A "\n", "keys:1: a line starts with the key's number"},
        {"01 " KEY_A "\n", "keys:1: a line starts with the key's number"},
        {"-1 " KEY_A "\n", "keys:1: a line starts with the key's number"},
        {"2147483648 " KEY_A "\n", "keys:1: a line starts with the key's number"},
        {"99999999999999999999999 " KEY_A "\n", "keys:1: a line starts with"},
        {KEY_A "\n", "keys:1: a line starts with the key's number"},
        {"1 " KEY_A "\n1 " KEY_B "\n", "keys:2: this number is taken by a line above"},
        {"1 " KEY_A " " KEY_B "\n", "keys:1: there is a third word"},
        {"1 " KEY_A "\ncurrent 2\n", "keys: the current key, number 2, is not in it"},
        {"current\n1 " KEY_A "\n", "keys:1: \"current\" takes a key's number"},
        {"current " KEY_A "\n", "keys:1: \"current\" takes a key's number"},
        {"current 1\n1 " KEY_A "\ncurrent 1\n",
         "keys:3: there is a second \"current\""},
        {"Current 1\n1 " KEY_A "\n", "keys:1: a line starts with the key's number"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rider_error err = {.code = RIDER_OK, .text = ""};
        struct key_ring *ring = NULL;
        const struct place *place = *state;

        write_file(place, rows[i].text, strlen(rows[i].text), 0600);
        assert_int_equal(key_ring_read(place->path, &ring, &err), RIDER_E_CONFIG);
        assert_null(ring);
        if (strstr(err.text, rows[i].reason) == NULL) {
            fail_msg("row %zu: %s", i, err.text);
        }
        assert_null(strstr(err.text, "AAEC"));
    }
}

static void wrong_kinds_of_files(void **state)
{
    const struct place *place = *state;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct key_ring *ring = NULL;
    char *large = test_calloc(1, 20000);

    assert_int_equal(key_ring_read(place->path, &ring, &err), RIDER_E_IO);
    assert_int_equal(key_ring_read(place->folder, &ring, &err), RIDER_E_CONFIG);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_int_equal(key_ring_read(place->path, &ring, &err), RIDER_E_CONFIG);
    assert_int_equal(unlink(place->path), 0);
    memset(large, '#', 20000);
    write_file(place, large, 20000, 0600);
    assert_int_equal(key_ring_read(place->path, &ring, &err), RIDER_E_CONFIG);
    assert_non_null(strstr(err.text, "larger than"));
    write_file(place, "1 " KEY_A "\n\0\n", sizeof("1 " KEY_A "\n\0\n"), 0600);
    assert_int_equal(key_ring_read(place->path, &ring, &err), RIDER_E_CONFIG);
    assert_non_null(strstr(err.text, "NUL"));
    assert_null(ring);
    test_free(large);
}

static void open_files_are_refused(void **state)
{
    static const struct {
        mode_t mode;
        int rc;
    } rows[] = {{0600, 0},
                {0400, 0},
                {0440, 0},
                {0640, 0},
                {0644, RIDER_E_CONFIG},
                {0604, RIDER_E_CONFIG},
                {0602, RIDER_E_CONFIG},
                {0620, RIDER_E_CONFIG},
                {0660, RIDER_E_CONFIG}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rider_error err = {.code = RIDER_OK, .text = ""};
        struct key_ring *ring = NULL;
        const struct place *place = *state;

        (void)unlink(place->path);
        write_file(place, "1 " KEY_A "\n", strlen("1 " KEY_A "\n"), rows[i].mode);
        assert_int_equal(key_ring_read(place->path, &ring, &err), rows[i].rc);
        assert_true(rows[i].rc == 0 || strstr(err.text, "open to others") != NULL);
        key_ring_destroy(ring);
    }
}

static void too_many_keys(void **state)
{
    struct buf text = buf_make(8192);
    const struct place *place = *state;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct key_ring *ring = NULL;

    for (uint32_t i = 1; i <= KEY_RING_MAX_KEYS + 1; i++) {
        char line[KEY_RING_LINE_SIZE];

        assert_int_equal(key_ring_new_line(i, line, NULL), 0);
        if (i == KEY_RING_MAX_KEYS + 1) {
            key_ring_destroy(ring_of(state, buf_text(&text)));
        }
        buf_printf(&text, "%s\n", line);
    }
    write_file(place, text.data, text.len, 0600);
    buf_done(&text);
    assert_int_equal(key_ring_read(place->path, &ring, &err), RIDER_E_CONFIG);
    assert_non_null(strstr(err.text, "keys:65: there are more than 64 keys"));
}

static void equal_rings(void **state)
{
    static const char *const others[] = {"1 " KEY_B "\n2 " KEY_B,
                                         "1 " KEY_A "\n3 " KEY_B, "1 " KEY_A,
                                         "1 " KEY_A "\n2 " KEY_B "\ncurrent 1"};
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring = ring_of(state, "1 " KEY_A "\n2 " KEY_B);
    struct key_ring *same = ring_of(state, "#\n1 " KEY_A "\n2 " KEY_B "\ncurrent 2");

    assert_true(key_ring_equal(ring, same));
    assert_true(key_ring_equal(NULL, NULL));
    assert_false(key_ring_equal(ring, NULL) || key_ring_equal(NULL, ring));
    key_ring_destroy(same);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct key_ring *other = ring_of(state, others[i]);

        assert_false(key_ring_equal(ring, other));
        key_ring_destroy(other);
    }
}

static void new_keys_differ(void **state)
{
    char a[KEY_RING_LINE_SIZE], b[KEY_RING_LINE_SIZE];

    assert_int_equal(key_ring_new_line(2147483647, a, NULL), 0);
    assert_int_equal(key_ring_new_line(2147483647, b, NULL), 0);
    assert_string_not_equal(a, b);
    key_ring_destroy(ring_of(state, a));
    key_ring_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(seals_and_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opens_nowhere_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_flipped_byte_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seals_nothing_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonces_are_distinct, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_kinds_of_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_rings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_keys_differ, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("key_ring", tests, NULL, NULL);
}
