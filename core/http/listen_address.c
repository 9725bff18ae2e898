/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen_address.c - "127.0.0.1:9464" and "[::1]:9464".
 *
 * Not here: opening the socket (http_server.c).
 */
#include "http/listen_address.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *text, struct rider_error *err)
{
    return rider_fail(err, RIDER_E_CONFIG,
                      "\"%.100s\" is not an address and a port, such as 127.0.0.1:9464 "
                      "or [::1]:9464",
                      text);
}

/* Digits only: parse_int() alone would take a sign. */
static bool parse_port(const char *text, in_port_t *ret)
{
    int64_t port;

    if (text[0] < '0' || text[0] > '9' || parse_int(text, &port, NULL) != 0 ||
        port > 65535) {
        return false;
    }
    *ret = htons((uint16_t)port);
    return true;
}

int listen_address_parse(const char *text, struct listen_address *ret,
                         struct rider_error *err)
{
    struct listen_address parsed = {.len = 0};
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[';

    if (colon == NULL || (bracketed && (colon - text < 2 || colon[-1] != ']'))) {
        return fail(text, err);
    }
    size_t skip = bracketed ? 1 : 0;
    size_t len = (size_t)(colon - text) - 2 * skip;
    if (len == 0 || len >= sizeof(host)) {
        return fail(text, err);
    }
    memcpy(host, text + skip, len);
    host[len] = '\0';
    if (bracketed) {
        parsed.len = sizeof(parsed.addr.v6);
        parsed.addr.v6.sin6_family = AF_INET6;
        if (inet_pton(AF_INET6, host, &parsed.addr.v6.sin6_addr) != 1 ||
            !parse_port(colon + 1, &parsed.addr.v6.sin6_port)) {
            return fail(text, err);
        }
    } else {
        parsed.len = sizeof(parsed.addr.v4);
        parsed.addr.v4.sin_family = AF_INET;
        if (inet_pton(AF_INET, host, &parsed.addr.v4.sin_addr) != 1 ||
            !parse_port(colon + 1, &parsed.addr.v4.sin_port)) {
            return fail(text, err);
        }
    }
    *ret = parsed;
    return 0;
}

void listen_address_format(const struct sockaddr *addr, char out[LISTEN_ADDRESS_SIZE])
{
    char host[INET6_ADDRSTRLEN];

    if (addr->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, addr, sizeof(v4));
        (void)inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
        (void)snprintf(out, LISTEN_ADDRESS_SIZE, "%s:%u", host,
                       (unsigned int)ntohs(v4.sin_port));
    } else if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, addr, sizeof(v6));
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
        (void)snprintf(out, LISTEN_ADDRESS_SIZE, "[%s]:%u", host,
                       (unsigned int)ntohs(v6.sin6_port));
    } else {
        (void)snprintf(out, LISTEN_ADDRESS_SIZE, "?");
    }
}

bool listen_address_is_loopback(const struct listen_address *address)
{
    if (address->addr.any.sa_family == AF_INET) {
        return ntohl(address->addr.v4.sin_addr.s_addr) >> 24 == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&address->addr.v6.sin6_addr) != 0;
}
