/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c11_threads.c - the C11 threads that librdkafka uses, made of POSIX ones.
 *
 * ThreadSanitizer watches pthread functions but not <threads.h>: in a thread made
 * by thrd_create() it crashes at the first allocation, and a lock by mtx_lock()
 * orders nothing for it. Loaded before libc, in sanitizer builds only, this
 * library routes both through what the sanitizer sees. It relies on glibc, where
 * the C11 types have the layout of the POSIX ones.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#define VISIBLE __attribute__((visibility("default")))

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "glibc");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "glibc");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "glibc");

struct start {
    thrd_start_t run;
    void *arg;
};

static pthread_mutex_t *mutex_of(mtx_t *m)
{
    return (pthread_mutex_t *)(void *)m;
}

static pthread_cond_t *cond_of(cnd_t *c)
{
    return (pthread_cond_t *)(void *)c;
}

static int status(int rc)
{
    return rc == 0 ? thrd_success : thrd_error;
}

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    return (void *)(intptr_t)start.run(start.arg);
}

VISIBLE int thrd_create(thrd_t *thread, thrd_start_t func, void *arg)
{
    struct start *start = malloc(sizeof(*start));

    if (start == NULL) {
        return thrd_nomem;
    }
    *start = (struct start){func, arg};
    int rc = pthread_create(thread, NULL, run, start);
    if (rc != 0) {
        free(start);
    }
    return status(rc);
}

VISIBLE int thrd_join(thrd_t thread, int *res)
{
    void *value = NULL;
    int rc = pthread_join(thread, &value);

    if (rc == 0 && res != NULL) {
        *res = (int)(intptr_t)value;
    }
    return status(rc);
}

VISIBLE int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t attr;

    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, (type & mtx_recursive) != 0
                                               ? PTHREAD_MUTEX_RECURSIVE
                                               : PTHREAD_MUTEX_NORMAL);
    int rc = pthread_mutex_init(mutex_of(m), &attr);
    (void)pthread_mutexattr_destroy(&attr);
    return status(rc);
}

VISIBLE void mtx_destroy(mtx_t *m)
{
    (void)pthread_mutex_destroy(mutex_of(m));
}

VISIBLE int mtx_lock(mtx_t *m)
{
    return status(pthread_mutex_lock(mutex_of(m)));
}

VISIBLE int mtx_unlock(mtx_t *m)
{
    return status(pthread_mutex_unlock(mutex_of(m)));
}

VISIBLE int cnd_init(cnd_t *c)
{
    return status(pthread_cond_init(cond_of(c), NULL));
}

VISIBLE void cnd_destroy(cnd_t *c)
{
    (void)pthread_cond_destroy(cond_of(c));
}

VISIBLE int cnd_signal(cnd_t *c)
{
    return status(pthread_cond_signal(cond_of(c)));
}

VISIBLE int cnd_broadcast(cnd_t *c)
{
    return status(pthread_cond_broadcast(cond_of(c)));
}

VISIBLE int cnd_wait(cnd_t *c, mtx_t *m)
{
    return status(pthread_cond_wait(cond_of(c), mutex_of(m)));
}

VISIBLE int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m,
                          const struct timespec *restrict at)
{
    int rc = pthread_cond_timedwait(cond_of(c), mutex_of(m), at);

    return rc == ETIMEDOUT ? thrd_timedout : status(rc);
}
