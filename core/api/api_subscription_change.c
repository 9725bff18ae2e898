/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_subscription_change.c - subscriptions: change, delete.
 *
 * A change is checked without a lock and made only if the version is still the one that
 * was read, so nothing waits for a resolver under a lock.
 */
#include "api/api_etag.h"
#include "api/api_request.h"
#include "api/api_subscriptions.h"
#include "outbox/subscriptions.h"

#include <string.h>

#define MAX_TRIES 20 /* each of which somebody else has won */

static const char stale[] = "the subscription has changed: read it again";

/* The members that a PATCH may change, as they are. */
static void write_editable(const struct row_set *rows, struct buf *out)
{
    static const char *const members[] = {"uid",
                                          "url",
                                          "status",
                                          "event_types",
                                          "filter",
                                          "retry",
                                          "limits",
                                          "description",
                                          "metadata",
                                          "headers",
                                          "tls",
                                          "ordering",
                                          "timeout_ms",
                                          "signature",
                                          "keep_responses",
                                          "disable_after_seconds"};
    struct json_writer w = jw_begin(out);

    jw_object(&w, NULL);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        row_set_write_value(rows, 0, members[i], &w);
    }
    jw_object_end(&w);
}

/* A null for a member that is not there would go unnoticed. */
static void check_nulls(const struct api_fields *f, const struct json_node *current,
                        const struct json_node *patch)
{
    for (const struct json_node *m = patch->first; m != NULL; m = m->next) {
        if (m->kind == JSON_NODE_NULL && json_node_member(current, m->key) == NULL) {
            api_fields_fault(f, m, "unknown-member", "there is no such member");
        }
    }
}

/* Who has not agreed yet cannot be made active by anybody but the handshake. */
static void check_status(const struct api_fields *f, const char *from, const char *to,
                         const struct json_node *status)
{
    bool pending = strcmp(from, "pending_verification") == 0;

    if (status == NULL || strcmp(from, to) == 0) {
        return;
    }
    if ((strcmp(to, "pending_verification") == 0 && strcmp(from, "disabled") != 0) ||
        (pending && strcmp(to, "disabled") != 0)) {
        api_fields_fault(f, status, "invalid-value",
                         "from %s the status cannot become %s", from, to);
    }
}

static bool changes_target(const struct json_node *patch)
{
    return json_node_member(patch, "url") != NULL ||
           json_node_member(patch, "headers") != NULL ||
           json_node_member(patch, "tls") != NULL;
}

/* The client's mistake, or `rc`. */
static int explain_update(struct api_call *call, const struct subscription_change *c,
                          int rc)
{
    if (c->ret_stale) {
        return api_problem_set(call->problem, "precondition-failed", "%s", stale);
    }
    if (c->ret_unverified) {
        api_problem_fault(call->problem, "/status", "verification-failed",
                          "this URL has not agreed: pending_verification, then verify");
        return api_problem_check(call->problem);
    }
    if (c->ret_taken) {
        api_problem_fault(call->problem, "/uid", "uid-taken",
                          "another subscription has this uid");
        return api_problem_check(call->problem);
    }
    return rc;
}

/* `change` says which status is asked for, and of which version. */
static int update(struct api_call *call, const struct json_node *merged,
                  const struct subscription_document *d,
                  struct subscription_change change, struct buf *out,
                  struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    RIDER_CLEANUP(buf_done) struct buf row = buf_make(4 << 20);
    char actor[API_ACTOR_SIZE];

    api_actor(call, actor);
    subscription_document_row(merged, d, NULL, &row);
    change.id = call->values[0];
    change.row = buf_text(&row);
    change.actor = actor;
    int rc = outbox_tx_begin(call->dsn, &tx, err);
    if (rc == 0) {
        rc = subscription_update(tx, &change, err);
    }
    if (rc != 0) {
        return explain_update(call, &change, rc);
    }
    if (rc == 0) {
        rc = subscription_read_in(tx, call->values[0], &rows, err);
    }
    if (rc == 0) {
        rc = outbox_tx_commit(tx, err);
    }
    if (rc == 0) {
        api_etag_set(call, row_set_int(rows, 0, "version"));
        struct json_writer w = jw_begin(out);
        row_set_write_row_but(rows, 0, &w, NULL, "position");
    }
    return rc;
}

