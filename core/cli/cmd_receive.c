/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_receive.c - postrider receive: a webhook receiver that verifies and
 * prints.
 *
 * The main thread waits for a signal or for the last wanted delivery; the
 * receiver's only server thread prints.
 *
 * Invariant: only the server thread touches `struct printer` until the receiver
 * has stopped; the eventfd is how it tells the main thread that all have come.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "cli/cli_command.h"
#include "cli/key_file.h"
#include "receiver/receiver.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#define MAX_BODY ((size_t)16 * 1024 * 1024)

struct printer {
    bool json;
    int64_t wanted; /* stop after so many accepted ones; 0: never */
    int64_t accepted;
    int done_fd;
};

static const char *verdict_word(enum receiver_verdict verdict)
{
    static const char *const words[] = {
        [RECEIVER_ACCEPTED] = "accepted",
        [RECEIVER_DUPLICATE] = "duplicate",
        [RECEIVER_REFUSED] = "refused",
    };

    return words[verdict];
}

static void write_json(struct buf *out, const struct receiver_delivery *d,
                       const char *now)
{
    struct json_writer w = jw_begin(out);

    jw_object(&w, NULL);
    jw_string(&w, "receivedAt", now);
    jw_string(&w, "verdict", verdict_word(d->verdict));
    jw_int(&w, "status", d->status);
    jw_string_or_null(&w, "reason", d->reason);
    jw_string_or_null(&w, "id", d->id);
    jw_string_or_null(&w, "timestamp", d->timestamp);
    jw_bool(&w, "test", d->test);
    jw_string(&w, "path", d->req->path);
    jw_string(&w, "remote", d->req->remote);
    if (d->verdict != RECEIVER_REFUSED) {
        jw_string_or_null(&w, "contentType",
                          http_request_header(d->req, "content-type"));
        jw_string_n(&w, "body", d->req->body, d->req->body_len);
    }
    jw_object_end(&w);
    buf_putc(out, '\n');
}

/* Text that cannot steer a terminal: JSON escapes for all control characters. */
static void write_safe(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        unsigned char c = (unsigned char)text[i];

        if (n > 1 && !(c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)) {
            buf_append(out, text + i, n);
        } else if (n == 1 && ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')) {
            buf_putc(out, (char)c);
        } else {
            buf_printf(out, "\\x%02x", c);
            n = 1;
        }
        i += n;
    }
}

static void write_text(struct buf *out, const struct receiver_delivery *d,
                       const char *now)
{
    buf_printf(out, "%.8s %-9s %u  ", now + 11, verdict_word(d->verdict), d->status);
    if (d->id != NULL) {
        write_safe(out, d->id, strnlen(d->id, 100));
    } else {
        buf_puts(out, "(no webhook-id)");
    }
    buf_printf(out, "  %zu bytes%s", d->req->body_len, d->test ? "  test" : "");
    if (d->reason != NULL) {
        buf_printf(out, "  %s", d->reason);
    }
    buf_putc(out, '\n');
    if (d->verdict == RECEIVER_ACCEPTED) {
        buf_puts(out, "  ");
        write_safe(out, d->req->body, d->req->body_len);
        buf_putc(out, '\n');
    }
}

static void print_delivery(void *arg, const struct receiver_delivery *d)
{
    struct printer *printer = arg;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(8 * MAX_BODY);
    char now[CLOCK_RFC3339_SIZE];

    (void)clock_format_rfc3339(clock_wall_us(), now);
    if (printer->json) {
        write_json(&out, d, now);
    } else {
        write_text(&out, d, now);
    }
    (void)fputs(buf_text(&out), stdout);
    (void)fflush(stdout);
    if (d->verdict == RECEIVER_ACCEPTED && ++printer->accepted == printer->wanted) {
        (void)eventfd_write(printer->done_fd, 1);
    }
}

/* Waits for SIGINT, SIGTERM or done_fd. */
static int wait_for_end(int signal_fd, int done_fd, struct rider_error *err)
{
    struct pollfd fds[2] = {{.fd = signal_fd, .events = POLLIN},
                            {.fd = done_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR) {
            return rider_fail_errno(err, RIDER_E_IO, errno, "could not wait");
        }
    }
    return 0;
}

