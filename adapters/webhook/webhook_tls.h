/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_tls.h - the operator's files that a subscription names.
 *
 * In the folder of the option tls_folder, NAME.ca.pem holds authorities, NAME.cert.pem
 * and NAME.key.pem a client certificate. A subscription gives NAME, never a path.
 * Any thread; looks at the disk.
 */
#ifndef WEBHOOK_TLS_H
#define WEBHOOK_TLS_H

#include "postrider/publisher.h"

#include <stdbool.h>

#define WEBHOOK_TLS_NAME_MAX   64
#define WEBHOOK_TLS_FOLDER_MAX 512
#define WEBHOOK_TLS_PATH_MAX   (WEBHOOK_TLS_FOLDER_MAX + WEBHOOK_TLS_NAME_MAX + 16)

/** Paths of files; "" for the destination's own. */
struct webhook_tls {
    char ca[WEBHOOK_TLS_PATH_MAX];
    char cert[WEBHOOK_TLS_PATH_MAX], key[WEBHOOK_TLS_PATH_MAX];
};

/** Finds the files of `target`, which may name none, in `folder`, which may be NULL.
 *  NULL if all of them can be read; otherwise a static reason, and the name of the
 *  member of rider_target in *ret_member. */
const char *webhook_tls_find(const char *folder, const struct rider_target *target,
                             struct webhook_tls *ret, const char **ret_member);

#endif
