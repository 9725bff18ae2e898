/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log.c - a record is one line, whatever is in it.
 */
#include "base/log.h"

#include "base/utf8.h"

#include <fcntl.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_MAX_SIZE 8192

/* Standard error, for as long as one record takes. */
struct capture {
    int saved, pipe[2];
    char text[LINE_MAX_SIZE];
};

static void capture_begin(struct capture *c)
{
    (void)fflush(stderr);
    assert_int_equal(pipe2(c->pipe, O_NONBLOCK | O_CLOEXEC), 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(c->saved >= 0);
    assert_true(dup2(c->pipe[1], STDERR_FILENO) >= 0);
}

static const char *capture_end(struct capture *c)
{
    ssize_t n = read(c->pipe[0], c->text, sizeof(c->text) - 1);

    c->text[n > 0 ? n : 0] = '\0';
    (void)dup2(c->saved, STDERR_FILENO);
    (void)close(c->saved);
    (void)close(c->pipe[0]);
    (void)close(c->pipe[1]);
    return c->text;
}

static void json_has_all_parts(void **state)
{
    (void)state;
    struct capture c;
    const char *line;

    log_setup(LOG_INFO_LEVEL, LOG_FORMAT_JSON);
    capture_begin(&c);
    log_warn("lane \"x\"", "lane.claimed", "token %d\nand more", 7);
    line = capture_end(&c);
    assert_memory_equal(line, "{\"ts\":\"2", 8);
    assert_non_null(strstr(line, "\"level\":\"warn\",\"component\":\"lane \\\"x\\\"\","
                                 "\"event\":\"lane.claimed\","
                                 "\"msg\":\"token 7\\nand more\",\"pid\":"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void people_get_one_line_without_controls(void **state)
{
    (void)state;
    struct capture c;
    const char *line;

    log_setup(LOG_INFO_LEVEL, LOG_FORMAT_HUMAN);
    capture_begin(&c);
    log_error("outbox", "x", "one\ntwo\x1b[31mthree\r");
    line = capture_end(&c);
    assert_non_null(strstr(line, "Z ERROR [outbox] one two [31mthree \n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_null(strchr(line, '\x1b'));
}

static void the_level_decides(void **state)
{
    (void)state;
    static const enum log_level levels[] = {LOG_ERROR_LEVEL, LOG_WARN_LEVEL,
                                            LOG_INFO_LEVEL, LOG_DEBUG_LEVEL};

    for (size_t set = 0; set < 4; set++) {
        log_setup(levels[set], LOG_FORMAT_HUMAN);
        for (size_t of = 0; of < 4; of++) {
            struct capture c;
            capture_begin(&c);
            log_line(levels[of], "c", "e", "text");
            assert_int_equal(strlen(capture_end(&c)) > 0, of <= set);
            assert_int_equal(log_enabled(levels[of]), of <= set);
        }
    }
}

static void a_long_text_is_cut_and_stays_one_line(void **state)
{
    (void)state;
    char text[5000];
    struct capture c;
    const char *line;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text + 1021, "\xe2\x82\xac", 3); /* the cut goes through it */
    log_setup(LOG_INFO_LEVEL, LOG_FORMAT_JSON);
    capture_begin(&c);
    log_info("c", "e", "%s", text);
    line = capture_end(&c);
    assert_in_range(strlen(line), 1000, 3000);
    assert_true(utf8_valid(line, strlen(line)));
    assert_string_equal(line + strlen(line) - 2, "}\n");
}

static void what_cannot_be_written_is_counted(void **state)
{
    (void)state;
    struct capture c;
    uint64_t before = log_lines_dropped();
    char fill[4096] = "";

    log_setup(LOG_INFO_LEVEL, LOG_FORMAT_JSON);
    capture_begin(&c);
    while (write(STDERR_FILENO, fill, sizeof(fill)) > 0) {
    }
    log_info("c", "e", "into a full pipe");
    log_debug("c", "e", "not meant to be written");
    (void)capture_end(&c);
    assert_int_equal(log_lines_dropped() - before, 1);
}

static void a_limit_lets_one_pass_and_counts_the_others(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint64_t silent = 99;

    assert_true(log_limit_pass(&limit, 1000, 500, &silent));
    assert_int_equal(silent, 0);
    assert_false(log_limit_pass(&limit, 1000, 500, &silent));
    assert_false(log_limit_pass(&limit, 1499, 500, &silent));
    assert_true(log_limit_pass(&limit, 1500, 500, &silent));
    assert_int_equal(silent, 2);
    assert_true(log_limit_pass(&limit, 2000, 500, &silent));
    assert_int_equal(silent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_all_parts),
        cmocka_unit_test(people_get_one_line_without_controls),
        cmocka_unit_test(the_level_decides),
        cmocka_unit_test(a_long_text_is_cut_and_stays_one_line),
        cmocka_unit_test(what_cannot_be_written_is_counted),
        cmocka_unit_test(a_limit_lets_one_pass_and_counts_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
