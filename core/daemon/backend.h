/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - what the API works with, made from one configuration, to which it keeps a
 * reference.
 */
#ifndef DAEMON_BACKEND_H
#define DAEMON_BACKEND_H

#include "api/api_backend.h"
#include "daemon/configuration.h"

/** Fills *ret; whoever has it calls ret->destroy(ret->owner), from any thread, before
 *  the registry ends. Starts an instance of the adapter for each destination with
 *  subscriptions. Main thread. */
int backend_make(struct configuration *configuration, struct plugin_registry *registry,
                 struct api_backend *ret, struct rider_error *err) RIDER_MUST_CHECK;

#endif
