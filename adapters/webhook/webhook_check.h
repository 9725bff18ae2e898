/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_check.h - what is wrong with a destination's options, or with a target.
 *
 * Any thread.
 */
#ifndef WEBHOOK_CHECK_H
#define WEBHOOK_CHECK_H

#include "postrider/publisher.h"

#include "webhook/webhook_options.h"
#include "webhook/webhook_target.h"

#include <stdbool.h>
#include <stddef.h>

/** Whether `host` says that every event has a target; an older host does not. */
bool webhook_has_subscriptions(const struct rider_host *host);

/** Checks what the option table cannot say and fills `policy`. Without
 *  subscriptions there has to be a URL and a secret, with them neither. Returns 0, or
 *  an errno value and one line in `err`. No I/O. */
int webhook_check_options(const struct webhook_config *config, bool subscriptions,
                          struct webhook_policy *policy, char *err, size_t err_size);

/** Tries to open the files that the options name. Blocks on the disk. Returns 0, or
 *  an errno value and one line in `err`. */
int webhook_check_files(const struct webhook_config *config, char *err,
                        size_t err_size);

/** Judges a target by the rules that hold when it is used: the form of its URL, what
 *  its name resolves to now, headers, secrets (none given: not looked at) and files.
 *  A name is refused only if every address it has is; one without an address is
 *  not. Returns 0, or -1 with *ret filled: cause TLS at "url" means that it is not
 *  https. Blocks on the resolver and the disk. */
int webhook_check_target(const struct webhook_config *config,
                         const struct webhook_policy *policy,
                         const struct rider_target *target,
                         struct rider_target_fault *ret);

#endif
