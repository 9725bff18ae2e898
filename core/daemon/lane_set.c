/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_set.c - the lanes of one process.
 */
#include "daemon/lane_set.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct lane_list {
    struct lane_thread **items;
    size_t n;
};

struct lane_set {
    const char *owner;
    struct configuration *configuration; /* of the last apply */
    pthread_mutex_t lock;                /* guards lanes against each() */
    struct lane_list lanes;
};

struct lane_set *lane_set_create(const char *owner)
{
    struct lane_set *set = calloc(1, sizeof(*set));

    if (set != NULL) {
        set->owner = owner;
        (void)pthread_mutex_init(&set->lock, NULL);
    }
    return set;
}

static void destroy_all(struct lane_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        lane_thread_destroy(list->items[i]);
    }
    free(list->items);
    *list = (struct lane_list){NULL, 0};
}

void lane_set_destroy(struct lane_set *set)
{
    if (set == NULL) {
        return;
    }
    destroy_all(&set->lanes);
    configuration_unref(set->configuration);
    (void)pthread_mutex_destroy(&set->lock);
    free(set);
}

/* The rules of every route that names destination `index`. */
static struct router *make_router(const struct settings *s, size_t index, int part)
{
    struct route_rule *rules = calloc(s->n_routes + 1, sizeof(*rules));
    size_t n = 0;

    if (rules == NULL) {
        return NULL;
    }
    for (size_t r = 0; r < s->n_routes; r++) {
        for (size_t t = 0; t < s->routes[r].n_to; t++) {
            if (s->routes[r].to[t] == index) {
                rules[n++] = (struct route_rule){s->routes[r].types,
                                                 s->routes[r].aggregate_types};
                break;
            }
        }
    }
    struct router *router = router_create(rules, n, (uint32_t)part,
                                          (uint32_t)s->destinations[index].partitions);
    free(rules);
    return router;
}

static bool same_source(const struct source_settings *a,
                        const struct source_settings *b)
{
    return strcmp(a->dsn, b->dsn) == 0 && a->poll_min_ms == b->poll_min_ms &&
           a->poll_max_ms == b->poll_max_ms && a->lease_ms == b->lease_ms &&
           a->batch == b->batch;
}

/* Whether lanes of the old configuration can serve this destination of `next`: a
 * lane keeps the key ring it was made with. */
static bool same_base(const struct configuration *old, const struct configuration *next,
                      const struct destination_settings *d)
{
    return old != NULL &&
           same_source(&old->settings->source, &next->settings->source) &&
           (!d->subscriptions || key_ring_equal(old->key_ring, next->key_ring));
}

/* The running lane that serves this destination unchanged, or NULL. */
static struct lane_thread *find_unchanged(const struct lane_set *set,
                                          const struct configuration *next,
                                          const struct destination_settings *d,
                                          int part)
{
    if (!same_base(set->configuration, next, d)) {
        return NULL;
    }
    for (size_t i = 0; i < set->lanes.n; i++) {
        const struct destination_settings *have =
            lane_thread_destination(set->lanes.items[i]);
        if (strcmp(have->name, d->name) == 0 && have->fingerprint == d->fingerprint &&
            lane_thread_part(set->lanes.items[i]) == part &&
            !lane_thread_has_ended(set->lanes.items[i])) {
            return set->lanes.items[i];
        }
    }
    return NULL;
}

/* What apply() is about to do: for every lane of the new configuration, the
 * thread that goes on or the one that was created. */
struct planned {
    struct lane_thread *thread;
    size_t index; /* of the destination */
    int part;
    bool is_new;
};

struct plan {
    struct planned *lanes;
    size_t n;
};

static int create_one(const struct lane_set *set, struct configuration *configuration,
                      struct plugin_registry *registry, struct planned *lane,
                      struct rider_error *err)
{
    const struct settings *s = configuration->settings;
    struct lane_thread_config config = {
        .configuration = configuration,
        .destination = &s->destinations[lane->index],
        .part = lane->part,
        .owner = set->owner,
    };
    int rc =
        plugin_registry_get(registry, config.destination->adapter, &config.vt, err);

    if (rc != 0) {
        return rc;
    }
    config.router = make_router(s, lane->index, lane->part);
    if (config.router == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    return lane_thread_create(&config, &lane->thread, err);
}

static void drop_plan(struct plan *plan, bool with_new)
{
    for (size_t i = 0; with_new && i < plan->n; i++) {
        if (plan->lanes[i].is_new) {
            lane_thread_destroy(plan->lanes[i].thread);
        }
    }
    free(plan->lanes);
}

static size_t count_lanes(const struct settings *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_destinations; i++) {
        n += (size_t)s->destinations[i].partitions;
    }
    return n;
}

