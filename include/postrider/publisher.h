/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher.h - the contract between the relay and an adapter plugin.
 *
 * An adapter is a shared object named postrider-<type>.so. It exports one
 * function, rider_publisher_entry(), which returns a publisher_vtable of static
 * lifetime and does nothing else. It includes only this header and options.h,
 * and links to nothing of the relay.
 *
 * Threads:   functions of one instance are never called concurrently; two
 *            instances may run in parallel. Host functions: from any thread.
 * Ownership: whatever the host passes in is borrowed. An accepted event, and
 *            all it points to, stays valid until its ticket is completed.
 * Growth:    structs grow only at the end; struct_size tells how much of one
 *            the other side knows; a member beyond it reads as zero or NULL.
 */
#ifndef RIDER_PUBLISHER_H
#define RIDER_PUBLISHER_H

#include "options.h"

#include <stddef.h>
#include <stdint.h>

#define RIDER_PUBLISHER_MAGIC     0x52494431u /* "RID1" */
#define RIDER_PUBLISHER_ABI_MAJOR 1u          /* raised: rebuild the plugin */
#define RIDER_PUBLISHER_ABI_MINOR 1u          /* raised: members were appended */

/** Borrowed bytes, not NUL-terminated. */
struct rider_bytes {
    const void *data;
    size_t len;
};

/** Frozen within an ABI major: arrays of it are passed by value. */
struct rider_header {
    struct rider_bytes name, value;
};

/** How `body` was rendered (kept in a uint32_t: the size of an enum is no ABI). */
enum rider_envelope {
    RIDER_ENVELOPE_CANONICAL,     /* the integration contract of docs/events */
    RIDER_ENVELOPE_PAYLOAD,       /* the writer's JSON alone */
    RIDER_ENVELOPE_CE_STRUCTURED, /* CloudEvents 1.0 JSON format */
    RIDER_ENVELOPE_CE_BINARY      /* payload as body, attributes as headers */
};

/** Where one delivery of a destination with subscriptions goes. */
struct rider_target {
    uint32_t struct_size;
    uint32_t n_secrets;
    struct rider_bytes id; /* the subscription's id */
    struct rider_bytes url;
    const struct rider_bytes *secrets; /* current first, then older ones */
    const struct rider_header *headers;
    size_t n_headers;
    /* since minor 1 */
    uint32_t timeout_ms;         /* of the whole exchange; 0: the instance's own */
    uint32_t flags;              /* RIDER_TARGET_* */
    uint32_t keep_response;      /* bytes of the answer wanted in rider_attempt */
    struct rider_bytes ca_ref;   /* names of the operator's files with authorities, */
    struct rider_bytes cert_ref; /* and with a client certificate; len 0: none */
};
#define RIDER_TARGET_TEST (1u << 0) /* a trial: the receiver is told so */

/** One outbox row. Offered as an array of pointers, so that it can grow. */
struct rider_event {
    uint32_t struct_size;
    uint32_t attempt;       /* 1 for the first try */
    uint64_t ticket;        /* names this delivery in complete() */
    int64_t occurred_at_us; /* since 1970-01-01 UTC */
    int32_t version;
    uint32_t envelope;     /* enum rider_envelope */
    struct rider_bytes id; /* UUID text: the receiver's deduplication key */
    struct rider_bytes type;
    struct rider_bytes aggregate_type; /* len 0: none */
    struct rider_bytes aggregate_id;   /* the ordering key */
    struct rider_bytes body;           /* what to send, byte for byte */
    struct rider_bytes content_type;
    struct rider_bytes payload;         /* the writer's JSON, byte for byte */
    const struct rider_header *headers; /* the writer's, traceparent included */
    size_t n_headers;
    const struct rider_header *attributes; /* CE_BINARY: names without any prefix */
    size_t n_attributes;
    const struct rider_target *target; /* NULL: the instance's own options decide */
};

/** How a delivery ended. */
enum rider_outcome {
    /** Confirmed by the receiver, not merely queued or sent. */
    RIDER_DELIVERED = 0,
    /** This event failed and could succeed later. Costs one attempt. */
    RIDER_RETRY = 1,
    /** This event cannot succeed: to the dead letters, at once. */
    RIDER_REJECTED = 2,
    /** The destination as a whole cannot take events now; of an event with a
     *  target, that target. Costs no attempt: the host opens its breaker and offers
     *  the event again later. */
    RIDER_UNAVAILABLE = 3,
    /** The address this event goes to is missing or closed (topic, exchange,
     *  binding, permission). Costs no attempt: the host parks this event's key
     *  and tries again slowly; other events flow. */
    RIDER_UNROUTABLE = 4
};
#define RIDER_RESULT_MAYBE_DELIVERED (1u << 0) /* a retry can duplicate it */

