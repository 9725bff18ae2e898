/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kafka_client.c - one instance against librdkafka's mock cluster in this
 * process: faults are injected, and the fake host counts every completion.
 */
#include "kafka/kafka_client.h"
#include "support/fake_host.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N_EVENTS  500
#define ROOM      200
#define WAIT_MS   30000
#define TEXT(x)   #x
#define STRING(x) TEXT(x)

static const struct fake_event plain = {.aggregate_type = "t", .body_size = 100};

struct scene {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
    struct fake_host *fake;
    struct kafka_client *client;
    struct rider_property properties[5];
    struct kafka_config config;
    struct publisher_vtable vt; /* only publish, for the fake host */
};

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    return kafka_client_publish((struct kafka_client *)(void *)self, events, n);
}

/* `timeout_ms` is for tests of it: a busy machine may let any other pass. */
static void open_scene_with(struct scene *s, const char *timeout_ms)
{
    char err[300] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    *s = (struct scene){.vt = {.publish = publish}};
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "2", NULL, 0), 0);
    s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, err, sizeof(err));
    assert_non_null(s->rk);
    s->cluster = rd_kafka_mock_cluster_new(s->rk, 1);
    assert_int_equal(rd_kafka_mock_topic_create(s->cluster, "t", 2, 1), 0);
    s->fake = fake_host_create("stream", 20000);
    s->properties[0] = (struct rider_property){
        "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(s->cluster)};
    s->properties[1] = (struct rider_property){"message.timeout.ms", timeout_ms};
    s->properties[2] =
        (struct rider_property){"topic.metadata.propagation.max.ms", "500"};
    s->properties[3] = (struct rider_property){"reconnect.backoff.max.ms", "200"};
    s->properties[4] =
        (struct rider_property){"queue.buffering.max.messages", STRING(ROOM)};
    s->config = (struct kafka_config){
        .shape = {.topic = "{aggregateType}", .key = "{aggregateId}"},
        .properties = {s->properties, 5}};
    assert_int_equal(kafka_client_create(fake_host_host(s->fake), &s->config,
                                         &s->client, err, sizeof(err)),
                     0);
    assert_int_equal(kafka_client_start(s->client, err, sizeof(err)), 0);
}

static void open_scene(struct scene *s)
{
    open_scene_with(s, "60000");
}

static uint64_t in_ms(const struct scene *s, uint64_t ms)
{
    return fake_host_host(s->fake)->now_ms(fake_host_host(s->fake)) + ms;
}

static void close_scene(struct scene *s)
{
    kafka_client_stop(s->client, in_ms(s, 2000));
    fake_host_close(s->fake);
    assert_int_equal(fake_host_open(s->fake), 0);
    kafka_client_destroy(s->client);
    struct fake_host_counts counts = fake_host_counts(s->fake);
    assert_int_equal(counts.unknown_tickets, 0);
    assert_int_equal(counts.late_calls, 0);
    assert_int_equal(counts.bad_results, 0);
    fake_host_destroy(s->fake);
    rd_kafka_mock_cluster_destroy(s->cluster);
    rd_kafka_destroy(s->rk);
}

static void make_events(struct scene *s, const struct rider_event **events, size_t n,
                        const struct fake_event *like)
{
    for (size_t i = 0; i < n; i++) {
        events[i] = fake_host_event(s->fake, like);
        assert_non_null(events[i]);
    }
}

static size_t offer(struct scene *s, const struct rider_event *const *events, size_t n)
{
    struct publisher *self = (struct publisher *)(void *)s->client;

    return fake_host_offer(s->fake, &s->vt, self, events, n);
}

/* Publishes `n` events like `like`, waiting for room as the relay does. */
static void publish_all(struct scene *s, size_t n, const struct fake_event *like)
{
    const struct rider_event *events[N_EVENTS];

    assert_true(n <= N_EVENTS);
    make_events(s, events, n, like);
    for (size_t taken = 0; taken < n;) {
        taken += offer(s, events + taken, n - taken);
        assert_true(taken == n || fake_host_wait_writable(s->fake, WAIT_MS));
    }
}

