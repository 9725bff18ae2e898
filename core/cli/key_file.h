/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_file.h - keys of webhook signatures, from files rather than from the
 * command line, where everybody on the machine could read them.
 */
#ifndef CLI_KEY_FILE_H
#define CLI_KEY_FILE_H

#include "base/error.h"
#include "cli/cli_args.h"
#include "postrider/signature.h"

#include <stddef.h>

#define KEY_FILE_MAX_KEYS 16

struct key_file {
    struct rider_key keys[KEY_FILE_MAX_KEYS];
    size_t n;
};

/** Reads the file of every --secret-file: one key a line (whsec_ or whpk_), lines
 *  that start with "#" and empty ones are skipped. No error quotes a key.
 *  RIDER_E_IO, RIDER_E_CONFIG. Clear with key_file_clear(). */
int key_file_read_all(const struct cli_args *args, struct key_file *ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** Overwrites the keys. */
void key_file_clear(struct key_file *keys);

#endif
