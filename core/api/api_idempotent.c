/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_idempotent.c - changes, each of which is done once.
 *
 * An answer may hold a secret, so it is kept sealed: two lines for Location and ETag,
 * then the body.
 */
#include "api/api_idempotent.h"

#include "api/webhook_secret.h"
#include "outbox/idempotency.h"
#include "webhooks/crypto.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONTEXT_SIZE 512

/* Of one request. */
struct idempotent {
    const char *key; /* NULL: the client sent none */
    char hash[65];   /* of method, path and body, in hex */
    bool answered;   /* it was done before; its answer is in call->res and the body */
};

static struct idempotency_key key_of(const struct api_call *call,
                                     const struct idempotent *i)
{
    return (struct idempotency_key){call->who, i->key, i->hash};
}

static bool is_key(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len > API_IDEMPOTENCY_KEY_MAX) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

/* SHA-256 of what makes a request the same. */
static bool hash_request(const struct http_request *req, char out[65])
{
    unsigned char digest[CRYPTO_SHA256_LEN];
    const struct crypto_part parts[] = {{req->method, strlen(req->method) + 1},
                                        {req->path, strlen(req->path) + 1},
                                        {req->body, req->body_len}};
    bool fine = crypto_sha256(parts, sizeof(parts) / sizeof(parts[0]), digest);

    for (size_t i = 0; fine && i < sizeof(digest); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", (unsigned int)digest[i]);
    }
    return fine;
}

static void write_context(const struct api_call *call, const char *key,
                          char out[CONTEXT_SIZE])
{
    (void)snprintf(out, CONTEXT_SIZE, "idempotency:%s:%s", call->who, key);
}

/* The line that starts at *text, without its end; *text is then behind it. */
static void take_line(const char **text, char *out, size_t size)
{
    size_t len = strcspn(*text, "\n");
    size_t n = len < size ? len : 0; /* both headers are short */

    memcpy(out, *text, n);
    out[n] = '\0';
    *text += len + ((*text)[len] == '\n');
}

static int replay(struct api_call *call, const char *key, const struct row_set *rows,
                  struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(webhook_buf_wipe) struct buf plain = buf_make(1 << 20);
    char context[CONTEXT_SIZE];
    char line[300];

    write_context(call, key, context);
    int rc =
        webhook_open_hex(call->backend->ring, (uint32_t)row_set_int(rows, 0, "number"),
                         context, row_set_text(rows, 0, "sealed"), &plain, err);
    if (rc != 0) {
        return rider_fail(err, RIDER_E_INTERNAL, "a kept answer cannot be opened");
    }
    const char *text = buf_text(&plain);
    static const char *const names[] = {"Location", "ETag"};
    for (size_t i = 0; i < 2; i++) {
        take_line(&text, line, sizeof(line));
        if (line[0] != '\0') {
            http_response_header(call->res, names[i], line);
        }
    }
    call->res->status = (unsigned int)row_set_int(rows, 0, "status");
    http_response_header(call->res, "Idempotency-Replayed", "true");
    buf_puts(out, text);
    return 0;
}

static int read_key(struct api_call *call, struct idempotent *ret,
                    struct rider_error *err)
{
    *ret =
        (struct idempotent){.key = http_request_header(call->req, "Idempotency-Key")};
    if (ret->key == NULL) {
        return 0;
    }
    if (!is_key(ret->key)) {
        return api_problem_set(call->problem, "bad-request",
                               "Idempotency-Key is 1 to %d visible characters",
                               API_IDEMPOTENCY_KEY_MAX);
    }
    return hash_request(call->req, ret->hash)
               ? 0
               : rider_fail(err, RIDER_E_INTERNAL, "could not hash a request");
}

/* Unless it was answered, the key is this transaction's to its end. */
static int begin(struct api_call *call, struct outbox_tx *tx, struct idempotent *ret,
                 struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    enum idempotency_state state = IDEMPOTENCY_NEW;
    int rc = read_key(call, ret, err);

    if (rc != 0 || ret->key == NULL) {
        return rc;
    }
    const struct idempotency_key key = key_of(call, ret);
    rc = idempotency_ask(tx, &key, &state, &rows, err);
    if (rc != 0 || state == IDEMPOTENCY_NEW) {
        return rc;
    }
    if (state == IDEMPOTENCY_BUSY) {
        http_response_header(call->res, "Retry-After", "1");
        return api_problem_set(call->problem, "idempotency-in-progress",
                               "the first request with this Idempotency-Key goes on");
    }
    if (state == IDEMPOTENCY_REUSED) {
        return api_problem_set(call->problem, "idempotency-key-reused",
                               "the Idempotency-Key was used for another request");
    }
    ret->answered = true;
    return replay(call, ret->key, rows, out, err);
}

