/* Asks the processor. See features.h. */
#include "device/features.h"

#if defined __x86_64__
#include <cpuid.h>
#endif

static const char *const names[N_FEATURES] = {
    [FEATURE_AVX512_BF16] = "avx512_bf16",
    [FEATURE_AMX_BF16] = "amx_bf16",
};

const char *feature_name(feature_id id)
{
    return names[id];
}

void features_detect(bool has[N_FEATURES])
{
    for (int i = 0; i < N_FEATURES; i++) has[i] = false;
#if defined __x86_64__
    unsigned a, b, c, d;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d))
        has[FEATURE_AVX512_BF16] = __builtin_cpu_supports("avx512f") && (a >> 5 & 1);
#endif
}
