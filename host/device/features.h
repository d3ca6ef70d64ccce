/* What a device can do beyond OpenCL 1.2. Features are found before a kernel relies on them. */
#ifndef DITCL_DEVICE_FEATURES_H
#define DITCL_DEVICE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef enum {
    FEATURE_AVX512_BF16, /* dot products of bfloat16 pairs in vector registers */
    FEATURE_AMX_BF16,    /* AMX tiles of bfloat16, and the system's permission to use them */
    FEATURE_SUBGROUPS,   /* work-items of a work-group that exchange values without local memory */
    FEATURE_IMAGES,      /* buffers that kernels read as images */
    /* matrix units, shared by the work-items of a sub-group: device/mma.h, cl/mma.clh */
    FEATURE_MMA,
    FEATURE_MMA_K8, /* an older form, of 8 steps, without bf16 */
    FEATURE_DPAS8,
    FEATURE_DPAS16,
    FEATURE_WMMA,
    FEATURE_WMMA2,
    FEATURE_MFMA,
    FEATURE_MFMA1,
    N_FEATURES
} feature_id;

/* The name as in `has` lines and DITCL_FEATURES. */
const char *feature_name(feature_id id);
/* The feature of this name of `length` bytes, or -1. */
int feature_find(const char *name, size_t length);

/* 301 for "OpenCL 3.1 ..." or "OpenCL C 3.1 ..."; 0 if text does not begin with a version. */
int opencl_version(const char *text);

/* Adds features to those that the driver reports. own_processor: kernels run on this machine's
 * processor. Then its features count if the processor has them, the system saves their registers,
 * and the system gives permission, for which this call asks. For tests: DITCL_FEATURES=+NAME,-NAME
 * adds and removes features before the permission is asked for. It adds a feature of the processor
 * only if kernels run on the processor. ERR_USAGE for an unknown name. */
status features_detect(bool has[N_FEATURES], bool own_processor);

#endif
