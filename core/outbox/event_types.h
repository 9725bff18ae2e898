/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_types.h - the catalogue of event types, as the HTTP API shows and puts it.
 *
 * Needs the rights of outbox_api. Thread: any. Blocking: every call.
 */
#ifndef OUTBOX_EVENT_TYPES_H
#define OUTBOX_EVENT_TYPES_H

#include "outbox/outbox_tx.h"

/** All of it. Columns: type, version, status, description, schema, and strict: whether
 *  events of other types are refused. One row that is null but for strict when the
 *  catalogue is empty. */
int event_types_list(const char *dsn, struct row_set **ret,
                     struct rider_error *err) RIDER_MUST_CHECK;
int event_types_list_in(struct outbox_tx *tx, struct row_set **ret,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Makes it what `types` says, a JSON list of objects; what is not listed is retired.
 *  Each type and version must be there once. */
int event_types_put(struct outbox_tx *tx, const char *types, const char *actor,
                    struct rider_error *err) RIDER_MUST_CHECK;

#endif