static struct fake_host_counts settled(struct scene *s)
{
    assert_true(fake_host_wait_open(s->fake, 0, WAIT_MS));
    return fake_host_counts(s->fake);
}

static void delivers_and_holds_back_what_does_not_fit(void **state)
{
    static const struct fake_event like = {.aggregate_type = "t", .body_size = 300};
    const struct rider_event *events[N_EVENTS];
    struct scene s;

    (void)state;
    open_scene(&s);
    make_events(&s, events, N_EVENTS, &like);
    /* As long as the cluster is away, nothing makes room. */
    rd_kafka_mock_broker_set_down(s.cluster, 1);
    size_t taken = offer(&s, events, N_EVENTS);
    assert_int_equal(taken, ROOM);
    rd_kafka_mock_broker_set_up(s.cluster, 1);
    while (taken < N_EVENTS) {
        assert_true(fake_host_wait_writable(s.fake, WAIT_MS));
        taken += offer(&s, events + taken, N_EVENTS - taken);
    }
    assert_int_equal(settled(&s).by_outcome[RIDER_DELIVERED], N_EVENTS);
    assert_true(fake_host_counts(s.fake).writable > 0);
    close_scene(&s);
}

static void a_rejected_batch_is_sent_one_by_one(void **state)
{
    static const struct fake_event like = {.aggregate_type = "t", .body_size = 300};
    struct scene s;

    (void)state;
    open_scene(&s);
    rd_kafka_mock_push_request_errors(s.cluster, 0, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_RECORD);
    publish_all(&s, 100, &like);
    struct fake_host_counts counts = settled(&s);
    assert_int_equal(counts.by_outcome[RIDER_DELIVERED], 100);
    close_scene(&s);
}

