/* Kernels: from the text in cl/ to something launch() takes, built once per set of options, and not
 * even that where device/cache.h has the program. */
#ifndef DITCL_DEVICE_PROGRAM_H
#define DITCL_DEVICE_PROGRAM_H

#include "base/status.h"
#include "device/device.h"

/* *k = kernel `name` of cl/<file>, built with options ("-DD=72 -DWG=1"): names and integers only,
 * since quoted options crash one compiler. Owned by the device. ERR_BUILD with the log's first
 * error. */
status program_get(device *d, kernel **k, const char *file, const char *name,
                   const char *options_format, ...) __attribute__((format(printf, 5, 6)));

/* A kernel that the device has: which file, with which options, and how long the driver took to
 * build it (0: it is another kernel of a program that is there, or the cache had it). */
typedef struct {
    const char *file, *name, *options;
    double build_seconds;
} program_facts;

/* Calls visit for every kernel, the newest first. */
void program_each(const device *d, void (*visit)(void *context, const program_facts *p),
                  void *context);

/* Writes what was built and has run since to the cache on disk. For the end: some drivers compile a
 * kernel again for the work-group it is launched with, and put that into the binary too, and some
 * compile once more when they are asked for one. A cache that cannot be written is no error. */
void program_store_all(device *d);

void program_free_all(device *d);

#endif
