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
#include "outbox/admin_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int64_t count_state(const struct outbox_lane_status *lane, const char *state)
{
    int64_t n = 0;

    for (size_t i = 0; i < lane->n_deliveries; i++) {
        n += strcmp(lane->deliveries[i].state, state) == 0 ? lane->deliveries[i].n : 0;
    }
    return n;
}

#define AGE_SIZE 24

/* "3s", "12m", "5h", "9d": two digits are enough to see what is wrong. */
static void format_age(int64_t ms, char out[AGE_SIZE])
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms >= 2 * units[i].ms || (units[i].unit == 's' && ms >= units[i].ms)) {
            (void)snprintf(out, AGE_SIZE, "%" PRId64 "%c", ms / units[i].ms,
                           units[i].unit);
            return;
        }
    }
    (void)snprintf(out, AGE_SIZE, ms > 0 ? "<1s" : "-");
}

static void print_lane(const struct outbox_lane_status *lane)
{
    char name[80];
    char backlog[24];
    char age[AGE_SIZE];

    if (lane->part == 0) {
        (void)snprintf(name, sizeof(name), "%s", lane->destination);
    } else {
        (void)snprintf(name, sizeof(name), "%s/%" PRId32, lane->destination,
                       lane->part);
    }
    (void)snprintf(backlog, sizeof(backlog), "%" PRId64 "%s", lane->backlog,
                   lane->backlog_capped ? "+" : "");
    format_age(lane->oldest_pending_ms, age);
    (void)printf("%-20s %-7s %8s %7s %6" PRId64 " %6" PRId64 " %6" PRId64 " %6" PRId64
                 "  %s\n",
                 name, lane->state, backlog, age,
                 count_state(lane, "PENDING") + count_state(lane, "IN_FLIGHT"),
                 count_state(lane, "RETRY"), count_state(lane, "HELD"),
                 count_state(lane, "DEAD"), lane->owner[0] == '\0' ? "-" : lane->owner);
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
}

static void write_lane(struct json_writer *w, const struct outbox_lane_status *lane)
{
    json_object(w, NULL);
    json_string(w, "destination", lane->destination);
    json_int(w, "part", lane->part);
    json_string(w, "state", lane->state);
    json_string_or_null(w, "owner", lane->owner[0] == '\0' ? NULL : lane->owner);
    json_string_or_null(w, "cause", lane->cause[0] == '\0' ? NULL : lane->cause);
    json_int(w, "leaseLeftMs", lane->lease_left_ms);
    json_int(w, "backlog", lane->backlog);
    json_bool(w, "backlogCapped", lane->backlog_capped);
    json_int(w, "oldestPendingMs", lane->oldest_pending_ms);
    json_int(w, "dead", count_state(lane, "DEAD"));
    json_array(w, "deliveries");
    for (size_t i = 0; i < lane->n_deliveries; i++) {
        const struct outbox_delivery_count *d = &lane->deliveries[i];

        json_object(w, NULL);
        json_string(w, "state", d->state);
        json_string_or_null(w, "cause", d->cause[0] == '\0' ? NULL : d->cause);
        json_int(w, "count", d->n);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
}

static int print_json(const struct outbox_status *status)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make((size_t)16 * 1024 * 1024);
    struct json_writer w = json_begin(&out);

    json_object(&w, NULL);
    json_int(&w, "schemaVersion", status->schema_version);
    json_bool(&w, "strictTypes", status->strict_types);
    json_bool(&w, "sameCluster", status->same_cluster);
    json_array(&w, "lanes");
    for (size_t i = 0; i < status->n_lanes; i++) {
        write_lane(&w, &status->lanes[i]);
    }
    json_array_end(&w);
    json_object_end(&w);
    if (out.failed) {
        return cli_fail_text(CLI_TEMPORARY, "out of memory");
    }
    (void)puts(buf_text(&out));
    return CLI_OK;
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