static int serve(const struct receiver_options *options, struct printer *printer,
                 struct rider_error *err)
{
    RIDER_CLEANUP_PTR(receiver_stop) struct receiver *receiver = NULL;
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    RIDER_CLEANUP_FD int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    RIDER_CLEANUP_FD int done_fd = eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || done_fd < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not prepare to wait");
    }
    printer->done_fd = done_fd;
    int rc = receiver_start(options, &receiver, err);
    if (rc != 0) {
        return rc;
    }
    (void)fprintf(
        stderr, "listening on http://%s, %s; Ctrl-C ends\n", receiver_address(receiver),
        options->n_keys == 0 ? "signatures are NOT verified" : "verifying signatures");
    rc = wait_for_end(signal_fd, done_fd, err);
    /* Before done_fd closes: a last delivery may still be on its way through. */
    receiver_stop(receiver);
    receiver = NULL;
    return rc;
}

/* --count, --remember and --tolerance. */
static int read_numbers(const struct cli_args *args, struct receiver_options *options,
                        struct printer *printer, struct rider_error *err)
{
    const char *count = cli_arg(args, "count");
    const char *remember = cli_arg(args, "remember");
    const char *tolerance = cli_arg(args, "tolerance");
    int64_t ids = 65536;
    uint64_t ms = (uint64_t)RIDER_SIGNATURE_TOLERANCE * 1000;

    if (count != NULL &&
        (parse_int(count, &printer->wanted, NULL) != 0 || printer->wanted < 1)) {
        return rider_fail(err, RIDER_E_CONFIG, "--count is not a whole number from 1");
    }
    if (remember != NULL && (parse_int(remember, &ids, NULL) != 0 || ids < 1)) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "--remember is not a whole number from 1");
    }
    if (tolerance != NULL && parse_duration_ms(tolerance, &ms, err) != 0) {
        return rider_fail_in(err, "--tolerance");
    }
    options->remember = (size_t)ids;
    options->tolerance_s = (int64_t)(ms / 1000);
    return 0;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(key_file_clear) struct key_file keys = {.n = 0};
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct printer printer = {.json = cli_given(args, "json"), .done_fd = -1};
    const char *listen = cli_arg(args, "listen");
    struct receiver_options options = {
        .listen = listen == NULL ? "127.0.0.1:8099" : listen,
        .keys = keys.keys,
        .max_body = MAX_BODY,
        .on_delivery = print_delivery,
        .arg = &printer,
    };

    if (cli_given(args, "secret-file") == cli_given(args, "no-verify")) {
        return cli_fail_text(CLI_USAGE,
                             "receive: either --secret-file or --no-verify is "
                             "needed");
    }
    if (read_numbers(args, &options, &printer, &err) != 0) {
        return cli_fail_text(CLI_USAGE, "receive: %s", err.text);
    }
    if (key_file_read_all(args, &keys, &err) != 0) {
        return cli_fail(&err);
    }
    options.n_keys = keys.n;
    return serve(&options, &printer, &err) == 0 ? CLI_OK : cli_fail(&err);
}

static const struct cli_flag flags[] = {
    {"listen", 'l', "ADDRESS", "where to listen (127.0.0.1:8099); port 0: a free one"},
    {"secret-file", 's', "FILE", "keys, one a line (whsec_ or whpk_); may be repeated"},
    {"no-verify", 0, NULL, "take everything, signed or not"},
    {"tolerance", 0, "DURATION", "how far the timestamp may be off (5m)"},
    {"remember", 0, "N", "ids to remember, to tell a repeated one (65536)"},
    {"count", 'n', "N", "end after N accepted deliveries"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_receive = {
    .name = "receive",
    .summary = "receive webhooks: verify, reject replays, print",
    .description =
        "Listens for webhooks on any path, verifies their Standard Webhooks "
        "signature,\n"
        "and prints each one. An old timestamp or a wrong signature is refused with "
        "400\n"
        "or 401. An id that was seen before is answered with 200 and marked as\n"
        "duplicate: deliveries come at least once, and an application would skip it.\n"
        "Trials are marked as test, and the handshake of a subscription is agreed to.\n"
        "\n"
        "It is for trying out and for tests, without TLS: put a proxy in front of it\n"
        "before others can reach it.",
    .examples = "  postrider receive --secret-file key\n"
                "  postrider receive --no-verify --listen 127.0.0.1:9000\n"
                "  postrider receive -s key --count 1 --json | jq -r .body\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
