/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - what the API works with, made from one configuration.
 *
 * It keeps copies and instances of its own, since requests may outlive the
 * configuration that it was made from.
 */
#ifndef DAEMON_BACKEND_H
#define DAEMON_BACKEND_H

#include "admin/api_backend.h"
#include "config/settings.h"
#include "plugin/plugin_registry.h"

/** Fills *ret; whoever has it calls ret->destroy(ret->owner), from any thread. Main
 *  thread. Blocks on files. */
int backend_make(const struct settings *settings, struct plugin_registry *registry,
                 struct api_backend *ret, struct rider_error *err) RIDER_MUST_CHECK;

#endif
