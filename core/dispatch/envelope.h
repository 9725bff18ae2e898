/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.h - renders the bytes that a destination receives.
 *
 * The payload is spliced as the writer stored it, byte for byte; only the
 * fields around it are escaped. The canonical form is the contract of
 * docs/events; the CloudEvents forms follow the JSON format and the binary
 * content mode of CloudEvents 1.0.
 */
#ifndef DISPATCH_ENVELOPE_H
#define DISPATCH_ENVELOPE_H

#include "dispatch/bump.h"
#include "dispatch/event_row.h"
#include "postrider/publisher.h"

/** Fills body, payload, content_type and attributes of `ev`, whose other
 *  fields are set already; memory comes from `a`. Returns 0, or
 *  RIDER_E_NOMEM. Thread: the memory's. */
int envelope_render(uint32_t envelope, const struct event_row *row, struct bump *a,
                    struct rider_event *ev);

/** True for a W3C trace context header of version 00 (section 3.2). */
int envelope_valid_traceparent(struct rider_bytes value);

#endif
