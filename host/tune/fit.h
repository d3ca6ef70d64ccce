/* Configurations of a device: read from its store, or measured once, for a few seconds, and stored.
 */
#ifndef DITCL_TUNE_FIT_H
#define DITCL_TUNE_FIT_H

#include <stdbool.h>

#include "device/device.h"

/* fit_device begins no candidate after this time, which includes compiling. A candidate that has
 * begun is not interrupted. */
#define FIT_SECONDS 3.0

/* Applies stored configurations to the device, before any weights are packed for it. Calls
 * d->settings.warn for lines that cannot be used. measure: measures shapes without a line, for
 * FIT_SECONDS in all, and stores the best. Only candidates that give the same bits as the first one
 * compete. Before that it calls say (may be null) with one line, and again if the result cannot be
 * stored. A device that cannot be measured keeps the first candidates. DITCL_FIT=off and
 * DITCL_CL_DIR turn measuring off. Fails only with ERR_MEMORY. */
status fit_device(device *d, bool measure, void (*say)(const char *line));

#endif
