/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen_address.h - "127.0.0.1:9464" and "[::1]:9464".
 *
 * Numeric addresses only: what a process listens on must not depend on a
 * resolver. Port 0 asks the kernel for a free one. Pure functions, any thread.
 */
#ifndef HTTP_LISTEN_ADDRESS_H
#define HTTP_LISTEN_ADDRESS_H

#include "base/error.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

struct listen_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;
    socklen_t len;
};

/** RIDER_E_CONFIG with a text that shows the expected form. */
int listen_address_parse(const char *text, struct listen_address *ret,
                         struct rider_error *err) RIDER_MUST_CHECK;

#define LISTEN_ADDRESS_SIZE 56

/** Writes the text form; "?" for a family that is neither IPv4 nor IPv6. */
void listen_address_format(const struct sockaddr *addr, char out[LISTEN_ADDRESS_SIZE]);

/** Whether only this machine can reach it. */
bool listen_address_is_loopback(const struct listen_address *address);

#endif
