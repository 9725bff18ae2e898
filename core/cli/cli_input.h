/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_input.h - reads a file or standard input whole.
 */
#ifndef CLI_CLI_INPUT_H
#define CLI_CLI_INPUT_H

#include "base/buf.h"
#include "base/error.h"

/** Appends the content of `path`, or of standard input for "-", to `out`, whose
 *  maximum is the limit. RIDER_E_IO; RIDER_E_CONFIG when there is more. Blocks. */
int cli_input_read(const char *path, struct buf *out,
                   struct rider_error *err) RIDER_MUST_CHECK;

#endif
