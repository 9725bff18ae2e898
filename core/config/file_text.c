/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_text.c - small text files.
 */
#include "config/file_text.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int read_all(int fd, const char *path, struct buf *out, struct rider_error *err)
{
    char chunk[4096];
    ssize_t n;

    do {
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0) {
            buf_append(out, chunk, (size_t)n);
        }
    } while (!out->failed && (n > 0 || (n < 0 && errno == EINTR)));
    int errnum = errno;
    explicit_bzero(chunk, sizeof(chunk));
    if (out->failed) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "file \"%s\" is larger than %zu KB, or out of memory", path,
                          out->max >> 10);
    }
    if (n < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errnum, "could not read file \"%s\"",
                                path);
    }
    return 0;
}

int file_text_read(const char *path, struct buf *out, bool *ret_exposed,
                   struct rider_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    RIDER_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not open file \"%s\"",
                                path);
    }
    if (!S_ISREG(st.st_mode)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is not a regular file", path);
    }
    if (ret_exposed != NULL) {
        *ret_exposed = (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
    }
    return read_all(fd, path, out, err);
}

int file_text_read_secret(const char *path, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(file_text_wipe) struct buf text = buf_make(FILE_TEXT_SECRET_MAX);

    if (path[0] != '/') {
        return rider_fail(err, RIDER_E_CONFIG,
                          "expected an absolute path, got \"%.80s\"", path);
    }
    int rc = file_text_read(path, &text, NULL, err);
    if (rc != 0) {
        return rc;
    }
    size_t len = text.len;
    len -= len > 0 && text.data[len - 1] == '\n';
    len -= len > 0 && text.data[len - 1] == '\r';
    if (len == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "file \"%s\" is empty", path);
    }
    if (memchr(text.data, '\0', len) != NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "file \"%s\" contains a NUL byte", path);
    }
    buf_append(out, text.data, len);
    return 0;
}

void file_text_wipe(struct buf *b)
{
    if (b->data != NULL) {
        explicit_bzero(b->data, b->cap);
    }
    buf_done(b);
}
