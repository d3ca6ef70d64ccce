/* A device that is not there: what would be built for it is written to files, launches are checked
 * against its limits and do nothing, buffers hold nothing. So compilers of devices that nobody has
 * get the very sources and options that the program would pass them. */
#ifndef DITCL_DEVICE_PRETEND_H
#define DITCL_DEVICE_PRETEND_H

#include "base/text.h"
#include "device/device.h"

/* One kernel of a program: cl/<file> with the options of a build. */
typedef struct {
    char *file, *name, *options, *path; /* path: of the program's source in the folder */
    size_t group;                /* work-items of its largest work-group; 0: never launched */
    const char *set, *precision; /* what the device was set to when it first asked for this */
} pretended_kernel;

/* What several devices, one after the other, ask for. */
typedef struct pretended {
    const char *folder;          /* must be there */
    const char *set, *precision; /* of the kernels to come; they must last */
    const void *serving;         /* null, or the tuning of ops/tuning.h that serves where it can */
    pretended_kernel *kernels;
    size_t n, capacity;
} pretended;

/* Opens a device of these limits: class, kind and features are taken as they are given.
 * device_close closes it. */
status device_pretend(device *d, pretended *p, const device_info *limits,
                      const device_settings *settings);
void pretended_free(pretended *p);

/* For this folder. The source is written with the first kernel of a program. */
status pretend_kernel(pretended *p, const char *file, const char *name, const char *options,
                      const text *source);
void pretend_launch(pretended *p, const char *file, const char *name, const char *options,
                    size_t group);

#endif
