/* Repeats work and times it. See measure.h. */
#include "tune/measure.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "device/span.h"

enum { MOST_REPETITIONS = 101, MOST_CALLS = 10000 };

static const double REPETITION_SECONDS = 0.010;

status measure_once(device *d, measured_time *t, const measured *what, int calls)
{
    span queued = {0};
    status st = OK;
    if (what->before) TRY(what->before(what->before_context));
    TRY(device_finish(d));
    double start = clock_seconds();
    span_begin(&queued, d);
    for (int i = 0; i < calls; i++) TRY(what->queue(what->context));
    span_end(&queued, d);
    TRY(device_finish(d));
    t->wall = (clock_seconds() - start) / calls;
    t->device = span_seconds(&queued) / calls;
done:
    if (st != OK) span_seconds(&queued);
    return st;
}

bool measure_believes(double by_device, double wall)
{
    return by_device >= 0.5 * wall && by_device <= 1.02 * wall;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return values[(n - 1) / 2];
}

/* The quantile of n sorted values, interpolated between neighbours. */
static double quantile(const double *sorted, int n, double fraction)
{
    double place = fraction * (n - 1);
    int i = (int)place;
    return i + 1 < n ? sorted[i] + (place - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static int repetitions(double one, double seconds, int repeat)
{
    if (repeat > 0) return repeat < MOST_REPETITIONS ? repeat : MOST_REPETITIONS;
    double n = one > 0 ? seconds / one : MOST_REPETITIONS;
    int least = one > seconds ? 3 : 5;
    return n > MOST_REPETITIONS ? MOST_REPETITIONS : n < least ? least : (int)n;
}

status measure(device *d, timing *t, const measured *what, double seconds, int repeat)
{
    double all[MOST_REPETITIONS];
    measured_time one;
    int most = what->most_calls > 0 ? what->most_calls : MOST_CALLS, calls = 1;
    status st = OK;
    *t = (timing){0};
    TRY(measure_once(d, &one, what, 1)); /* builds kernels, touches memory */
    if (one.wall < 0.1) TRY(measure_once(d, &one, what, 1));
    while (calls * one.wall < REPETITION_SECONDS && calls < most) {
        double more = ceil(1.2 * REPETITION_SECONDS / fmax(one.wall, 1e-6 / calls));
        calls = more < most ? (int)fmax(more, calls + 1) : most;
        TRY(measure_once(d, &one, what, calls));
    }
    int n = repetitions(calls * one.wall, seconds, repeat);
    for (int i = 0; i < n; i++) {
        TRY(measure_once(d, &one, what, calls));
        all[i] = one.wall;
    }
    qsort(all, (size_t)n, sizeof *all, compare_doubles);
    *t = (timing){.median = quantile(all, n, 0.5),
                  .low = quantile(all, n, 0.25),
                  .high = quantile(all, n, 0.75),
                  .best = all[0],
                  .n = n,
                  .calls = calls};
done:
    return st;
}