/** Why a delivery failed: a closed list, in the same words everywhere.
 *  docs/operations.md has a line for each. */
enum rider_cause {
    RIDER_CAUSE_NONE = 0,
    RIDER_CAUSE_UNREACHABLE,
    RIDER_CAUSE_TIMEOUT,
    RIDER_CAUSE_TLS,
    RIDER_CAUSE_AUTH,
    RIDER_CAUSE_DESTINATION_BLOCKED,
    RIDER_CAUSE_TOPIC_MISSING,
    RIDER_CAUSE_NO_ROUTE,
    RIDER_CAUSE_QUEUE_FULL,
    RIDER_CAUSE_TOO_LARGE,
    RIDER_CAUSE_INVALID_PAYLOAD,
    RIDER_CAUSE_REJECTED_4XX,
    RIDER_CAUSE_FAILED_5XX,
    RIDER_CAUSE_REDIRECT,
    RIDER_CAUSE_RATE_LIMITED,
    RIDER_CAUSE_GONE_410,
    RIDER_CAUSE_BLOCKED_ADDRESS,
    RIDER_CAUSE_SECRET_UNDECRYPTABLE,
    RIDER_CAUSE_ADAPTER_FAULT,
    RIDER_CAUSE_UNKNOWN
};

/** What was observed of one try to deliver, for people who ask why. Times are
 *  microseconds from the start of the try; 0: that phase was not reached. */
struct rider_attempt {
    uint32_t struct_size;
    uint32_t flags;        /* RIDER_ATTEMPT_* */
    int64_t started_at_us; /* since 1970-01-01 UTC */
    uint32_t dns_us, connect_us, tls_us, first_byte_us, total_us;
    uint32_t requests;           /* times the request was really sent */
    struct rider_bytes remote;   /* address that was dialled; len 0: none */
    const char *category;        /* lower-case word for the error, or NULL */
    struct rider_bytes response; /* at most target->keep_response bytes */
};
#define RIDER_ATTEMPT_REUSED (1u << 0) /* on a connection that was open before */

struct rider_result {
    uint32_t struct_size;
    uint32_t outcome;        /* enum rider_outcome */
    uint32_t flags;          /* RIDER_RESULT_* */
    uint32_t cause;          /* enum rider_cause */
    uint32_t retry_after_ms; /* not with DELIVERED; 0: the host's backoff decides */
    int32_t remote_code;     /* HTTP status or broker code; 0 for none */
    const char *reason;      /* one line without payload or secret, borrowed, or NULL */
    /* since minor 1 */
    const struct rider_attempt *attempt; /* borrowed; NULL: nothing was tried */
};

enum rider_log_level {
    RIDER_LOG_ERROR,
    RIDER_LOG_WARN,
    RIDER_LOG_INFO,
    RIDER_LOG_DEBUG
};

#if defined(__GNUC__)
#define RIDER_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define RIDER_EXPORT       __attribute__((visibility("default")))
#else
#define RIDER_PRINTF(f, a)
#define RIDER_EXPORT
#endif

/** What the host lends to one instance, from create() to the end of stop(). */
struct rider_host {
    uint32_t struct_size;
    uint32_t abi_minor;
    const char *destination; /* the instance's name in the configuration */
    /** Ends one accepted delivery: exactly once a ticket, never blocks, may be
     *  called inside publish(). A stale or repeated ticket is counted, ignored. */
    void (*complete)(const struct rider_host *host, uint64_t ticket,
                     const struct rider_result *result);
    /** The same for `n` tickets that share one result; cheaper than n calls. */
    void (*complete_many)(const struct rider_host *host, const uint64_t *tickets,
                          size_t n, const struct rider_result *result);
    /** There is room again after a short publish(). Spurious calls are fine. */
    void (*writable)(const struct rider_host *host);
    /** `level` is an enum rider_log_level. No payloads, no secrets; the host
     *  adds the instance's name. */
    void (*log)(const struct rider_host *host, int level, const char *fmt, ...)
        RIDER_PRINTF(3, 4);
    /** Monotonic milliseconds: the clock of all deadlines; tests fake it. */
    uint64_t (*now_ms)(const struct rider_host *host);
    /* since minor 1 */
    uint32_t flags; /* RIDER_HOST_* */
};
#define RIDER_HOST_SUBSCRIPTIONS (1u << 0) /* every event has a target */

