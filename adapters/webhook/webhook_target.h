/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_target.h - which addresses may be dialled.
 *
 * The guard is webhook_policy_judge(), applied to the socket address of every
 * connection. Pure: no resolver, no socket, any thread.
 *
 * Ranges: IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and
 * updates) and the metadata addresses of cloud providers. Nothing of them is
 * reachable unless a CIDR of the operator lies inside the range: 10.0.0.0/8 opens
 * 10.0.0.0/8, while 0.0.0.0/0 opens none of them. An address of an interface of this
 * host, private or public, needs an entry of its own (/32 or /128); loopback is
 * judged by its range alone.
 */
#ifndef WEBHOOK_TARGET_H
#define WEBHOOK_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define WEBHOOK_MAX_CIDRS  64
#define WEBHOOK_MAX_PORTS  32
#define WEBHOOK_MAX_OWN    2048
#define WEBHOOK_MAX_RANGES 64

/** An address block; IPv4 is kept in its IPv4-mapped form, so that both
 *  spellings of one address are one value. */
struct webhook_cidr {
    uint8_t bytes[16];
    uint8_t bits;
};

enum webhook_tier { WEBHOOK_FORBIDDEN, WEBHOOK_PRIVATE };

struct webhook_range {
    struct webhook_cidr cidr;
    enum webhook_tier tier;
};

/** What the operator allows, together with the special ranges. Immutable. */
struct webhook_policy {
    struct webhook_range ranges[WEBHOOK_MAX_RANGES];
    struct webhook_cidr allowed[WEBHOOK_MAX_CIDRS];
    uint16_t ports[WEBHOOK_MAX_PORTS];
    size_t n_ranges, n_allowed, n_ports;
};

/** Addresses of this host except loopback. With `overflow` every address counts as
 *  one of them. */
struct webhook_own {
    struct in6_addr list[WEBHOOK_MAX_OWN];
    size_t n;
    bool overflow;
};

enum webhook_judgement {
    WEBHOOK_ADDRESS_OK,
    WEBHOOK_ADDRESS_PRIVATE,
    WEBHOOK_ADDRESS_FORBIDDEN,
    WEBHOOK_ADDRESS_OWN,    /* an interface of this host */
    WEBHOOK_ADDRESS_PORT,   /* public address, port not in the list */
    WEBHOOK_ADDRESS_FAMILY, /* neither IPv4 nor IPv6 */
};

/** The name of a judgement for logs and errors; static. */
const char *webhook_judgement_text(enum webhook_judgement judgement);

/** Reads `cidrs` ("10.1.0.0/16, fd00::/8", a bare address is one host; NULL for
 *  none) and `ports` ("443,8443"). Returns 0, or EINVAL and text in `err`. */
int webhook_policy_init(struct webhook_policy *policy, const char *cidrs,
                        const char *ports, char *err, size_t err_size);

/** Decides on one address about to be dialled. `own` may be NULL: then the host's
 *  own addresses are not known, and judged like others. */
enum webhook_judgement webhook_policy_judge(const struct webhook_policy *policy,
                                            const struct sockaddr *address,
                                            const struct webhook_own *own);

/** Whether `port` of a public address may be dialled. */
bool webhook_policy_has_port(const struct webhook_policy *policy, uint16_t port);

/** Adds an interface address; loopback and other families are left out. */
void webhook_own_add(struct webhook_own *own, const struct sockaddr *address);

#endif
