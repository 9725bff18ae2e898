/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target_decode.c - a subscription's address, headers and secrets.
 *
 * Secrets arrive as "id:key-number:hex" entries, the current one first; each is opened
 * in the context of its subscription and its own id, so that a text that was moved to
 * another row does not open. One that does not open spoils the target: to sign with
 * the others only would fail at receivers that know just this one.
 */
#include "outbox/target_decode.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "outbox/event_decode.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SECRETS_MAX   11 /* ten that sign v1, and the key of v1a */
#define SECRET_MAX    128
#define SEALED_MAX    (SECRET_MAX + KEY_RING_OVERHEAD)
#define HEADERS_MAX   64
#define SCHEDULE_MAX  50
#define RESPONSE_KEPT 1024
#define CONTEXT_MAX   512
#define TEXTS_MAX     ((size_t)64 * 1024)

enum column {
    COL_SUBSCRIPTION,
    COL_ATTEMPTS,
    COL_SETBACKS,
    COL_ASKED,
    COL_TRIGGER,
    COL_FAILED_AT,
    COL_ID,
    COL_URL,
    COL_SECRETS,
    COL_HEADERS,
    COL_TIMEOUT,
    COL_KEEP,
    COL_SCHEDULE,
    COL_CA,
    COL_CERT,
    COL_V1A
};

struct target_scratch {
    const struct key_ring *ring;
    const char *signing_key;
    int64_t number; /* of the subscription below; 0: none */
    struct subscription_row row;
    struct buf texts; /* id, url, references */
    json_t *document; /* owns names and values of the headers */
    struct rider_header headers[HEADERS_MAX];
    char opened[SECRETS_MAX][SECRET_MAX];
    struct rider_bytes secrets[SECRETS_MAX];
    uint32_t schedule[SCHEDULE_MAX];
    char trigger[16];
};

struct target_scratch *target_scratch_create(const struct key_ring *ring,
                                             const char *signing_key)
{
    struct target_scratch *s = calloc(1, sizeof(*s));

    if (s != NULL) {
        s->ring = ring;
        s->signing_key = signing_key;
        s->texts = buf_make(TEXTS_MAX);
    }
    return s;
}

void target_scratch_reset(struct target_scratch *s)
{
    s->number = 0;
    json_decref(s->document);
    s->document = NULL;
    explicit_bzero(s->opened, sizeof(s->opened));
}

void target_scratch_destroy(struct target_scratch *s)
{
    if (s != NULL) {
        target_scratch_reset(s);
        buf_done(&s->texts);
        free(s);
    }
}

static struct rider_bytes bytes_at(const PGresult *res, int r, int column)
{
    return (struct rider_bytes){PQgetvalue(res, r, column),
                                (size_t)PQgetlength(res, r, column)};
}

static bool bool_at(const PGresult *res, int r, int column)
{
    return PQgetlength(res, r, column) == 1 && PQgetvalue(res, r, column)[0] != 0;
}

/* The result goes away before the next row: what is kept is copied. Offsets first,
 * since the buffer may move. */
static bool keep_texts(struct target_scratch *s, const PGresult *res, int r, int column)
{
    const int from[] = {COL_ID, COL_URL, COL_CA, COL_CERT};
    struct rider_bytes *const to[] = {&s->row.target.id, &s->row.target.url,
                                      &s->row.target.ca_ref, &s->row.target.cert_ref};
    size_t at[4];

    buf_reset(&s->texts);
    for (size_t i = 0; i < 4; i++) {
        struct rider_bytes text = bytes_at(res, r, column + from[i]);
        at[i] = s->texts.len;
        to[i]->len = text.len;
        buf_append(&s->texts, text.data, text.len);
    }
    for (size_t i = 0; i < 4; i++) {
        to[i]->data = buf_text(&s->texts) + at[i];
    }
    return !s->texts.failed;
}

static void keep_headers(struct target_scratch *s, struct rider_bytes text)
{
    const char *name;
    json_t *value;
    size_t n = 0;

    s->document = json_loadb(text.data, text.len, 0, NULL);
    json_object_foreach(s->document, name, value)
    {
        if (n < HEADERS_MAX && json_is_string(value)) {
            s->headers[n].name = (struct rider_bytes){name, strlen(name)};
            s->headers[n++].value = (struct rider_bytes){json_string_value(value),
                                                         json_string_length(value)};
        }
    }
    s->row.target.headers = s->headers;
    s->row.target.n_headers = n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the hex digits up to `end`; 0 for too many or others. */
static size_t read_hex(const char *hex, const char *end, unsigned char *out, size_t max)
{
    size_t n = (size_t)(end - hex) / 2;

    if ((end - hex) % 2 != 0 || n > max) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }
        out[i] = (unsigned char)(high * 16 + low);
    }
    return n;
}

