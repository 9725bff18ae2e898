/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive.c - a webhook receiver: receive PORT [MAX_IDS], with the secret in
 * WEBHOOK_SECRET. Verifying is postrider/signature.h; HTTP is libmicrohttpd.
 *
 *     cc receive.c -lpostrider -lmicrohttpd -o receive
 */
#include <microhttpd.h>
#include <postrider/signature.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_BODY  ((size_t)1 << 20)
#define MAX_ID    200
#define N_BUCKETS 65536u
#define KEEP_S    (2 * RIDER_SIGNATURE_TOLERANCE)
#define HANDSHAKE "{\"type\":\"verification\","

/*
 * The ids of the last 10 minutes: so long can a recorded request pass as new, if its
 * timestamp was 300 s ahead. It forgets at a restart: a receiver whose effects must not
 * happen twice keeps the ids in its database, in the same transaction as the effect.
 */
struct seen_id {
    struct seen_id *older; /* in its bucket */
    time_t at;             /* of CLOCK_MONOTONIC */
    char id[MAX_ID + 1];
};

struct seen_ids {
    struct seen_id *buckets[N_BUCKETS];
    struct seen_id *ring; /* in order of arrival, around */
    size_t max, n, first;
};

enum verdict { IS_NEW, IS_REPEAT, IS_FULL };

static struct seen_id **bucket_of(struct seen_ids *seen, const char *id)
{
    unsigned int hash = 2166136261u;

    for (; *id != '\0'; id++) {
        hash = (hash ^ (unsigned char)*id) * 16777619u;
    }
    return &seen->buckets[hash % N_BUCKETS];
}

static void forget_oldest(struct seen_ids *seen)
{
    const struct seen_id *oldest = &seen->ring[seen->first];
    struct seen_id **link = bucket_of(seen, oldest->id);

    while (*link != oldest) {
        link = &(*link)->older;
    }
    *link = oldest->older;
    seen->first = (seen->first + 1) % seen->max;
    seen->n--;
}

/* Remembers `id`. When the store is full of ids that are too young to forget, the
 * sender has to wait. */
static enum verdict take(struct seen_ids *seen, const char *id)
{
    struct seen_id **bucket = bucket_of(seen, id);
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    while (seen->n > 0 && now.tv_sec - seen->ring[seen->first].at > KEEP_S) {
        forget_oldest(seen);
    }
    for (const struct seen_id *s = *bucket; s != NULL; s = s->older) {
        if (strcmp(s->id, id) == 0) {
            return IS_REPEAT;
        }
    }
    if (seen->n == seen->max) {
        return IS_FULL;
    }
    struct seen_id *entry = &seen->ring[(seen->first + seen->n++) % seen->max];

    (void)snprintf(entry->id, sizeof(entry->id), "%s", id);
    entry->at = now.tv_sec;
    entry->older = *bucket;
    *bucket = entry;
    return IS_NEW;
}

struct receiver {
    struct rider_key key;
    struct seen_ids seen; /* used by the one thread of the server */
};

/* The raw bytes of one request: nothing is parsed before they are verified. */
struct body {
    size_t len;
    int too_large;
    char bytes[MAX_BODY];
};

/* Whether the request asks for the agreement to a subscription. */
static int is_handshake(const struct body *body)
{
    static const char ask[] = HANDSHAKE "\"challenge\":";

    return body->len > strlen(ask) && memcmp(body->bytes, ask, strlen(ask)) == 0;
}

static unsigned int judge(struct receiver *r, struct MHD_Connection *connection,
                          const struct body *body)
{
    const struct rider_signed_message message = {
        .id = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "webhook-id"),
        .timestamp = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                 "webhook-timestamp"),
        .signature = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                 "webhook-signature"),
        .body = body->bytes,
        .body_len = body->len,
    };

    if (body->too_large) {
        return 413;
    }
    /* Compares in constant time; refuses what is more than 300 s old or ahead. */
    if (rider_signature_verify(&r->key, 1, &message, (int64_t)time(NULL),
                               RIDER_SIGNATURE_TOLERANCE) != RIDER_SIGNATURE_OK ||
        strlen(message.id) > MAX_ID) {
        return 401;
    }
    const char *trial =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "webhook-test");

    if (is_handshake(body) || (trial != NULL && strcmp(trial, "true") == 0)) {
        return 200; /* a trial: like a handshake it has no effect */
    }
    switch (take(&r->seen, message.id)) {
    case IS_NEW: /* the effect; if it can fail, forget the id again and answer 500 */
        (void)printf("new %s\n", message.id);
        return 204;
    case IS_REPEAT: /* a success, too: otherwise the sender would go on trying */
        (void)printf("repeat %s\n", message.id);
        return 204;
    default:
        return 503;
    }
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
                              struct body *body)
{
    size_t skip = body->len;

    if (status == 200 && is_handshake(body)) {
        skip = strlen(HANDSHAKE) - 1; /* agrees by the same text without the type */
        body->bytes[skip] = '{';
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->len - skip, body->bytes + skip, MHD_RESPMEM_MUST_COPY);

    if (status == 503) {
        (void)MHD_add_response_header(response, "retry-after", "60");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);

    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection,
                              const char *url, const char *method, const char *version,
                              const char *data, size_t *size, void **state)
{
    struct body *body = *state;

    (void)url;
    (void)method;
    (void)version;
    if (body == NULL) {
        *state = calloc(1, sizeof(*body));
        return *state == NULL ? MHD_NO : MHD_YES;
    }
    if (*size == 0) {
        return answer(connection, judge(arg, connection, body), body);
    }
    if (*size > MAX_BODY - body->len) {
        body->too_large = 1;
    } else {
        memcpy(body->bytes + body->len, data, *size);
        body->len += *size;
    }
    *size = 0;
    return MHD_YES;
}

static void end(void *arg, struct MHD_Connection *connection, void **state,
                enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    free(*state);
}

int main(int argc, char **argv)
{
    static struct receiver receiver;
    struct sockaddr_in address = {.sin_family = AF_INET};
    enum rider_signature_status status =
        rider_key_parse(getenv("WEBHOOK_SECRET"), 1, &receiver.key);

    if (argc < 2 || status != RIDER_SIGNATURE_OK) {
        (void)fprintf(stderr,
                      "usage: WEBHOOK_SECRET=whsec_... receive PORT [MAX_IDS]: %s\n",
                      rider_signature_text(status));
        return 64;
    }
    receiver.seen.max = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
    receiver.seen.ring = calloc(receiver.seen.max, sizeof(*receiver.seen.ring));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((in_port_t)strtoul(argv[1], NULL, 10));
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, &receiver,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, end, NULL,
        MHD_OPTION_CONNECTION_TIMEOUT, 15u, MHD_OPTION_END);

    if (receiver.seen.ring == NULL || daemon == NULL) {
        return 74;
    }
    (void)printf("listening on %u\n",
                 MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    for (;;) {
        (void)pause();
    }
}
