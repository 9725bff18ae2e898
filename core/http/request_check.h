/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_check.h - what a request must look like before a handler sees it.
 *
 * The HTTP library accepts framing that RFC 9112 forbids and that lets a request
 * be smuggled through a proxy; these rules close the gap. They are strict on
 * purpose: nothing that an ordinary client sends is refused.
 * Pure functions, any thread.
 */
#ifndef HTTP_REQUEST_CHECK_H
#define HTTP_REQUEST_CHECK_H

#include "http/http_message.h"

#include <stddef.h>

#define REQUEST_MAX_PATH    2048
#define REQUEST_MAX_HEADERS 100
#define REQUEST_MAX_QUERY   16

/** Why a request is refused; status 0: it is fine. */
struct request_verdict {
    unsigned int status;
    const char *reason; /* static; fit to be sent back */
};

/** Header names are tokens and values free of control characters; at most one Host,
 *  Authorization, Content-Type and Idempotency-Key; at most one Content-Length, only
 *  digits; Transfer-Encoding is exactly "chunked", once, and never beside a
 *  Content-Length. RFC 9112 sections 5 and 6. */
struct request_verdict request_check_headers(const struct http_header *headers,
                                             size_t n);

/** `path` is the target as sent, without query: starts with "/", printable ASCII,
 *  well-formed percent escapes, none of which hides a control character, "/" or
 *  "\"; no dot segments; at most REQUEST_MAX_PATH bytes. RFC 3986 section 3.3. */
struct request_verdict request_check_path(const char *path);

/** A method is a token of at most 16 characters (RFC 9110 section 9.1). */
struct request_verdict request_check_method(const char *method);

#endif