/** Why a target cannot be used. */
struct rider_target_fault {
    uint32_t struct_size;
    uint32_t cause;     /* enum rider_cause: BLOCKED_ADDRESS for its address */
    const char *member; /* static: "url", "headers", "secrets", "ca_ref", "cert_ref" */
    char detail[160];   /* one line, NUL-terminated, no secret */
};

enum rider_health_state { RIDER_STARTING, RIDER_UP, RIDER_DEGRADED, RIDER_DOWN };
struct rider_health {
    uint32_t struct_size;
    uint32_t state;   /* enum rider_health_state */
    uint32_t cause;   /* enum rider_cause when not UP */
    char detail[128]; /* one line, NUL-terminated, no secret */
};

/** Receives one extra metric; the host adds prefix and labels. */
typedef void rider_stat_fn(void *arg, const char *name, int is_counter, double value);

/** Receives one line of explain(): what would be sent as `name`. */
typedef void rider_explain_fn(void *arg, const char *name, const void *value,
                              size_t len);

#define RIDER_CAP_KEY_ORDER     (1u << 0) /* same key: delivered in publish order */
#define RIDER_CAP_IDEMPOTENT    (1u << 1) /* the receiver drops a repeated id */
#define RIDER_CAP_SUBSCRIPTIONS (1u << 2) /* honours rider_event.target */

struct publisher; /* incomplete here: each adapter defines its own */

struct publisher_vtable {
    uint32_t magic, struct_size;
    uint16_t abi_major, abi_minor;
    uint32_t caps;    /* RIDER_CAP_* */
    const char *name; /* "kafka": the `adapter:` in YAML */
    const char *version, *summary;
    const struct rider_option *options; /* ends with a NULL name */
    size_t option_size;                 /* sizeof(struct rider_option) */
    size_t config_size;                 /* of the struct the options fill */

    /** Allocates; no I/O, no threads. `config` is the struct the options
     *  filled, valid until destroy(). Returns 0, or an errno value and text.
     *  `postrider check` calls it, so what is wrong with the options is
     *  reported here. */
    int (*create)(const struct rider_host *host, const void *config,
                  struct publisher **ret, char *err, size_t err_size);
    /** Starts threads and begins to connect. A peer that is down is no error:
     *  report it through health() and keep trying. */
    int (*start)(struct publisher *self, char *err, size_t err_size);
    /** Takes a prefix of `events` without blocking and returns its length.
     *  Each event taken gets exactly one completion; the rest stay the host's,
     *  which offers them again after writable(). */
    size_t (*publish)(struct publisher *self, const struct rider_event *const *events,
                      size_t n);
    /** Stops lingering; blocks until nothing is open or the deadline passed.
     *  Returns how many tickets are still open. */
    size_t (*flush)(struct publisher *self, uint64_t deadline_ms);
    /** Completes each open ticket by the deadline, in doubt as RIDER_UNAVAILABLE
     *  with MAYBE_DELIVERED, and joins all threads: no host call after return. */
    void (*stop)(struct publisher *self, uint64_t deadline_ms);
    /** Frees. Accepts NULL and an instance that was never started. */
    void (*destroy)(struct publisher *self);

    /* Optional, NULL allowed. None blocks. */
    void (*health)(struct publisher *self, struct rider_health *ret);
    void (*stats)(struct publisher *self, rider_stat_fn *emit, void *arg);
    /** Says what publish() would send for `event`; needs create() only. */
    void (*explain)(struct publisher *self, const struct rider_event *event,
                    rider_explain_fn *emit, void *arg);
    /* since minor 1 */
    /** Judges a target before anybody is told that it works: its form, and the
     *  addresses that its name has now. Returns 0, or -1 with *ret filled. Unlike
     *  the others it may block on the resolver, needs create() only, and is called
     *  from any thread, concurrently. A name that cannot be resolved is no fault. */
    int (*check_target)(struct publisher *self, const struct rider_target *target,
                        struct rider_target_fault *ret);
};

/** The entry point (a function: dlsym is only sure to work on functions). */
RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void);

#endif
