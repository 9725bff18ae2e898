/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explanation.h - what becomes of one event at one destination: which routes
 * lead it there, and what the adapter would send.
 *
 * The event is rendered by the lane's own code, and the adapter is created and
 * asked but never started, so nothing is connected or sent.
 */
#ifndef CLI_EXPLANATION_H
#define CLI_EXPLANATION_H

#include "cli/cli_settings.h"
#include "dispatch/bump.h"
#include "dispatch/event_row.h"

/** What a route that names the destination says about the event. */
struct explained_route {
    size_t index; /* in the file: routes[index] */
    const struct route_settings *route;
    bool type_fits, aggregate_type_fits;
};

/** One thing that would be sent: "topic", "header traceparent", "body". */
struct explained_line {
    const char *name;
    struct rider_bytes value;
};

struct explanation {
    const struct destination_settings *destination;
    const char *envelope; /* as the file names it */
    struct explained_route *routes;
    size_t n_routes;
    bool matches; /* any of them does */
    const char
        *dead_letters_of; /* a destination whose dead events come here, or NULL */
    struct explained_line *lines;
    size_t n_lines;
    char problem[300]; /* why the adapter said nothing; "" when it did */
    struct bump memory;
};

/** Explains `row` for one destination of `s`. A refusal of the adapter's is no
 *  failure but the explanation's problem. Fails when out of memory only; the
 *  caller ends *ret with explanation_done(), whatever comes back. Calls the
 *  adapter's create(), explain() and destroy(). Main thread. */
int explanation_make(const struct cli_settings *s,
                     const struct destination_settings *destination,
                     const struct event_row *row, struct explanation *ret,
                     struct rider_error *err) RIDER_MUST_CHECK;
void explanation_done(struct explanation *e);

static inline bool explained_route_matches(const struct explained_route *r)
{
    return r->type_fits && r->aggregate_type_fits;
}

#endif
