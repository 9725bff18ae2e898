/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_request.c - builds and checks the headers of one attempt.
 *
 * Each line goes through one function that enforces the grammar of names and values
 * (RFC 9110 section 5), so nothing an event or a subscription carries can add a
 * line. The signature covers event->body, which is also what is sent.
 *
 * Invariant: names of ours are refused from every other source.
 * Not here: the URL, the transfer itself, retries.
 */
#include "webhook/webhook_request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN  128u
#define VALUE_MAX_LEN 4096u
#define ID_MAX_LEN    255u

struct builder {
    struct curl_slist *list;
    const char *problem; /* the first one, or NULL */
};

static struct rider_bytes text_bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static bool is_token(const unsigned char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = s[i];
        bool alnum =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (c == '\0' || (!alnum && strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return len > 0 && len <= NAME_MAX_LEN;
}

/** Visible ASCII, with spaces and tabs inside. */
static bool is_value(const unsigned char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((s[i] < ' ' && s[i] != '\t') || s[i] > '~') {
            return false;
        }
    }
    return len <= VALUE_MAX_LEN;
}

static void add(struct builder *b, const char *prefix, struct rider_bytes name,
                struct rider_bytes value)
{
    char line[NAME_MAX_LEN + VALUE_MAX_LEN + 16];

    if (b->problem != NULL) {
        return;
    }
    if (!is_token(name.data, name.len) || !is_value(value.data, value.len)) {
        b->problem = "a header has a name or a value that HTTP does not allow";
        return;
    }
    /* libcurl takes "name;" for a header without a value. */
    (void)snprintf(line, sizeof(line), "%s%.*s%s%.*s", prefix, (int)name.len,
                   (const char *)name.data, value.len == 0 ? ";" : ": ", (int)value.len,
                   value.len == 0 ? "" : (const char *)value.data);
    struct curl_slist *longer = curl_slist_append(b->list, line);

    if (longer == NULL) {
        b->problem = "memory is short";
        return;
    }
    b->list = longer;
}

static bool starts_with(struct rider_bytes name, const char *prefix)
{
    size_t len = strlen(prefix);

    return name.len >= len && strncasecmp(name.data, prefix, len) == 0;
}

/** Names that frame the request or belong to the sender. */
static bool is_reserved(struct rider_bytes name)
{
    static const char *const prefixes[] = {"webhook-", "content-", "proxy-", "ce-"};
    static const char *const names[] = {
        "host",       "connection",  "transfer-encoding", "te",
        "user-agent", "expect",      "upgrade",           "trailer",
        "keep-alive", "traceparent", "tracestate",        "http2-settings"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (starts_with(name, prefixes[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name.len == strlen(names[i]) && starts_with(name, names[i])) {
            return true;
        }
    }
    return false;
}

/** Length of the well-formed UTF-8 sequence at `s`, 0 for none. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    /* RFC 3629 section 4: first byte, range of the second, length. */
    static const struct {
        unsigned char first, last, low, high, len;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    size_t form = 0;

    while (form < sizeof(forms) / sizeof(forms[0]) && s[0] > forms[form].last) {
        form++;
    }
    if (form == sizeof(forms) / sizeof(forms[0]) || s[0] < forms[form].first ||
        forms[form].len > left) {
        return 0;
    }
    for (size_t i = 1; i < forms[form].len; i++) {
        unsigned char low = i == 1 ? forms[form].low : 0x80;
        unsigned char high = i == 1 ? forms[form].high : 0xbf;

        if (s[i] < low || s[i] > high) {
            return 0;
        }
    }
    return forms[form].len;
}

static bool is_utf8(struct rider_bytes text)
{
    const unsigned char *s = text.data;

    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_sequence(s + at, text.len - at);

        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

static void add_signature(struct builder *b, const struct rider_event *event,
                          const struct webhook_signers *signers, int64_t now)
{
    char id[ID_MAX_LEN + 1], seconds[24];
    char entries[WEBHOOK_MAX_SECRETS * RIDER_SIGNATURE_SIZE];
    size_t used = 0;

    if (event->id.len == 0 || event->id.len > ID_MAX_LEN ||
        memchr(event->id.data, '\0', event->id.len) != NULL) {
        b->problem = "the event id cannot be a webhook-id";
        return;
    }
    memcpy(id, event->id.data, event->id.len);
    id[event->id.len] = '\0';
    if (signers->n == 0) {
        b->problem = rider_signature_text(RIDER_SIGNATURE_NO_KEY);
        return;
    }
    for (size_t i = 0; i < signers->n && i < WEBHOOK_MAX_SECRETS; i++) {
        if (i > 0) {
            entries[used++] = ' ';
        }
        enum rider_signature_status status =
            rider_signer_sign(signers->list[i], id, now, event->body.data,
                              event->body.len, entries + used);

        if (status != RIDER_SIGNATURE_OK) {
            b->problem = rider_signature_text(status);
            return;
        }
        used += strlen(entries + used);
    }
    (void)snprintf(seconds, sizeof(seconds), "%lld", (long long)now);
    add(b, "", text_bytes("webhook-id"), event->id);
    add(b, "", text_bytes("webhook-timestamp"), text_bytes(seconds));
    add(b, "", text_bytes("webhook-signature"), (struct rider_bytes){entries, used});
}

/** CloudEvents attributes (HTTP protocol binding 3.1.3.2: percent-encoding). */
static void add_attributes(struct builder *b, const struct rider_event *event)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < event->n_attributes && b->problem == NULL; i++) {
        const struct rider_header *attribute = &event->attributes[i];
        const unsigned char *s = attribute->value.data;
        char encoded[VALUE_MAX_LEN];
        size_t used = 0;

        if (attribute->value.len > sizeof(encoded) / 3) {
            b->problem = "a CloudEvents attribute is too long for a header";
            return;
        }
        for (size_t j = 0; j < attribute->value.len; j++) {
            if (s[j] > ' ' && s[j] <= '~' && s[j] != '"' && s[j] != '%') {
                encoded[used++] = (char)s[j];
                continue;
            }
            encoded[used++] = '%';
            encoded[used++] = hex[s[j] >> 4];
            encoded[used++] = hex[s[j] & 15];
        }
        add(b, "ce-", attribute->name, (struct rider_bytes){encoded, used});
    }
}

static void add_writers(struct builder *b, const struct rider_event *event)
{
    for (size_t i = 0; i < event->n_headers; i++) {
        struct rider_bytes name = event->headers[i].name;
        bool trace =
            (name.len == strlen("traceparent") && starts_with(name, "traceparent")) ||
            (name.len == strlen("tracestate") && starts_with(name, "tracestate"));

        if (trace || starts_with(name, "x-event-")) {
            add(b, "", name, event->headers[i].value);
        }
    }
}

static void add_custom(struct builder *b, const struct rider_header *headers, size_t n)
{
    for (size_t i = 0; i < n && b->problem == NULL; i++) {
        if (is_reserved(headers[i].name)) {
            b->problem = "a custom header has a reserved name";
            return;
        }
        add(b, "", headers[i].name, headers[i].value);
    }
}

struct rider_target webhook_request_target(const struct rider_target *target)
{
    struct rider_target copy = {0};

    if (target != NULL) {
        size_t size =
            target->struct_size < sizeof(copy) ? target->struct_size : sizeof(copy);

        memcpy(&copy, target, size);
    }
    return copy;
}

const char *webhook_request_check_headers(const struct rider_header *headers, size_t n)
{
    struct builder b = {0};

    add_custom(&b, headers, n);
    curl_slist_free_all(b.list);
    return b.problem;
}

static int refuse(struct builder *b, const char *reason, struct rider_result *ret)
{
    curl_slist_free_all(b->list);
    *ret = (struct rider_result){.struct_size = sizeof(*ret),
                                 .outcome = RIDER_REJECTED,
                                 .cause = RIDER_CAUSE_INVALID_PAYLOAD,
                                 .reason = reason};
    return -1;
}

int webhook_request_build(const struct rider_event *event,
                          const struct webhook_signers *signers, int64_t now,
                          struct curl_slist **ret, struct rider_result *ret_refusal)
{
    struct builder b = {0};

    if (event->body.len == 0) {
        return refuse(&b, "the body is empty", ret_refusal);
    }
    if (!is_utf8(event->body)) {
        return refuse(&b, "the body is not UTF-8", ret_refusal);
    }
    add_signature(&b, event, signers, now);
    add(&b, "", text_bytes("Content-Type"),
        event->content_type.len > 0 ? event->content_type
                                    : text_bytes("application/json"));
    add_attributes(&b, event);
    add_writers(&b, event);
    const struct rider_target target = webhook_request_target(event->target);

    add_custom(&b, target.headers, target.n_headers);
    if ((target.flags & RIDER_TARGET_TEST) != 0) {
        add(&b, "", text_bytes("webhook-test"), text_bytes("true"));
    }
    if (b.problem == NULL) {
        /* Without it a large body waits a second for "100 Continue". */
        struct curl_slist *longer = curl_slist_append(b.list, "Expect:");

        b.problem = longer == NULL ? "memory is short" : NULL;
    }
    if (b.problem != NULL) {
        return refuse(&b, b.problem, ret_refusal);
    }
    *ret = b.list;
    return 0;
}
