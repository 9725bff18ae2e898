/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_check.h - whether a request's Host header names this listener.
 *
 * A web page whose name its owner lets point to a loopback address could speak to a
 * listener there with the reader's browser (DNS rebinding); the Host header then is the
 * page's. Pure; any thread.
 */
#ifndef HTTP_HOST_CHECK_H
#define HTTP_HOST_CHECK_H

#include <stdbool.h>

/** `host` is the header's value, or NULL when there is none, which only a program that
 *  is no browser leaves out. Fine are "localhost", an address of loopback, the address
 *  of `listen` ("127.0.0.1:8080"), and each name in `hosts` (NULL or ended by NULL), in
 *  any case, all with or without a port. */
bool host_check(const char *host, const char *listen, const char *const *hosts);

#endif
