/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_options.h - whether an adapter's option table can be used safely: a
 * wrong offset there would make the relay write outside the config struct.
 */
#ifndef PLUGIN_OPTIONS_H
#define PLUGIN_OPTIONS_H

#include "base/error.h"
#include "postrider/publisher.h"

/** Checks option_size and each row of vt->options against config_size: known
 *  type and flags, field inside the struct and aligned, choices and help given, no
 *  name twice, an end within 256 rows. RIDER_E_PROTOCOL and a text that names
 *  the option. Pure, any thread. */
int plugin_options_check(const struct publisher_vtable *vt,
                         struct rider_error *err) RIDER_MUST_CHECK;

#endif
