/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_fill.h - fills an adapter's config struct from "key=value" texts and
 * the defaults of its option table, for tests; the relay does it from YAML.
 */
#ifndef TESTS_OPTION_FILL_H
#define TESTS_OPTION_FILL_H

#include "base/error.h"
#include "postrider/publisher.h"

#include <stddef.h>

/** Allocates and fills the config struct of `vt`. Strings are borrowed from
 *  `pairs`, which must outlive it. A key no row names goes to the row of type
 *  RIDER_PROPERTIES, if there is one. RIDER_E_CONFIG names the option. */
int option_fill(const struct publisher_vtable *vt, char *const *pairs, size_t n_pairs,
                void **ret, struct rider_error *err) RIDER_MUST_CHECK;
/** Frees what option_fill() made. Accepts NULL. */
void option_fill_free(const struct publisher_vtable *vt, void *config);

#endif
