/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_url.h - which URLs are acceptable.
 *
 * A courtesy that reports mistakes early; the guard of each connection
 * (webhook_guard.h) decides. Pure functions, any thread.
 */
#ifndef WEBHOOK_URL_H
#define WEBHOOK_URL_H

#include <stdbool.h>
#include <stddef.h>

#define WEBHOOK_URL_MAX    2048 /* bytes, without NUL */
#define WEBHOOK_HOST_MAX   256
#define WEBHOOK_PORT_MAX   8
#define WEBHOOK_ORIGIN_MAX 288 /* scheme, a host name of 255 bytes, port */

struct webhook_policy;

/** Checks `url` with libcurl's parser, which is the one that dials: https (http
 *  only if `allow_http`), a host, no user info, zone, fragment, control character,
 *  space, backslash or non-ASCII. Unless `policy` is NULL, a literal address, in any
 *  notation, is judged at once, and so is the port where it decides alone. Returns 0,
 *  or an errno value and a text in `err` that does not repeat the path: EINVAL for
 *  the form, EPROTONOSUPPORT for http, EACCES for address and port. */
int webhook_url_check(const struct webhook_policy *policy, bool allow_http,
                      const char *url, char *err, size_t err_size);

/** Copies `len` bytes with a NUL behind them; false if they are too many or hold a
 *  NUL, which would hide the rest from the checks. */
bool webhook_url_copy(const char *data, size_t len, char ret[WEBHOOK_URL_MAX + 1]);

/** Host (without brackets) and port of a checked `url`, as texts for getaddrinfo();
 *  false if there is no memory or the host is too long. */
bool webhook_url_host(const char *url, char ret_host[WEBHOOK_HOST_MAX],
                      char ret_port[WEBHOOK_PORT_MAX]);

/** Writes "https://host:port" of a checked `url`, for people. Never the path: at
 *  many receivers it is the credential. */
void webhook_url_origin(const char *url, char ret[WEBHOOK_ORIGIN_MAX]);

#endif
