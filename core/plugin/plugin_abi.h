/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_abi.h - whether an adapter's table keeps the contract of
 * include/postrider/publisher.h. Pure: calls nothing in the adapter.
 */
#ifndef PLUGIN_ABI_H
#define PLUGIN_ABI_H

#include "base/error.h"
#include "postrider/publisher.h"

/** Checks the table an adapter's entry point returned for the file of `type` and
 *  copies it into *ret, where what the adapter does not know is NULL or zero.
 *  Order: magic, sizes, version, name, callbacks, options, so that the first
 *  message names the cause. RIDER_E_PROTOCOL with a text, and *ret untouched,
 *  if it is refused. Strings and options stay the adapter's. Any thread. */
int plugin_abi_check(const struct publisher_vtable *theirs, const char *type,
                     struct publisher_vtable *ret,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
