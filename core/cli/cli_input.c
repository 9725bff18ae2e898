/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_input.c - reads a file or standard input whole.
 */
#include "cli/cli_input.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int read_fd(int fd, const char *name, struct buf *out, struct rider_error *err)
{
    char piece[16384];
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) != 0) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return rider_fail_errno(err, RIDER_E_IO, errno, "could not read %s", name);
        }
        buf_append(out, piece, (size_t)n);
        if (out->failed) {
            return rider_fail(err, RIDER_E_CONFIG, "%s is larger than %zu bytes", name,
                              out->max);
        }
    }
    return 0;
}

int cli_input_read(const char *path, struct buf *out, struct rider_error *err)
{
    if (strcmp(path, "-") == 0) {
        return read_fd(STDIN_FILENO, "standard input", out, err);
    }
    RIDER_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not open \"%s\"", path);
    }
    return read_fd(fd, path, out, err);
}
