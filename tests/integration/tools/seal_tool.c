/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal_tool.c - lets the integration tests seal and open secrets of subscriptions.
 *
 *     seal_tool seal RING    lines SUBSCRIPTION KEY TEXT        become NUMBER HEX
 *     seal_tool open RING    lines SUBSCRIPTION KEY NUMBER HEX  become TEXT
 *
 * Reads standard input; the exit status is 1 at the first line that fails.
 */
#include "outbox/secret_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINE   4096
#define MAX_SEALED 1024

static int seal(const struct key_ring *ring, const char *context, const char *text)
{
    unsigned char sealed[MAX_SEALED];
    struct rider_error err;
    size_t len = strlen(text);

    if (len + KEY_RING_OVERHEAD > sizeof(sealed) ||
        key_ring_seal(ring, context, text, len, sealed, &err) != 0) {
        return 1;
    }
    (void)printf("%u ", key_ring_current(ring));
    for (size_t i = 0; i < len + KEY_RING_OVERHEAD; i++) {
        (void)printf("%02x", sealed[i]);
    }
    (void)putchar('\n');
    return 0;
}

static int open_sealed(const struct key_ring *ring, const char *context,
                       const char *number, const char *hex)
{
    unsigned char sealed[MAX_SEALED], plain[MAX_SEALED];
    struct rider_error err;
    size_t len = strlen(hex) / 2;
    char digits[3] = "";

    for (size_t i = 0; i < len && i < sizeof(sealed); i++) {
        memcpy(digits, hex + 2 * i, 2);
        sealed[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    const struct key_ring_sealed text = {(uint32_t)strtoul(number, NULL, 10), sealed,
                                         len};
    if (key_ring_open(ring, context, &text, plain, &err) != 0) {
        (void)fprintf(stderr, "%s: %s\n", context, err.text);
        return 1;
    }
    (void)printf("%.*s\n", (int)(len - KEY_RING_OVERHEAD), (const char *)plain);
    return 0;
}

static int take_line(const struct key_ring *ring, bool seals, char *line)
{
    char context[SECRET_CONTEXT_SIZE];
    char *rest = NULL;
    const char *subscription = strtok_r(line, " \n", &rest);
    const char *key = strtok_r(NULL, " \n", &rest);
    const char *third = strtok_r(NULL, " \n", &rest);
    const char *fourth = strtok_r(NULL, " \n", &rest);

    if (third == NULL || seals != (fourth == NULL)) {
        return 1;
    }
    secret_context(subscription, key, context);
    return seals ? seal(ring, context, third)
                 : open_sealed(ring, context, third, fourth);
}

int main(int argc, char **argv)
{
    struct key_ring *ring = NULL;
    struct rider_error err;
    char line[MAX_LINE];
    int rc = 0;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: seal_tool seal|open RING\n");
        return 2;
    }
    if (key_ring_read(argv[2], &ring, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    while (rc == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        rc = take_line(ring, strcmp(argv[1], "seal") == 0, line);
    }
    key_ring_destroy(ring);
    return rc;
}
