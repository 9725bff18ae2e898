/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_file.c - opens an adapter's file and applies the rules of trust.
 *
 * The directory is opened first and checked with fstat, the file is opened
 * relative to it without following a link and checked the same way.
 * Invariant: a descriptor that leaves this file satisfied every rule.
 *
 * Not here: what is inside the file (plugin_registry, plugin_abi).
 */
#include "plugin/plugin_file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "postrider-"
#define SUFFIX ".so"

int plugin_file_check_type(const char *type, struct rider_error *err)
{
    size_t len = strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    if (len == 0 || len > PLUGIN_TYPE_MAX || type[len] != '\0') {
        return rider_fail(
            err, RIDER_E_CONFIG,
            "adapter type \"%.80s\" is not 1 to %d characters of a-z, 0-9, "
            "\"_\" and \"-\"",
            type, PLUGIN_TYPE_MAX);
    }
    return 0;
}

int plugin_file_type_of(const char *file_name, char *type, struct rider_error *err)
{
    size_t len = strlen(file_name);
    size_t around = strlen(PREFIX) + strlen(SUFFIX);

    if (len < around || strncmp(file_name, PREFIX, strlen(PREFIX)) != 0 ||
        strcmp(file_name + len - strlen(SUFFIX), SUFFIX) != 0) {
        return rider_fail(err, RIDER_E_NOT_FOUND, "\"%.80s\" is not named %s<type>%s",
                          file_name, PREFIX, SUFFIX);
    }
    char middle[PLUGIN_TYPE_MAX + 2] = ""; /* one more than allowed, to see it */
    size_t middle_len = len - around;
    if (middle_len > sizeof(middle) - 1) {
        middle_len = sizeof(middle) - 1;
    }
    memcpy(middle, file_name + strlen(PREFIX), middle_len);
    int r = plugin_file_check_type(middle, err);
    if (r < 0) {
        return r;
    }
    memcpy(type, middle, middle_len + 1);
    return 0;
}

/* The rules that a directory and a file share. `what` names it in messages. */
static int check_trust(const struct stat *st, const char *what, const char *path,
                       struct rider_error *err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return rider_fail(err, RIDER_E_PERMISSION,
                          "%s \"%s\" belongs to user %lu; it must belong to root or to "
                          "user %lu, who runs postrider",
                          what, path, (unsigned long)st->st_uid,
                          (unsigned long)geteuid());
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return rider_fail(
            err, RIDER_E_PERMISSION,
            "%s \"%s\" is writable by %s (mode %04o); run: chmod go-w \"%s\"", what,
            path, (st->st_mode & S_IWOTH) != 0 ? "everyone" : "its group",
            (unsigned int)st->st_mode & 07777u, path);
    }
    return 0;
}

/* Applies the rules to an open directory or file. */
static int check_open(int fd, bool want_file, const char *path, struct rider_error *err)
{
    const char *what = want_file ? "adapter" : "adapter directory";
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not inspect %s \"%s\"",
                                what, path);
    }
    if (want_file && !S_ISREG(st.st_mode)) {
        return rider_fail(err, RIDER_E_PERMISSION, "%s \"%s\" is not a regular file",
                          what, path);
    }
    return check_trust(&st, what, path, err);
}

static int open_directory(const char *dir, struct rider_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return rider_fail_errno(err, errno == ENOENT ? RIDER_E_NOT_FOUND : RIDER_E_IO,
                                errno, "could not open adapter directory \"%s\"", dir);
    }
    int r = check_open(fd, false, dir, err);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return fd;
}

static int fail_open(const char *path, const char *type, int errnum,
                     struct rider_error *err)
{
    if (errnum == ENOENT) {
        return rider_fail(err, RIDER_E_NOT_FOUND,
                          "there is no adapter \"%s\": \"%s\" does not exist", type,
                          path);
    }
    if (errnum == ELOOP) {
        return rider_fail(
            err, RIDER_E_PERMISSION,
            "adapter \"%s\" is a symbolic link; put the file itself there", path);
    }
    return rider_fail_errno(err, RIDER_E_IO, errnum, "could not open adapter \"%s\"",
                            path);
}

int plugin_file_open(const char *dir, const char *type, struct rider_error *err)
{
    char name[sizeof(PREFIX) + PLUGIN_TYPE_MAX + sizeof(SUFFIX)];
    char path[384]; /* for messages; a longer one is cut there */

    int r = plugin_file_check_type(type, err);
    if (r < 0) {
        return r;
    }
    RIDER_CLEANUP_FD int dir_fd = open_directory(dir, err);
    if (dir_fd < 0) {
        return dir_fd;
    }
    (void)snprintf(name, sizeof(name), "%s%.*s%s", PREFIX, PLUGIN_TYPE_MAX, type,
                   SUFFIX);
    (void)snprintf(path, sizeof(path), "%.300s/%.*s", dir, (int)sizeof(name), name);

    /* O_NONBLOCK: opening a named pipe must not wait for its writer. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return fail_open(path, type, errno, err);
    }
    r = check_open(fd, true, path, err);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return fd;
}
