/* A slow device's clock. See opencl_layer_time.h. */
#include "opencl_layer_time.h"

#include <pthread.h>
#include <time.h>

enum { MOST_MARKERS = 64 };

double layer_time_longest, layer_time_deepest;
static double busy_until, unflushed;
static struct {
    const void *marker;
    double at;
} markers[MOST_MARKERS];
static unsigned n_markers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The time at which all queued work will be done. */
static double done_at(void)
{
    double from = now();
    return (busy_until > from ? busy_until : from) + unflushed;
}

void layer_time_queue(double seconds)
{
    pthread_mutex_lock(&lock);
    unflushed += seconds;
    double depth = done_at() - now();
    if (seconds > layer_time_longest) layer_time_longest = seconds;
    if (depth > layer_time_deepest) layer_time_deepest = depth;
    pthread_mutex_unlock(&lock);
}

void layer_time_flush(void)
{
    pthread_mutex_lock(&lock);
    if (unflushed > 0) busy_until = done_at();
    unflushed = 0;
    pthread_mutex_unlock(&lock);
}

static void sleep_until(double then)
{
    for (double left; (left = then - now()) > 0;)
        nanosleep(&(struct timespec){(time_t)left, (long)(left * 1e9) % 1000000000}, NULL);
}

void layer_time_finish(void)
{
    layer_time_flush();
    sleep_until(busy_until);
}

void layer_time_mark(const void *marker)
{
    pthread_mutex_lock(&lock);
    unsigned i = n_markers++ % MOST_MARKERS;
    markers[i].marker = marker;
    markers[i].at = done_at();
    pthread_mutex_unlock(&lock);
}

void layer_time_wait(const void *marker)
{
    double then = 0;
    layer_time_flush();
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < MOST_MARKERS; i++)
        if (markers[i].marker == marker && markers[i].at > then) then = markers[i].at;
    pthread_mutex_unlock(&lock);
    sleep_until(then);
}
