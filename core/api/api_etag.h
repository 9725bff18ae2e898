/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_etag.h - versions of resources as entity tags, "v7" (RFC 9110 section 8.8.3).
 * Pure; any thread.
 */
#ifndef API_API_ETAG_H
#define API_API_ETAG_H

#include "api/api_call.h"

#include <stdbool.h>
#include <stdint.h>

/** Adds the header ETag. */
void api_etag_set(struct api_call *call, int64_t version);

/** Whether it is "*", which names every version. */
bool api_etag_is_any(const char *list);

/** Whether a list of tags, or "*", names this version. Where the comparison is `strong`
 *  a weak tag names nothing; what is no list of tags never does. */
bool api_etag_names(const char *list, int64_t version, bool strong);

#endif
