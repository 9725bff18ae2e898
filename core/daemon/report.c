/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - what /livez and /readyz say.
 *
 * Live: every lane's loop has turned lately. Ready: not draining, and every
 * lane has a database and either its lease or a live owner elsewhere. A
 * destination that is down is shown and never makes the process unready.
 *
 * Not here: /metrics (report_metrics.c).
 */
#include "daemon/report.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "dispatch/breaker.h"
#include "dispatch/cause.h"

#define LIVE_LIMIT_MS 30000

static uint64_t load(const atomic_uint_fast64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

struct picture {
    struct json_writer json;
    bool good;
    uint64_t now_ms;
};

static void live_lane(void *arg, struct lane_thread *lane)
{
    struct picture *p = arg;
    uint64_t last = load(&lane_thread_stats(lane)->last_step_ms);
    uint64_t silent = p->now_ms > last ? p->now_ms - last : 0;

    if (last != 0 && silent > LIVE_LIMIT_MS) {
        p->good = false;
    }
    jw_object(&p->json, NULL);
    jw_string(&p->json, "lane", lane_thread_name(lane));
    jw_int(&p->json, "lastTurnMs", last == 0 ? -1 : (int64_t)silent);
    jw_object_end(&p->json);
}

bool report_live(void *arg, struct buf *json)
{
    struct report *r = arg;
    struct picture p = {
        .json = jw_begin(json), .good = true, .now_ms = clock_mono_ms()};

    jw_object(&p.json, NULL);
    jw_array(&p.json, "lanes");
    lane_set_each(r->lanes, live_lane, &p);
    jw_array_end(&p.json);
    jw_string(&p.json, "status", p.good ? "live" : "stalled");
    jw_object_end(&p.json);
    return p.good;
}

static const char *destination_state(const struct lane_stats *stats)
{
    switch ((enum breaker_state)load(&stats->breaker)) {
    case BREAKER_OPEN:
        return "open";
    case BREAKER_HALF_OPEN:
        return "half_open";
    case BREAKER_CLOSED:
        break;
    }
    return "ok";
}

static void ready_lane(void *arg, struct lane_thread *lane)
{
    struct picture *p = arg;
    const struct lane_stats *stats = lane_thread_stats(lane);
    uint64_t phase = load(&stats->phase);
    struct adapter_report report;

    if (phase == LANE_OFFLINE || phase == LANE_QUIESCING ||
        lane_thread_has_ended(lane)) {
        p->good = false;
    }
    lane_thread_report(lane, &report);
    jw_object(&p->json, NULL);
    jw_string(&p->json, "lane", lane_thread_name(lane));
    jw_string(&p->json, "adapter", lane_thread_destination(lane)->adapter);
    jw_string(&p->json, "phase", lane_phase_word(phase));
    jw_string(&p->json, "destination", destination_state(stats));
    if (load(&stats->breaker) != BREAKER_CLOSED) {
        jw_string(&p->json, "cause", cause_word((uint32_t)load(&stats->breaker_cause)));
    }
    jw_string(&p->json, "detail", report.health.detail);
    jw_int(&p->json, "inFlight", (int64_t)load(&stats->in_flight));
    jw_object_end(&p->json);
}

bool report_ready(void *arg, struct buf *json)
{
    struct report *r = arg;
    struct picture p = {
        .json = jw_begin(json), .good = true, .now_ms = clock_mono_ms()};
    bool draining = atomic_load(&r->draining);

    jw_object(&p.json, NULL);
    jw_array(&p.json, "lanes");
    lane_set_each(r->lanes, ready_lane, &p);
    jw_array_end(&p.json);
    bool started = atomic_load(&r->started);

    p.good = p.good && started && !draining;
    jw_string(&p.json, "status",
              p.good     ? "ready"
              : draining ? "draining"
              : started  ? "not ready"
                         : "starting");
    jw_object_end(&p.json);
    return p.good;
}
