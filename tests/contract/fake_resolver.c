/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_resolver.c - preloaded, it answers for every name with the addresses of the
 * environment variable FAKE_ADDRESSES, in that order; literal addresses are left
 * to libc. "a,b;c" answers the first question with a and b, all later ones with c; a
 * name that begins with "slow" is answered after FAKE_SLOW seconds.
 *
 * The host has no interface until the file that FAKE_INTERFACES names is there.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_uint questions;

/** The part of `list` that answers this question; ends at ';' or NUL. */
static const char *next_answer(const char *list)
{
    unsigned skip = atomic_fetch_add(&questions, 1);

    for (const char *end = strchr(list, ';'); skip > 0 && end != NULL; skip--) {
        list = end + 1;
        end = strchr(list, ';');
    }
    return list;
}

typedef int resolve_fn(const char *, const char *, const struct addrinfo *,
                       struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    const char *list = getenv("FAKE_ADDRESSES");
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    resolve_fn *next = NULL;
    unsigned char binary[16];
    struct addrinfo **tail = ret;
    char item[64];

    memcpy(&next, &symbol, sizeof(next));
    *ret = NULL;
    if (list == NULL || name == NULL || inet_pton(AF_INET, name, binary) == 1 ||
        inet_pton(AF_INET6, name, binary) == 1) {
        return next(name, service, hints, ret);
    }
    if (strncmp(name, "slow", 4) == 0) {
        const char *seconds = getenv("FAKE_SLOW");

        (void)sleep(seconds != NULL ? (unsigned)strtoul(seconds, NULL, 10) : 3);
    }
    list = next_answer(list);
    while (*list != '\0' && *list != ';') {
        size_t len = strcspn(list, ",;");

        (void)snprintf(item, sizeof(item), "%.*s", (int)(len < 63 ? len : 63), list);
        if (next(item, service, hints, tail) == 0) {
            tail = &(*tail)->ai_next;
        }
        list += len + (list[len] == ',' ? 1 : 0);
    }
    return *ret != NULL ? 0 : EAI_NONAME;
}

int getifaddrs(struct ifaddrs **ret)
{
    const char *file = getenv("FAKE_INTERFACES");
    void *symbol = dlsym(RTLD_NEXT, "getifaddrs");
    int (*next)(struct ifaddrs **) = NULL;

    memcpy(&next, &symbol, sizeof(next));
    if (file == NULL || access(file, F_OK) == 0) {
        return next(ret);
    }
    *ret = NULL;
    return 0;
}
