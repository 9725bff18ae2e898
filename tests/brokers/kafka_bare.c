/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_bare.c - what librdkafka alone can do: the yardstick for the adapter.
 *
 * usage: kafka_bare BOOTSTRAP TOPIC COUNT SIZE HEADERS WINDOW
 *
 * Sends COUNT bodies of SIZE bytes with HEADERS headers each, keyed, with the
 * adapter's settings and at most WINDOW open, and prints messages per second.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct run {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    long count, n_headers, window;
    size_t size;
    long delivered;
};

static void report(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque)
{
    (void)rk;
    ((struct run *)opaque)->delivered += msg->err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        (void)fprintf(stderr, "%s\n", why);
        return -1;
    }
    return 0;
}

static int open_producer(struct run *r, const char *bootstrap, const char *topic)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    if (set(conf, "bootstrap.servers", bootstrap) < 0 ||
        set(conf, "enable.idempotence", "true") < 0 || set(conf, "acks", "all") < 0 ||
        set(conf, "partitioner", "murmur2_random") < 0 ||
        set(conf, "linger.ms", "5") < 0) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, r);
    rd_kafka_conf_set_dr_msg_cb(conf, report);
    r->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    r->topic = r->rk != NULL ? rd_kafka_topic_new(r->rk, topic, NULL) : NULL;
    return r->topic != NULL ? 0 : -1;
}

static int send_one(struct run *r, long i, char *body)
{
    char key[32];
    int key_len = snprintf(key, sizeof(key), "key-%ld", i % 10000);
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)r->n_headers);

    for (long h = 0; h < r->n_headers; h++) {
        (void)rd_kafka_header_add(headers, "aggregateId", -1,
                                  "0190a2b4-1111-7222-8333-123456789abc", -1);
    }
    rd_kafka_resp_err_t err = rd_kafka_producev(
        r->rk, RD_KAFKA_VTYPE_RKT, r->topic, RD_KAFKA_VTYPE_MSGFLAGS, 0,
        RD_KAFKA_VTYPE_VALUE, body, r->size, RD_KAFKA_VTYPE_KEY, key, (size_t)key_len,
        RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
    }
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct run r = {0};

    if (argc != 7) {
        (void)fprintf(stderr, "usage: kafka_bare BOOTSTRAP TOPIC COUNT SIZE HEADERS "
                              "WINDOW\n");
        return EXIT_FAILURE;
    }
    r.count = strtol(argv[3], NULL, 10);
    r.size = (size_t)strtol(argv[4], NULL, 10);
    r.n_headers = strtol(argv[5], NULL, 10);
    r.window = strtol(argv[6], NULL, 10);
    char *body = calloc(1, r.size + 1);
    if (body == NULL || open_producer(&r, argv[1], argv[2]) < 0) {
        free(body);
        return EXIT_FAILURE;
    }
    (void)memset(body, 'x', r.size);
    double begin = seconds();
    for (long i = 0; i < r.count;) {
        (void)rd_kafka_poll(r.rk, i - r.delivered >= r.window ? 1 : 0);
        if (i - r.delivered < r.window && send_one(&r, i, body) == 0) {
            i++;
        }
    }
    (void)rd_kafka_flush(r.rk, 30000);
    double took = seconds() - begin;
    (void)printf("{\"delivered\": %ld, \"per_second\": %.0f}\n", r.delivered,
                 (double)r.delivered / took);
    rd_kafka_topic_destroy(r.topic);
    rd_kafka_destroy(r.rk);
    free(body);
    return r.delivered == r.count ? EXIT_SUCCESS : EXIT_FAILURE;
}