static void a_message_rejected_alone_is_dead(void **state)
{
    struct scene s;

    (void)state;
    open_scene(&s);
    rd_kafka_mock_push_request_errors(s.cluster, 0, 2,
                                      RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
                                      RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    publish_all(&s, 1, &plain);
    assert_int_equal(settled(&s).by_outcome[RIDER_REJECTED], 1);
    publish_all(&s, 1, &plain);
    assert_int_equal(settled(&s).by_outcome[RIDER_DELIVERED], 1);
    close_scene(&s);
}

static void too_large_is_rejected_at_once(void **state)
{
    static const struct fake_event large = {.aggregate_type = "t",
                                            .body_size = 2000000};
    struct scene s;

    (void)state;
    open_scene(&s);
    publish_all(&s, 2, &large);
    assert_int_equal(fake_host_counts(s.fake).by_outcome[RIDER_REJECTED], 2);
    close_scene(&s);
}

static void a_missing_topic_is_unroutable_until_it_exists(void **state)
{
    static const struct fake_event missing = {.aggregate_type = "m", .body_size = 100};
    struct scene s;

    (void)state;
    open_scene(&s);
    rd_kafka_mock_topic_set_error(s.cluster, "m",
                                  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    publish_all(&s, 5, &missing);
    assert_int_equal(settled(&s).by_outcome[RIDER_UNROUTABLE], 5);
    rd_kafka_mock_topic_set_error(s.cluster, "m", RD_KAFKA_RESP_ERR_NO_ERROR);
    uint64_t until = in_ms(&s, WAIT_MS);
    do {
        (void)fake_host_wait_writable(s.fake, 20);
        publish_all(&s, 1, &missing);
    } while (settled(&s).by_outcome[RIDER_DELIVERED] == 0 && in_ms(&s, 0) < until);
    assert_int_equal(fake_host_counts(s.fake).by_outcome[RIDER_DELIVERED], 1);
    assert_int_equal(kafka_client_flush(s.client, in_ms(&s, 20)), 0);
    close_scene(&s);
}

static void a_fatal_error_makes_a_new_producer(void **state)
{
    struct rider_health health = {.struct_size = sizeof(health)};
    struct scene s;

    (void)state;
    open_scene(&s);
    publish_all(&s, 10, &plain);
    assert_int_equal(settled(&s).by_outcome[RIDER_DELIVERED], 10);
    rd_kafka_mock_push_request_errors(s.cluster, 0, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    publish_all(&s, 10, &plain);
    /* The other partition's batch may have been answered before. */
    struct fake_host_counts counts = settled(&s);
    uint64_t failed = counts.by_outcome[RIDER_UNAVAILABLE];
    assert_in_range(failed, 1, 10);
    assert_true(counts.maybe > 0);
    publish_all(&s, 10, &plain);
    counts = settled(&s);
    assert_int_equal(counts.by_outcome[RIDER_DELIVERED], 30 - failed);
    assert_int_equal(counts.by_outcome[RIDER_UNAVAILABLE], failed);
    kafka_client_health(s.client, &health);
    assert_int_equal(health.state, RIDER_UP);
    close_scene(&s);
}

static void a_cluster_that_is_down_is_unavailable(void **state)
{
    struct rider_health health = {.struct_size = sizeof(health)};
    struct scene s;

    (void)state;
    open_scene_with(&s, "2000");
    rd_kafka_mock_broker_set_down(s.cluster, 1);
    publish_all(&s, 10, &plain);
    assert_int_equal(settled(&s).by_outcome[RIDER_UNAVAILABLE], 10);
    for (uint64_t until = in_ms(&s, WAIT_MS);
         health.state != RIDER_DOWN && in_ms(&s, 0) < until;) {
        kafka_client_health(s.client, &health);
        (void)fake_host_wait_writable(s.fake, 20);
    }
    assert_int_equal(health.state, RIDER_DOWN);
    assert_int_equal(health.cause, RIDER_CAUSE_UNREACHABLE);
    rd_kafka_mock_broker_set_up(s.cluster, 1);
    close_scene(&s);
}

static void stop_completes_what_is_open(void **state)
{
    struct scene s;

    (void)state;
    open_scene(&s);
    rd_kafka_mock_broker_set_rtt(s.cluster, 1, 20000);
    publish_all(&s, 10, &plain);
    assert_int_equal(kafka_client_flush(s.client, in_ms(&s, 10)), 10);
    kafka_client_stop(s.client, in_ms(&s, 10));
    assert_int_equal(fake_host_open(s.fake), 0);
    assert_int_equal(fake_host_counts(s.fake).by_outcome[RIDER_UNAVAILABLE], 10);
    close_scene(&s);
}

struct explained {
    char topic[64], key[64];
    int n_headers;
};

static void note(void *arg, const char *name, const void *value, size_t len)
{
    struct explained *e = arg;

    if (strcmp(name, "topic") == 0) {
        memcpy(e->topic, value, len);
    } else if (strcmp(name, "key") == 0) {
        memcpy(e->key, value, len);
    }
    e->n_headers += strncmp(name, "header ", 7) == 0;
}

static void explain_shows_the_message(void **state)
{
    static const struct fake_event like = {.aggregate_type = "t",
                                           .aggregate_id = "A-1"};
    struct explained e = {0};
    struct scene s;

    (void)state;
    open_scene(&s);
    kafka_client_explain(s.client, fake_host_event(s.fake, &like), note, &e);
    assert_string_equal(e.topic, "t");
    assert_string_equal(e.key, "A-1");
    assert_true(e.n_headers >= 6);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_and_holds_back_what_does_not_fit),
        cmocka_unit_test(a_rejected_batch_is_sent_one_by_one),
        cmocka_unit_test(a_message_rejected_alone_is_dead),
        cmocka_unit_test(too_large_is_rejected_at_once),
        cmocka_unit_test(a_missing_topic_is_unroutable_until_it_exists),
        cmocka_unit_test(a_fatal_error_makes_a_new_producer),
        cmocka_unit_test(a_cluster_that_is_down_is_unavailable),
        cmocka_unit_test(stop_completes_what_is_open),
        cmocka_unit_test(explain_shows_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
