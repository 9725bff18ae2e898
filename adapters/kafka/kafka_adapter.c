/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_adapter.c - the adapter's vtable and entry point, nothing else.
 *
 * struct publisher is the client under the contract's name: both are incomplete
 * outside the file that defines them, so a cast is all there is between them.
 */
#include "kafka/kafka_client.h"
#include "kafka/kafka_options.h"
#include "postrider/publisher.h"
#include "postrider/version.h"

static struct kafka_client *client(struct publisher *self)
{
    return (struct kafka_client *)(void *)self;
}

static int create(const struct rider_host *host, const void *config,
                  struct publisher **ret, char *err, size_t err_size)
{
    struct kafka_client *c = NULL;
    int rc = kafka_client_create(host, config, &c, err, err_size);

    if (rc == 0) {
        *ret = (struct publisher *)(void *)c;
    }
    return rc;
}

static int start(struct publisher *self, char *err, size_t err_size)
{
    return kafka_client_start(client(self), err, err_size);
}

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    return kafka_client_publish(client(self), events, n);
}

static size_t flush(struct publisher *self, uint64_t deadline_ms)
{
    return kafka_client_flush(client(self), deadline_ms);
}

static void stop(struct publisher *self, uint64_t deadline_ms)
{
    kafka_client_stop(client(self), deadline_ms);
}

static void destroy(struct publisher *self)
{
    kafka_client_destroy(client(self));
}

static void health(struct publisher *self, struct rider_health *ret)
{
    kafka_client_health(client(self), ret);
}

static void stats(struct publisher *self, rider_stat_fn *emit, void *arg)
{
    kafka_client_stats(client(self), emit, arg);
}

static void explain(struct publisher *self, const struct rider_event *event,
                    rider_explain_fn *emit, void *arg)
{
    kafka_client_explain(client(self), event, emit, arg);
}

static const struct publisher_vtable vtable = {
    .magic = RIDER_PUBLISHER_MAGIC,
    .struct_size = sizeof(vtable),
    .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
    .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
    .caps = RIDER_CAP_KEY_ORDER,
    .name = "kafka",
    .version = RIDER_VERSION,
    .summary = "Apache Kafka through librdkafka: idempotent, keyed by aggregate",
    .options = kafka_options,
    .option_size = sizeof(struct rider_option),
    .config_size = sizeof(struct kafka_config),
    .create = create,
    .start = start,
    .publish = publish,
    .flush = flush,
    .stop = stop,
    .destroy = destroy,
    .health = health,
    .stats = stats,
    .explain = explain,
};

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    return &vtable;
}