static const char *header_of(const struct http_response *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        if (strcasecmp(res->headers[i].name, name) == 0) {
            return res->headers[i].value;
        }
    }
    return "";
}

/* Keeps call->res with its status, Location and ETag, and `out`. */
static int keep(struct api_call *call, struct outbox_tx *tx, const struct idempotent *i,
                const struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(webhook_buf_wipe) struct buf plain = buf_make(1 << 20);
    RIDER_CLEANUP(buf_done) struct buf hex = buf_make(4 << 20);
    char context[CONTEXT_SIZE];

    if (i->key == NULL) {
        return 0;
    }
    buf_printf(&plain, "%s\n%s\n", header_of(call->res, "Location"),
               header_of(call->res, "ETag"));
    buf_append(&plain, buf_text(out), out->len);
    if (plain.failed) {
        return rider_fail(err, RIDER_E_NOMEM, "an answer is too large to be kept");
    }
    write_context(call, i->key, context);
    int rc = webhook_seal_hex(call->backend->ring, context, buf_text(&plain), plain.len,
                              &hex, err);
    const struct idempotency_key key = key_of(call, i);
    return rc == 0 ? idempotency_keep(tx, &key, call->res->status,
                                      key_ring_current(call->backend->ring),
                                      buf_text(&hex), err)
                   : rc;
}

int api_idempotent_ask(struct api_call *call, bool *ret_answered, struct buf *out,
                       struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    struct idempotent i = {.key = NULL};

    *ret_answered = false;
    if (http_request_header(call->req, "Idempotency-Key") == NULL) {
        return 0;
    }
    int rc = outbox_tx_begin(call->dsn, &tx, err);
    if (rc == 0) {
        rc = begin(call, tx, &i, out, err);
        *ret_answered = i.answered;
    }
    /* The key is let go here, not when the server notices that the client has left. */
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}

int api_idempotent_once(struct api_call *call, api_change_fn *fn, void *arg,
                        struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    struct idempotent i = {.key = NULL};
    int rc = outbox_tx_begin(call->dsn, &tx, err);

    if (rc == 0) {
        rc = begin(call, tx, &i, out, err);
    }
    if (rc == 0 && !i.answered) {
        rc = fn(call, tx, arg, out, err);
    }
    if (rc == 0 && !i.answered) {
        rc = keep(call, tx, &i, out, err);
    }
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}

/* Asks, claims, prepares. */
static int claim(struct api_call *call, const struct api_exchange *steps, void *arg,
                 struct idempotent *ret, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    int rc = outbox_tx_begin(call->dsn, &tx, err);

    if (rc == 0) {
        rc = begin(call, tx, ret, out, err);
    }
    if (rc == 0 && !ret->answered && ret->key != NULL) {
        const struct idempotency_key key = key_of(call, ret);
        rc = idempotency_claim(tx, &key, err);
    }
    if (rc == 0 && !ret->answered) {
        rc = steps->prepare(call, tx, arg, out, err);
    }
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}

/* What made the change fail is what the client is told, so nothing is said of a failure
 * here: the claim then runs out by itself. */
static void release(struct api_call *call, const struct idempotent *i)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    const struct idempotency_key key = key_of(call, i);
    struct rider_error ignored;

    if (i->key != NULL && outbox_tx_begin(call->dsn, &tx, &ignored) == 0 &&
        idempotency_release(tx, &key, &ignored) == 0) {
        (void)!outbox_tx_commit(tx, &ignored);
    }
}

static int finish(struct api_call *call, api_change_fn *fn, void *arg,
                  const struct idempotent *i, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    int rc = outbox_tx_begin(call->dsn, &tx, err);

    if (rc == 0) {
        rc = fn(call, tx, arg, out, err);
    }
    if (rc == 0) {
        rc = keep(call, tx, i, out, err);
    }
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}

int api_idempotent_exchange(struct api_call *call, const struct api_exchange *steps,
                            void *arg, struct buf *out, struct rider_error *err)
{
    struct idempotent i = {.key = NULL};
    int rc = claim(call, steps, arg, &i, out, err);

    if (rc != 0 || i.answered) {
        return rc;
    }
    rc = steps->exchange(call, arg, err);
    if (rc == 0) {
        rc = finish(call, steps->finish, arg, &i, out, err);
    }
    if (rc != 0) {
        release(call, &i);
    }
    return rc;
}
