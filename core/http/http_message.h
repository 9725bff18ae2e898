/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_message.h - one request and its answer, as handlers see them.
 */
#ifndef HTTP_HTTP_MESSAGE_H
#define HTTP_HTTP_MESSAGE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/** Both are borrowed text; in a response the name is static. */
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
#define HTTP_RESPONSE_STORE       4096

/** Not to be copied: header values are kept inside. */
struct http_response {
    unsigned int status;
    const char *content_type; /* static; NULL: there is no body */
    struct buf body;          /* the server frees it; bounded by the server */
    struct http_header headers[HTTP_RESPONSE_MAX_HEADERS];
    size_t n_headers;
    bool overflow; /* a header did not fit: the server answers 500 */
    size_t stored;
    char store[HTTP_RESPONSE_STORE];
};

/** The value of the first header called `name` (any case), or NULL. */
const char *http_request_header(const struct http_request *req, const char *name);

/** Adds a header; `name` must be static, `value` is copied. A value with a control
 *  character, and more than fits, set `overflow`. */
void http_response_header(struct http_response *res, const char *name,
                          const char *value);

/** Sets a status and a line of plain text; a newline is appended. */
void http_response_text(struct http_response *res, unsigned int status,
                        const char *text);

#endif
