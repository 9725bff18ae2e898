/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_exposition.c - the text format byte for byte, and promtool's opinion of
 * it where promtool is installed.
 */
#include "metrics/exposition.h"
#include "metrics/process_metrics.h"

#include <math.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void samples_are_written_as_the_format_says(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 16);
    struct exposition e = exposition_begin(&out);
    const struct metric_label labels[] = {{"lane", "stream"}, {"result", "ok"}};

    exposition_family(&e, "postrider_events_total", METRIC_COUNTER, "Events.");
    exposition_count(&e, labels, 2, UINT64_MAX);
    exposition_family(&e, "postrider_up", METRIC_GAUGE, "Up.");
    exposition_sample(&e, NULL, 0, 1);
    exposition_sample(&e, labels, 1, 0.1);
    exposition_sample(&e, labels, 1, (double)NAN);
    exposition_sample(&e, labels, 1, -(double)INFINITY);
    exposition_sample(&e, labels, 1, 1.0 / 3);
    assert_string_equal(
        buf_text(&out),
        "# HELP postrider_events_total Events.\n"
        "# TYPE postrider_events_total counter\n"
        "postrider_events_total{lane=\"stream\",result=\"ok\"} 18446744073709551615\n"
        "# HELP postrider_up Up.\n"
        "# TYPE postrider_up gauge\n"
        "postrider_up 1\n"
        "postrider_up{lane=\"stream\"} 0.1\n"
        "postrider_up{lane=\"stream\"} NaN\n"
        "postrider_up{lane=\"stream\"} -Inf\n"
        "postrider_up{lane=\"stream\"} 0.3333333333333333\n");
}

static void text_is_escaped(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 16);
    struct exposition e = exposition_begin(&out);
    const struct metric_label label = {"cause", "a\\b\"c\nd"};

    exposition_family(&e, "x", METRIC_GAUGE, "say \"hi\" \\ \n");
    exposition_count(&e, &label, 1, 0);
    assert_string_equal(buf_text(&out), "# HELP x say \"hi\" \\\\ \\n\n# TYPE x gauge\n"
                                        "x{cause=\"a\\\\b\\\"c\\nd\"} 0\n");
}

static void histograms_have_buckets_sum_and_count(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 16);
    RIDER_CLEANUP_PTR(histogram_destroy) struct histogram *h = NULL;
    struct exposition e = exposition_begin(&out);
    const double bounds[] = {0.5, 1};
    const struct metric_label label = {"lane", "a"};
    struct rider_error err;

    assert_int_equal(histogram_create(bounds, 2, &h, &err), 0);
    histogram_observe(h, 0.25);
    histogram_observe(h, 4);
    exposition_family(&e, "t_seconds", METRIC_HISTOGRAM, "T.");
    exposition_histogram(&e, &label, 1, h);
    assert_string_equal(buf_text(&out), "# HELP t_seconds T.\n"
                                        "# TYPE t_seconds histogram\n"
                                        "t_seconds_bucket{lane=\"a\",le=\"0.5\"} 1\n"
                                        "t_seconds_bucket{lane=\"a\",le=\"1\"} 1\n"
                                        "t_seconds_bucket{lane=\"a\",le=\"+Inf\"} 2\n"
                                        "t_seconds_sum{lane=\"a\"} 4.25\n"
                                        "t_seconds_count{lane=\"a\"} 2\n");
}

static void a_full_buffer_is_noticed(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(16);
    struct exposition e = exposition_begin(&out);

    exposition_family(&e, "postrider_events_total", METRIC_COUNTER, "Events.");
    assert_true(out.failed);
}

static void process_families_are_there(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 16);
    struct exposition e = exposition_begin(&out);
    static const char *const names[] = {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
    };

    process_metrics_write(&e);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(strstr(buf_text(&out), names[i]));
    }
    /* Some megabytes are resident: the field was counted from the right end. */
    const char *rss = strstr(buf_text(&out), "\nprocess_resident_memory_bytes ");
    assert_non_null(rss);
    assert_true(strtod(strchr(rss + 1, ' '), NULL) > 500e3);
    assert_true(strtod(strchr(rss + 1, ' '), NULL) < 1e12);
    const char *start = strstr(buf_text(&out), "\nprocess_start_time_seconds ");
    assert_non_null(start);
    assert_true(strtod(strchr(start + 1, ' '), NULL) > 1.5e9);
}

/* Runs `promtool check metrics` with `text` as its input; -1: not installed. */
static int promtool(const struct buf *text)
{
    char name[] = "promtool";
    char command[] = "check";
    char what[] = "metrics";
    char *const argv[] = {name, command, what, NULL};
    posix_spawn_file_actions_t actions;
    FILE *file = tmpfile();
    pid_t pid;
    int status = -1;

    assert_non_null(file);
    assert_int_equal(fwrite(buf_text(text), 1, text->len, file), text->len);
    rewind(file);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fileno(file), 0), 0);
    if (posix_spawnp(&pid, "promtool", &actions, NULL, argv, environ) == 0) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        status = WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)fclose(file);
    return status;
}

static void promtool_has_nothing_to_say(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 16);
    RIDER_CLEANUP_PTR(histogram_destroy) struct histogram *h = NULL;
    struct exposition e = exposition_begin(&out);
    const struct metric_label label = {"lane", "a\"b\\c\nd"};
    struct rider_error err;

    assert_int_equal(histogram_create(histogram_latency_bounds,
                                      histogram_latency_n_bounds, &h, &err),
                     0);
    histogram_observe(h, 0.25);
    exposition_family(&e, "postrider_wait_seconds", METRIC_HISTOGRAM, "Waits.");
    exposition_histogram(&e, &label, 1, h);
    exposition_family(&e, "postrider_events_total", METRIC_COUNTER, "Events.");
    exposition_count(&e, &label, 1, 7);
    process_metrics_write(&e);

    int status = promtool(&out);
    if (status == -1) {
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_written_as_the_format_says),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(histograms_have_buckets_sum_and_count),
        cmocka_unit_test(a_full_buffer_is_noticed),
        cmocka_unit_test(process_families_are_there),
        cmocka_unit_test(promtool_has_nothing_to_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
