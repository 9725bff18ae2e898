/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_request.h - strict reading of the path and the query.
 */
#ifndef API_API_REQUEST_H
#define API_API_REQUEST_H

#include "base/error.h"
#include "http/http_message.h"

#include <stdbool.h>

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

#endif
