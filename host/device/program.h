/* Kernels: from the text in cl/ to what launch() takes. A program is built once for each set of
 * options, and only if device/cache.h does not have it. */
#ifndef DITCL_DEVICE_PROGRAM_H
#define DITCL_DEVICE_PROGRAM_H

#include "base/status.h"
#include "device/device.h"

/* *k = kernel `name` of cl/<file>, built with options such as "-DD=72 -DWG=1": names and integers
 * only, since quoted options crash one compiler. The device owns the kernel. ERR_BUILD with the
 * first error of the log. A dry run builds nothing: *k = null. */
status program_get(device *d, kernel **k, const char *file, const char *name,
                   const char *options_format, ...) __attribute__((format(printf, 5, 6)));

/* A kernel of the device: its file, its options, and how long the driver took to build it (0:
 * another kernel of a program that was there, or from the cache). */
typedef struct {
    const char *file, *name, *options;
    double build_seconds;
} program_facts;

/* Calls visit for every kernel, newest first. */
void program_each(const device *d, void (*visit)(void *context, const program_facts *p),
                  void *context);

/* Writes to the cache on disk what was built and has run since. Call it at the end: some drivers
 * compile a kernel again for the work-group of a launch and add that to the binary, and some
 * compile once more when they are asked for a binary. A cache that cannot be written is no error.
 */
void program_store_all(device *d);

void program_free_all(device *d);

#endif
