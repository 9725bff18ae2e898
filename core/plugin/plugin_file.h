/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_file.h - which files may be loaded as an adapter.
 *
 * An adapter runs with all rights of the relay, so its file and its directory
 * must belong to root or to the relay's own user and be writable by nobody
 * else; the file is a regular file, not a link, named postrider-<type>.so.
 * Directories above the configured one are the operator's business.
 */
#ifndef PLUGIN_FILE_H
#define PLUGIN_FILE_H

#include "base/error.h"

#include <stddef.h>

#define PLUGIN_TYPE_MAX 64

/** RIDER_E_CONFIG unless `type` is 1 to 64 characters of [a-z0-9_-]. Pure. */
int plugin_file_check_type(const char *type, struct rider_error *err) RIDER_MUST_CHECK;

/** Takes the type out of "postrider-<type>.so" into type[PLUGIN_TYPE_MAX + 1].
 *  RIDER_E_CONFIG with a text for a name that is built like an adapter's but
 *  carries no valid type; RIDER_E_NOT_FOUND for any other name. Pure. */
int plugin_file_type_of(const char *file_name, char *type,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Opens and checks the adapter of `type` in directory `dir`. Returns a
 *  descriptor the caller owns, or a negative code: RIDER_E_NOT_FOUND (no such
 *  file), RIDER_E_PERMISSION (a rule above), RIDER_E_CONFIG (the type's name),
 *  RIDER_E_IO. The checks are made on what was opened, not on a name, so nobody
 *  can swap the file in between. Blocks on the file system. */
int plugin_file_open(const char *dir, const char *type,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
