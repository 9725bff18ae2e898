/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - a buffered descriptor that can be waited for and cancelled.
 *
 * Thread: one, except output_cancel().
 */
#ifndef STDOUT_OUTPUT_H
#define STDOUT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_BUFFER_SIZE 65536u

struct output {
    const char *path; /* borrowed; NULL: standard output */
    int fd;           /* -1: closed */
    int cancel_fd;    /* eventfd, readable once cancelled */
    size_t chunk_max; /* most bytes in one write */
    bool socket;
    bool mid_line; /* the last byte sent, or found in the file, was not a newline */
    int failed;    /* errno of the first failure since output_recover() */
    uint64_t put;  /* bytes given to output_put() */
    uint64_t sent; /* of these, bytes the kernel took */
    size_t used;
    char buffer[OUTPUT_BUFFER_SIZE];
};

/** Prepares a closed output. Returns 0 or an errno value. */
int output_init(struct output *out, const char *path);
/** Closes and frees what output_init() made. Needs a successful output_init(). */
void output_done(struct output *out);

/** Forgets a failure and what was buffered then, and opens the output if it is
 *  closed. Returns 0, or an errno value, which also becomes the failure. */
int output_recover(struct output *out);

/** Makes room for a line of `len` bytes, if the buffer can have that much: other
 *  processes may append to the same file, and a line in one write stays whole. */
void output_begin_line(struct output *out, size_t len);

/** Appends to the buffer, writing it out when it is full; with `one_line`, each
 *  CR and LF becomes a space. After a failure only counts. May wait. */
void output_put(struct output *out, const char *data, size_t len, bool one_line);

/** Writes the buffer out; waits until the peer takes it, a failure or a cancel
 *  (ECANCELED). Returns 0 or the errno value of the first failure. */
int output_push(struct output *out);

/** Brings written bytes to the disk (fdatasync); no-op for pipes and the like. */
int output_sync(struct output *out);

/** Makes a waiting call, and each later one that would wait, fail. Any thread. */
void output_cancel(struct output *out);

#endif