/* Merges, checks, writes. */
static int apply_patch(struct api_call *call, struct json_node *patch,
                       const struct row_set *rows, struct buf *out,
                       struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *tree = NULL;
    RIDER_CLEANUP(buf_done) struct buf current = buf_make(4 << 20);
    struct subscription_document d;
    struct json_fault fault;

    write_editable(rows, &current);
    if (json_tree_parse(buf_text(&current), current.len, &tree, &fault) != 0) {
        return rider_fail(err, RIDER_E_INTERNAL, "a stored subscription is no JSON");
    }
    struct json_node *merged = json_tree_root(tree);
    struct api_fields f = api_fields_of(merged, call->problem);
    bool target = changes_target(patch);
    bool types = json_node_member(patch, "event_types") != NULL;
    bool schemes = json_node_member(patch, "signature") != NULL;
    check_nulls(&f, merged, patch);
    const struct json_node *status = json_node_member(patch, "status");
    json_node_merge(merged, patch);
    subscription_document_read(&f, false, &d);
    if (schemes) {
        api_check_schemes(call, &f, &d);
    }
    check_status(&f, row_set_text(rows, 0, "status"), d.status, status);
    int rc = types ? api_check_types(call, &d, err) : 0;
    if (rc == 0 && target) {
        rc = api_check_target(call, row_set_text(rows, 0, "destination"), &d);
    }
    if (rc == 0) {
        rc = api_problem_check(call->problem);
    }
    const struct subscription_change change = {
        .status = status == NULL ? NULL : d.status,
        .version = row_set_int(rows, 0, "version")};
    return rc == 0 ? update(call, merged, &d, change, out, err) : rc;
}

/* A refusal for another version than `match` names, or 0. */
static int check_version(struct api_call *call, const char *match,
                         const struct row_set *rows)
{
    int64_t version = row_set_int(rows, 0, "version");

    if (api_etag_names(match, version, true)) {
        return 0;
    }
    api_etag_set(call, version);
    return api_problem_set(call->problem, "precondition-failed", "%s", stale);
}

static int patch_once(struct api_call *call, const char *match, struct buf *out,
                      struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = api_body_read(call, API_MERGE_PATCH, false, &body, err);

    if (rc != 0) {
        return rc;
    }
    if (match == NULL) {
        return api_problem_set(call->problem, "precondition-required",
                               "send If-Match with the ETag that you have read");
    }
    rc = subscription_read(call->dsn, call->values[0], &rows, err);
    if (rc == 0) {
        rc = check_version(call, match, rows);
    }
    return rc == 0 ? apply_patch(call, json_tree_root(body), rows, out, err) : rc;
}

/* "*" is any version: who sends it is not to be told that there is another one. */
int api_subscription_patch(struct api_call *call, struct buf *out,
                           struct rider_error *err)
{
    const char *match = http_request_header(call->req, "If-Match");
    int rc = patch_once(call, match, out, err);

    if (match == NULL || !api_etag_is_any(match)) {
        return rc;
    }
    for (int i = 0; i < MAX_TRIES && rc != 0 && call->problem->code != NULL &&
                    strcmp(call->problem->code, "precondition-failed") == 0;
         i++) {
        *call->problem = (struct api_problem){.code = NULL};
        rc = patch_once(call, match, out, err);
    }
    return rc;
}

int api_subscription_delete(struct api_call *call, struct buf *out,
                            struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *match = http_request_header(call->req, "If-Match");
    int64_t version = 0; /* any */
    char actor[API_ACTOR_SIZE];
    bool is_stale = false;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    (void)out;
    api_actor(call, actor);
    if (rc == 0 && match != NULL && !api_etag_is_any(match)) {
        rc = subscription_read(call->dsn, call->values[0], &rows, err);
        if (rc == 0) {
            version = row_set_int(rows, 0, "version");
            rc = check_version(call, match, rows);
        }
    }
    if (rc == 0) {
        rc = subscription_delete(call->dsn, call->values[0], version, actor, &is_stale,
                                 err);
    }
    if (is_stale) {
        return api_problem_set(call->problem, "precondition-failed", "%s", stale);
    }
    if (rc == 0) {
        call->res->status = 204;
    }
    return rc;
}
