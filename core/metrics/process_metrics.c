/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process_metrics.c - the process_* families of a scrape.
 *
 * Everything comes from getrusage(2), getrlimit(2) and /proc/self (proc(5)) at
 * the time of the scrape; nothing is kept. Names and units are those of the
 * Prometheus client libraries, so that ready-made dashboards work.
 *
 * Not here: metrics of the relay itself.
 */
#include "metrics/process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Reads a small file of /proc whole; false if that failed. */
static bool read_small(const char *path, char *out, size_t size)
{
    RIDER_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t len = read(fd, out, size - 1);
    if (len <= 0) {
        return false;
    }
    out[len] = '\0';
    return true;
}

static void write_cpu(struct exposition *e)
{
    struct rusage use;

    if (getrusage(RUSAGE_SELF, &use) != 0) {
        return;
    }
    double seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    exposition_family(e, "process_cpu_seconds_total", METRIC_COUNTER,
                      "User and system CPU time spent.");
    exposition_sample(e, NULL, 0, seconds);
}

/* Field `number` of /proc/self/stat, counted from 1 as in proc(5). The second
 * field is a name in parentheses that may contain spaces. */
static bool stat_field(const char *stat, int number, double *ret)
{
    const char *p = strrchr(stat, ')');

    for (int field = 2; p != NULL && field < number; field++) {
        p = strchr(p + 1, ' ');
    }
    if (p == NULL) {
        return false;
    }
    *ret = (double)strtoull(p + 1, NULL, 10);
    return true;
}

static void write_memory(struct exposition *e, const char *stat)
{
    double pages;
    double bytes;

    if (stat_field(stat, 24, &pages)) {
        exposition_family(e, "process_resident_memory_bytes", METRIC_GAUGE,
                          "Memory that is in RAM.");
        exposition_sample(e, NULL, 0, pages * (double)sysconf(_SC_PAGESIZE));
    }
    if (stat_field(stat, 23, &bytes)) {
        exposition_family(e, "process_virtual_memory_bytes", METRIC_GAUGE,
                          "Address space in use.");
        exposition_sample(e, NULL, 0, bytes);
    }
}

/* stat counts from boot, /proc/stat tells when that was. */
static void write_start_time(struct exposition *e, const char *stat)
{
    static const char key[] = "\nbtime ";
    double ticks;
    char *text = malloc(65536);
    const char *found;

    if (text != NULL && read_small("/proc/stat", text, 65536) &&
        stat_field(stat, 22, &ticks) && (found = strstr(text, key)) != NULL) {
        double boot = (double)strtoull(found + sizeof(key) - 1, NULL, 10);

        exposition_family(e, "process_start_time_seconds", METRIC_GAUGE,
                          "When the process started, in Unix time.");
        exposition_sample(e, NULL, 0, boot + ticks / (double)sysconf(_SC_CLK_TCK));
    }
    free(text);
}

static void write_fds(struct exposition *e)
{
    struct rlimit limit;
    DIR *dir = opendir("/proc/self/fd");

    if (dir != NULL) {
        uint64_t n = 0;

        /* The stream is this function's own, so readdir() is safe here. */
        while (readdir(dir) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
            n++;
        }
        (void)closedir(dir);
        exposition_family(e, "process_open_fds", METRIC_GAUGE,
                          "Open file descriptors.");
        /* Without ".", ".." and the stream itself. */
        exposition_count(e, NULL, 0, n < 3 ? 0 : n - 3);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        exposition_family(e, "process_max_fds", METRIC_GAUGE,
                          "How many file descriptors may be open.");
        exposition_count(e, NULL, 0, (uint64_t)limit.rlim_cur);
    }
}

void process_metrics_write(struct exposition *e)
{
    char stat[1024];

    write_cpu(e);
    if (read_small("/proc/self/stat", stat, sizeof(stat))) {
        write_memory(e, stat);
        write_start_time(e, stat);
    }
    write_fds(e);
}
