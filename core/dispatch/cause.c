/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cause.c - the closed list of causes.
 */
#include "dispatch/cause.h"

#include "postrider/publisher.h"

static const char *const words[] = {
    [RIDER_CAUSE_NONE] = "none",
    [RIDER_CAUSE_UNREACHABLE] = "unreachable",
    [RIDER_CAUSE_TIMEOUT] = "timeout",
    [RIDER_CAUSE_TLS] = "tls",
    [RIDER_CAUSE_AUTH] = "auth",
    [RIDER_CAUSE_DESTINATION_BLOCKED] = "destination_blocked",
    [RIDER_CAUSE_TOPIC_MISSING] = "topic_missing",
    [RIDER_CAUSE_NO_ROUTE] = "no_route",
    [RIDER_CAUSE_QUEUE_FULL] = "queue_full",
    [RIDER_CAUSE_TOO_LARGE] = "too_large",
    [RIDER_CAUSE_INVALID_PAYLOAD] = "invalid_payload",
    [RIDER_CAUSE_REJECTED_4XX] = "rejected_4xx",
    [RIDER_CAUSE_FAILED_5XX] = "failed_5xx",
    [RIDER_CAUSE_REDIRECT] = "redirect",
    [RIDER_CAUSE_RATE_LIMITED] = "rate_limited",
    [RIDER_CAUSE_GONE_410] = "gone_410",
    [RIDER_CAUSE_BLOCKED_ADDRESS] = "blocked_address",
    [RIDER_CAUSE_SECRET_UNDECRYPTABLE] = "secret_undecryptable",
    [RIDER_CAUSE_ADAPTER_FAULT] = "adapter_fault",
    [RIDER_CAUSE_UNKNOWN] = "unknown",
};

const char *cause_word(uint32_t cause)
{
    return cause < sizeof(words) / sizeof(words[0]) ? words[cause] : "unknown";
}
