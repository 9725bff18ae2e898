/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_target.c - the special address ranges and the decision on one address.
 *
 * Each address becomes 16 bytes and is compared with every special range. One that
 * lies in no range is public; one that does needs a CIDR of the operator that is
 * at least as narrow as each range it lies in, so that a wide block cannot open a
 * metadata address by accident. An address of this host needs one that names it
 * alone, in whatever range it lies: its other services listen there, too. Where the
 * prefix of NAT64 is open, the IPv4 address inside is judged in its place.
 *
 * Invariant: what is judged is the socket address that will be connected.
 * Not here: URLs (webhook_url.c), sockets and interfaces (webhook_guard.c).
 */
#include "webhook/webhook_target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *cidr;
    enum webhook_tier tier;
} special_ranges[] = {
    {"0.0.0.0/8", WEBHOOK_FORBIDDEN},
    {"10.0.0.0/8", WEBHOOK_PRIVATE},
    {"100.64.0.0/10", WEBHOOK_PRIVATE},
    {"127.0.0.0/8", WEBHOOK_FORBIDDEN},
    {"169.254.0.0/16", WEBHOOK_FORBIDDEN},
    {"172.16.0.0/12", WEBHOOK_PRIVATE},
    {"192.0.0.0/24", WEBHOOK_FORBIDDEN},
    {"192.0.2.0/24", WEBHOOK_FORBIDDEN},
    {"192.31.196.0/24", WEBHOOK_FORBIDDEN},
    {"192.52.193.0/24", WEBHOOK_FORBIDDEN},
    {"192.88.99.0/24", WEBHOOK_FORBIDDEN},
    {"192.168.0.0/16", WEBHOOK_PRIVATE},
    {"192.175.48.0/24", WEBHOOK_FORBIDDEN},
    {"198.18.0.0/15", WEBHOOK_FORBIDDEN},
    {"198.51.100.0/24", WEBHOOK_FORBIDDEN},
    {"203.0.113.0/24", WEBHOOK_FORBIDDEN},
    {"224.0.0.0/4", WEBHOOK_FORBIDDEN},
    {"240.0.0.0/4", WEBHOOK_FORBIDDEN},
    {"::/96", WEBHOOK_FORBIDDEN},
    {"::1/128", WEBHOOK_FORBIDDEN},
    {"64:ff9b::/96", WEBHOOK_FORBIDDEN},
    {"64:ff9b:1::/48", WEBHOOK_FORBIDDEN},
    {"100::/64", WEBHOOK_FORBIDDEN},
    {"2001::/23", WEBHOOK_FORBIDDEN},
    {"2001:db8::/32", WEBHOOK_FORBIDDEN},
    {"2002::/16", WEBHOOK_FORBIDDEN},
    {"2620:4f:8000::/48", WEBHOOK_FORBIDDEN},
    {"3fff::/20", WEBHOOK_FORBIDDEN},
    {"5f00::/16", WEBHOOK_FORBIDDEN},
    {"fc00::/7", WEBHOOK_PRIVATE},
    {"fe80::/10", WEBHOOK_FORBIDDEN},
    {"fec0::/10", WEBHOOK_FORBIDDEN},
    {"ff00::/8", WEBHOOK_FORBIDDEN},
    /* Metadata and platform services of cloud providers. */
    {"168.63.129.16/32", WEBHOOK_FORBIDDEN},
    {"169.254.169.254/32", WEBHOOK_FORBIDDEN},
    {"169.254.170.0/24", WEBHOOK_FORBIDDEN},
    {"169.254.42.42/32", WEBHOOK_FORBIDDEN},
    {"169.254.0.23/32", WEBHOOK_FORBIDDEN},
    {"192.0.0.192/32", WEBHOOK_FORBIDDEN},
    {"100.100.100.200/32", WEBHOOK_FORBIDDEN},
    {"fd00:ec2::/32", WEBHOOK_FORBIDDEN},
    {"fd20:ce::254/128", WEBHOOK_FORBIDDEN},
    {"fd00:42::42/128", WEBHOOK_FORBIDDEN},
    {"fd00:c1::a9fe:a9fe/128", WEBHOOK_FORBIDDEN},
    {"fd00:a9fe:a9fe::1/128", WEBHOOK_FORBIDDEN},
};

const char *webhook_judgement_text(enum webhook_judgement judgement)
{
    static const char *const texts[] = {
        [WEBHOOK_ADDRESS_OK] = "allowed",
        [WEBHOOK_ADDRESS_PRIVATE] = "a private address that allow_cidrs does not name",
        [WEBHOOK_ADDRESS_FORBIDDEN] = "an address reserved for special use",
        [WEBHOOK_ADDRESS_OWN] = "an address of this host",
        [WEBHOOK_ADDRESS_PORT] = "a port that is not in the list of ports",
        [WEBHOOK_ADDRESS_FAMILY] = "neither an IPv4 nor an IPv6 address",
    };

    return texts[judgement];
}

