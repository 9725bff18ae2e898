/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h - clocks and numbers that the programs of this folder share.
 *
 * Each program does one thing as fast as the library it uses allows, and prints
 * one JSON object. Not here: anything the relay is built from.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/** Nanoseconds of the monotonic clock. */
static inline int64_t bench_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/** A whole positive number of the command line; ends the program otherwise. */
static inline long bench_number(const char *text)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);

    if (end == text || *end != '\0' || value < 1) {
        (void)fprintf(stderr, "\"%s\" is no positive number\n", text);
        exit(2); /* NOLINT(concurrency-mt-unsafe): no other thread runs yet */
    }
    return value;
}

/** The result of a run that began at `begin_ns`. */
static inline void bench_print(long events, int64_t begin_ns)
{
    double took = (double)(bench_ns() - begin_ns) / 1e9;

    (void)printf("{\"events\": %ld, \"per_second\": %.0f}\n", events,
                 (double)events / took);
}

#endif
