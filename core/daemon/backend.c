/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.c - what the API works with, made from one configuration.
 *
 * Not here: what the API does with it (core/admin).
 */
#include "daemon/backend.h"

#include <stdlib.h>
#include <string.h>

struct backend {
    char *dsn;
    char **destinations;
    size_t n_destinations;
};

static void destroy(void *owner)
{
    struct backend *b = owner;

    if (b == NULL) {
        return;
    }
    for (size_t i = 0; i < b->n_destinations; i++) {
        free(b->destinations[i]);
    }
    free(b->destinations);
    free(b->dsn);
    free(b);
}

static bool copy_destinations(struct backend *b, const struct settings *settings)
{
    b->destinations = calloc(settings->n_destinations + 1, sizeof(char *));
    for (size_t i = 0; b->destinations != NULL && i < settings->n_destinations; i++) {
        const struct destination_settings *d = &settings->destinations[i];

        if (!d->subscriptions) {
            continue;
        }
        b->destinations[b->n_destinations] = strdup(d->name);
        if (b->destinations[b->n_destinations] == NULL) {
            return false;
        }
        b->n_destinations++;
    }
    return b->destinations != NULL;
}

int backend_make(const struct settings *settings, struct plugin_registry *registry,
                 struct api_backend *ret, struct rider_error *err)
{
    struct backend *b = calloc(1, sizeof(*b));

    (void)registry;
    if (b != NULL) {
        b->dsn = strdup(settings->source.dsn);
    }
    if (b == NULL || b->dsn == NULL || !copy_destinations(b, settings)) {
        destroy(b);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *ret = (struct api_backend){
        .dsn = b->dsn,
        .destinations = (const char *const *)b->destinations,
        .n_destinations = b->n_destinations,
        .owner = b,
        .destroy = destroy,
    };
    return 0;
}
