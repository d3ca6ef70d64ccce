/* The choices of a device: taken from its store, or measured once, quickly, and stored. */
#ifndef DITCL_TRIALS_FIT_H
#define DITCL_TRIALS_FIT_H

#include <stdbool.h>

#include "device/device.h"

/* fit_device begins no candidate after so many seconds, those that it spends on compiling included.
 * A candidate that has begun is not interrupted. */
#define FIT_SECONDS 3.0

/* Lays stored choices on the device, before any weights are packed for it. Lines that cannot be
 * used are told to d->settings.warn. measure: what has no line is measured, within FIT_SECONDS in
 * all, after one line to say (null: nobody), which also says if the choice cannot be stored; of the
 * candidates only those that give the bits of the first compete; what is found is stored. A device
 * that cannot be measured keeps the first candidates. ERR_MEMORY only. Environment: DITCL_FIT=off
 * measures nothing, and neither does DITCL_CL_DIR. */
status fit_device(device *d, bool measure, void (*say)(const char *line));

#endif
