/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - verifies one webhook: the values of the three headers as arguments, the
 * body on standard input, the secret in WEBHOOK_SECRET. Exits 0 if it is genuine.
 *
 *     cc verify.c -lpostrider_signature -lcrypto -o verify
 */
#include <postrider/signature.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BODY_MAX (1024u * 1024u)

int main(int argc, char **argv)
{
    static char body[BODY_MAX];
    struct rider_key key;

    if (argc != 4) {
        (void)fprintf(stderr, "usage: verify ID TIMESTAMP SIGNATURE < body\n");
        return 64;
    }
    enum rider_signature_status status =
        rider_key_parse(getenv("WEBHOOK_SECRET"), 1, &key);

    if (status == RIDER_SIGNATURE_OK) {
        const struct rider_signed_message message = {
            .id = argv[1],
            .timestamp = argv[2],
            .signature = argv[3],
            .body = body,
            .body_len = fread(body, 1, sizeof(body), stdin),
        };

        status = rider_signature_verify(&key, 1, &message, (int64_t)time(NULL),
                                        RIDER_SIGNATURE_TOLERANCE);
    }
    rider_key_clear(&key);
    (void)printf("%s\n", rider_signature_text(status));
    return status == RIDER_SIGNATURE_OK ? 0 : 1;
}
