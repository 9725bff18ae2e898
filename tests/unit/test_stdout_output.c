/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stdout_output.c - lines reach a pipe whole, a reader that sleeps can be
 * left, and a line that was cut is ended before the next.
 */
#include "stdout/batch.h"
#include "stdout/output.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BIG 262144u

struct fixture {
    int pipe[2];
    char path[64]; /* opens the pipe's writing end anew */
    struct output *out;
    struct batch *batch;
    struct rider_event events[2];
    char *big;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->out = calloc(1, sizeof(*f->out));
    f->batch = calloc(1, sizeof(*f->batch));
    f->big = malloc(BIG);
    assert_non_null(f->out);
    assert_non_null(f->batch);
    if (f->big == NULL) {
        return -1;
    }
    memset(f->big, 'x', BIG);
    assert_int_equal(pipe2(f->pipe, O_CLOEXEC), 0);
    (void)snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->pipe[1]);
    assert_int_equal(output_init(f->out, f->path), 0);
    f->batch->n = 2;
    f->batch->events[0] = &f->events[0];
    f->batch->events[1] = &f->events[1];
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    output_done(f->out);
    (void)close(f->pipe[0]);
    (void)close(f->pipe[1]);
    free(f->big);
    free(f->batch);
    free(f->out);
    free(f);
    return 0;
}

static struct rider_bytes bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static void writes_one_line_an_event(void **state)
{
    struct fixture *f = *state;
    char text[64] = "";
    int failed = -1;

    f->events[0].body = bytes("{\"a\":\r\n1}");
    f->events[1].body = bytes("{}");
    assert_int_equal(batch_write(f->batch, f->out, true, true, &failed), 2);
    assert_int_equal(failed, 0);
    assert_int_equal(read(f->pipe[0], text, sizeof(text)), 13);
    assert_string_equal(text, "{\"a\":  1}\n{}\n");
}

static void raw_keeps_every_byte(void **state)
{
    struct fixture *f = *state;
    char text[64] = "";
    int failed = -1;

    f->batch->n = 1;
    f->events[0].body = bytes("{\n}");
    assert_int_equal(batch_write(f->batch, f->out, false, false, &failed), 1);
    assert_int_equal(read(f->pipe[0], text, sizeof(text)), 4);
    assert_string_equal(text, "{\n}\n");
}

/* Nobody reads and the cancel came: the first line is out, the second was cut. */
static void leaves_a_reader_that_sleeps(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, BIG);
    int failed = 0;

    assert_non_null(text);
    f->events[0].body = bytes("{}");
    f->events[1].body = (struct rider_bytes){f->big, BIG};
    output_cancel(f->out);
    assert_int_equal(batch_write(f->batch, f->out, true, false, &failed), 1);
    assert_int_equal(failed, ECANCELED);
    assert_int_equal(batch_begun(f->batch, f->out->sent), 2);
    assert_true(f->out->mid_line);

    /* The next batch ends the line that was cut. */
    assert_true(read(f->pipe[0], text, BIG) > 0);
    f->batch->n = 1;
    assert_int_equal(batch_write(f->batch, f->out, true, false, &failed), 1);
    assert_int_equal(read(f->pipe[0], text, BIG), 4);
    assert_memory_equal(text, "\n{}\n", 4);
    free(text);
}

static void a_reader_that_left_is_a_failure(void **state)
{
    struct fixture *f = *state;
    int failed = 0;

    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    f->events[0].body = bytes("{}");
    f->events[1].body = bytes("{}");
    assert_int_equal(output_recover(f->out), 0);
    assert_int_equal(close(f->pipe[0]), 0);
    f->pipe[0] = -1;
    assert_int_equal(batch_write(f->batch, f->out, true, false, &failed), 0);
    assert_int_equal(failed, EPIPE);
    assert_int_equal(batch_begun(f->batch, f->out->sent), 0);
}

static void a_missing_directory_is_a_failure(void **state)
{
    struct fixture *f = *state;
    int failed = 0;

    f->out->path = "/nonexistent/events";
    f->events[0].body = bytes("{}");
    f->events[1].body = bytes("{}");
    assert_int_equal(batch_write(f->batch, f->out, true, false, &failed), 0);
    assert_int_equal(failed, ENOENT);
}

/* An empty file of its own; `out` appends to it. */
static int open_file(char *path, size_t size, struct output *out)
{
    (void)snprintf(path, size, "/tmp/test-stdout-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(output_init(out, path), 0);
    return fd;
}

static void close_file(const char *path, int fd, struct output *out)
{
    output_done(out);
    (void)close(fd);
    (void)unlink(path);
}

static void half_a_line_of_an_earlier_process_is_ended(void **state)
{
    struct fixture *f = *state;
    struct output *out = calloc(1, sizeof(*out));
    char path[64];
    char text[64] = "";
    int failed = -1;

    assert_non_null(out);
    int fd = open_file(path, sizeof(path), out);
    assert_int_equal(write(fd, "{\"cu", 4), 4);
    f->events[0].body = bytes("{}");
    f->events[1].body = bytes("{}");
    assert_int_equal(batch_write(f->batch, out, true, false, &failed), 2);
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "{\"cu\n{}\n{}\n");
    close_file(path, fd, out);
    free(out);
}

static void lines_are_written_whole(void **state)
{
    struct fixture *f = *state;
    struct output *out = calloc(1, sizeof(*out));
    char path[64];
    const size_t len = OUTPUT_BUFFER_SIZE / 2 + 1;

    assert_non_null(out);
    int fd = open_file(path, sizeof(path), out);
    assert_int_equal(output_recover(out), 0);
    output_begin_line(out, len);
    output_put(out, f->big, len, false);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    output_begin_line(out, len);
    output_put(out, f->big, len, false);
    assert_int_equal(lseek(fd, 0, SEEK_END), len);
    assert_int_equal(output_push(out), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), 2 * len);
    close_file(path, fd, out);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_one_line_an_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(raw_keeps_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_a_reader_that_sleeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_that_left_is_a_failure, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(half_a_line_of_an_earlier_process_is_ended,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_are_written_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_directory_is_a_failure, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
