/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_io.c - the loop around one connection after the other.
 *
 * While connected it reads what is there, sends a burst, and sleeps on the
 * socket and the inbox. A lost connection completes all its events before the
 * next attempt, so that while connecting the inbox is the only place that holds
 * any; that makes it safe to leave a thread behind that a resolver has caught.
 */
#include "rabbitmq/rabbitmq_io.h"

#include "rabbitmq/rabbitmq_brokers.h"
#include "rabbitmq/rabbitmq_conn.h"
#include "rabbitmq/rabbitmq_options.h"
#include "rabbitmq/rabbitmq_watchdog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOODBYE_MS   250  /* for connection.close at the end */
#define SETTLED_MS   5000 /* a connection of this age was a success */
#define OVERDUE_TICK 1000

struct rabbitmq_io {
    const struct rider_host *host;
    struct rabbitmq_brokers brokers;
    struct rabbitmq_addressing addressing;
    struct rabbitmq_counters counters;
    struct rabbitmq_inbox *inbox;
    struct rabbitmq_session *session;
    struct rabbitmq_watchdog *watchdog; /* NULL unless started */
    pthread_t thread;
};

/** Sleeps on the inbox, and on the socket if fd >= 0. */
static void nap(struct rabbitmq_io *io, int fd, short events, bool for_events,
                uint64_t ms)
{
    if (!rabbitmq_inbox_doze(io->inbox, for_events)) {
        return;
    }
    struct pollfd p[2] = {{.fd = rabbitmq_inbox_fd(io->inbox), .events = POLLIN},
                          {.fd = fd, .events = events}};
    (void)poll(p, 2, ms > 60000 ? 60000 : (int)ms);
    rabbitmq_inbox_woke(io->inbox);
}

/** One round of a live connection. 0, or -1 if lost. */
static int serve_once(struct rabbitmq_io *io, struct rabbitmq_conn *conn,
                      struct rabbitmq_failure *why)
{
    struct rabbitmq_session *s = io->session;
    if (rabbitmq_inbound_run(s, why) != 0 || rabbitmq_session_overdue(s, why)) {
        return -1;
    }
    enum rabbitmq_next next = rabbitmq_outbound_run(s, why);
    rabbitmq_session_flush(s);
    if (next == RABBITMQ_LOST) {
        return -1;
    }
    if (next != RABBITMQ_MORE) {
        short events = next == RABBITMQ_WAIT_WRITE ? POLLIN | POLLOUT : POLLIN;
        uint64_t tick = rabbitmq_conn_tick_ms(conn);
        nap(io, rabbitmq_conn_fd(conn), events, next == RABBITMQ_WAIT_EVENT,
            tick < OVERDUE_TICK ? tick : OVERDUE_TICK);
    }
    return 0;
}

/** Serves until the connection is lost (-1, *why) or stop() (0). */
static int serve(struct rabbitmq_io *io, struct rabbitmq_conn *conn,
                 struct rabbitmq_failure *why)
{
    struct rabbitmq_session *s = io->session;
    uint64_t until;
    while (!rabbitmq_inbox_stopping(io->inbox, &until)) {
        if (serve_once(io, conn, why) != 0) {
            return -1;
        }
    }
    rabbitmq_session_drain(s);
    while (rabbitmq_confirm_open(s->confirm) > 0 && !s->blocked &&
           rabbitmq_now_ms() + GOODBYE_MS < until) {
        if (serve_once(io, conn, why) != 0) {
            break;
        }
    }
    return 0;
}

static void set_status(struct rabbitmq_io *io, enum rabbitmq_state state,
                       const struct rabbitmq_failure *why, uint64_t retry_in_ms)
{
    struct rabbitmq_status status = {.state = state};
    if (why) {
        status.failure = *why;
        status.retry_at_ms = rabbitmq_now_ms() + retry_in_ms;
    }
    if (rabbitmq_inbox_set_status(io->inbox, &status)) {
        io->host->writable(io->host);
    }
}

