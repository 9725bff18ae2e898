/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_message.h - one request and its answer, as handlers see them.
 */
#ifndef ADMIN_HTTP_MESSAGE_H
#define ADMIN_HTTP_MESSAGE_H

#include "base/buf.h"

#include <stddef.h>

/** Both are borrowed text; in a response they must be static. */
struct http_header {
    const char *name, *value;
};

/** Everything is borrowed and valid until the handler returns. */
struct http_request {
    const char *method;
    const char *path;   /* as sent: percent escapes are not decoded, no query */
    const char *remote; /* "127.0.0.1:51234" */
    const struct http_header *headers;
    size_t n_headers;
    const struct http_header *query; /* as sent, but "+" is a blank: escapes stay */
    size_t n_query;
    const void *body; /* the raw bytes */
    size_t body_len;
};

#define HTTP_RESPONSE_MAX_HEADERS 8

struct http_response {
    unsigned int status;
    const char *content_type; /* static */
    struct buf body;          /* the server frees it; bounded by the server */
    struct http_header headers[HTTP_RESPONSE_MAX_HEADERS];
    size_t n_headers;
};

/** The value of the first header called `name` (any case), or NULL. */
const char *http_request_header(const struct http_request *req, const char *name);

/** Adds a header; both texts must be static. More than fit are left out. */
void http_response_header(struct http_response *res, const char *name,
                          const char *value);

/** Sets a status and a line of plain text; a newline is appended. */
void http_response_text(struct http_response *res, unsigned int status,
                        const char *text);

#endif
