/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest.h - finds the name a person probably meant.
 */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *word; /* what was written; borrowed */
    const char *best; /* the best candidate so far, or NULL */
    size_t distance;  /* its edit distance */
};

/** Only candidates within a third of the word's length are near (two letters in
 *  a word of five, one in a word of three): a wild guess is worse than none. */
struct nearest nearest_to(const char *word);

/** Considers `candidate`, which is borrowed as long as `n`. */
void nearest_offer(struct nearest *n, const char *candidate);

#endif
