/* How much work a device gets at once. Systems and drivers reset a GPU that seems to hang: some
 * mobile systems after a launch of half a second, Windows after 2 s, one driver after 20 s of
 * queued work.
 *
 * Slices. A launch that is predicted to exceed the limit is queued as several slices. Each has
 * other work-groups of the same range, at a global offset; GROUP_ID in cl/prelude.clh counts the
 * offset. The same work-groups read the same data, so the bits of the results do not change. A GEMM
 * of CLBlast is cut into runs of whole rows of tiles: clblast.c.
 *
 * Prediction. The time of a launch is its number of work-groups times the seconds of one
 * work-group. This process measures those seconds for each kernel, range and announced work. The
 * first launch of its kind is measured as it runs, alone on the device. Its first slice has as many
 * work-groups as the device has compute units. Each further slice has at most GROWTH times as many
 * as the last, and at most half the limit by prediction, until the rest is predicted to fit. So
 * only the first slice is a guess. If a launch is cut, its first slice is measured again each time.
 *
 * Queue. The queue is flushed every few launches. Each half second of predicted work ends with a
 * marker, and the host then waits for the previous marker. So about a second of work is queued at
 * most, and the device never runs dry. The measured time of these windows corrects the predictions.
 *
 * All this is for GPUs and accelerators, and where settings.max_launch_ms is positive. Otherwise a
 * launch is one call of the driver. */
#ifndef DITCL_DEVICE_PACE_H
#define DITCL_DEVICE_PACE_H

#include <stddef.h>

#include "device/device.h"

/* For this folder. Reads the settings of an open device. */
void pace_init(device *d);

/* Queues a kernel whose arguments are set. groups: work-groups in each dimension. */
status pace_launch(device *d, kernel *k, const size_t groups[3], const size_t local[3]);

/* Work of a library that is queued as one or several runs of its parts. */
typedef struct {
    /* Queues `count` parts, from part number `first` on. */
    status (*queue)(device *d, const void *what, size_t first, size_t count);
    const void *what;
    size_t parts;
    size_t first_slice; /* parts of the first slice if the speed is not known */
    size_t size[3];     /* m, n, k of the GEMM, the key of its speed */
} pace_parts;
status pace_library(device *d, const pace_parts *p);

/* True if work may be cut on this device. */
bool pace_cuts(const device *d);

/* The queue is empty: a finish or a blocking transfer has returned. */
void pace_drained(device *d);

struct launch_rate;
void pace_free(struct launch_rate *rates);

#endif
