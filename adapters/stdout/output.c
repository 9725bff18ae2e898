/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.c - writes to standard output, a file or a pipe without being stuck.
 *
 * O_NONBLOCK belongs to the open file, which standard output shares with the
 * shell that started the relay. So a pipe or terminal is opened once more
 * through /proc to get an open file of our own; where that is not allowed it is
 * written in pieces that a pipe with room always takes. Sockets have a flag for
 * it. Before each write, poll() waits for room or for the cancel.
 *
 * Invariant: `sent` counts exactly the bytes the kernel took, in order.
 * Not here: events and lines (stdout.c).
 */
#include "stdout/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int output_init(struct output *out, const char *path)
{
    out->path = path;
    out->fd = -1;
    out->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return out->cancel_fd < 0 ? errno : 0;
}

static void close_output(struct output *out)
{
    if (out->fd >= 0) {
        (void)close(out->fd);
        out->fd = -1;
    }
}

void output_done(struct output *out)
{
    close_output(out);
    (void)close(out->cancel_fd);
}

static int open_stdout(struct output *out)
{
    struct stat st;

    if (fstat(STDOUT_FILENO, &st) < 0) {
        return errno;
    }
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        out->fd = open("/proc/self/fd/1",
                       O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_APPEND);
        if (out->fd >= 0) {
            return 0;
        }
        out->chunk_max = PIPE_BUF; /* what poll() promises room for */
    }
    out->socket = S_ISSOCK(st.st_mode);
    out->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return out->fd < 0 ? errno : 0;
}

/* A process that was killed in the middle of a write leaves half a line. */
static bool ends_mid_line(const char *path)
{
    struct stat st;
    char last = '\n';
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        return false; /* written only: nothing to look at */
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        (void)!pread(fd, &last, 1, st.st_size - 1);
    }
    (void)close(fd);
    return last != '\n';
}

static int open_output(struct output *out)
{
    out->chunk_max = OUTPUT_BUFFER_SIZE;
    out->socket = false;
    if (out->path == NULL) {
        return open_stdout(out);
    }
    out->fd =
        open(out->path,
             O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
    if (out->fd < 0) {
        return errno;
    }
    out->mid_line = out->mid_line || ends_mid_line(out->path);
    return 0;
}

int output_recover(struct output *out)
{
    out->used = 0;
    out->sent = out->put;
    out->failed = out->fd >= 0 ? 0 : open_output(out);
    return out->failed;
}

/* Waits until `fd` takes bytes. Returns 0 or an errno value. */
static int wait_writable(const struct output *out)
{
    struct pollfd fds[] = {{.fd = out->fd, .events = POLLOUT},
                           {.fd = out->cancel_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    /* Room wins over a cancel: what can be delivered at once is. */
    return fds[0].revents != 0 ? 0 : ECANCELED;
}

static ssize_t write_some(const struct output *out, const char *data, size_t len)
{
    size_t chunk = len < out->chunk_max ? len : out->chunk_max;

    return out->socket ? send(out->fd, data, chunk, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : write(out->fd, data, chunk);
}

int output_push(struct output *out)
{
    size_t done = 0;

    while (out->failed == 0 && done < out->used) {
        out->failed = wait_writable(out);
        if (out->failed != 0) {
            break;
        }
        ssize_t n = write_some(out, out->buffer + done, out->used - done);
        if (n >= 0) {
            done += (size_t)n;
            out->sent += (size_t)n;
            out->mid_line = done > 0 && out->buffer[done - 1] != '\n';
        } else if (errno != EINTR && errno != EAGAIN) {
            out->failed = errno;
        }
    }
    out->used = 0;
    if (out->failed != 0 && out->failed != ENOSPC && out->failed != ECANCELED) {
        close_output(out); /* a new reader or a remounted disk needs a new open */
    }
    return out->failed;
}

void output_begin_line(struct output *out, size_t len)
{
    if (out->used > 0 && len > sizeof(out->buffer) - out->used) {
        (void)output_push(out);
    }
}

void output_put(struct output *out, const char *data, size_t len, bool one_line)
{
    out->put += len;
    while (len > 0 && out->failed == 0) {
        size_t room = sizeof(out->buffer) - out->used;
        size_t n = len < room ? len : room;
        char *at = out->buffer + out->used;

        memcpy(at, data, n);
        for (size_t i = 0; one_line && i < n; i++) {
            if (at[i] == '\n' || at[i] == '\r') {
                at[i] = ' ';
            }
        }
        out->used += n;
        data += n;
        len -= n;
        if (out->used == sizeof(out->buffer)) {
            (void)output_push(out);
        }
    }
}

int output_sync(struct output *out)
{
    if (out->failed == 0 && fdatasync(out->fd) < 0 && errno != EINVAL &&
        errno != EROFS) {
        out->failed = errno;
        close_output(out); /* after a failed fsync the descriptor proves nothing */
    }
    return out->failed;
}

void output_cancel(struct output *out)
{
    const uint64_t one = 1;

    /* Fails only if it is cancelled already. */
    ssize_t ignored = write(out->cancel_fd, &one, sizeof(one));
    (void)ignored;
}