/* Adds one lane: the one that goes on, or a new one. */
static int plan_lane(const struct lane_set *set, struct configuration *configuration,
                     struct plugin_registry *registry, size_t index, struct plan *plan,
                     struct rider_error *err)
{
    const struct destination_settings *d =
        &configuration->settings->destinations[index];
    struct planned *lane = &plan->lanes[plan->n];

    lane->index = index;
    lane->thread = find_unchanged(set, configuration, d, lane->part);
    lane->is_new = lane->thread == NULL;
    if (lane->is_new) {
        int rc = create_one(set, configuration, registry, lane, err);
        if (rc != 0) {
            return rc;
        }
    }
    plan->n++;
    return 0;
}

static int make_plan(const struct lane_set *set, struct configuration *configuration,
                     struct plugin_registry *registry, struct plan *plan,
                     struct rider_error *err)
{
    const struct settings *s = configuration->settings;
    int rc = 0;

    *plan = (struct plan){.lanes = calloc(count_lanes(s) + 1, sizeof(struct planned))};
    if (plan->lanes == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; rc == 0 && i < s->n_destinations; i++) {
        for (int part = 0; rc == 0 && part < (int)s->destinations[i].partitions;
             part++) {
            plan->lanes[plan->n].part = part;
            rc = plan_lane(set, configuration, registry, i, plan, err);
        }
    }
    if (rc != 0) {
        drop_plan(plan, true);
    }
    return rc;
}

static bool is_kept(const struct plan *plan, const struct lane_thread *lane)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->lanes[i].thread == lane) {
            return true;
        }
    }
    return false;
}

/* Stops, together, the lanes that the plan does not keep. */
static void retire_lanes(struct lane_list *old, const struct plan *plan,
                         uint64_t drain_ms)
{
    uint64_t deadline = clock_mono_ms() + drain_ms;

    for (size_t i = 0; i < old->n; i++) {
        if (!is_kept(plan, old->items[i])) {
            lane_thread_stop(old->items[i], deadline);
        }
    }
    for (size_t i = 0; i < old->n; i++) {
        if (!is_kept(plan, old->items[i])) {
            lane_thread_destroy(old->items[i]);
        }
    }
    free(old->items);
}

static int start_new(const struct plan *plan, const struct settings *s,
                     struct rider_error *err)
{
    int first = 0;

    for (size_t i = 0; i < plan->n; i++) {
        const struct planned *lane = &plan->lanes[i];
        if (lane->is_new) {
            int rc = lane_thread_start(lane->thread, err);
            first = first == 0 ? rc : first;
            continue;
        }
        struct router *router = make_router(s, lane->index, lane->part);
        if (router != NULL) {
            lane_thread_set_router(lane->thread, router);
        }
    }
    return first;
}

/* The list that the set will have; NULL when out of memory. */
static struct lane_thread **list_of(const struct plan *plan)
{
    struct lane_thread **items = calloc(plan->n + 1, sizeof(struct lane_thread *));

    for (size_t i = 0; items != NULL && i < plan->n; i++) {
        items[i] = plan->lanes[i].thread;
    }
    return items;
}

int lane_set_apply(struct lane_set *set, struct configuration *configuration,
                   struct plugin_registry *registry, struct rider_error *err)
{
    struct plan plan;
    int rc = make_plan(set, configuration, registry, &plan, err);

    if (rc != 0) {
        return rc;
    }
    struct lane_thread **items = list_of(&plan);
    if (items == NULL) {
        drop_plan(&plan, true);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_lock(&set->lock);
    struct lane_list old = set->lanes;
    set->lanes = (struct lane_list){items, plan.n};
    (void)pthread_mutex_unlock(&set->lock);
    retire_lanes(&old, &plan, configuration->settings->drain_ms);
    rc = start_new(&plan, configuration->settings, err);
    configuration_unref(set->configuration);
    set->configuration = configuration_ref(configuration);
    drop_plan(&plan, false);
    return rc;
}

void lane_set_stop(struct lane_set *set, uint64_t deadline_ms)
{
    for (size_t i = 0; i < set->lanes.n; i++) {
        lane_thread_stop(set->lanes.items[i], deadline_ms);
    }
}

bool lane_set_has_ended(const struct lane_set *set)
{
    for (size_t i = 0; i < set->lanes.n; i++) {
        if (!lane_thread_has_ended(set->lanes.items[i])) {
            return false;
        }
    }
    return true;
}

void lane_set_each(struct lane_set *set,
                   void (*fn)(void *arg, struct lane_thread *lane), void *arg)
{
    (void)pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < set->lanes.n; i++) {
        fn(arg, set->lanes.items[i]);
    }
    (void)pthread_mutex_unlock(&set->lock);
}
