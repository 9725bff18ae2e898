/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest.c - edit distance with insertions, deletions, substitutions and
 * swaps of neighbours (optimal string alignment).
 */
#include "config/nearest.h"

#include <string.h>

#define WORD_MAX 64

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Words of up to WORD_MAX letters; longer ones count as far apart. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > WORD_MAX || m > WORD_MAX) {
        return WORD_MAX;
    }
    for (size_t j = 0; j <= m; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3];
        const size_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = smaller(above[j], row[j - 1]) + 1;
            best = smaller(best, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = smaller(best, above2[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

struct nearest nearest_to(const char *word)
{
    size_t third = strlen(word) / 3;
    size_t limit = strlen(word) < 3 ? 0 : third;

    if (strlen(word) > 4 && limit < 2) {
        limit = 2;
    }
    return (struct nearest){.word = word, .distance = limit + 1};
}

void nearest_offer(struct nearest *n, const char *candidate)
{
    size_t distance = edit_distance(n->word, candidate);

    if (distance < n->distance) {
        n->distance = distance;
        n->best = candidate;
    }
}
