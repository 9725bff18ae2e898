/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_metrics.c - what /metrics says, and the list of it.
 *
 * One table names every family, and one of three functions a row emits its
 * samples: for the process, for each lane, or for each lane of the monitor's last
 * sample. The format wants all samples of a family together, so each family
 * walks the lanes once.
 *
 * Invariant: a scrape and the reference page come from the same rows. Labels are
 * bounded: lane, adapter, result, cause, state, phase, stat, version.
 */
#include "daemon/report.h"

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/breaker.h"
#include "dispatch/cause.h"
#include "metrics/process_metrics.h"
#include "postrider/version.h"

#include <stddef.h>
#include <stdio.h>
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

/* The monitor's last answer. */
struct sample {
    const struct outbox_status *status; /* NULL: none yet */
    uint64_t age_ms, retired;
    bool database_up;
};

#define LANE_NAME_SIZE 80

/* As lane_thread_name(): lanes are sorted, so those of one destination are
 * neighbours. */
static struct metric_label sampled_label(const struct outbox_status *status, size_t i,
                                         char name[LANE_NAME_SIZE])
{
    const char *destination = status->lanes[i].destination;
    bool split =
        (i > 0 && strcmp(status->lanes[i - 1].destination, destination) == 0) ||
        (i + 1 < status->n_lanes &&
         strcmp(status->lanes[i + 1].destination, destination) == 0);

    if (split) {
        (void)snprintf(name, LANE_NAME_SIZE, "%s/%d", destination,
                       (int)status->lanes[i].part);
    } else {
        (void)snprintf(name, LANE_NAME_SIZE, "%s", destination);
    }
    return (struct metric_label){"lane", name};
}

static size_t lanes_of(const struct sample *s)
{
    return s->status == NULL ? 0 : s->status->n_lanes;
}

static void emit_pending(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < lanes_of(s); i++) {
        char name[LANE_NAME_SIZE];
        struct metric_label label = sampled_label(s->status, i, name);

        exposition_sample(x, &label, 1, (double)s->status->lanes[i].backlog);
    }
}

static void emit_oldest(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < lanes_of(s); i++) {
        char name[LANE_NAME_SIZE];
        struct metric_label label = sampled_label(s->status, i, name);

        exposition_sample(x, &label, 1,
                          (double)s->status->lanes[i].oldest_pending_ms / 1000);
    }
}

static void emit_cursor_lag(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < lanes_of(s); i++) {
        char name[LANE_NAME_SIZE];
        struct metric_label label = sampled_label(s->status, i, name);

        exposition_sample(x, &label, 1,
                          (double)s->status->lanes[i].cursor_lag_ms / 1000);
    }
}

static void emit_open(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < lanes_of(s); i++) {
        const struct outbox_lane_status *lane = &s->status->lanes[i];
        char name[LANE_NAME_SIZE];

        for (size_t d = 0; d < lane->n_deliveries; d++) {
            struct metric_label labels[] = {sampled_label(s->status, i, name),
                                            {"state", lane->deliveries[d].state},
                                            {"cause", lane->deliveries[d].cause}};
            exposition_sample(x, labels, 3, (double)lane->deliveries[d].n);
        }
    }
}

static size_t subscriptions_of(const struct sample *s)
{
    return s->status == NULL ? 0 : s->status->n_subscriptions;
}

/* Counts are sorted by destination: *i is the first of one, and then of the next. */
static struct outbox_subscription_count next_destination(const struct sample *s,
                                                         size_t *i)
{
    struct outbox_subscription_count sum = s->status->subscriptions[*i];
    const struct outbox_subscription_count *c = NULL;

    sum.n = sum.failing = 0;
    for (; *i < subscriptions_of(s); (*i)++) {
        c = &s->status->subscriptions[*i];
        if (strcmp(c->destination, sum.destination) != 0) {
            break;
        }
        sum.n += c->n;
        if (strcmp(c->status, "disabled") != 0) {
            sum.failing += c->failing;
        }
    }
    return sum;
}

