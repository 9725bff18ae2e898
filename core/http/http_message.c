/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_message.c - small helpers for handlers. Pure; nothing here knows the
 * server.
 */
#include "http/http_message.h"

#include <string.h>
#include <strings.h>

const char *http_request_header(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        if (strcasecmp(req->headers[i].name, name) == 0) {
            return req->headers[i].value;
        }
    }
    return NULL;
}

static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

void http_response_header(struct http_response *res, const char *name,
                          const char *value)
{
    size_t size = strlen(value) + 1;

    if (res->n_headers == HTTP_RESPONSE_MAX_HEADERS ||
        size > HTTP_RESPONSE_STORE - res->stored || !is_one_line(value)) {
        res->overflow = true;
        return;
    }
    char *copy = res->store + res->stored;
    memcpy(copy, value, size);
    res->stored += size;
    res->headers[res->n_headers++] = (struct http_header){name, copy};
}

void http_response_text(struct http_response *res, unsigned int status,
                        const char *text)
{
    res->status = status;
    res->content_type = "text/plain; charset=utf-8";
    buf_reset(&res->body);
    buf_puts(&res->body, text);
    buf_putc(&res->body, '\n');
}
