/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_mock.c - librdkafka's mock cluster as a process.
 *
 * Listens on loopback, prints "READY host:port,...", then takes commands on
 * standard input, one a line, and answers each with "OK" or "ERR text":
 *
 *   topic NAME PARTITIONS      creates a topic
 *   topicerr NAME CODE         metadata answers CODE for the topic; 0 clears it
 *   err APIKEY CODE COUNT      the next COUNT requests of that kind fail (0: Produce)
 *   clear APIKEY               ... and no more of them
 *   rtt BROKER MS              delays every answer
 *   leader NAME PARTITION BROKER
 *   down BROKER, up BROKER     closes or opens a listener
 *   quit                       as end of input
 *
 * The mock keeps at most 5 MiB or 100,000 records a partition and has no TLS, no
 * SASL and no access control.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 5

struct command {
    const char *name;
    size_t n_args;
    rd_kafka_resp_err_t (*run)(rd_kafka_mock_cluster_t *cluster, char **args);
};

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static rd_kafka_resp_err_t do_topic(rd_kafka_mock_cluster_t *cluster, char **args)
{
    return rd_kafka_mock_topic_create(cluster, args[0], number(args[1]), 1);
}

static rd_kafka_resp_err_t do_topicerr(rd_kafka_mock_cluster_t *cluster, char **args)
{
    rd_kafka_mock_topic_set_error(cluster, args[0],
                                  (rd_kafka_resp_err_t)number(args[1]));
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t do_err(rd_kafka_mock_cluster_t *cluster, char **args)
{
    for (int i = number(args[2]); i > 0; i--) {
        rd_kafka_mock_push_request_errors(cluster, (int16_t)number(args[0]), 1,
                                          (rd_kafka_resp_err_t)number(args[1]));
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t do_clear(rd_kafka_mock_cluster_t *cluster, char **args)
{
    rd_kafka_mock_clear_request_errors(cluster, (int16_t)number(args[0]));
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t do_rtt(rd_kafka_mock_cluster_t *cluster, char **args)
{
    return rd_kafka_mock_broker_set_rtt(cluster, number(args[0]), number(args[1]));
}

static rd_kafka_resp_err_t do_leader(rd_kafka_mock_cluster_t *cluster, char **args)
{
    return rd_kafka_mock_partition_set_leader(cluster, args[0], number(args[1]),
                                              number(args[2]));
}

static rd_kafka_resp_err_t do_down(rd_kafka_mock_cluster_t *cluster, char **args)
{
    return rd_kafka_mock_broker_set_down(cluster, number(args[0]));
}

static rd_kafka_resp_err_t do_up(rd_kafka_mock_cluster_t *cluster, char **args)
{
    return rd_kafka_mock_broker_set_up(cluster, number(args[0]));
}

static const struct command commands[] = {
    {"topic", 2, do_topic}, {"topicerr", 2, do_topicerr},
    {"err", 3, do_err},     {"clear", 1, do_clear},
    {"rtt", 2, do_rtt},     {"leader", 3, do_leader},
    {"down", 1, do_down},   {"up", 1, do_up},
};

static void answer(rd_kafka_mock_cluster_t *cluster, char **words, size_t n)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, words[0]) != 0 || commands[i].n_args != n - 1) {
            continue;
        }
        rd_kafka_resp_err_t err = commands[i].run(cluster, words + 1);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            (void)puts("OK");
        } else {
            (void)printf("ERR %s\n", rd_kafka_err2str(err));
        }
        return;
    }
    (void)puts("ERR unrecognized command");
}

static size_t split(char *line, char *words[MAX_WORDS])
{
    size_t n = 0;
    char *rest = line;

    for (char *word = NULL; n < MAX_WORDS && (word = strtok_r(rest, " \n", &rest));) {
        words[n++] = word;
    }
    return n;
}

static void serve(rd_kafka_mock_cluster_t *cluster)
{
    char line[512];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *words[MAX_WORDS] = {NULL};
        size_t n = split(line, words);

        if (n > 0 && strcmp(words[0], "quit") == 0) {
            return;
        }
        if (n > 0) {
            answer(cluster, words, n);
            (void)fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    char why[256];
    int brokers = argc > 1 ? number(argv[1]) : 1;
    rd_kafka_t *rk =
        rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
    rd_kafka_mock_cluster_t *cluster = NULL;

    if (rk != NULL) {
        cluster = rd_kafka_mock_cluster_new(rk, brokers);
    }
    if (cluster == NULL) {
        (void)fprintf(stderr, "usage: kafka_mock [BROKERS]\n");
        return EXIT_FAILURE;
    }
    (void)printf("READY %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    (void)fflush(stdout);
    serve(cluster);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return EXIT_SUCCESS;
}
