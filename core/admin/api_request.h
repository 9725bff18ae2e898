/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_request.h - strict reading of what a client of the API sent.
 */
#ifndef ADMIN_API_REQUEST_H
#define ADMIN_API_REQUEST_H

#include "admin/http_message.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/** A parameter of the query that a route knows. One called "name[]" takes
 *  "name[key]=value" any number of times; its value is then `"key":"value",...`. */
struct api_parameter {
    const char *name;
    struct buf value; /* decoded; empty when it was not given */
};

/** Appends `len` bytes of `text` with percent escapes decoded. False for a bad escape,
 *  a control character and what is not UTF-8, or does not fit. */
bool api_request_decode(const char *text, size_t len, struct buf *out);

/** Decodes the query into `parameters`, whose buffers the caller has made and ends. An
 *  unknown or repeated name, a bad escape and a control character are
 *  RIDER_E_CONFIG. */
int api_request_parameters(const struct http_request *req,
                           struct api_parameter *parameters, size_t n,
                           struct rider_error *err) RIDER_MUST_CHECK;

/** The body of a replay or discard. */
struct api_change {
    char *filter; /* one JSON object, compact; the caller frees it */
    bool dry_run;
    int64_t rate; /* 0: none */
};

/** {"filter": {...}, "dryRun": bool, "rate": number}, RFC 8259, without duplicate
 *  keys, without anything else. RIDER_E_CONFIG with a text for the client. */
int api_request_change(const struct http_request *req, bool takes_rate,
                       struct api_change *ret,
                       struct rider_error *err) RIDER_MUST_CHECK;

#endif
