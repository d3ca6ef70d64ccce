/* How much a device is given at once. Systems and drivers reset a GPU that seems to hang: some
 * mobile ones after half a second of one launch, Windows after 2 s, one driver after 20 s of queued
 * work.
 *
 * Slices. A launch that is predicted to exceed the limit is queued as several, each of other
 * work-groups of the same range, at a global offset; GROUP_ID in cl/prelude.clh makes kernels right
 * there. The same work-groups run on the same data, so results are the same bits. A GEMM of CLBlast
 * is cut into runs of whole tiles' rows: clblast.c.
 *
 * Prediction. Work-groups, times the seconds of one, as measured on this device by this process, in
 * launches of this kernel with this range and this announced work. A launch that was not seen
 * before is measured as it runs: alone on the device, first as many work-groups as it has compute
 * units, then up to GROWTH times as many as before, and at most half the limit by prediction, until
 * the rest is predicted to fit; so only the first slice is a guess. Of a launch that is cut, the
 * first slice is always measured anew.
 *
 * Queue. It is flushed every few launches. Each half second of predicted work ends with a marker,
 * and the host waits for the marker before it, so that about a second is queued at most while the
 * device never runs dry. What these windows really took corrects the predictions.
 *
 * GPUs and accelerators only, or where settings.max_launch_ms is positive. Everywhere else a launch
 * is one call of the driver. */
#ifndef DITCL_DEVICE_PACE_H
#define DITCL_DEVICE_PACE_H

#include <stddef.h>

#include "device/device.h"

/* For this folder. The settings of an open device. */
void pace_init(device *d);

/* Queues a kernel whose arguments are set. groups: work-groups in each dimension. */
status pace_launch(device *d, kernel *k, const size_t groups[3], const size_t local[3]);

/* Work of a library that is queued as one or several runs of its parts. */
typedef struct {
    /* Queues `count` parts, from part number `first` on. */
    status (*queue)(device *d, const void *what, size_t first, size_t count);
    const void *what;
    size_t parts;
    size_t first_slice; /* parts of the first slice, where the speed is not known */
    size_t size[3];     /* m, n, k of the GEMM: its speed is kept under them */
} pace_parts;
status pace_library(device *d, const pace_parts *p);

/* Whether anything may be cut on this device. */
bool pace_cuts(const device *d);

/* The queue is empty: a finish or a blocking transfer has returned. */
void pace_drained(device *d);

struct launch_rate;
void pace_free(struct launch_rate *rates);

#endif
