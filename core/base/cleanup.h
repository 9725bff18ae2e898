/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h - scope-owned objects by the compiler's cleanup attribute.
 *
 *     RIDER_CLEANUP(buf_done) struct buf b = {0};          value: buf_done(&b)
 *     RIDER_CLEANUP_PTR(lane_destroy) struct lane *l = NULL; needs RIDER_DEFINE_PTR_CLEANUP
 *     *ret = RIDER_STEAL(l);                               hands the object out
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define RIDER_CLEANUP(fn)     __attribute__((cleanup(fn)))
#define RIDER_CLEANUP_PTR(fn) __attribute__((cleanup(fn##_ptr)))

/** Defines fn_ptr(), which RIDER_CLEANUP_PTR(fn) calls at the end of the scope. */
#define RIDER_DEFINE_PTR_CLEANUP(type, fn)                             \
    /* NOLINTNEXTLINE(bugprone-macro-parentheses): `type` is a type */ \
    static inline void fn##_ptr(type **p)                              \
    {                                                                  \
        fn(*p);                                                        \
    }                                                                  \
    struct rider_swallow_semicolon

#define RIDER_STEAL(p)                  \
    __extension__({                     \
        __auto_type rider_stolen = (p); \
        (p) = NULL;                     \
        rider_stolen;                   \
    })

static inline void rider_free_char(char **p)
{
    free(*p);
}

static inline void rider_close_fd(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

#define RIDER_CLEANUP_FREE __attribute__((cleanup(rider_free_char)))
#define RIDER_CLEANUP_FD   __attribute__((cleanup(rider_close_fd)))

#endif
