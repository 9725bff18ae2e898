/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscription_document.c - a subscription as a client writes it, checked.
 *
 * Not here: whether the URL leads somewhere good (prober.h), whether event types exist.
 */
#include "api/subscription_document.h"

#include "api/event_filter.h"
#include "api/rfc3339.h"
#include "base/parse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const create_statuses[] = {"active", "paused", NULL};
static const char *const statuses[] = {"active", "paused", "disabled",
                                       "pending_verification", NULL};
static const char *const orderings[] = {"key", "none", NULL};
static const char *const verifications[] = {"none", "challenge", NULL};

static const struct json_node *member(const struct json_node *object, const char *name)
{
    const struct json_node *node = json_node_member(object, name);

    return node == NULL || node->kind == JSON_NODE_NULL ? NULL : node;
}

/* ---- event types ----------------------------------------------------------------- */

/* Names, and globs in which a star stands for any text: "order.*", "*.paid", "*". */
static bool is_event_type(const struct json_node *item)
{
    if (item->kind != JSON_NODE_TEXT || item->len == 0 || item->len > 255) {
        return false;
    }
    for (const char *p = item->text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

static void read_event_types(const struct api_fields *f,
                             struct subscription_document *d)
{
    d->event_types = api_fields_list(f, "event_types", 1, 100);
    if (d->event_types == NULL) {
        return;
    }
    for (const struct json_node *i = d->event_types->first; i != NULL; i = i->next) {
        if (!is_event_type(i)) {
            api_fields_fault(f, i, "invalid-value",
                             "an event type is a name of up to 255 bytes, in which * "
                             "stands for any text");
        }
    }
}

/* ---- maps of texts --------------------------------------------------------------- */

static struct json_node *read_map(const struct api_fields *f, const char *name,
                                  size_t max, size_t max_value)
{
    struct json_node *map = api_fields_any(f, name);

    if (map == NULL) {
        return NULL;
    }
    if (map->kind != JSON_NODE_OBJECT || map->n > max) {
        api_fields_fault(f, map, "invalid-value",
                         "an object with at most %zu members is expected", max);
        return NULL;
    }
    for (const struct json_node *m = map->first; m != NULL; m = m->next) {
        if (m->kind != JSON_NODE_TEXT || m->len > max_value || m->key[0] == '\0' ||
            strlen(m->key) > 128) {
            api_fields_fault(f, m, "invalid-value",
                             "a name of 1 to 128 bytes with a text of up to %zu bytes "
                             "is expected",
                             max_value);
        }
    }
    return map;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && !(*p >= '0' && *p <= '9') &&
            strchr("!#$%&'*+-.^_`|~", *p) == NULL) {
            return false;
        }
    }
    return *text != '\0';
}

static bool is_header_value(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) {
            return false;
        }
    }
    return true;
}

/* Those that decide framing, identity or signature. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {
        "host",       "connection",      "transfer-encoding", "te",
        "user-agent", "expect",          "keep-alive",        "upgrade",
        "trailer",    "accept-encoding", "cookie2",           "proxy-authorization",
        NULL};

    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "webhook-", 8) == 0 ||
           strncasecmp(name, "content-", 8) == 0;
}

static bool is_earlier(const struct json_node *headers, const struct json_node *header)
{
    for (const struct json_node *m = headers->first; m != header; m = m->next) {
        if (strcasecmp(m->key, header->key) == 0) {
            return true;
        }
    }
    return false;
}

static void read_headers(const struct api_fields *f, struct subscription_document *d)
{
    size_t before = f->problem->n_faults;

    d->headers = read_map(f, "headers", SUBSCRIPTION_MAX_HEADERS, 2048);
    for (const struct json_node *m = d->headers == NULL ? NULL : d->headers->first;
         m != NULL; m = m->next) {
        if (m->kind != JSON_NODE_TEXT) {
            continue; /* told already */
        }
        if (!is_token(m->key) || !is_header_value(m->text)) {
            api_fields_fault(f, m, "invalid-header",
                             "a header is a token with a value of visible characters");
        } else if (is_reserved(m->key)) {
            api_fields_fault(f, m, "invalid-header", "this header is not for clients");
        } else if (is_earlier(d->headers, m)) {
            api_fields_fault(f, m, "invalid-header", "this header is there already");
        }
    }
    if (f->problem->n_faults > before) {
        d->headers = NULL; /* nobody needs to judge them again */
    }
}

/* ---- nested objects -------------------------------------------------------------- */

static void read_retry(const struct api_fields *f)
{
    struct api_fields retry = api_fields_object(f, "retry");
    const struct json_node *list = api_fields_list(&retry, "schedule_seconds", 1, 50);
    int64_t seconds = 0;

    for (const struct json_node *i = list == NULL ? NULL : list->first; i != NULL;
         i = i->next) {
        if (!api_number_int(i, 0, 604800, &seconds)) {
            api_fields_fault(f, i, "invalid-value",
                             "a whole number of seconds from 0 to 604800 is expected");
        }
    }
    api_fields_finish(&retry);
}

