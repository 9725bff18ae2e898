/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_backend.h - what answers of the API are made from: the database, the keys, the
 * destinations and the prober of one configuration.
 *
 * Whoever makes one keeps what it points to until `destroy` is called: that happens
 * after a reload has handed the API another one and the last request with the old one
 * has ended. Thread: read-only, any.
 */
#ifndef API_API_BACKEND_H
#define API_API_BACKEND_H

#include "api/prober.h"

#include <stddef.h>

struct key_ring;

struct api_backend {
    const char *dsn;
    const struct key_ring *ring;     /* NULL: secrets cannot be kept */
    const char *signing_key;         /* whsk_ text, or NULL: there is no public key */
    const struct prober *prober;     /* NULL: nothing can be tried */
    const char *const *destinations; /* those with subscriptions */
    size_t n_destinations;
    const char *const *hosts; /* see host_check.h; ends with NULL, or NULL */
    void *owner;
    void (*destroy)(void *owner); /* NULL: nothing to end */
};

#endif
