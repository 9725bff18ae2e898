/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_metrics.c - what /metrics says.
 *
 * The format wants all samples of a family together, so each family walks the
 * lanes once. Labels are bounded: lane, adapter, result, cause, state.
 */
#include "daemon/report.h"

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/breaker.h"
#include "dispatch/cause.h"
#include "metrics/process_metrics.h"
#include "postrider/version.h"

#include <stddef.h>
#include <string.h>

static const char *const outcome_words[LANE_OUTCOMES] = {
    [RIDER_DELIVERED] = "delivered",   [RIDER_RETRY] = "retry",
    [RIDER_REJECTED] = "rejected",     [RIDER_UNAVAILABLE] = "unavailable",
    [RIDER_UNROUTABLE] = "unroutable",
};

static const char *const breaker_words[] = {[BREAKER_CLOSED] = "closed",
                                            [BREAKER_OPEN] = "open",
                                            [BREAKER_HALF_OPEN] = "half_open"};

/* One walk over the lanes for one family. */
struct walk {
    struct exposition *x;
    size_t offset; /* of the atomic in struct lane_stats */
    uint64_t now_ms;
};

static uint64_t load(const atomic_uint_fast64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static struct metric_label lane_label(const struct lane_thread *lane)
{
    return (struct metric_label){"lane", lane_thread_name(lane)};
}

static void emit_member(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    const char *stats = (const char *)lane_thread_stats(lane);
    const void *value = stats + w->offset;
    struct metric_label label = lane_label(lane);

    exposition_count(w->x, &label, 1, load(value));
}

struct member {
    const char *name;
    enum metric_type type;
    const char *help;
    size_t offset;
};

#define MEMBER(field) offsetof(struct lane_stats, field)

static const struct member members[] = {
    {"postrider_events_read_total", METRIC_COUNTER, "Events read from the log.",
     MEMBER(events_read)},
    {"postrider_delivered_total", METRIC_COUNTER,
     "Deliveries confirmed by the receiver.", MEMBER(delivered)},
    {"postrider_dead_total", METRIC_COUNTER, "Events that became dead letters.",
     MEMBER(dead)},
    {"postrider_parked_total", METRIC_COUNTER, "Events put off to a later attempt.",
     MEMBER(parked)},
    {"postrider_duplicate_risk_total", METRIC_COUNTER,
     "Attempts with an unclear end, whose repetition may be a duplicate.",
     MEMBER(duplicates_risked)},
    {"postrider_fenced_total", METRIC_COUNTER, "Times the lane was found taken over.",
     MEMBER(fenced)},
    {"postrider_settles_total", METRIC_COUNTER, "Cursor writes.", MEMBER(settles)},
    {"postrider_database_lost_total", METRIC_COUNTER, "Lost database connections.",
     MEMBER(db_lost)},
    {"postrider_adapter_contract_violations_total", METRIC_COUNTER,
     "Completions of tickets that were not open.", MEMBER(contract_violations)},
    {"postrider_in_flight_events", METRIC_GAUGE, "Events with the adapter.",
     MEMBER(in_flight)},
    {"postrider_ready_events", METRIC_GAUGE, "Events in memory that wait to be sent.",
     MEMBER(ready)},
    {"postrider_memory_bytes", METRIC_GAUGE, "Memory held by events.", MEMBER(bytes)},
    {"postrider_held_keys", METRIC_GAUGE,
     "Ordering keys with undelivered earlier events.", MEMBER(held_keys)},
    {"postrider_lease_token", METRIC_GAUGE, "Fencing token of the lane's lease.",
     MEMBER(token)},
};

static void emit_members(struct exposition *x, struct lane_set *lanes)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        struct walk w = {.x = x, .offset = members[i].offset};
        exposition_family(x, members[i].name, members[i].type, members[i].help);
        lane_set_each(lanes, emit_member, &w);
    }
}

