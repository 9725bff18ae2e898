/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_line.h - an event as one JSON object on a line, with the names of the
 * canonical envelope: eventId, type, occurredAt, aggregateId, aggregateType,
 * payload, version, traceparent, and headers besides. What `stdout` prints can be
 * published again. Pure functions, any thread.
 */
#ifndef CLI_EVENT_LINE_H
#define CLI_EVENT_LINE_H

#include "base/error.h"

/** Texts point into the line; NULL and 0: not given. */
struct event_line {
    const char *event_id, *type, *occurred_at, *aggregate_id, *aggregate_type;
    const char *payload;     /* JSON, byte for byte as in the line */
    const char *headers;     /* a JSON object */
    const char *traceparent; /* visible ASCII without quotes */
    int version;
};

/** Cuts up `line` (NUL-terminated, without a newline). Values of payload and
 *  headers are not looked into: the server refuses what is not JSON. Unknown and
 *  repeated names are refused. RIDER_E_CONFIG with a text that quotes no value. */
int event_line_parse(char *line, struct event_line *ret,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