/** Serves one fresh connection to its end. */
static void use(struct rabbitmq_io *io, struct rabbitmq_conn *conn,
                struct rabbitmq_failure *why)
{
    const struct rabbitmq_broker *broker = rabbitmq_brokers_next(&io->brokers);
    uint64_t began = rabbitmq_now_ms();
    io->host->log(io->host, RIDER_LOG_INFO, "connected to %s:%d", broker->host,
                  broker->port);
    atomic_fetch_add_explicit(&io->counters.connects, 1, memory_order_relaxed);
    rabbitmq_session_attach(io->session, conn);
    set_status(io, RABBITMQ_UP, NULL, 0);
    int rc = serve(io, conn, why);
    if (rabbitmq_now_ms() - began >= SETTLED_MS) {
        rabbitmq_brokers_succeeded(&io->brokers);
    }
    uint64_t polite = 0;
    if (rc == 0) {
        *why = (struct rabbitmq_failure){.cause = RIDER_CAUSE_UNREACHABLE,
                                         .text = "stopped before it was confirmed"};
        uint64_t until;
        (void)rabbitmq_inbox_stopping(io->inbox, &until);
        uint64_t now = rabbitmq_now_ms();
        polite = !io->session->blocked && now < until ? until - now : 0;
    }
    /* The owners of the events first: goodbye may take a while. */
    set_status(io, RABBITMQ_DOWN, why, 0);
    if (rc == 0) {
        rabbitmq_session_detach(io->session, why, 0);
    }
    rabbitmq_conn_close(conn, polite < GOODBYE_MS ? polite : GOODBYE_MS);
}

static void down(struct rabbitmq_io *io, const struct rabbitmq_failure *why)
{
    uint64_t wait_ms = rabbitmq_brokers_failed(&io->brokers);
    uint64_t wake_ms = rabbitmq_now_ms() + wait_ms;
    io->host->log(io->host, RIDER_LOG_WARN, "%s, retrying in %llu ms", why->text,
                  (unsigned long long)wait_ms);
    struct rabbitmq_status status;
    rabbitmq_inbox_status(io->inbox, &status);
    if (status.state == RABBITMQ_STARTING && wait_ms == 0) {
        return; /* events wait until each broker was tried once */
    }
    set_status(io, RABBITMQ_DOWN, why, wait_ms);
    rabbitmq_session_detach(io->session, why, wait_ms);
    uint64_t until;
    uint64_t now = rabbitmq_now_ms();
    while (now < wake_ms && !rabbitmq_inbox_stopping(io->inbox, &until)) {
        nap(io, -1, 0, false, wake_ms - now);
        now = rabbitmq_now_ms();
    }
}

static void io_free(struct rabbitmq_io *io)
{
    rabbitmq_watchdog_destroy(io->watchdog);
    rabbitmq_session_destroy(io->session);
    rabbitmq_inbox_destroy(io->inbox);
    rabbitmq_brokers_done(&io->brokers);
    free(io);
}

static void *io_main(void *arg)
{
    struct rabbitmq_io *io = arg;
    uint64_t until;
    while (!rabbitmq_inbox_stopping(io->inbox, &until)) {
        struct rabbitmq_conn *conn = NULL;
        struct rabbitmq_failure why = {0};
        (void)rabbitmq_inbox_connecting(io->inbox, true);
        int rc = rabbitmq_conn_open(&io->brokers, rabbitmq_brokers_next(&io->brokers),
                                    io->watchdog, &conn, &why);
        if (!rabbitmq_inbox_connecting(io->inbox, false)) {
            rabbitmq_conn_close(conn, 0);
            io_free(io);
            return NULL;
        }
        if (rc == 0) {
            use(io, conn, &why);
        }
        if (!rabbitmq_inbox_stopping(io->inbox, &until)) {
            down(io, &why);
        }
    }
    struct rabbitmq_failure stopped = {.cause = RIDER_CAUSE_UNREACHABLE,
                                       .text = "stopped before it was sent"};
    set_status(io, RABBITMQ_DOWN, &stopped, 0);
    rabbitmq_session_detach(io->session, &stopped, 0);
    rabbitmq_inbox_finished(io->inbox);
    return NULL;
}

static int fail(char *err, size_t err_size, int code, const char *text)
{
    (void)snprintf(err, err_size, "%s", text);
    return code;
}

static int parse(const char *name, const char *text, struct template *ret, char *err,
                 size_t err_size)
{
    char why[160];
    if (template_parse(text ? text : "", ret, why, sizeof(why)) != 0) {
        (void)snprintf(err, err_size, "%s: %s", name, why);
        return EINVAL;
    }
    return 0;
}