static void emit_attempts(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;

    for (size_t i = 0; i < LANE_OUTCOMES; i++) {
        struct metric_label labels[] = {lane_label(lane), {"result", outcome_words[i]}};
        exposition_count(w->x, labels, 2, load(&lane_thread_stats(lane)->attempts[i]));
    }
}

static void emit_failures(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;

    for (uint32_t i = 0; i < LANE_CAUSES; i++) {
        uint64_t n = load(&lane_thread_stats(lane)->failures[i]);
        struct metric_label labels[] = {lane_label(lane), {"cause", cause_word(i)}};
        if (n > 0) {
            exposition_count(w->x, labels, 2, n);
        }
    }
}

static void emit_phase(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    uint64_t now = load(&lane_thread_stats(lane)->phase);

    for (uint64_t p = LANE_OFFLINE; p <= LANE_STOPPED; p++) {
        struct metric_label labels[] = {lane_label(lane),
                                        {"phase", lane_phase_word(p)}};
        exposition_count(w->x, labels, 2, p == now);
    }
}

static void emit_breaker(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    uint64_t now = load(&lane_thread_stats(lane)->breaker);

    for (size_t s = 0; s < sizeof(breaker_words) / sizeof(breaker_words[0]); s++) {
        struct metric_label labels[] = {lane_label(lane), {"state", breaker_words[s]}};
        exposition_count(w->x, labels, 2, s == now);
    }
}

static void emit_up(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    struct adapter_report report;
    struct metric_label labels[] = {
        lane_label(lane), {"adapter", lane_thread_destination(lane)->adapter}};

    lane_thread_report(lane, &report);
    exposition_count(w->x, labels, 2, report.health.state == RIDER_UP);
}

static void emit_progress(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    uint64_t last = load(&lane_thread_stats(lane)->last_progress_ms);
    struct metric_label label = lane_label(lane);

    if (last != 0) {
        exposition_sample(w->x, &label, 1,
                          (double)(w->now_ms > last ? w->now_ms - last : 0) / 1000);
    }
}

static void emit_latency(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    struct metric_label label = lane_label(lane);

    exposition_histogram(w->x, &label, 1, lane_thread_stats(lane)->commit_to_accept);
}

static void emit_stats(void *arg, struct lane_thread *lane)
{
    const struct walk *w = arg;
    struct adapter_report report;

    lane_thread_report(lane, &report);
    for (size_t i = 0; i < report.n_stats; i++) {
        struct metric_label labels[] = {
            lane_label(lane),
            {"adapter", lane_thread_destination(lane)->adapter},
            {"stat", report.stats[i].name}};
        exposition_sample(w->x, labels, 3, report.stats[i].value);
    }
}

static const struct {
    const char *name;
    enum metric_type type;
    const char *help;
    void (*emit)(void *arg, struct lane_thread *lane);
} families[] = {
    {"postrider_attempts_total", METRIC_COUNTER, "Ended attempts by result.",
     emit_attempts},
    {"postrider_failures_total", METRIC_COUNTER, "Failed attempts by cause.",
     emit_failures},
    {"postrider_lane_phase", METRIC_GAUGE, "1 for what the lane is doing.", emit_phase},
    {"postrider_breaker_state", METRIC_GAUGE, "1 for the breaker's state.",
     emit_breaker},
    {"postrider_adapter_up", METRIC_GAUGE, "1 when the adapter reports that it is up.",
     emit_up},
    {"postrider_seconds_since_progress", METRIC_GAUGE,
     "Time since the last delivery, or since there was nothing to do.", emit_progress},
    {"postrider_commit_to_accept_seconds", METRIC_HISTOGRAM,
     "From an event's occurredAt to its acceptance.", emit_latency},
    {"postrider_adapter_stat", METRIC_GAUGE, "Numbers that only the adapter knows.",
     emit_stats},
};

