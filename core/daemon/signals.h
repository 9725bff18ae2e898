/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - signals as a descriptor of the main thread.
 */
#ifndef DAEMON_SIGNALS_H
#define DAEMON_SIGNALS_H

#include "base/error.h"

enum signal_request { SIGNAL_NONE, SIGNAL_STOP, SIGNAL_RELOAD };

/** Blocks SIGTERM, SIGINT and SIGHUP for this thread and all it starts, ignores
 *  SIGPIPE, and returns a non-blocking descriptor that reads them. Before any
 *  thread starts. */
int signals_open(int *ret_fd, struct rider_error *err) RIDER_MUST_CHECK;

/** The next pending request, or SIGNAL_NONE. Several reloads count as one. */
enum signal_request signals_next(int fd);

#endif