static void read_limits(const struct api_fields *f)
{
    struct api_fields limits = api_fields_object(f, "limits");
    const char *rate = NULL;
    int64_t number = 0;

    (void)api_fields_int(&limits, "max_in_flight", 1, 256, &number);
    (void)api_fields_positive(&limits, "rate_per_second", 0.01, 1e6, &rate);
    (void)api_fields_int(&limits, "burst", 1, 1000000, &number);
    api_fields_finish(&limits);
}

static void read_signature(const struct api_fields *f, struct subscription_document *d)
{
    struct api_fields signature = api_fields_object(f, "signature");
    const struct json_node *list = api_fields_list(&signature, "schemes", 1, 2);
    bool v1 = false;

    for (const struct json_node *i = list == NULL ? NULL : list->first; i != NULL;
         i = i->next) {
        bool known = i->kind == JSON_NODE_TEXT &&
                     (strcmp(i->text, "v1") == 0 || strcmp(i->text, "v1a") == 0);
        if (!known) {
            api_fields_fault(f, i, "invalid-value", "v1 or v1a is expected");
        }
        bool is_v1 = known && strcmp(i->text, "v1") == 0;
        v1 = v1 || is_v1;
        d->v1a = known && !is_v1 ? i : d->v1a;
    }
    if (list != NULL && !v1) {
        api_fields_fault(f, list, "invalid-value", "v1 is always one of them");
    }
    api_fields_finish(&signature);
}

static void read_tls(const struct api_fields *f, struct subscription_document *d)
{
    struct api_fields tls = api_fields_object(f, "tls");

    (void)api_fields_text(&tls, "ca_ref", 1, 64, &d->ca_ref);
    (void)api_fields_text(&tls, "cert_ref", 1, 64, &d->cert_ref);
    api_fields_finish(&tls);
}

/* ---- start_from ------------------------------------------------------------------ */

static bool is_position(const struct json_node *node)
{
    int64_t seq = 0;

    return api_number_int(node, 1, INT64_MAX, &seq) ||
           (node->kind == JSON_NODE_TEXT && parse_is_uuid(node->text));
}

static void read_start_object(const struct api_fields *f, struct json_node *start,
                              struct subscription_document *d)
{
    struct api_fields s = api_fields_of(start, f->problem);
    const struct json_node *time = api_fields_any(&s, "time");
    const struct json_node *position = api_fields_any(&s, "position");

    if (time != NULL &&
        (time->kind != JSON_NODE_TEXT || !rfc3339_is_time(time->text))) {
        api_fields_fault(f, time, "invalid-value", "a time by RFC 3339 is expected");
    } else if (time != NULL) {
        d->since = time->text;
    }
    if (position != NULL && !is_position(position)) {
        api_fields_fault(f, position, "invalid-value",
                         "the eventId or the number of an event is expected");
    } else if (position != NULL) {
        d->from_event = position->text;
    }
    if ((time == NULL) == (position == NULL)) {
        api_fields_fault(f, start, "invalid-value", "time or position is expected");
    }
    api_fields_finish(&s);
}

static void read_start(const struct api_fields *f, struct subscription_document *d)
{
    struct json_node *start = api_fields_any(f, "start_from");

    if (start == NULL) {
        return;
    }
    if (start->kind == JSON_NODE_OBJECT) {
        read_start_object(f, start, d);
        return;
    }
    d->beginning =
        start->kind == JSON_NODE_TEXT && strcmp(start->text, "beginning") == 0;
    if (!d->beginning &&
        (start->kind != JSON_NODE_TEXT || strcmp(start->text, "now") != 0)) {
        api_fields_fault(f, start, "invalid-value",
                         "\"now\", \"beginning\", {\"time\"} or {\"position\"} is "
                         "expected");
    }
}

/* ---- the whole ------------------------------------------------------------------- */

static void read_new(const struct api_fields *f, struct subscription_document *d)
{
    (void)api_fields_text(f, "destination", 1, 63, &d->destination);
    (void)api_fields_text(f, "secret", 1, 200, &d->secret);
    (void)api_fields_word(f, "verify", verifications, &d->verify);
    read_start(f, d);
}

static void read_filter(const struct api_fields *f)
{
    RIDER_CLEANUP(buf_done) struct buf path = buf_make(4 * EVENT_FILTER_MAX_PATH);
    const struct json_node *filter = api_fields_any(f, "filter");

    if (filter != NULL) {
        event_filter_compile(f, filter, &path);
    }
}