static void emit_families(struct exposition *x, struct lane_set *lanes)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        struct walk w = {.x = x, .now_ms = clock_mono_ms()};
        exposition_family(x, families[i].name, families[i].type, families[i].help);
        lane_set_each(lanes, families[i].emit, &w);
    }
}

static void emit_backlog(struct exposition *x, const struct outbox_status *status)
{
    exposition_family(x, "postrider_pending_events", METRIC_GAUGE,
                      "Events behind the lane's cursor when last sampled.");
    for (size_t i = 0; i < status->n_lanes; i++) {
        struct metric_label label = {"lane", status->lanes[i].destination};
        exposition_sample(x, &label, 1, (double)status->lanes[i].backlog);
    }
    exposition_family(x, "postrider_oldest_pending_age_seconds", METRIC_GAUGE,
                      "Age of the oldest undelivered event when last sampled.");
    for (size_t i = 0; i < status->n_lanes; i++) {
        struct metric_label label = {"lane", status->lanes[i].destination};
        exposition_sample(x, &label, 1,
                          (double)status->lanes[i].oldest_pending_ms / 1000);
    }
    exposition_family(x, "postrider_open_deliveries", METRIC_GAUGE,
                      "Parked deliveries by state and cause when last sampled.");
    for (size_t i = 0; i < status->n_lanes; i++) {
        const struct outbox_lane_status *lane = &status->lanes[i];
        for (size_t d = 0; d < lane->n_deliveries; d++) {
            struct metric_label labels[] = {{"lane", lane->destination},
                                            {"state", lane->deliveries[d].state},
                                            {"cause", lane->deliveries[d].cause}};
            exposition_sample(x, labels, 3, (double)lane->deliveries[d].n);
        }
    }
}

static void emit_sample(void *arg, const struct outbox_status *status, uint64_t age_ms,
                        bool database_up, uint64_t retired)
{
    struct exposition *x = arg;

    exposition_family(x, "postrider_database_up", METRIC_GAUGE,
                      "1 when the last sample of the database succeeded.");
    exposition_count(x, NULL, 0, database_up);
    exposition_family(x, "postrider_retired_events_total", METRIC_COUNTER,
                      "Settled events deleted by retention.");
    exposition_count(x, NULL, 0, retired);
    if (status != NULL) {
        exposition_family(x, "postrider_sample_age_seconds", METRIC_GAUGE,
                          "Age of the sample that the backlog metrics come from.");
        exposition_sample(x, NULL, 0, (double)age_ms / 1000);
        emit_backlog(x, status);
    }
}

static void emit_process(struct exposition *x, struct report *r)
{
    struct metric_label version = {"version", RIDER_VERSION};

    exposition_family(x, "postrider_build_info", METRIC_GAUGE,
                      "Version of this program.");
    exposition_count(x, &version, 1, 1);
    exposition_family(x, "postrider_config_generation", METRIC_GAUGE,
                      "How often a configuration was taken over, the start included.");
    exposition_count(x, NULL, 0, atomic_load(&r->generation));
    exposition_family(x, "postrider_config_last_reload_successful", METRIC_GAUGE,
                      "0 when the file was refused at the last reload.");
    exposition_count(x, NULL, 0, atomic_load(&r->last_reload_ok));
    exposition_family(x, "postrider_config_last_reload_success_timestamp_seconds",
                      METRIC_GAUGE, "When a configuration was last taken over.");
    exposition_sample(x, NULL, 0, (double)atomic_load(&r->last_reload_s));
    exposition_family(x, "postrider_log_lines_dropped_total", METRIC_COUNTER,
                      "Log lines that could not be written.");
    exposition_count(x, NULL, 0, log_lines_dropped());
    process_metrics_write(x);
}

void report_metrics(void *arg, struct buf *out)
{
    struct report *r = arg;
    struct exposition x = exposition_begin(out);

    emit_process(&x, r);
    emit_members(&x, r->lanes);
    emit_families(&x, r->lanes);
    monitor_read(r->monitor, emit_sample, &x);
}
