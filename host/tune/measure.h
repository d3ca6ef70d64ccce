/* Wall-clock time of queueing and finishing work, repeated until the median is reliable; and
 * whether a time by the device's clock is plausible. */
#ifndef DITCL_TUNE_MEASURE_H
#define DITCL_TUNE_MEASURE_H

#include "device/device.h"

/* Seconds of one call: the median, the quartiles around it, over n repetitions of `calls` calls. */
typedef struct {
    double median, low, high, best;
    int n, calls;
} timing;

/* What is measured. queue: queues or makes one call. before (may be null): restores the state
 * before each repetition; its time does not count. most_calls: in one repetition; 0: no limit. */
typedef struct {
    status (*queue)(void *context);
    void *context;
    int most_calls;
    status (*before)(void *before_context);
    void *before_context;
} measured;

/* Seconds of one call. */
typedef struct {
    double wall, device; /* by the wall clock; by the device's clock, 0 if the device has none */
} measured_time;

/* The mean of `calls` calls, until the last one has finished. */
status measure_once(device *d, measured_time *t, const measured *what, int calls);

/* Whether a time by the device's clock is plausible: between 0.5 and 1.02 times the time by the
 * wall clock. The times of some devices are all zero. */
bool measure_believes(double by_device, double wall);

/* Sorts the values and returns the median; of an even number, the lower one in the middle. */
double measure_median(double *values, int n);

/* Makes one call to warm up, then at least five repetitions of at least 10 ms each, until
 * `seconds` have passed. If one repetition takes longer than `seconds`, makes three. repeat > 0:
 * makes exactly `repeat` repetitions. */
status measure(device *d, timing *t, const measured *what, double seconds, int repeat);

#endif
