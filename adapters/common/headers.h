/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headers.h - the headers that travel with an event on transports that have
 * them: one list for publish() and explain(), the same for all brokers.
 *
 * In this order: eventId, type, version, occurredAt, aggregateType (if any),
 * aggregateId; the content type under the style's name; for CE_BINARY the
 * CloudEvents attributes behind the style's prefix; the operator's extras; the
 * writer's own headers.
 * A style may ask for eventId alone, because what the others say is in the canonical
 * envelope as well.
 * A writer's header that repeats a name of ours is left out, so that a consumer
 * can trust eventId.
 * Thread: any.
 */
#ifndef ADAPTER_HEADERS_H
#define ADAPTER_HEADERS_H

#include "common/template.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>

#define HEADERS_MAX         96
#define HEADERS_SCRATCH_MAX 4096

/** A header the operator adds: its value is made of the event's fields. */
struct header_extra {
    struct rider_bytes name;
    struct template value;
};

/** How a transport names things. */
struct header_style {
    const char *attribute_prefix;  /* "ce_", "cloudEvents_" */
    const char *content_type_name; /* "content-type"; NULL: carried elsewhere */
    bool id_only;        /* eventId alone; those of CE_BINARY and of the writer stay */
    const char *id_name; /* NULL: "eventId" */
    const struct header_extra *extras;
    size_t n_extras;
};

/** A built list: a value, nothing to free. Not to be copied: items point into
 *  `scratch`. */
struct headers {
    size_t n;
    struct rider_header items[HEADERS_MAX];
    size_t scratch_used;
    char scratch[HEADERS_SCRATCH_MAX]; /* text the event does not hold itself */
};

/** Whether the style makes a header of this name by itself (in any case): an extra
 *  of that name would be sent twice. */
bool headers_are_ours(const struct header_style *style, struct rider_bytes name);

/** Fills `h`; its items borrow from the event, the style and from `h`. Returns 0,
 *  or E2BIG and one line in `err` if there are too many headers. */
int headers_build(struct headers *h, const struct rider_event *event,
                  const struct header_style *style, char *err, size_t err_size);

#endif
