/* Prepares the process's environment for drivers before they are loaded, and explains why they may
 * show no device. */
#ifndef DITCL_DEVICE_DRIVER_NEEDS_H
#define DITCL_DEVICE_DRIVER_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "device/conf.h"

/* Sets what CPU platforms need: pinned threads, and a folder for their own cache of programs,
 * without which they show no device. note = the folder that was chosen, or that none works, or "".
 */
void driver_needs_prepare(char *note, size_t size);

/* ERR_DEVICE if the driver cannot use the cache folder that its variable names. */
status driver_needs_check(const quirks *q);

/* True if files can be made, and libraries loaded, in the folder, or if the folder could be made.
 * On failure errno tells the reason. */
bool driver_needs_folder_works(const char *path);

/* out = the folder whose .icd files name the drivers. */
void driver_needs_vendors(char *out, size_t size);

/* out = why there is no OpenCL platform, as far as files tell: no driver is listed, or no listed
 * driver can be loaded. */
void driver_needs_no_platform(char *out, size_t size);

#endif
