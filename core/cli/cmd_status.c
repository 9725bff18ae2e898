/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_status.c - postrider status: what is delivered and what waits, by lane.
 *
 * The answer comes from the database, not from a relay, so it is there when no
 * relay is running.
 */
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/status_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_lane(const struct outbox_lane_status *lane)
{
    char name[80];
    char backlog[24];
    char age[CLI_AGE_SIZE];

    if (lane->part == 0) {
        (void)snprintf(name, sizeof(name), "%s", lane->destination);
    } else {
        (void)snprintf(name, sizeof(name), "%s/%" PRId32, lane->destination,
                       lane->part);
    }
    (void)snprintf(backlog, sizeof(backlog), "%" PRId64 "%s", lane->backlog,
                   lane->backlog_capped ? "+" : "");
    cli_age(lane->oldest_pending_ms, age);
    (void)printf(
        "%-20s %-7s %8s %7s %6" PRId64 " %6" PRId64 " %6" PRId64 " %6" PRId64 "  %s\n",
        name, lane->state, backlog, age,
        outbox_lane_count(lane, "PENDING") + outbox_lane_count(lane, "IN_FLIGHT"),
        outbox_lane_count(lane, "RETRY"), outbox_lane_count(lane, "HELD"),
        outbox_lane_count(lane, "DEAD"), lane->owner[0] == '\0' ? "-" : lane->owner);
}

/* Why lanes stand still and why deliveries failed. */
static void print_causes(const struct outbox_lane_status *lane)
{
    if (lane->cause[0] != '\0') {
        (void)printf("%s: stands still: %s\n", lane->destination, lane->cause);
    }
    for (size_t i = 0; i < lane->n_deliveries; i++) {
        const struct outbox_delivery_count *d = &lane->deliveries[i];

        if (d->cause[0] != '\0' && strcmp(d->state, "DELIVERED") != 0 &&
            strcmp(d->state, "DISCARDED") != 0) {
            (void)printf("%s: %" PRId64 " %s: %s\n", lane->destination, d->n, d->state,
                         d->cause);
        }
    }
}

static void print_subscriptions(const struct outbox_subscription_count *s)
{
    char age[CLI_AGE_SIZE];

    cli_age(s->oldest_ms, age);
    (void)printf("%s: %" PRId64 " subscriptions %s, %" PRId64
                 " failing, oldest waits for %s\n",
                 s->destination, s->n, s->status, s->failing,
                 s->oldest_ms == 0 ? "nothing" : age);
}

static void print_table(const struct outbox_status *status)
{
    if (!status->same_cluster) {
        (void)puts("warning: this outbox was restored from another cluster; run "
                   "SELECT * FROM outbox.rebase()");
    }
    if (status->n_lanes == 0) {
        (void)puts("no lanes yet: `postrider run` creates one for each destination");
        return;
    }
    (void)printf("%-20s %-7s %8s %7s %6s %6s %6s %6s  %s\n", "DESTINATION", "STATE",
                 "BACKLOG", "OLDEST", "PARKED", "RETRY", "HELD", "DEAD", "OWNER");
    for (size_t i = 0; i < status->n_lanes; i++) {
        print_lane(&status->lanes[i]);
    }
    for (size_t i = 0; i < status->n_lanes; i++) {
        print_causes(&status->lanes[i]);
    }
    for (size_t i = 0; i < status->n_subscriptions; i++) {
        print_subscriptions(&status->subscriptions[i]);
    }
}

static int print_json(const struct outbox_status *status)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make((size_t)16 * 1024 * 1024);
    struct json_writer w = jw_begin(&out);

    outbox_status_write(status, &w);
    return cli_print_json(&out);
}

static int run(const struct cli_args *args)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct outbox_status *status = NULL;
    struct cli_settings s;
    const char *dsn;
    int rc = cli_dsn(args, &s, &dsn);

    if (rc == CLI_OK && outbox_status_read(dsn, &status, &err) != 0) {
        rc = cli_fail(&err);
    } else if (rc == CLI_OK && cli_given(args, "json")) {
        rc = print_json(status);
    } else if (rc == CLI_OK) {
        print_table(status);
    }
    outbox_status_destroy(status);
    cli_settings_done(&s);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    CLI_FLAG_JSON,
};

const struct cli_command cmd_status = {
    .name = "status",
    .summary = "show what waits, by destination and cause",
    .description =
        "Shows each lane (one for a destination, or for a part of a split one): its\n"
        "state, how many events are behind its cursor, how old the oldest undelivered\n"
        "one is, what is parked for a later try or dead and why, and which process\n"
        "holds it. It asks the database, so it works while no relay is running.\n"
        "\n"
        "OLDEST is the age of the oldest event that is neither delivered nor dead.\n"
        "PARKED events wait for their first try on their own, RETRY ones for the next\n"
        "try, HELD ones for an earlier event of their aggregate, DEAD ones for you.",
    .examples = "  postrider status -c postrider.yaml\n"
                "  postrider status -c postrider.yaml --json | jq '.lanes[].dead'\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