/* A status that none has is shown, too: the first one is then seen as a change. */
static void emit_subscriptions(struct exposition *x, const struct sample *s)
{
    static const char *const statuses[] = {"active", "paused", "disabled",
                                           "pending_verification"};

    for (size_t i = 0; i < subscriptions_of(s);) {
        size_t first = i;
        struct outbox_subscription_count sum = next_destination(s, &i);

        for (size_t w = 0; w < sizeof(statuses) / sizeof(statuses[0]); w++) {
            struct metric_label labels[] = {{"destination", sum.destination},
                                            {"status", statuses[w]}};
            int64_t n = 0;

            for (size_t c = first; c < i; c++) {
                const struct outbox_subscription_count *count =
                    &s->status->subscriptions[c];
                n += strcmp(count->status, statuses[w]) == 0 ? count->n : 0;
            }
            exposition_sample(x, labels, 2, (double)n);
        }
    }
}

static void emit_failing(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < subscriptions_of(s);) {
        struct outbox_subscription_count sum = next_destination(s, &i);
        struct metric_label label = {"destination", sum.destination};

        exposition_sample(x, &label, 1, (double)sum.failing);
    }
}

static void emit_subscription_oldest(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < subscriptions_of(s); i++) {
        const struct outbox_subscription_count *c = &s->status->subscriptions[i];
        struct metric_label labels[] = {{"destination", c->destination},
                                        {"status", c->status}};

        exposition_sample(x, labels, 2, (double)c->oldest_ms / 1000);
    }
}

/* Such a destination has one lane, and its open rows are those of subscriptions. */
static void emit_subscription_backlog(struct exposition *x, const struct sample *s)
{
    for (size_t i = 0; i < subscriptions_of(s);) {
        struct outbox_subscription_count sum = next_destination(s, &i);
        struct metric_label label = {"destination", sum.destination};
        int64_t open = 0;

        for (size_t l = 0; l < lanes_of(s); l++) {
            const struct outbox_lane_status *lane = &s->status->lanes[l];
            bool same = strcmp(lane->destination, sum.destination) == 0;
            for (size_t d = 0; same && d < lane->n_deliveries; d++) {
                const struct outbox_delivery_count *c = &lane->deliveries[d];
                open += strcmp(c->state, "DEAD") == 0 ? 0 : c->n;
            }
        }
        exposition_sample(x, &label, 1, (double)open);
    }
}

static void emit_database_up(struct exposition *x, const struct sample *s)
{
    exposition_count(x, NULL, 0, s->database_up);
}

static void emit_retired(struct exposition *x, const struct sample *s)
{
    exposition_count(x, NULL, 0, s->retired);
}

static void emit_sample_age(struct exposition *x, const struct sample *s)
{
    if (s->status != NULL) {
        exposition_sample(x, NULL, 0, (double)s->age_ms / 1000);
    }
}

static void emit_build(struct exposition *x, struct report *r)
{
    struct metric_label version = {"version", RIDER_VERSION};

    (void)r;
    exposition_count(x, &version, 1, 1);
}

static void emit_generation(struct exposition *x, struct report *r)
{
    exposition_count(x, NULL, 0, atomic_load(&r->generation));
}

static void emit_reload_ok(struct exposition *x, struct report *r)
{
    exposition_count(x, NULL, 0, atomic_load(&r->last_reload_ok));
}

static void emit_reload_time(struct exposition *x, struct report *r)
{
    exposition_sample(x, NULL, 0, (double)atomic_load(&r->last_reload_s));
}

static void emit_log_drops(struct exposition *x, struct report *r)
{
    (void)r;
    exposition_count(x, NULL, 0, log_lines_dropped());
}

/* One of the three emits; `member` is emit_member's. */
struct family {
    const char *name;
    enum metric_type type;
    const char *labels; /* separated by ", " */
    const char *help;
    size_t member;
    void (*lane)(void *arg, struct lane_thread *lane);
    void (*process)(struct exposition *x, struct report *r);
    void (*sampled)(struct exposition *x, const struct sample *s);
};

#define LANE(fn)      .lane = (fn)
#define PROCESS(fn)   .process = (fn)
#define SAMPLED(fn)   .sampled = (fn)
#define MEMBER(field) LANE(emit_member), .member = offsetof(struct lane_stats, field)

