/* What drivers take from the process's environment, before they are loaded; and why they may show
 * no device. */
#ifndef DITCL_DEVICE_DRIVER_NEEDS_H
#define DITCL_DEVICE_DRIVER_NEEDS_H

#include <stddef.h>

#include "base/status.h"
#include "device/conf.h"

/* Sets what CPU implementations need: threads that keep to their processors, and a folder for their
 * own cache of programs, without which they show no device. note = what was chosen unasked, or that
 * nothing was found; else "". */
void driver_needs_prepare(char *note, size_t size);

/* ERR_DEVICE where the driver's cache cannot be in the folder that its variable names. */
status driver_needs_check(const quirks *q);

/* out = why there is no OpenCL platform at all, as far as files tell: no drivers are listed, or
 * none of those listed can be loaded. */
void driver_needs_no_platform(char *out, size_t size);

#endif
