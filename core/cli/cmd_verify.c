/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_verify.c - postrider verify: is this webhook signature right?
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/cli_command.h"
#include "cli/cli_input.h"
#include "cli/key_file.h"
#include "cli/saved_request.h"

#include <stdio.h>

#define MAX_REQUEST ((size_t)64 * 1024 * 1024)

static int read_tolerance(const struct cli_args *args, int64_t *ret,
                          struct rider_error *err)
{
    const char *text = cli_arg(args, "tolerance");
    uint64_t ms = (uint64_t)RIDER_SIGNATURE_TOLERANCE * 1000;

    if (text != NULL && parse_duration_ms(text, &ms, err) != 0) {
        return rider_fail_in(err, "--tolerance");
    }
    *ret =
        cli_given(args, "any-time") ? RIDER_SIGNATURE_ANY_TIME : (int64_t)(ms / 1000);
    return 0;
}

/* The message comes from a saved request, or from three options and a body. */
static int read_message(const struct cli_args *args, struct buf *text,
                        struct rider_signed_message *ret, struct rider_error *err)
{
    const char *request = cli_arg(args, "request");
    const char *body = cli_arg(args, "body");
    const char *path = request != NULL ? request : body;
    int rc = cli_input_read(path == NULL ? "-" : path, text, err);

    if (rc != 0) {
        return rc;
    }
    if (request != NULL) {
        return saved_request_parse(text, ret, err);
    }
    *ret = (struct rider_signed_message){
        .id = cli_arg(args, "id"),
        .timestamp = cli_arg(args, "timestamp"),
        .signature = cli_arg(args, "signature"),
        .body = buf_text(text),
        .body_len = text->len,
    };
    return 0;
}

static int report(const struct cli_args *args, enum rider_signature_status status)
{
    bool valid = status == RIDER_SIGNATURE_OK;

    if (cli_given(args, "json")) {
        /* The texts are fixed and hold nothing that JSON would escape. */
        (void)printf("{\"valid\":%s,\"reason\":%s%s%s}\n", valid ? "true" : "false",
                     valid ? "" : "\"", valid ? "null" : rider_signature_text(status),
                     valid ? "" : "\"");
    } else if (valid) {
        (void)puts("valid");
    } else {
        (void)printf("not valid: %s\n", rider_signature_text(status));
    }
    return valid ? CLI_OK : CLI_DATA;
}

static int fail_data(const struct rider_error *err)
{
    return cli_fail_text(err->code == RIDER_E_CONFIG ? CLI_DATA
                                                     : cli_exit_of(err->code),
                         "%s", err->text);
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(buf_done) struct buf text = buf_make(MAX_REQUEST);
    RIDER_CLEANUP(key_file_clear) struct key_file keys = {.n = 0};
    struct rider_signed_message message = {.id = NULL};
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    int64_t tolerance = 0;

    if (!cli_given(args, "secret-file")) {
        return cli_fail_text(CLI_USAGE, "verify: --secret-file is needed");
    }
    if (cli_given(args, "request") &&
        (cli_given(args, "id") || cli_given(args, "timestamp") ||
         cli_given(args, "signature") || cli_given(args, "body"))) {
        return cli_fail_text(CLI_USAGE, "verify: --request has all that the other "
                                        "options give");
    }
    if (read_tolerance(args, &tolerance, &err) != 0) {
        return cli_fail_text(CLI_USAGE, "verify: %s", err.text);
    }
    if (key_file_read_all(args, &keys, &err) != 0 ||
        read_message(args, &text, &message, &err) != 0) {
        return fail_data(&err);
    }
    return report(args, rider_signature_verify(keys.keys, keys.n, &message,
                                               clock_wall_us() / 1000000, tolerance));
}

static const struct cli_flag flags[] = {
    {"secret-file", 's', "FILE", "keys, one a line (whsec_ or whpk_); may be repeated"},
    {"id", 0, "TEXT", "the webhook-id header"},
    {"timestamp", 0, "TEXT", "the webhook-timestamp header"},
    {"signature", 0, "TEXT", "the webhook-signature header"},
    {"body", 'b', "FILE", "the raw body (standard input)"},
    {"request", 'r', "FILE",
     "a saved request instead of the four above: headers, an empty line, the body; "
     "- is standard input"},
    {"tolerance", 0, "DURATION", "how far the timestamp may be off (5m)"},
    {"any-time", 0, NULL, "do not look at the clock: for old requests"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_verify = {
    .name = "verify",
    .summary = "verify the signature of one webhook request",
    .description =
        "Checks a request against the Standard Webhooks rules with your own keys: for\n"
        "finding out why a receiver refuses. The body must be the raw bytes as they\n"
        "came; JSON that was parsed and written again has another signature.\n"
        "\n"
        "Status 0: valid. Status 65: not valid, with the reason.",
    .examples = "  postrider verify --secret-file key --request saved.http --any-time\n"
                "  postrider verify -s key --id \"$ID\" --timestamp \"$TS\" \\\n"
                "      --signature \"$SIG\" < body.json\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