static void finish(const struct api_fields *f)
{
    static const char *const fixed[] = {
        "id",         "destination", "status_reason", "status_changed_at",
        "start_from", "created_at",  "updated_at",    "version",
        "secrets",    "secret",      "verify",        NULL};

    for (size_t i = 0; fixed[i] != NULL; i++) {
        struct json_node *node = json_node_member(f->object, fixed[i]);
        if (node != NULL && !node->marked) {
            node->marked = true;
            api_fields_fault(f, node, "read-only-member",
                             "this member cannot be written here");
        }
    }
    api_fields_finish(f);
}

void subscription_document_read(const struct api_fields *f, bool create,
                                struct subscription_document *ret)
{
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;

    *ret = (struct subscription_document){.status = "active", .verify = "none"};
    api_fields_require(f, "url");
    (void)api_fields_text(f, "url", 1, 2048, &ret->url);
    (void)api_fields_text(f, "uid", 1, 255, &text);
    (void)api_fields_word(f, "status", create ? create_statuses : statuses,
                          &ret->status);
    read_event_types(f, ret);
    read_filter(f);
    (void)api_fields_text(f, "description", 0, 2000, &text);
    (void)read_map(f, "metadata", 50, 1000);
    read_headers(f, ret);
    (void)api_fields_word(f, "ordering", orderings, &text);
    read_retry(f);
    read_limits(f);
    (void)api_fields_int(f, "timeout_ms", 1000, 30000, &number);
    read_signature(f, ret);
    read_tls(f, ret);
    (void)api_fields_bool(f, "keep_responses", &flag);
    (void)api_fields_int(f, "disable_after_seconds", 60, 31536000, &number);
    if (create) {
        read_new(f, ret);
    }
    finish(f);
}

/* `name` of `object` as `column`, or `fallback`, which is JSON. */
static void put(struct json_writer *w, const char *column,
                const struct json_node *object, const char *name, const char *fallback)
{
    const struct json_node *node = member(object, name);

    if (node != NULL) {
        json_node_write(node, w, column);
    } else {
        jw_raw(w, column, fallback, strlen(fallback));
    }
}

static void put_filter(struct json_writer *w, const struct json_node *body)
{
    RIDER_CLEANUP(buf_done) struct buf path = buf_make(4 * EVENT_FILTER_MAX_PATH);
    struct api_problem problem = {.code = NULL};
    const struct json_node *filter = member(body, "filter");

    put(w, "filter", body, "filter", "null");
    if (filter == NULL) {
        jw_null(w, "filter_path");
        return;
    }
    struct api_fields f = api_fields_of(NULL, &problem);
    event_filter_compile(&f, filter, &path);
    jw_string(w, "filter_path", buf_text(&path));
}

/* A new one that does not say is disabled after five days of failure; a null means
 * never, in a PATCH as in a POST. */
static void put_disable_after(struct json_writer *w, const struct json_node *body,
                              bool create)
{
    bool given = json_node_member(body, "disable_after_seconds") != NULL;

    put(w, "disable_after_s", body, "disable_after_seconds",
        create && !given ? "432000" : "null");
}

void subscription_document_row(const struct json_node *body,
                               const struct subscription_document *d, const char *id,
                               struct buf *out)
{
    const struct json_node *limits = member(body, "limits");
    const struct json_node *tls = member(body, "tls");
    struct json_writer w = jw_begin(out);

    jw_object(&w, NULL);
    if (id != NULL) {
        jw_string(&w, "id", id);
        jw_string(&w, "destination", d->destination);
        put(&w, "start_from", body, "start_from", "\"now\"");
    }
    jw_string(&w, "status",
              strcmp(d->verify, "challenge") == 0 ? "pending_verification" : d->status);
    jw_string(&w, "url", d->url);
    put(&w, "uid", body, "uid", "null");
    put(&w, "event_types", body, "event_types", "[\"*\"]");
    put_filter(&w, body);
    put(&w, "description", body, "description", "\"\"");
    put(&w, "metadata", body, "metadata", "{}");
    put(&w, "headers", body, "headers", "{}");
    put(&w, "ordering", body, "ordering", "\"key\"");
    put(&w, "retry_schedule", member(body, "retry"), "schedule_seconds", "null");
    put(&w, "max_in_flight", limits, "max_in_flight", "16");
    put(&w, "rate_per_second", limits, "rate_per_second", "null");
    put(&w, "burst", limits, "burst", "null");
    put(&w, "timeout_ms", body, "timeout_ms", "null");
    put(&w, "signatures", member(body, "signature"), "schemes", "[\"v1\"]");
    put(&w, "ca_ref", tls, "ca_ref", "null");
    put(&w, "cert_ref", tls, "cert_ref", "null");
    put(&w, "keep_responses", body, "keep_responses", "false");
    put_disable_after(&w, body, id != NULL);
    jw_object_end(&w);
}
