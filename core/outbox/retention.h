/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention.h - deletes settled events that are old enough.
 */
#ifndef OUTBOX_RETENTION_H
#define OUTBOX_RETENTION_H

#include "base/error.h"

#include <stdint.h>

/** Calls outbox.retire() for pages of `page` events until nothing is left to
 *  delete or `max_pages` are done; each page is a transaction of its own, so
 *  writers never wait. *ret is the number of events deleted. Opens its own
 *  connection. Thread: any. Blocking: yes. */
int outbox_retire(const char *dsn, uint64_t keep_ms, int page, int max_pages,
                  int64_t *ret, struct rider_error *err) RIDER_MUST_CHECK;

#endif
