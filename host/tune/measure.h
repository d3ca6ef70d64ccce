/* How long something takes: wall-clock time of queueing and finishing, repeated until the middle of
 * the repetitions says something; and what to make of a device's own clock. */
#ifndef DITCL_TUNE_MEASURE_H
#define DITCL_TUNE_MEASURE_H

#include "device/device.h"

/* Seconds of one call: the median, the quartiles around it, over n repetitions of `calls` calls. */
typedef struct {
    double median, low, high, best;
    int n, calls;
} timing;

/* What is measured. queue: queues one call, or does it; before: puts things back where a
 * repetition starts, outside its time, or null. most_calls: in one repetition, 0: any number. */
typedef struct {
    status (*queue)(void *context);
    void *context;
    int most_calls;
    status (*before)(void *before_context);
    void *before_context;
} measured;

/* Whether the device's own time of something can be true: it is not longer than the wall clock's,
 * but for what clocks differ, nor less than half of it. Some devices' times are all zero. */
bool measure_believes(double by_device, double wall);

/* One call to warm up, then repetitions of at least ten milliseconds, five of them or more until
 * `seconds` have passed; but three where one takes as long. repeat > 0: so many. */
status measure(device *d, timing *t, const measured *what, double seconds, int repeat);

#endif
