/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_text.h - reads a small text file as a whole: the configuration itself,
 * and files that hold one secret.
 */
#ifndef CONFIG_FILE_TEXT_H
#define CONFIG_FILE_TEXT_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>

#define FILE_TEXT_SECRET_MAX (64u << 10)

/** Appends the content of the regular file `path` to `out`, whose maximum is the
 *  limit. *ret_exposed (NULL allowed) tells whether group or others may read it.
 *  Blocks on the file. RIDER_E_IO, or RIDER_E_CONFIG when it is too large or no
 *  regular file. */
int file_text_read(const char *path, struct buf *out, bool *ret_exposed,
                   struct rider_error *err) RIDER_MUST_CHECK;

/** Reads a secret: an absolute path, not empty, no NUL, one newline at the end
 *  is left out. */
int file_text_read_secret(const char *path, struct buf *out,
                          struct rider_error *err) RIDER_MUST_CHECK;

/** As buf_done(), after overwriting the data. */
void file_text_wipe(struct buf *b);

#endif
