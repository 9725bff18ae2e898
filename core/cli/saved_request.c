/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saved_request.c - a webhook request as text.
 */
#include "cli/saved_request.h"

#include <string.h>
#include <strings.h>

static bool has_nul(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));

    return newline != NULL && memchr(p, '\0', (size_t)(newline - p)) != NULL;
}

/* Ends the line at `p` with a NUL and returns where the next one starts. */
static char *cut_line(char *p, char *end)
{
    char *newline = memchr(p, '\n', (size_t)(end - p));

    if (newline == NULL) {
        return NULL;
    }
    *newline = '\0';
    if (newline > p && newline[-1] == '\r') {
        newline[-1] = '\0';
    }
    return newline + 1;
}

static int take_header(char *line, struct rider_signed_message *ret,
                       struct rider_error *err)
{
    char *colon = strchr(line, ':');

    if (colon == NULL) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "the request has a header line without a colon");
    }
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t len = strlen(value);
         len > 0 && strchr(" \t", value[len - 1]) != NULL;) {
        value[--len] = '\0';
    }
    const struct {
        const char *name;
        const char **member;
    } headers[] = {{"webhook-id", &ret->id},
                   {"webhook-timestamp", &ret->timestamp},
                   {"webhook-signature", &ret->signature}};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (strcasecmp(line, headers[i].name) != 0) {
            continue;
        }
        if (*headers[i].member != NULL) {
            return rider_fail(err, RIDER_E_CONFIG, "the request has %s twice",
                              headers[i].name);
        }
        *headers[i].member = value;
    }
    return 0;
}

int saved_request_parse(struct buf *text, struct rider_signed_message *ret,
                        struct rider_error *err)
{
    struct rider_signed_message found = {.id = NULL};
    char *line = text->data;
    char *end = text->data == NULL ? NULL : text->data + text->len;
    bool first = true;

    while (line != NULL) {
        if (has_nul(line, end)) {
            return rider_fail(err, RIDER_E_CONFIG, "the request has a NUL in a header");
        }
        char *next = cut_line(line, end);

        if (next == NULL) {
            break;
        }
        if (line[0] == '\0') {
            found.body = next;
            found.body_len = (size_t)(end - next);
            *ret = found;
            return 0;
        }
        bool request_line = first && strstr(line, " HTTP/") != NULL;
        int rc = request_line ? 0 : take_header(line, &found, err);
        if (rc != 0) {
            return rc;
        }
        first = false;
        line = next;
    }
    return rider_fail(err, RIDER_E_CONFIG,
                      "the request has no empty line between headers and body");
}
