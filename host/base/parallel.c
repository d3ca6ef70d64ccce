/* Threads. See parallel.h. */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

enum { MOST = PARALLEL_THREADS };

typedef struct {
    size_t n;
    status (*work)(void *context, size_t i, int thread);
    void *context;
    atomic_size_t next;
    atomic_bool stopped;
    pthread_mutex_t lock; /* guards the fields below */
    size_t failed_at;
    status failed;
    char line[1024], hint[1024];
} job;

typedef struct {
    job *j;
    int thread;
} worker;

int parallel_threads(void)
{
    cpu_set_t mine;
    int n = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
    return n < 1 ? 1 : n > MOST ? MOST : n;
}

static void keep_failure(job *j, size_t i, status st)
{
    pthread_mutex_lock(&j->lock);
    if (j->failed == OK || i < j->failed_at) {
        j->failed = st;
        j->failed_at = i;
        snprintf(j->line, sizeof j->line, "%s", fail_line());
        snprintf(j->hint, sizeof j->hint, "%s", fail_hint_line());
    }
    pthread_mutex_unlock(&j->lock);
    j->stopped = true;
}

static void *run_worker(void *argument)
{
    const worker *me = argument;
    job *j = me->j;
    /* indices are taken in order: if i fails, all below i have been started */
    while (!j->stopped) {
        size_t i = j->next++;
        if (i >= j->n) break;
        status st = j->work(j->context, i, me->thread);
        if (st != OK) keep_failure(j, i, st);
    }
    return NULL;
}

status parallel_for(size_t n, status (*work)(void *context, size_t i, int thread), void *context)
{
    job j = {.n = n, .work = work, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[MOST];
    worker workers[MOST];
    int wanted = parallel_threads(), started = 1; /* started counts this thread */
    if ((size_t)wanted > n) wanted = n ? (int)n : 1;
    for (int t = 0; t < wanted; t++) workers[t] = (worker){&j, t};
    while (started < wanted &&
           pthread_create(&threads[started], NULL, run_worker, &workers[started]) == 0)
        started++; /* if a thread cannot be created, the others do its work */
    run_worker(&workers[0]);
    for (int t = 1; t < started; t++) pthread_join(threads[t], NULL);
    if (j.failed == OK) return OK;
    fail(j.failed, "%s", j.line);
    if (*j.hint) fail_hint("%s", j.hint);
    return j.failed;
}
