/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_request.c - strict reading of the path and the query.
 *
 * Not here: bodies (api_body.c).
 */
#include "api/api_request.h"

#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/utf8.h"

#include <string.h>

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at =
        c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

bool api_request_decode(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];

        if (c == '%') {
            int high = len - i < 3 ? -1 : hex_value(text[i + 1]);
            int low = high < 0 ? -1 : hex_value(text[i + 2]);

            if (low < 0) {
                return false;
            }
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
        buf_putc(out, (char)c);
    }
    return !out->failed && utf8_valid(buf_text(out), out->len);
}

static bool decode(const char *text, struct buf *out)
{
    return api_request_decode(text, strlen(text), out);
}

static struct api_parameter *find(struct api_parameter *parameters, size_t n,
                                  const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(parameters[i].name, name) == 0 && strchr(name, '[') == NULL) {
            return &parameters[i];
        }
    }
    return NULL;
}

/* "metadata[key]" for the parameter "metadata[]"; *key is what is in the brackets. */
static struct api_parameter *find_map(struct api_parameter *parameters, size_t n,
                                      const char *name, struct buf *key)
{
    size_t open = strcspn(name, "[");

    if (name[open] == '\0') {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const char *known = parameters[i].name;
        size_t len = strlen(name);

        if (strlen(known) == open + 2 && strncmp(known, name, open + 1) == 0 &&
            len > open + 2 && name[len - 1] == ']') {
            buf_append(key, name + open + 1, len - open - 2);
            return &parameters[i];
        }
    }
    return NULL;
}

/* The members of an object without its braces grow in the parameter's value. */
static int take_map(const struct http_header *given, struct api_parameter *parameters,
                    size_t n, bool *ret_taken, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf name = buf_make(512);
    RIDER_CLEANUP(buf_done) struct buf key = buf_make(512);
    RIDER_CLEANUP(buf_done) struct buf value = buf_make(4096);

    *ret_taken = false;
    if (!decode(given->name, &name)) {
        return rider_fail(err, RIDER_E_CONFIG, "a parameter's name is no proper text");
    }
    struct api_parameter *p = find_map(parameters, n, buf_text(&name), &key);
    if (p == NULL) {
        return 0;
    }
    if (!decode(given->value, &value)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is not proper text", p->name);
    }
    buf_puts(&p->value, p->value.len > 0 ? ",\"" : "\"");
    jw_escape(&p->value, buf_text(&key), key.len);
    buf_puts(&p->value, "\":\"");
    jw_escape(&p->value, buf_text(&value), value.len);
    buf_putc(&p->value, '"');
    *ret_taken = true;
    return p->value.failed
               ? rider_fail(err, RIDER_E_CONFIG, "\"%s\" is too long", p->name)
               : 0;
}

static int take_parameter(const struct http_header *given,
                          struct api_parameter *parameters, size_t n,
                          struct rider_error *err)
{
    bool taken = false;
    int rc = take_map(given, parameters, n, &taken, err);
    if (rc != 0 || taken) {
        return rc;
    }
    struct api_parameter *p = find(parameters, n, given->name);
    if (p == NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "there is no parameter \"%.40s\"",
                          given->name);
    }
    if (!decode(given->value, &p->value)) {
        return rider_fail(err, RIDER_E_CONFIG,
                          p->value.failed ? "\"%s\" is too long"
                                          : "\"%s\" is not proper text",
                          p->name);
    }
    if (p->value.len == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is empty", p->name);
    }
    return 0;
}

/* Whether a parameter before it has the name of number `i`, however it is escaped. */
static bool is_repeated(const struct http_request *req, size_t i)
{
    RIDER_CLEANUP(buf_done) struct buf name = buf_make(512);
    RIDER_CLEANUP(buf_done) struct buf other = buf_make(512);

    if (!decode(req->query[i].name, &name)) {
        return false; /* refused for that */
    }
    while (i-- > 0) {
        buf_reset(&other);
        if (decode(req->query[i].name, &other) &&
            strcmp(buf_text(&name), buf_text(&other)) == 0) {
            return true;
        }
    }
    return false;
}

int api_request_parameters(const struct http_request *req,
                           struct api_parameter *parameters, size_t n,
                           struct rider_error *err)
{
    for (size_t i = 0; i < req->n_query; i++) {
        if (is_repeated(req, i)) {
            return rider_fail(err, RIDER_E_CONFIG, "\"%.40s\" is given twice",
                              req->query[i].name);
        }
        int rc = take_parameter(&req->query[i], parameters, n, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