/* Opens one entry "id:number:hex"; `end` is behind it. */
static bool open_secret(struct target_scratch *s, const char *entry, const char *end)
{
    struct rider_target *target = &s->row.target;
    const char *number = memchr(entry, ':', (size_t)(end - entry));
    const char *hex =
        number == NULL ? NULL : memchr(number + 1, ':', (size_t)(end - number - 1));
    unsigned char sealed[SEALED_MAX];
    struct rider_error err;

    if (hex == NULL || s->ring == NULL || target->n_secrets == SECRETS_MAX - 1) {
        return false;
    }
    size_t len = read_hex(hex + 1, end, sealed, sizeof(sealed));
    if (len <= KEY_RING_OVERHEAD) {
        return false;
    }
    RIDER_CLEANUP(buf_done) struct buf context = buf_make(CONTEXT_MAX);
    buf_puts(&context, "subscription_secret:");
    buf_append(&context, target->id.data, target->id.len);
    buf_putc(&context, ':');
    buf_append(&context, entry, (size_t)(number - entry));
    char *out = s->opened[target->n_secrets];
    const struct key_ring_sealed text = {(uint32_t)strtoul(number + 1, NULL, 10),
                                         sealed, len};
    if (key_ring_open(s->ring, buf_text(&context), &text, (unsigned char *)out, &err) !=
        0) {
        return false;
    }
    s->secrets[target->n_secrets++] =
        (struct rider_bytes){out, len - KEY_RING_OVERHEAD};
    return true;
}

static const char *keep_secrets(struct target_scratch *s, struct rider_bytes text,
                                bool v1a)
{
    const char *at = text.data;
    const char *end = at + text.len;

    s->row.target.secrets = s->secrets;
    s->row.target.n_secrets = 0;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma == NULL ? end : comma;
        if (!open_secret(s, at, stop)) {
            return "a signing secret could not be opened with the key ring";
        }
        at = stop + (comma != NULL);
    }
    if (s->row.target.n_secrets == 0) {
        return "the subscription has no signing secret";
    }
    if (v1a && s->signing_key == NULL) {
        return "v1a signatures need webhooks.signing_key in the configuration";
    }
    if (v1a) {
        s->secrets[s->row.target.n_secrets++] =
            (struct rider_bytes){s->signing_key, strlen(s->signing_key)};
    }
    return NULL;
}

/* "5,300,7200" */
static void keep_schedule(struct target_scratch *s, struct rider_bytes text)
{
    const char *at = text.data;
    const char *end = at + text.len;
    size_t n = 0;

    while (at < end && n < SCHEDULE_MAX) {
        uint32_t seconds = 0;
        for (; at < end && *at != ','; at++) {
            seconds = seconds * 10 + (uint32_t)(*at - '0');
        }
        s->schedule[n++] = seconds;
        at++;
    }
    s->row.schedule_s = n == 0 ? NULL : s->schedule;
    s->row.n_schedule = n;
}

static bool keep_subscription(struct target_scratch *s, const PGresult *res, int r,
                              int column)
{
    struct rider_target *target = &s->row.target;

    target_scratch_reset(s);
    s->row = (struct subscription_row){.target = {.struct_size = sizeof(*target)}};
    if (!keep_texts(s, res, r, column)) {
        return false;
    }
    target->timeout_ms = (uint32_t)event_decode_int(res, r, column + COL_TIMEOUT);
    target->keep_response = bool_at(res, r, column + COL_KEEP) ? RESPONSE_KEPT : 0;
    keep_headers(s, bytes_at(res, r, column + COL_HEADERS));
    keep_schedule(s, bytes_at(res, r, column + COL_SCHEDULE));
    s->row.problem = keep_secrets(s, bytes_at(res, r, column + COL_SECRETS),
                                  bool_at(res, r, column + COL_V1A));
    s->number = event_decode_int(res, r, column + COL_SUBSCRIPTION);
    return true;
}

bool target_decode(const PGresult *res, int r, int column, struct target_scratch *s,
                   struct event_row *row)
{
    row->subscription = event_decode_int(res, r, column + COL_SUBSCRIPTION);
    if (row->subscription != s->number && !keep_subscription(s, res, r, column)) {
        return false;
    }
    struct rider_bytes trigger = bytes_at(res, r, column + COL_TRIGGER);
    size_t len =
        trigger.len < sizeof(s->trigger) ? trigger.len : sizeof(s->trigger) - 1;
    memcpy(s->trigger, trigger.data, len);
    s->trigger[len] = '\0';
    row->attempts = (uint32_t)event_decode_int(res, r, column + COL_ATTEMPTS);
    row->progress = (struct row_progress){
        .setbacks = (uint32_t)event_decode_int(res, r, column + COL_SETBACKS),
        .asked = (uint32_t)event_decode_int(res, r, column + COL_ASKED),
        .failed_at_us = event_decode_int(res, r, column + COL_FAILED_AT),
        .trigger = s->trigger,
    };
    row->to = &s->row;
    return true;
}