static const struct family families[] = {
    {"postrider_build_info", METRIC_GAUGE, "version",
     "Always 1; the label is the version of this program.", PROCESS(emit_build)},
    {"postrider_config_generation", METRIC_GAUGE, "",
     "How often a configuration was taken over, the start included.",
     PROCESS(emit_generation)},
    {"postrider_config_last_reload_successful", METRIC_GAUGE, "",
     "0 when the file was refused at the last reload.", PROCESS(emit_reload_ok)},
    {"postrider_config_last_reload_success_timestamp_seconds", METRIC_GAUGE, "",
     "When a configuration was last taken over, in Unix time.",
     PROCESS(emit_reload_time)},
    {"postrider_log_lines_dropped_total", METRIC_COUNTER, "",
     "Log lines that could not be written.", PROCESS(emit_log_drops)},

    {"postrider_events_read_total", METRIC_COUNTER, "lane", "Events read from the log.",
     MEMBER(events_read)},
    {"postrider_delivered_total", METRIC_COUNTER, "lane",
     "Deliveries confirmed by the receiver.", MEMBER(delivered)},
    {"postrider_dead_total", METRIC_COUNTER, "lane", "Events that became dead letters.",
     MEMBER(dead)},
    {"postrider_parked_total", METRIC_COUNTER, "lane",
     "Events put off to a later attempt.", MEMBER(parked)},
    {"postrider_duplicate_risk_total", METRIC_COUNTER, "lane",
     "Attempts with an unclear end, whose repetition may be a duplicate.",
     MEMBER(duplicates_risked)},
    {"postrider_fenced_total", METRIC_COUNTER, "lane",
     "Times the lane was found taken over.", MEMBER(fenced)},
    {"postrider_settles_total", METRIC_COUNTER, "lane", "Cursor writes.",
     MEMBER(settles)},
    {"postrider_database_lost_total", METRIC_COUNTER, "lane",
     "Lost database connections.", MEMBER(db_lost)},
    {"postrider_adapter_contract_violations_total", METRIC_COUNTER, "lane",
     "Completions of tickets that were not open: a defect of the adapter.",
     MEMBER(contract_violations)},
    {"postrider_in_flight_events", METRIC_GAUGE, "lane", "Events with the adapter.",
     MEMBER(in_flight)},
    {"postrider_ready_events", METRIC_GAUGE, "lane",
     "Events in memory that wait to be sent.", MEMBER(ready)},
    {"postrider_memory_bytes", METRIC_GAUGE, "lane", "Memory held by events.",
     MEMBER(bytes)},
    {"postrider_held_keys", METRIC_GAUGE, "lane",
     "Ordering keys with undelivered earlier events.", MEMBER(held_keys)},
    {"postrider_lease_token", METRIC_GAUGE, "lane",
     "Fencing token of the lane's lease.", MEMBER(token)},
    {"postrider_attempts_total", METRIC_COUNTER, "lane, result",
     "Ended attempts by result.", LANE(emit_attempts)},
    {"postrider_failures_total", METRIC_COUNTER, "lane, cause",
     "Failed attempts by cause.", LANE(emit_failures)},
    {"postrider_lane_phase", METRIC_GAUGE, "lane, phase",
     "1 for what the lane is doing.", LANE(emit_phase)},
    {"postrider_breaker_state", METRIC_GAUGE, "lane, state",
     "1 for the breaker's state.", LANE(emit_breaker)},
    {"postrider_adapter_up", METRIC_GAUGE, "lane, adapter",
     "1 when the adapter reports that it is up.", LANE(emit_up)},
    {"postrider_seconds_since_progress", METRIC_GAUGE, "lane",
     "Time since the last delivery, or since there was nothing to do.",
     LANE(emit_progress)},
    {"postrider_commit_to_accept_seconds", METRIC_HISTOGRAM, "lane",
     "From an event's occurredAt to its acceptance.", LANE(emit_latency)},
    {"postrider_adapter_stat", METRIC_GAUGE, "lane, adapter, stat",
     "Numbers that only the adapter knows.", LANE(emit_stats)},

    {"postrider_database_up", METRIC_GAUGE, "",
     "1 when the last sample of the database succeeded.", SAMPLED(emit_database_up)},
    {"postrider_sample_age_seconds", METRIC_GAUGE, "",
     "Age of the sample that the metrics below come from.", SAMPLED(emit_sample_age)},
    {"postrider_retired_events_total", METRIC_COUNTER, "",
     "Settled events deleted by retention.", SAMPLED(emit_retired)},
    {"postrider_pending_events", METRIC_GAUGE, "lane",
     "Events behind the lane's cursor when last sampled.", SAMPLED(emit_pending)},
    {"postrider_oldest_pending_age_seconds", METRIC_GAUGE, "lane",
     "Age of the oldest undelivered event when last sampled, also one that waits for a "
     "subscription that is paused; 0 when there is none.",
     SAMPLED(emit_oldest)},
    {"postrider_cursor_lag_seconds", METRIC_GAUGE, "lane",
     "Age of the oldest event behind the lane's cursor when last sampled; 0 when there "
     "is none.",
     SAMPLED(emit_cursor_lag)},
    {"postrider_open_deliveries", METRIC_GAUGE, "lane, state, cause",
     "Parked deliveries by state and cause when last sampled.", SAMPLED(emit_open)},
    {"postrider_subscriptions", METRIC_GAUGE, "destination, status",
     "Subscriptions by status when last sampled.", SAMPLED(emit_subscriptions)},
    {"postrider_subscriptions_failing", METRIC_GAUGE, "destination",
     "Subscriptions that are not disabled and whose last attempt failed, when last "
     "sampled.",
     SAMPLED(emit_failing)},
    {"postrider_subscription_backlog", METRIC_GAUGE, "destination",
     "Deliveries to subscriptions that are not ended when last sampled, dead ones left "
     "out.",
     SAMPLED(emit_subscription_backlog)},
    {"postrider_subscription_oldest_pending_age_seconds", METRIC_GAUGE,
     "destination, status",
     "Age of the oldest event that waits for a subscription when last sampled; 0 when "
     "there is none.",
     SAMPLED(emit_subscription_oldest)},
};

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

