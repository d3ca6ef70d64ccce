/* What a device can do beyond OpenCL 1.2, found out before a kernel relies on it. */
#ifndef DITCL_DEVICE_FEATURES_H
#define DITCL_DEVICE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef enum {
    FEATURE_AVX512_BF16, /* dot products of bfloat16 pairs in vector registers */
    FEATURE_AMX_BF16,    /* matrix tiles of bfloat16, and the system's permission to use them */
    FEATURE_SUBGROUPS,   /* items of a work-group that pass values round without local memory */
    FEATURE_IMAGES,      /* buffers that kernels read as images */
    /* matrix units that items share: device/mma.h, cl/mma.clh */
    FEATURE_MMA,
    FEATURE_DPAS8,
    FEATURE_DPAS16,
    FEATURE_WMMA,
    FEATURE_WMMA2,
    FEATURE_MFMA,
    N_FEATURES
} feature_id;

/* As `has` and DITCL_FEATURES spell it. */
const char *feature_name(feature_id id);
/* The feature of this name, or -1; length: of the name. */
int feature_find(const char *name, size_t length);

/* 301 of "OpenCL 3.1 ..." or "OpenCL C 3.1 ..."; 0 where text does not begin with a version. */
int opencl_version(const char *text);

/* Adds to what the driver says. Where kernels run on this machine's own processor: what the
 * processor claims, the system saves on a switch of threads, and, of what needs one, the permission
 * that this call asks for. For tests, DITCL_FEATURES=+NAME,-NAME claims and disclaims features
 * first, the permission still being asked for, and a processor's only where kernels run on it;
 * ERR_USAGE when it names none. */
status features_detect(bool has[N_FEATURES], bool own_processor);

#endif
