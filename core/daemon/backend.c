/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.c - what the API works with, made from one configuration.
 *
 * Not here: what the API does with it (core/api), trials (target_prober.c).
 */
#include "daemon/backend.h"

#include "daemon/target_prober.h"

#include <stdlib.h>

struct backend {
    struct configuration *configuration;
    struct target_prober *trials;
    struct prober prober;
    const char **destinations;
    size_t n_destinations;
};

static void destroy(void *owner)
{
    struct backend *b = owner;

    if (b == NULL) {
        return;
    }
    target_prober_destroy(b->trials);
    configuration_unref(b->configuration);
    free(b->destinations);
    free(b);
}

static int add_destinations(struct backend *b, struct plugin_registry *registry,
                            struct rider_error *err)
{
    const struct settings *settings = b->configuration->settings;
    int rc = 0;

    b->destinations = calloc(settings->n_destinations + 1, sizeof(char *));
    if (b->destinations == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; rc == 0 && i < settings->n_destinations; i++) {
        const struct destination_settings *d = &settings->destinations[i];
        const struct publisher_vtable *vt = NULL;

        if (!d->subscriptions) {
            continue;
        }
        rc = plugin_registry_get(registry, d->adapter, &vt, err);
        if (rc == 0) {
            rc = target_prober_add(b->trials, d, vt, err);
        }
        b->destinations[b->n_destinations++] = d->name;
    }
    return rc;
}

int backend_make(struct configuration *configuration, struct plugin_registry *registry,
                 struct api_backend *ret, struct rider_error *err)
{
    struct backend *b = calloc(1, sizeof(*b));

    if (b == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    b->configuration = configuration_ref(configuration);
    int rc =
        target_prober_create(configuration->settings->n_destinations, &b->trials, err);
    if (rc == 0) {
        rc = add_destinations(b, registry, err);
    }
    if (rc != 0) {
        destroy(b);
        return rc;
    }
    b->prober = target_prober_interface(b->trials);
    *ret = (struct api_backend){
        .dsn = configuration->settings->source.dsn,
        .ring = configuration->key_ring,
        .signing_key = configuration->settings->webhooks.signing_key,
        .prober = &b->prober,
        .destinations = b->destinations,
        .n_destinations = b->n_destinations,
        .hosts = configuration->settings->api.hosts,
        .owner = b,
        .destroy = destroy,
    };
    return 0;
}
