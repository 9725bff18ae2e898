/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd_notify.h - messages to the service manager: a datagram to $NOTIFY_SOCKET
 * (systemd manual, sd_notify(3)). Nothing happens without that variable.
 */
#ifndef DAEMON_SD_NOTIFY_H
#define DAEMON_SD_NOTIFY_H

/** Sends for example "READY=1". Never blocks, failures are ignored. Main thread. */
void sd_notify_send(const char *message);

#endif