static void announce(struct exposition *x, const struct family *f)
{
    exposition_family(x, f->name, f->type, f->help);
}

static void emit_sampled(void *arg, const struct outbox_status *status, uint64_t age_ms,
                         bool database_up, uint64_t retired)
{
    const struct sample sample = {status, age_ms, retired, database_up};
    struct exposition *x = arg;

    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (families[i].sampled != NULL) {
            announce(x, &families[i]);
            families[i].sampled(x, &sample);
        }
    }
}

void report_metrics(void *arg, struct buf *out)
{
    struct report *r = arg;
    struct exposition x = exposition_begin(out);

    process_metrics_write(&x);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &families[i];

        if (f->process != NULL) {
            announce(&x, f);
            f->process(&x, r);
        } else if (f->lane != NULL) {
            struct walk w = {.x = &x, .offset = f->member, .now_ms = clock_mono_ms()};

            announce(&x, f);
            lane_set_each(r->lanes, f->lane, &w);
        }
    }
    monitor_read(r->monitor, emit_sampled, &x);
}

/* ---- the reference page ---------------------------------------------------- */

static void describe_words(struct buf *out, const char *label,
                           const char *(*word)(uint64_t i), uint64_t n)
{
    buf_printf(out, "| `%s` | ", label);
    for (uint64_t i = 0; i < n; i++) {
        buf_printf(out, "%s`%s`", i == 0 ? "" : ", ", word(i));
    }
    buf_puts(out, " |\n");
}

static const char *outcome_word(uint64_t i)
{
    return outcome_words[i];
}

static const char *breaker_word(uint64_t i)
{
    return breaker_words[i];
}

/* RIDER_CAUSE_NONE is no failure. */
static const char *failure_word(uint64_t i)
{
    return cause_word((uint32_t)i + 1);
}

void report_describe_metrics(struct buf *out)
{
    static const char *const types[] = {[METRIC_COUNTER] = "counter",
                                        [METRIC_GAUGE] = "gauge",
                                        [METRIC_HISTOGRAM] = "histogram"};

    buf_puts(out, "| name | type | labels | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &families[i];

        buf_printf(out, "| `%s` | %s | %s | %s |\n", f->name, types[f->type], f->labels,
                   f->help);
    }
    buf_puts(out, "\n| label | values |\n|---|---|\n"
                  "| `lane` | the destination's name; `name/part` where it is split |\n"
                  "| `adapter` | the destination's `adapter` |\n"
                  "| `stat` | a name that the adapter chose |\n");
    describe_words(out, "result", outcome_word, LANE_OUTCOMES);
    describe_words(out, "cause", failure_word, LANE_CAUSES - 1);
    describe_words(out, "phase", lane_phase_word, LANE_STOPPED + 1);
    describe_words(out, "state", breaker_word,
                   sizeof(breaker_words) / sizeof(breaker_words[0]));
    buf_puts(out, "| `state` of open deliveries | as in `outbox.delivery`: `PENDING`, "
                  "`IN_FLIGHT`, `RETRY`, `HELD`, `DEAD` |\n"
                  "| `cause` of open deliveries | the same words, or none |\n"
                  "| `destination` | the name of a destination with subscriptions |\n"
                  "| `status` | `active`, `paused`, `disabled`, "
                  "`pending_verification` |\n");
}
