/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_check.c - what a request must look like before a handler sees it.
 *
 * Two kinds of attack are in view: framing that two parsers read differently
 * (request smuggling), and paths that two decoders read differently (a NUL or a
 * slash behind a percent sign). Both are refused with 400 instead of repaired.
 *
 * Not here: sizes of bodies and header blocks (http_server.c), what a path means
 * (the routes).
 */
#include "http/request_check.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const struct request_verdict fine = {0, NULL};

static struct request_verdict bad(const char *reason)
{
    return (struct request_verdict){400, reason};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');

        if (!letter && !is_digit(*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL) {
            return false;
        }
    }
    return true;
}

/* RFC 9110 section 5.5: no control characters but the tab. */
static bool is_field_value(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_all_digits(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && text[n] == '\0';
}

/* What has been seen of the headers that may come once. */
struct seen {
    bool host, length, encoding;
};

/* A proxy may have looked at the other one. */
static struct request_verdict check_single(const struct http_header *headers, size_t i)
{
    static const struct {
        const char *name, *reason;
    } single[] = {
        {"Authorization", "more than one Authorization header"},
        {"Content-Type", "more than one Content-Type header"},
        {"Idempotency-Key", "more than one Idempotency-Key header"},
    };

    for (size_t k = 0; k < sizeof(single) / sizeof(single[0]); k++) {
        for (size_t j = 0; j < i && strcasecmp(headers[i].name, single[k].name) == 0;
             j++) {
            if (strcasecmp(headers[j].name, single[k].name) == 0) {
                return bad(single[k].reason);
            }
        }
    }
    return fine;
}

static struct request_verdict check_once(struct seen *seen, const char *name,
                                         const char *value)
{
    if (strcasecmp(name, "Host") == 0) {
        if (seen->host) {
            return bad("more than one Host header");
        }
        seen->host = true;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        if (seen->length) {
            return bad("more than one Content-Length header");
        }
        if (!is_all_digits(value)) {
            return bad("Content-Length is not a number");
        }
        seen->length = true;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        if (seen->encoding || strcasecmp(value, "chunked") != 0) {
            return bad("Transfer-Encoding must be chunked");
        }
        seen->encoding = true;
    }
    return fine;
}

struct request_verdict request_check_headers(const struct http_header *headers,
                                             size_t n)
{
    struct seen seen = {0};

    if (n > REQUEST_MAX_HEADERS) {
        return (struct request_verdict){431, "too many headers"};
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_token(headers[i].name)) {
            return bad("malformed header name");
        }
        if (!is_field_value(headers[i].value)) {
            return bad("control character in a header");
        }
        struct request_verdict verdict =
            check_once(&seen, headers[i].name, headers[i].value);

        if (verdict.status == 0) {
            verdict = check_single(headers, i);
        }
        if (verdict.status != 0) {
            return verdict;
        }
    }
    if (seen.length && seen.encoding) {
        return bad("both Content-Length and Transfer-Encoding");
    }
    return fine;
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* The character at `p`, percent escape decoded, and its length; -1: malformed. */
static int path_char(const char *p, size_t *ret_len)
{
    if (*p != '%') {
        *ret_len = 1;
        return (unsigned char)*p;
    }
    int high = hex_value(p[1]);
    int low = high < 0 ? -1 : hex_value(p[2]);

    *ret_len = 3;
    return low < 0 ? -1 : high * 16 + low;
}

static bool is_forbidden(int c, bool escaped)
{
    if (c < 0x20 || c == 0x7f || c == '\\') {
        return true;
    }
    return escaped ? c == '/' : c == ' ' || c > 0x7f;
}

struct request_verdict request_check_path(const char *path)
{
    size_t segment = 0; /* characters since the last slash */
    size_t dots = 0;    /* how many of them are dots */
    size_t len;

    if (strnlen(path, REQUEST_MAX_PATH + 1) > REQUEST_MAX_PATH) {
        return (struct request_verdict){414, "path too long"};
    }
    if (path[0] != '/') {
        return bad("path does not start with a slash");
    }
    for (const char *p = path + 1;; p += len) {
        int c = path_char(p, &len);

        if (*p != '\0' && is_forbidden(c, len > 1)) {
            return bad("forbidden character in the path");
        }
        if (*p != '\0' && *p != '/') {
            segment++;
            dots += c == '.' ? 1 : 0;
            continue;
        }
        if ((dots == 1 || dots == 2) && dots == segment) {
            return bad("dot segment in the path");
        }
        if (*p == '\0') {
            return fine;
        }
        segment = dots = 0;
    }
}

struct request_verdict request_check_method(const char *method)
{
    if (strnlen(method, 17) > 16 || !is_token(method)) {
        return bad("malformed method");
    }
    return fine;
}
