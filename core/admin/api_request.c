/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_request.c - strict reading of what a client of the API sent.
 *
 * Not here: what a filter may hold, which the schema checks.
 */
#include "admin/api_request.h"

#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/utf8.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
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
    if (p->value.len > 0) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is given twice", p->name);
    }
    if (!decode(given->value, &p->value)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is not proper text", p->name);
    }
    if (p->value.len == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is empty", p->name);
    }
    return 0;
}

int api_request_parameters(const struct http_request *req,
                           struct api_parameter *parameters, size_t n,
                           struct rider_error *err)
{
    for (size_t i = 0; i < req->n_query; i++) {
        int rc = take_parameter(&req->query[i], parameters, n, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static bool is_json(const struct http_request *req)
{
    static const char type[] = "application/json";
    const char *given = http_request_header(req, "Content-Type");

    return given != NULL && strncmp(given, type, sizeof(type) - 1) == 0 &&
           strchr(" ;", given[sizeof(type) - 1]) != NULL;
}

static int take_filter(const json_t *value, struct api_change *ret,
                       struct rider_error *err)
{
    if (!json_is_object(value) || json_object_size(value) == 0) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "\"filter\" is an object with at least one key");
    }
    ret->filter = json_dumps(value, JSON_COMPACT);
    return ret->filter == NULL ? rider_fail(err, RIDER_E_NOMEM, "out of memory") : 0;
}

static int take_member(const char *key, const json_t *value, bool takes_rate,
                       struct api_change *ret, struct rider_error *err)
{
    if (strcmp(key, "filter") == 0) {
        return take_filter(value, ret, err);
    }
    if (strcmp(key, "dryRun") == 0) {
        ret->dry_run = json_is_true(value);
        return json_is_boolean(value)
                   ? 0
                   : rider_fail(err, RIDER_E_CONFIG, "\"dryRun\" is true or false");
    }
    if (takes_rate && strcmp(key, "rate") == 0) {
        ret->rate = json_integer_value(value);
        return json_is_integer(value) && ret->rate >= 1 && ret->rate <= INT_MAX
                   ? 0
                   : rider_fail(err, RIDER_E_CONFIG,
                                "\"rate\" is a number from 1: events a second");
    }
    return rider_fail(err, RIDER_E_CONFIG, "there is no member \"%.40s\"", key);
}

static int take_members(json_t *body, bool takes_rate, struct api_change *ret,
                        struct rider_error *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        int rc = take_member(key, value, takes_rate, ret, err);
        if (rc != 0) {
            return rc;
        }
    }
    return ret->filter == NULL
               ? rider_fail(err, RIDER_E_CONFIG, "\"filter\" is missing")
               : 0;
}

int api_request_change(const struct http_request *req, bool takes_rate,
                       struct api_change *ret, struct rider_error *err)
{
    json_error_t why;
    int rc;

    *ret = (struct api_change){.filter = NULL};
    if (!is_json(req)) {
        return rider_fail(err, RIDER_E_CONFIG, "Content-Type is not application/json");
    }
    json_t *body = json_loadb(req->body, req->body_len, JSON_REJECT_DUPLICATES, &why);
    if (body == NULL) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "the body is not JSON: line %d, column %d", why.line,
                          why.column);
    }
    rc = json_is_object(body)
             ? take_members(body, takes_rate, ret, err)
             : rider_fail(err, RIDER_E_CONFIG, "the body is not an object");
    json_decref(body);
    if (rc != 0) {
        free(ret->filter);
        ret->filter = NULL;
    }
    return rc;
}
