/* How much a device is given at once. Systems and drivers reset a GPU that seems to hang: some
 * mobile ones after half a second of one launch, Windows after 2 s, one driver after 20 s of queued
 * work.
 *
 * Slices. A launch that is predicted to exceed the limit is queued as several, each of other
 * work-groups of the same range, at a global offset; GROUP_ID in cl/prelude.clh makes kernels right
 * there. The same work-groups run on the same data, so results are the same bits.
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

/* Around a product that a library queues, which cannot be cut; size: its m, n and k. */
struct launch_rate;
status pace_product_begin(device *d, struct launch_rate **rate, const int size[3]);
status pace_product_end(device *d, struct launch_rate *rate);

/* The queue is empty: a finish or a blocking transfer has returned. */
void pace_drained(device *d);

void pace_free(struct launch_rate *rates);

#endif