static int fill(struct rabbitmq_io *io, const struct rabbitmq_config *config, char *err,
                size_t err_size)
{
    int rc =
        parse("exchange", config->exchange, &io->addressing.exchange, err, err_size);
    rc = rc ? rc
            : parse("routing_key", config->routing_key, &io->addressing.routing_key,
                    err, err_size);
    rc = rc ? rc
            : rabbitmq_brokers_init(&io->brokers, config, io->host->destination, err,
                                    err_size);
    if (rc != 0) {
        return rc;
    }
    io->addressing.attribute_prefix =
        rabbitmq_cloudevents_prefixes[config->cloudevents_prefix];
    rc = rabbitmq_inbox_create((size_t)config->window, &io->inbox);
    if (rc != 0) {
        return fail(err, err_size, rc, "could not create the event queue");
    }
    struct rabbitmq_session_setup setup = {.host = io->host,
                                           .inbox = io->inbox,
                                           .addressing = &io->addressing,
                                           .counters = &io->counters,
                                           .window = (size_t)config->window,
                                           .confirm_timeout_ms =
                                               config->confirm_timeout_ms};
    rc = rabbitmq_session_create(&setup, &io->session);
    return rc == 0 ? 0 : fail(err, err_size, rc, "out of memory");
}

int rabbitmq_io_create(const struct rider_host *host,
                       const struct rabbitmq_config *config, struct rabbitmq_io **ret,
                       char *err, size_t err_size)
{
    struct rabbitmq_io *io = calloc(1, sizeof(*io));
    if (!io) {
        return fail(err, err_size, ENOMEM, "out of memory");
    }
    io->host = host;
    int rc = fill(io, config, err, err_size);
    if (rc != 0) {
        io_free(io);
        return rc;
    }
    *ret = io;
    return 0;
}

int rabbitmq_io_start(struct rabbitmq_io *io, char *err, size_t err_size)
{
    int rc = rabbitmq_watchdog_create(&io->watchdog);
    if (rc == 0) {
        rc = pthread_create(&io->thread, NULL, io_main, io);
        if (rc != 0) {
            rabbitmq_watchdog_destroy(io->watchdog);
            io->watchdog = NULL;
        }
    }
    return rc == 0 ? 0 : fail(err, err_size, rc, "could not start a thread");
}

/** Completes what an abandoned thread left in the inbox. */
static void give_back(struct rabbitmq_io *io)
{
    const struct rider_event *event;
    static const struct rider_result result = {.struct_size = sizeof(result),
                                               .outcome = RIDER_UNAVAILABLE,
                                               .cause = RIDER_CAUSE_UNREACHABLE,
                                               .reason = "stopped while connecting"};
    while (rabbitmq_inbox_take(io->inbox, &event, 1) == 1) {
        io->host->complete(io->host, event->ticket, &result);
    }
}

bool rabbitmq_io_stop(struct rabbitmq_io *io, uint64_t deadline_ms)
{
    const struct rider_host *host = io->host;
    if (!io->watchdog) {
        return true;
    }
    uint64_t now = host->now_ms(host);
    uint64_t budget = deadline_ms > now ? deadline_ms - now : 0;
    uint64_t margin = budget / 8 < 200 ? budget / 8 : 200;
    rabbitmq_inbox_stop(io->inbox, budget - 2 * margin);
    if (!rabbitmq_inbox_wait_finished(io->inbox, host, deadline_ms - margin)) {
        rabbitmq_watchdog_bite(io->watchdog);
        if (!rabbitmq_inbox_wait_finished(io->inbox, host, deadline_ms)) {
            if (rabbitmq_inbox_abandon(io->inbox)) {
                give_back(io);
                (void)pthread_detach(io->thread);
                rabbitmq_inbox_release(io->inbox);
                return false;
            }
        }
    }
    (void)pthread_join(io->thread, NULL);
    rabbitmq_watchdog_destroy(io->watchdog);
    io->watchdog = NULL;
    return true;
}

void rabbitmq_io_destroy(struct rabbitmq_io *io)
{
    if (io) {
        io_free(io);
    }
}

struct rabbitmq_inbox *rabbitmq_io_inbox(struct rabbitmq_io *io)
{
    return io->inbox;
}

const struct rabbitmq_addressing *rabbitmq_io_addressing(const struct rabbitmq_io *io)
{
    return &io->addressing;
}

const struct rabbitmq_counters *rabbitmq_io_counters(const struct rabbitmq_io *io)
{
    return &io->counters;
}