static void map_ipv4(const struct in_addr *in, uint8_t ret[16])
{
    memset(ret, 0, 10);
    memset(ret + 10, 0xff, 2);
    memcpy(ret + 12, in, 4);
}

/** The 16 bytes and the port of an address; false for another family. */
static bool flatten(const struct sockaddr *address, uint8_t ret[16], uint16_t *ret_port)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        map_ipv4(&in.sin_addr, ret);
        *ret_port = ntohs(in.sin_port);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof(in6));
        memcpy(ret, &in6.sin6_addr, 16);
        *ret_port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

static bool contains(const struct webhook_cidr *cidr, const uint8_t bytes[16])
{
    size_t whole = cidr->bits / 8u, rest = cidr->bits % 8u;

    if (memcmp(cidr->bytes, bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((cidr->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

/** Reads "address" or "address/bits"; host bits must be zero. */
static bool parse_cidr(const char *text, struct webhook_cidr *ret)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    struct in_addr in;
    unsigned long bits = 128, offset = 0;

    if (len >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, &in) == 1) {
        map_ipv4(&in, ret->bytes);
        offset = 96;
    } else if (inet_pton(AF_INET6, address, ret->bytes) != 1) {
        return false;
    }
    if (slash != NULL) {
        char *end = NULL;

        if (slash[1] < '0' || slash[1] > '9') {
            return false;
        }
        errno = 0;
        bits = strtoul(slash + 1, &end, 10);
        if (*end != '\0' || bits > 128 - offset) {
            return false;
        }
        bits += offset;
    }
    ret->bits = (uint8_t)bits;
    for (unsigned long i = bits; i < 128; i++) {
        if ((ret->bytes[i / 8] >> (7 - i % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

/** Copies the next item of a comma-separated list; false at its end. */
static bool next_item(const char **cursor, char *ret, size_t size)
{
    const char *start = *cursor + strspn(*cursor, ", \t");
    size_t len = strcspn(start, ", \t");

    *cursor = start + len;
    if (len >= size) {
        start = "too long";
        len = strlen(start);
    }
    memcpy(ret, start, len);
    ret[len] = '\0';
    return len > 0;
}

static int parse_cidrs(struct webhook_policy *policy, const char *list, char *err,
                       size_t err_size)
{
    char item[64];

    while (list != NULL && next_item(&list, item, sizeof(item))) {
        if (policy->n_allowed == WEBHOOK_MAX_CIDRS) {
            (void)snprintf(err, err_size, "allow_cidrs has more than %d entries",
                           WEBHOOK_MAX_CIDRS);
            return EINVAL;
        }
        if (!parse_cidr(item, &policy->allowed[policy->n_allowed])) {
            (void)snprintf(err, err_size,
                           "allow_cidrs: \"%s\" is not an address block such as "
                           "10.1.0.0/16 (host bits zero)",
                           item);
            return EINVAL;
        }
        policy->n_allowed++;
    }
    return 0;
}

static int parse_ports(struct webhook_policy *policy, const char *list, char *err,
                       size_t err_size)
{
    char item[16];

    while (list != NULL && next_item(&list, item, sizeof(item))) {
        char *end = NULL;
        unsigned long port = strtoul(item, &end, 10);

        if (item[0] < '0' || item[0] > '9' || *end != '\0' || port == 0 ||
            port > 65535 || policy->n_ports == WEBHOOK_MAX_PORTS) {
            (void)snprintf(err, err_size,
                           "ports: \"%s\" is not a port, or one too many", item);
            return EINVAL;
        }
        policy->ports[policy->n_ports++] = (uint16_t)port;
    }
    return 0;
}

int webhook_policy_init(struct webhook_policy *policy, const char *cidrs,
                        const char *ports, char *err, size_t err_size)
{
    memset(policy, 0, sizeof(*policy));
    for (size_t i = 0; i < sizeof(special_ranges) / sizeof(special_ranges[0]); i++) {
        struct webhook_range *range = &policy->ranges[policy->n_ranges++];

        range->tier = special_ranges[i].tier;
        if (!parse_cidr(special_ranges[i].cidr, &range->cidr)) {
            (void)snprintf(err, err_size, "bad built-in range %s",
                           special_ranges[i].cidr);
            return EINVAL;
        }
    }
    int rc = parse_cidrs(policy, cidrs, err, err_size);

    return rc != 0 ? rc : parse_ports(policy, ports, err, err_size);
}

static bool is_ipv4(const uint8_t bytes[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

/** WEBHOOK_ADDRESS_OK for a public address; *ret_bits is the length of the
 *  narrowest special range that holds it, which an exception has to match. */
static enum webhook_judgement classify(const struct webhook_policy *policy,
                                       const uint8_t bytes[16], unsigned *ret_bits)
{
    enum webhook_judgement judgement = WEBHOOK_ADDRESS_OK;
    unsigned bits = 0;

    /* IANA hands out global unicast from 2000::/3 only. */
    if (!is_ipv4(bytes) && (bytes[0] & 0xe0) != 0x20) {
        judgement = WEBHOOK_ADDRESS_FORBIDDEN;
        bits = 1;
    }
    for (size_t i = 0; i < policy->n_ranges; i++) {
        const struct webhook_range *range = &policy->ranges[i];

        if (range->cidr.bits > bits && contains(&range->cidr, bytes)) {
            bits = range->cidr.bits;
            judgement = range->tier == WEBHOOK_PRIVATE ? WEBHOOK_ADDRESS_PRIVATE
                                                       : WEBHOOK_ADDRESS_FORBIDDEN;
        }
    }
    *ret_bits = bits;
    return judgement;
}

/** 127.0.0.0/8 and ::1, which every host has and whose ranges guard them. */
static bool is_loopback(const uint8_t bytes[16])
{
    static const uint8_t loopback[16] = {[15] = 1};

    return is_ipv4(bytes) ? bytes[12] == 127 : memcmp(bytes, loopback, 16) == 0;
}

static bool is_own(const struct webhook_own *own, const uint8_t bytes[16])
{
    if (own == NULL || is_loopback(bytes)) {
        return false;
    }
    for (size_t i = 0; i < own->n; i++) {
        if (memcmp(&own->list[i], bytes, 16) == 0) {
            return true;
        }
    }
    return own->overflow;
}

bool webhook_policy_has_port(const struct webhook_policy *policy, uint16_t port)
{
    for (size_t i = 0; i < policy->n_ports; i++) {
        if (policy->ports[i] == port) {
            return true;
        }
    }
    return false;
}

/** The length of the narrowest block of the operator that holds the address; -1: none
 *  does. */
static int narrowest_entry(const struct webhook_policy *policy, const uint8_t bytes[16])
{
    int bits = -1;

    for (size_t i = 0; i < policy->n_allowed; i++) {
        if (policy->allowed[i].bits > bits && contains(&policy->allowed[i], bytes)) {
            bits = policy->allowed[i].bits;
        }
    }
    return bits;
}

/** By 64:ff9b::/96 (RFC 6052) IPv4 addresses are reached. Where the operator opens it,
 *  and not just this address, the one inside takes its place. */
static void unwrap_nat64(const struct webhook_policy *policy, uint8_t bytes[16])
{
    static const uint8_t prefix[12] = {0x00, 0x64, 0xff, 0x9b};
    int entry = narrowest_entry(policy, bytes);
    struct in_addr inside;

    if (memcmp(bytes, prefix, sizeof(prefix)) == 0 && entry >= 96 && entry < 128) {
        memcpy(&inside, bytes + sizeof(prefix), sizeof(inside));
        map_ipv4(&inside, bytes);
    }
}

static enum webhook_judgement judge(const struct webhook_policy *policy,
                                    const uint8_t bytes[16], uint16_t port,
                                    const struct webhook_own *own)
{
    unsigned bits = 0;
    enum webhook_judgement judgement = classify(policy, bytes, &bits);

    /* Whatever range it lies in: a block of the network opens no service of this host. */
    if (is_own(own, bytes)) {
        judgement = WEBHOOK_ADDRESS_OWN;
        bits = 128;
    }
    if (narrowest_entry(policy, bytes) >= (int)bits) {
        return WEBHOOK_ADDRESS_OK;
    }
    if (judgement != WEBHOOK_ADDRESS_OK) {
        return judgement;
    }
    return webhook_policy_has_port(policy, port) ? WEBHOOK_ADDRESS_OK
                                                 : WEBHOOK_ADDRESS_PORT;
}

enum webhook_judgement webhook_policy_judge(const struct webhook_policy *policy,
                                            const struct sockaddr *address,
                                            const struct webhook_own *own)
{
    uint8_t bytes[16];
    uint16_t port = 0;

    if (!flatten(address, bytes, &port)) {
        return WEBHOOK_ADDRESS_FAMILY;
    }
    unwrap_nat64(policy, bytes);
    return judge(policy, bytes, port, own);
}

void webhook_own_add(struct webhook_own *own, const struct sockaddr *address)
{
    uint8_t bytes[16];
    uint16_t port = 0;

    if (!flatten(address, bytes, &port) || is_loopback(bytes)) {
        return;
    }
    if (own->n == WEBHOOK_MAX_OWN) {
        own->overflow = true;
        return;
    }
    memcpy(&own->list[own->n++], bytes, sizeof(bytes));
}
