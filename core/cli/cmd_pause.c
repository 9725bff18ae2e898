/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_pause.c - postrider pause and resume: stop one destination, start it again.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/cli_change.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/held_query.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#define LOOK_MS 200

/* Waits until nobody has a lease of the destination. */
static int wait_for_owners(const char *dsn, const char *destination, uint64_t wait_ms,
                           struct row_set **ret, struct rider_error *err)
{
    uint64_t deadline = clock_mono_ms() + wait_ms;

    for (;;) {
        int rc = lane_switch_owners(dsn, destination, ret, err);

        if (rc != 0 || row_set_count(*ret) == 0 || clock_mono_ms() >= deadline) {
            return rc;
        }
        row_set_destroy(*ret);
        *ret = NULL;
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static int report(const struct cli_args *args, const char *word,
                  const struct row_set *lanes, const struct row_set *owners)
{
    bool open = owners != NULL && row_set_count(owners) > 0;

    if (cli_given(args, "json")) {
        RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
        struct json_writer w = jw_begin(&out);

        jw_object(&w, NULL);
        jw_string(&w, "destination", args->operands[0]);
        jw_string(&w, "action", word);
        jw_int(&w, "lanes", (int64_t)row_set_count(lanes));
        if (owners != NULL) {
            row_set_write(owners, &w, "owners");
        }
        jw_object_end(&w);
        int status = cli_print_json(&out);
        return status == CLI_OK && open ? CLI_TEMPORARY : status;
    }
    if (open) {
        return cli_fail_text(CLI_TEMPORARY,
                             "%s is paused, but %s still works on what is open; "
                             "--fence takes the lane away from it",
                             args->operands[0], row_set_text(owners, 0, "owner"));
    }
    (void)printf("%s: %zu lanes %s\n", args->operands[0], row_set_count(lanes), word);
    return CLI_OK;
}

static int pause_destination(const struct cli_args *args, const char *dsn,
                             uint64_t wait_ms)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lanes = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *owners = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char actor[160];

    cli_actor(actor, sizeof(actor));
    int rc = lane_switch_set(dsn, args->operands[0],
                             cli_given(args, "fence") ? LANE_SWITCH_FENCE
                                                      : LANE_SWITCH_PAUSE,
                             actor, &lanes, &err);
    if (rc == 0) {
        rc = wait_for_owners(dsn, args->operands[0], wait_ms, &owners, &err);
    }
    return rc == 0 ? report(args, "paused", lanes, owners) : cli_fail(&err);
}

static int resume_destination(const struct cli_args *args, const char *dsn)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lanes = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char actor[160];

    cli_actor(actor, sizeof(actor));
    if (lane_switch_set(dsn, args->operands[0], LANE_SWITCH_RESUME, actor, &lanes,
                        &err) != 0) {
        return cli_fail(&err);
    }
    return report(args, "resumed", lanes, NULL);
}

static int run_pause(const struct cli_args *args)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    const char *wait = cli_arg(args, "wait");
    uint64_t wait_ms = 30000;
    struct cli_settings s;
    const char *dsn;

    if (wait != NULL && parse_duration_ms(wait, &wait_ms, &err) != 0) {
        return cli_fail_text(CLI_USAGE, "pause: --wait: %s", err.text);
    }
    int status = cli_dsn(args, &s, &dsn);
    if (status == CLI_OK) {
        status = pause_destination(args, dsn, wait_ms);
    }
    cli_settings_done(&s);
    return status;
}

static int run_resume(const struct cli_args *args)
{
    struct cli_settings s;
    const char *dsn;
    int status = cli_dsn(args, &s, &dsn);

    if (status == CLI_OK) {
        status = resume_destination(args, dsn);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag pause_flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"wait", 0, "DURATION", "how long to wait for the relay to let go (30s)"},
    {"fence", 0, NULL,
     "take the lanes away at once; what is open is sent again after resume"},
    CLI_FLAG_JSON,
};

static const struct cli_flag resume_flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    CLI_FLAG_JSON,
};

const struct cli_command cmd_pause = {
    .name = "pause",
    .summary = "stop sending to one destination",
    .operands = "DESTINATION",
    .description =
        "Stops one destination; the others go on, and its events wait with cause\n"
        "\"paused\". The relay finishes what is open and lets the lanes go; this "
        "command\n"
        "waits for that and exits with status 75 if it takes too long. The pause "
        "lasts,\n"
        "over restarts, until `postrider resume`.",
    .examples = "  postrider pause partners -c postrider.yaml\n",
    .flags = pause_flags,
    .n_flags = sizeof(pause_flags) / sizeof(pause_flags[0]),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_pause,
};

const struct cli_command cmd_resume = {
    .name = "resume",
    .summary = "send to a paused destination again",
    .operands = "DESTINATION",
    .description =
        "Ends a pause. A relay takes the lanes within half a second and goes "
        "on\nwhere they stopped.",
    .examples = "  postrider resume partners -c postrider.yaml\n",
    .flags = resume_flags,
    .n_flags = sizeof(resume_flags) / sizeof(resume_flags[0]),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_resume,
};
