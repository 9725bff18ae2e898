/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_page.c - lists in pages.
 *
 * Keys are numbers that the database can read, so nothing that a client makes up can be
 * more than a place in the list; and since a cursor must be spelled as it would be
 * written, there is one spelling of each.
 */
#include "api/api_page.h"

#include "base/parse.h"

#include <stdio.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* RFC 4648 section 5, without padding. */
static void encode(const char *data, size_t len, char *out)
{
    unsigned int bits = 0;
    unsigned int held = 0;

    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | (unsigned char)data[i]) & 0xffff;
        held += 8;
        while (held >= 6) {
            held -= 6;
            *out++ = alphabet[bits >> held & 63];
        }
    }
    if (held > 0) {
        *out++ = alphabet[bits << (6 - held) & 63];
    }
    *out = '\0';
}

static bool decode(const char *text, char *out, size_t size)
{
    unsigned int bits = 0;
    unsigned int held = 0;
    size_t n = 0;

    for (; *text != '\0'; text++) {
        const char *at = strchr(alphabet, *text);
        if (at == NULL || n + 1 == size) {
            return false;
        }
        bits = (bits << 6 | (unsigned int)(at - alphabet)) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (char)(bits >> held & 255);
        }
    }
    out[n] = '\0';
    return true;
}

bool api_page_is_key(const char *text, const char *key)
{
    for (; *key != '\0'; key++) {
        size_t len = strspn(text, "0123456789");
        char number[20];
        int64_t value = 0;

        if (len == 0 || len >= sizeof(number)) {
            return false;
        }
        memcpy(number, text, len);
        number[len] = '\0';
        if (parse_int(number, &value, NULL) != 0 ||
            (*key == 'i' && value > INT32_MAX) ||
            text[len] != (key[1] == '\0' ? '\0' : '.')) {
            return false;
        }
        text += len + (text[len] == '.');
    }
    return *text == '\0';
}

void api_cursor_write(const struct api_list *list, const char *key,
                      char out[API_CURSOR_SIZE])
{
    char text[API_PAGE_KEY_SIZE + 40];

    (void)snprintf(text, sizeof(text), "1:%.32s:%s", list->name, key);
    encode(text, strlen(text), out);
}

bool api_cursor_read(const char *text, const struct api_list *list,
                     char ret[API_PAGE_KEY_SIZE])
{
    char plain[API_PAGE_KEY_SIZE + 40];
    char prefix[40];
    char again[API_CURSOR_SIZE];

    (void)snprintf(prefix, sizeof(prefix), "1:%.32s:", list->name);
    if (!decode(text, plain, sizeof(plain)) ||
        strncmp(plain, prefix, strlen(prefix)) != 0) {
        return false;
    }
    const char *key = plain + strlen(prefix);
    size_t len = strlen(key);
    if (len >= API_PAGE_KEY_SIZE || !api_page_is_key(key, list->key)) {
        return false;
    }
    api_cursor_write(list, key, again);
    if (strcmp(again, text) != 0) {
        return false;
    }
    memcpy(ret, key, len + 1);
    return true;
}

int api_page_read(struct api_call *call, const struct api_list *list,
                  const struct api_parameter *limit, const struct api_parameter *cursor,
                  struct api_page *ret)
{
    *ret = (struct api_page){.list = list, .limit = API_PAGE_LIMIT};
    if (limit->value.len > 0 &&
        (parse_int(buf_text(&limit->value), &ret->limit, NULL) != 0 || ret->limit < 1 ||
         ret->limit > API_PAGE_MAX)) {
        return api_problem_set(call->problem, "invalid-parameter",
                               "\"limit\" is a number from 1 to %d", API_PAGE_MAX);
    }
    if (cursor->value.len > 0 &&
        !api_cursor_read(buf_text(&cursor->value), list, ret->after)) {
        return api_problem_set(call->problem, "invalid-cursor",
                               "\"cursor\" is not one that this list has given");
    }
    return 0;
}

/* Escapes what may not stand in a query; escapes that are there stay. */
static void append_query(struct buf *out, const char *text)
{
    static const char plain[] = "-._~%[]:@!$'()*,/?";

    for (; *text != '\0'; text++) {
        bool fine = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                    (*text >= '0' && *text <= '9') || strchr(plain, *text) != NULL;
        if (fine) {
            buf_putc(out, *text);
        } else {
            buf_printf(out, "%%%02X", (unsigned int)(unsigned char)*text);
        }
    }
}

static void add_link(struct api_call *call, const char *cursor)
{
    const struct http_request *req = call->req;
    RIDER_CLEANUP(buf_done) struct buf link = buf_make(HTTP_RESPONSE_STORE / 2);

    buf_printf(&link, "<%s?", req->path);
    for (size_t i = 0; i < req->n_query; i++) {
        if (strcmp(req->query[i].name, "cursor") != 0) {
            append_query(&link, req->query[i].name);
            buf_putc(&link, '=');
            append_query(&link, req->query[i].value);
            buf_putc(&link, '&');
        }
    }
    buf_printf(&link, "cursor=%s>; rel=\"next\"", cursor);
    if (!link.failed) { /* a very long query: next_cursor says the same */
        http_response_header(call->res, "Link", buf_text(&link));
    }
}

void api_page_write(struct api_call *call, const struct api_page *page,
                    const struct row_set *rows, const char *key, api_row_fn *write,
                    struct buf *out)
{
    size_t n = row_set_count(rows);
    bool more = n > (size_t)page->limit;
    struct json_writer w = jw_begin(out);
    char cursor[API_CURSOR_SIZE];

    n = more ? (size_t)page->limit : n;
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < n; i++) {
        if (write != NULL) {
            write(rows, i, &w);
        } else {
            row_set_write_row_but(rows, i, &w, NULL, key);
        }
    }
    jw_array_end(&w);
    if (more) {
        api_cursor_write(page->list, row_set_text(rows, n - 1, key), cursor);
        add_link(call, cursor);
    }
    jw_string_or_null(&w, "next_cursor", more ? cursor : NULL);
    jw_bool(&w, "has_more", more);
    jw_object_end(&w);
}
