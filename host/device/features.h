/* What a device's processor can do beyond OpenCL 1.2, found out before a kernel relies on it. */
#ifndef DITCL_DEVICE_FEATURES_H
#define DITCL_DEVICE_FEATURES_H

#include <stdbool.h>

typedef enum {
    FEATURE_AVX512_BF16, /* dot products of bfloat16 pairs in vector registers */
    FEATURE_AMX_BF16,    /* matrix tiles of bfloat16, and the system's permission to use them */
    N_FEATURES
} feature_id;

const char *feature_name(feature_id id);

/* Fills has[] for kernels that run on this machine's own processor. */
void features_detect(bool has[N_FEATURES]);

#endif
