/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_guard.c - the shell around webhook_policy_judge().
 *
 * Reads the host's interface addresses, which change while the daemon runs, and
 * opens the socket for the very address that was judged. If the interfaces cannot
 * be read, only loopback and what allow_cidrs names alone is dialled.
 *
 * Not here: the rules (webhook_target.c), the outcome (webhook_verdict.c).
 */
#include "webhook/webhook_guard.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <time.h>

#define OWN_MAX_AGE_MS 1000u

static uint64_t mono_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void read_own(struct webhook_guard *guard)
{
    struct ifaddrs *list = NULL;

    guard->own.n = 0;
    guard->own.overflow = false;
    guard->own_read_ms = mono_ms();
    if (getifaddrs(&list) != 0) {
        guard->own.overflow = true;
        return;
    }
    for (const struct ifaddrs *ifa = list; ifa != NULL; ifa = ifa->ifa_next) {
        if (ifa->ifa_addr != NULL) {
            webhook_own_add(&guard->own, ifa->ifa_addr);
        }
    }
    freeifaddrs(list);
}

enum webhook_judgement webhook_guard_judge(struct webhook_guard *guard,
                                           const struct sockaddr *address)
{
    read_own(guard);
    return webhook_policy_judge(guard->policy, address, &guard->own);
}

curl_socket_t webhook_guard_open(struct webhook_guard *guard,
                                 const struct curl_sockaddr *address,
                                 enum webhook_judgement *ret_judgement)
{
    *ret_judgement = WEBHOOK_ADDRESS_OK;
    if (!guard->proxied) {
        *ret_judgement = webhook_guard_judge(guard, &address->addr);
    }
    if (*ret_judgement != WEBHOOK_ADDRESS_OK) {
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

enum webhook_judgement webhook_guard_recheck(struct webhook_guard *guard,
                                             const char *ip, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (guard->proxied) {
        return WEBHOOK_ADDRESS_OK;
    }
    if (mono_ms() - guard->own_read_ms > OWN_MAX_AGE_MS) {
        read_own(guard);
    }
    in.sin_port = htons((uint16_t)port);
    in6.sin6_port = in.sin_port;
    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1) {
        return webhook_policy_judge(guard->policy, (const struct sockaddr *)&in,
                                    &guard->own);
    }
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1) {
        return webhook_policy_judge(guard->policy, (const struct sockaddr *)&in6,
                                    &guard->own);
    }
    return WEBHOOK_ADDRESS_FAMILY;
}
