/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work_slots.c - how many requests of the API are at work at once.
 *
 * Invariant: a request counts once, as running or as a trial. One that comes back from
 * a trial is let in at once, so at most MAX_RUNNING + MAX_TRIALS have a connection.
 */
#include "api/work_slots.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_RUNNING  24 /* each with a database connection */
#define MAX_WAIT_S   5  /* for one of them to end */
#define MAX_TRIALS   8
#define MAX_OF_ONE   4 /* trials of a principal */
#define TRIAL_WAIT_S 2

struct work_slots {
    pthread_mutex_t lock; /* guards all of it */
    pthread_cond_t ended; /* running or trials became less */
    size_t running;
    const char *trials[MAX_TRIALS]; /* whose; NULL: free */
};

int work_slots_create(struct work_slots **ret, struct rider_error *err)
{
    struct work_slots *slots = calloc(1, sizeof(*slots));

    if (slots == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&slots->lock, NULL);
    (void)pthread_cond_init(&slots->ended, NULL);
    *ret = slots;
    return 0;
}

void work_slots_destroy(struct work_slots *slots)
{
    if (slots != NULL) {
        (void)pthread_cond_destroy(&slots->ended);
        (void)pthread_mutex_destroy(&slots->lock);
        free(slots);
    }
}

static struct timespec in_seconds(int seconds)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    return until;
}

bool work_slots_begin(struct work_slots *slots)
{
    struct timespec until = in_seconds(MAX_WAIT_S);
    int rc = 0;

    (void)pthread_mutex_lock(&slots->lock);
    while (slots->running >= MAX_RUNNING && rc == 0) {
        rc = pthread_cond_timedwait(&slots->ended, &slots->lock, &until);
    }
    bool begun = slots->running < MAX_RUNNING;
    slots->running += begun ? 1 : 0;
    (void)pthread_mutex_unlock(&slots->lock);
    return begun;
}

void work_slots_end(struct work_slots *slots)
{
    (void)pthread_mutex_lock(&slots->lock);
    slots->running--;
    (void)pthread_cond_broadcast(&slots->ended);
    (void)pthread_mutex_unlock(&slots->lock);
}

/* The place of a trial of `who`, or NULL. */
static const char **find_place(struct work_slots *slots, const char *who)
{
    const char **place = NULL;
    size_t own = 0;

    for (size_t i = 0; i < MAX_TRIALS; i++) {
        if (slots->trials[i] == NULL) {
            place = &slots->trials[i];
        } else if (strcmp(slots->trials[i], who) == 0) {
            own++;
        }
    }
    return own < MAX_OF_ONE ? place : NULL;
}

bool work_slots_trial_begin(struct work_slots *slots, const char *who)
{
    struct timespec until = in_seconds(TRIAL_WAIT_S);
    int rc = 0;

    (void)pthread_mutex_lock(&slots->lock);
    /* Who waits for a place keeps nobody from working. */
    slots->running--;
    (void)pthread_cond_broadcast(&slots->ended);
    const char **place = find_place(slots, who);
    while (place == NULL && rc == 0) {
        rc = pthread_cond_timedwait(&slots->ended, &slots->lock, &until);
        place = find_place(slots, who);
    }
    /* Whoever is refused may have to ask the database once more, as all who have waited
     * do at the same moment. What runs ends by itself. */
    while (place == NULL && slots->running >= MAX_RUNNING) {
        (void)pthread_cond_wait(&slots->ended, &slots->lock);
    }
    if (place != NULL) {
        *place = who;
    } else {
        slots->running++;
    }
    (void)pthread_mutex_unlock(&slots->lock);
    return place != NULL;
}

void work_slots_trial_end(struct work_slots *slots, const char *who)
{
    bool found = false;

    (void)pthread_mutex_lock(&slots->lock);
    for (size_t i = 0; i < MAX_TRIALS && !found; i++) {
        /* The text of this call: that of another one of `who` may live shorter. */
        found = slots->trials[i] == who;
        slots->trials[i] = found ? NULL : slots->trials[i];
    }
    slots->running++;
    (void)pthread_cond_broadcast(&slots->ended);
    (void)pthread_mutex_unlock(&slots->lock);
}
