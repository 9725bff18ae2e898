/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_exchanges.h - what is known about exchanges by name.
 *
 * A publish to an exchange that is missing closes the channel and leaves every
 * unconfirmed message of it in doubt, so each exchange is looked up before its
 * first use. A bad answer is kept for a while, so that an exchange that never
 * appears costs one lookup per RABBITMQ_EXCHANGE_RECHECK_MS.
 *
 *   UNKNOWN --lookup--> PRESENT --404 on the channel--> UNKNOWN
 *      |              ^    `--403 on the channel--> REFUSED --time--> PROBE
 *      |              `-----------------------------------------ack----'
 *      `--lookup--> MISSING --time--> UNKNOWN
 *
 * Pure but for allocation. Thread: the connection's.
 */
#ifndef RABBITMQ_EXCHANGES_H
#define RABBITMQ_EXCHANGES_H

#include <stddef.h>
#include <stdint.h>

#define RABBITMQ_EXCHANGE_RECHECK_MS 2000
#define RABBITMQ_EXCHANGES_MAX       1024 /* names kept; beyond it one is forgotten */

enum rabbitmq_exchange_state {
    RABBITMQ_EXCHANGE_UNKNOWN, /* look it up first */
    RABBITMQ_EXCHANGE_PRESENT,
    RABBITMQ_EXCHANGE_MISSING, /* do not publish */
    RABBITMQ_EXCHANGE_REFUSED, /* no permission: do not publish */
    RABBITMQ_EXCHANGE_PROBE    /* was refused: publish one message alone */
};

struct rabbitmq_exchanges;

/** Returns 0 or ENOMEM. */
int rabbitmq_exchanges_create(struct rabbitmq_exchanges **ret);
void rabbitmq_exchanges_destroy(struct rabbitmq_exchanges *x);

/** The default exchange (len 0) is always PRESENT. */
enum rabbitmq_exchange_state rabbitmq_exchanges_get(const struct rabbitmq_exchanges *x,
                                                    const char *name, size_t len,
                                                    uint64_t now_ms);
/** Records PRESENT, MISSING or REFUSED. Names over 255 bytes are ignored. */
void rabbitmq_exchanges_set(struct rabbitmq_exchanges *x, const char *name, size_t len,
                            enum rabbitmq_exchange_state state, uint64_t now_ms);
/** Makes every PRESENT exchange UNKNOWN. */
void rabbitmq_exchanges_doubt(struct rabbitmq_exchanges *x);
/** Forgets everything: a new connection. */
void rabbitmq_exchanges_clear(struct rabbitmq_exchanges *x);

#endif
