/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operations.c - the thread that works off recoveries and backfills.
 *
 * Not here: the work (outbox/operation_work.h).
 */
#include "daemon/operations.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/rounds.h"
#include "outbox/operation_work.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS     500
#define PAUSE_MS    10 /* between pages: the lane wants its row, too */
#define COMPLAIN_MS 60000

struct operations {
    char *dsn;
    struct operation_work *work; /* the thread's */
    struct log_limit complaints; /* the thread's */
    struct rounds *rounds;
};

static void complain(struct operations *o, const struct rider_error *err)
{
    uint64_t silent = 0;

    if (log_limit_pass(&o->complaints, clock_mono_ms(), COMPLAIN_MS, &silent)) {
        log_warn("operations", "operations.failed",
                 "recoveries of subscriptions do not go on: %s", err->text);
    }
}

/* A page of each; returns how long to wait. What fails keeps nothing else from going
 * on, and waits itself. */
static uint64_t step(void *arg)
{
    struct operations *o = arg;
    struct rider_error err = {.text = ""};
    bool more = false;
    int rc = operation_work_page(o->work, &more, &err);

    if (rc != 0) {
        complain(o, &err);
    }
    rc = operation_work_sweep(o->work, &more, &err);
    if (rc != 0) {
        complain(o, &err);
    }
    return more ? PAUSE_MS : LOOK_MS;
}

static int create(const char *dsn, struct operations **ret, struct rider_error *err)
{
    struct operations *o = calloc(1, sizeof(*o));

    if (o != NULL) {
        o->dsn = strdup(dsn);
    }
    if (o == NULL || o->dsn == NULL) {
        free(o);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    int rc = operation_work_create(dsn, &o->work, err);
    if (rc == 0) {
        rc = rounds_create("operations", step, o, &o->rounds, err);
    }
    if (rc != 0) {
        operations_destroy(o);
        return rc;
    }
    *ret = o;
    return 0;
}

static bool is_needed(const struct settings *settings)
{
    for (size_t i = 0; i < settings->n_destinations; i++) {
        if (settings->destinations[i].subscriptions) {
            return true;
        }
    }
    return false;
}

int operations_apply(struct operations **operations, const struct settings *settings,
                     struct rider_error *err)
{
    const char *dsn = settings->source.dsn;
    bool needed = is_needed(settings);

    if (*operations != NULL && (!needed || strcmp((*operations)->dsn, dsn) != 0)) {
        operations_destroy(*operations);
        *operations = NULL;
    }
    return needed && *operations == NULL ? create(dsn, operations, err) : 0;
}

void operations_destroy(struct operations *o)
{
    if (o == NULL) {
        return;
    }
    rounds_destroy(o->rounds);
    operation_work_destroy(o->work);
    free(o->dsn);
    free(o);
}
