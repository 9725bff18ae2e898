/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explanation.c - what becomes of one event at one destination.
 *
 * Routes are judged key by key, so that a refusal can name what did not fit.
 * The adapter's lines are copied, because it owns them for the call only.
 *
 * Not here: printing (cmd_explain.c), what adapters redact (theirs).
 */
#include "cli/explanation.h"

#include "base/cleanup.h"
#include "config/sections.h"
#include "dispatch/batch.h"
#include "dispatch/glob.h"
#include "dispatch/inbox.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINES 512

RIDER_DEFINE_PTR_CLEANUP(struct batch, batch_destroy);
RIDER_DEFINE_PTR_CLEANUP(struct inbox, inbox_destroy);

static int no_memory(struct rider_error *err)
{
    return rider_fail(err, RIDER_E_NOMEM, "out of memory");
}

/* ---- routes -------------------------------------------------------------- */

static bool any_fits(const char *const *globs, struct rider_bytes text)
{
    if (globs == NULL) {
        return true;
    }
    for (; *globs != NULL; globs++) {
        if (glob_match(*globs, text.data, text.len)) {
            return true;
        }
    }
    return false;
}

static bool leads_to(const struct route_settings *route, size_t destination)
{
    for (size_t i = 0; i < route->n_to; i++) {
        if (route->to[i] == destination) {
            return true;
        }
    }
    return false;
}

static int judge_routes(const struct settings *s, const struct event_row *row,
                        struct explanation *e, struct rider_error *err)
{
    size_t destination = (size_t)(e->destination - s->destinations);

    e->routes = bump_alloc(&e->memory, (s->n_routes + 1) * sizeof(*e->routes));
    if (e->routes == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_routes; i++) {
        const struct route_settings *route = &s->routes[i];

        if (!leads_to(route, destination)) {
            continue;
        }
        struct explained_route *r = &e->routes[e->n_routes++];
        *r = (struct explained_route){
            .index = i,
            .route = route,
            .type_fits = any_fits(route->types, row->type),
            .aggregate_type_fits =
                any_fits(route->aggregate_types, row->aggregate_type),
        };
        e->matches = e->matches || explained_route_matches(r);
    }
    return 0;
}

/* ---- what is sent --------------------------------------------------------- */

/* One call of explain(). */
struct listener {
    struct explanation *e;
    bool out_of_memory;
};

static void take_line(void *arg, const char *name, const void *value, size_t len)
{
    struct listener *l = arg;
    struct explanation *e = l->e;

    if (e->n_lines == MAX_LINES) {
        return;
    }
    const char *name_copy = bump_copy(&e->memory, name, strlen(name) + 1);
    /* One byte more: an empty value is a value, too. */
    char *copy = bump_alloc(&e->memory, len + 1);
    if (name_copy == NULL || copy == NULL) {
        l->out_of_memory = true;
        return;
    }
    if (len > 0) {
        memcpy(copy, value, len);
    }
    copy[len] = '\0';
    e->lines[e->n_lines++] = (struct explained_line){name_copy, {copy, len}};
}

/* An adapter that cannot explain itself is still given these. */
static void explain_generally(const struct rider_event *event, struct listener *l)
{
    take_line(l, "content type", event->content_type.data, event->content_type.len);
    take_line(l, "body", event->body.data, event->body.len);
}

static int ask_adapter(const struct cli_settings *s, const struct rider_event *event,
                       struct explanation *e, struct rider_error *err)
{
    const struct destination_settings *d = e->destination;
    RIDER_CLEANUP_PTR(inbox_destroy) struct inbox *inbox = NULL;
    const struct publisher_vtable *vt = NULL;
    struct publisher *publisher = NULL;
    struct listener l = {.e = e};
    char text[256] = "";
    int rc = plugin_registry_get(s->source.registry, d->adapter, &vt, err);

    if (rc == 0) {
        rc = inbox_create(d->name, 1, d->subscriptions, &inbox, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (vt->create(inbox_host(inbox), d->options, &publisher, text, sizeof(text)) !=
        0) {
        (void)snprintf(e->problem, sizeof(e->problem), "%s",
                       text[0] == '\0' ? "the adapter refuses its options" : text);
        return 0;
    }
    if (vt->explain == NULL) {
        explain_generally(event, &l);
    } else {
        vt->explain(publisher, event, take_line, &l);
    }
    vt->destroy(publisher);
    return l.out_of_memory ? no_memory(err) : 0;
}

static int explain_delivery(const struct cli_settings *s, const struct event_row *row,
                            struct explanation *e, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(batch_destroy) struct batch *batch = batch_create(1);

    e->lines = bump_alloc(&e->memory, MAX_LINES * sizeof(*e->lines));
    if (batch == NULL || e->lines == NULL) {
        return no_memory(err);
    }
    const struct delivery *d = batch_append(batch, row, e->destination->envelope);
    return d == NULL ? no_memory(err) : ask_adapter(s, &d->event, e, err);
}

/* The word of the file's own table. */
static const char *envelope_word(uint32_t envelope)
{
    struct rider_option row;

    for (size_t i = 0; option_table_row(&section_destination()->keys, i, &row); i++) {
        if (strcmp(row.name, "envelope") == 0) {
            return row.choices[envelope];
        }
    }
    return "";
}

static const char *find_dead_letters(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->n_destinations; i++) {
        const char *to = s->destinations[i].dead_letter;

        if (to != NULL && strcmp(to, name) == 0) {
            return s->destinations[i].name;
        }
    }
    return NULL;
}

int explanation_make(const struct cli_settings *s,
                     const struct destination_settings *destination,
                     const struct event_row *row, struct explanation *ret,
                     struct rider_error *err)
{
    *ret = (struct explanation){
        .destination = destination,
        .envelope = envelope_word(destination->envelope),
        .dead_letters_of = find_dead_letters(s->settings, destination->name),
    };
    int rc = judge_routes(s->settings, row, ret, err);

    return rc == 0 && ret->matches ? explain_delivery(s, row, ret, err) : rc;
}

void explanation_done(struct explanation *e)
{
    bump_done(&e->memory);
}
