/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_check.c - whether a request's Host header names this listener.
 */
#include "http/host_check.h"

#include "http/listen_address.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_SIZE 256

/* Cuts a port off "name:port", "1.2.3.4:port" and "[::1]:port". False: malformed. */
static bool split(const char *host, char name[HOST_SIZE])
{
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (len == 0 || len >= HOST_SIZE || len > strlen(host)) {
        return false;
    }
    const char *port = host + len;
    if (*port != '\0' &&
        (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))) {
        return false;
    }
    memcpy(name, host, len);
    name[len] = '\0';
    return true;
}

static bool is_loopback(const char *name)
{
    struct listen_address address;
    char text[HOST_SIZE + 4];

    (void)snprintf(text, sizeof(text), "%s:80", name);
    return strcasecmp(name, "localhost") == 0 ||
           (listen_address_parse(text, &address, NULL) == 0 &&
            listen_address_is_loopback(&address));
}

bool host_check(const char *host, const char *listen, const char *const *hosts)
{
    char name[HOST_SIZE];
    char own[HOST_SIZE];

    if (host == NULL) {
        return true;
    }
    if (!split(host, name)) {
        return false;
    }
    if (is_loopback(name) || (split(listen, own) && strcasecmp(name, own) == 0)) {
        return true;
    }
    for (size_t i = 0; hosts != NULL && hosts[i] != NULL; i++) {
        if (strcasecmp(name, hosts[i]) == 0) {
            return true;
        }
    }
    return false;
}
