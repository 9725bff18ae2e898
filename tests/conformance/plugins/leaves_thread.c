/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaves_thread.c - its thread outlives stop().
 */
#include "minimal.h"

#include <pthread.h>
#include <time.h>

/* Ends with the process: the contract is broken on purpose. */
static void *run(void *arg)
{
    const struct timespec pause = {.tv_sec = 60};

    (void)arg;
    (void)nanosleep(&pause, NULL);
    return NULL;
}

static int start(struct publisher *self, char *err, size_t err_size)
{
    pthread_t thread;

    (void)self;
    (void)err;
    (void)err_size;
    if (pthread_create(&thread, NULL, run, NULL) == 0) {
        (void)pthread_detach(thread);
    }
    return 0;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("leaves_thread");
    vtable.start = start;
    return &vtable;
}
