/* Asks the processor and the system. See features.h. */
#include "device/features.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>
#if defined __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

static const char *const names[N_FEATURES] = {
    [FEATURE_AVX512_BF16] = "avx512_bf16",
    [FEATURE_AMX_BF16] = "amx_bf16",
    [FEATURE_SUBGROUPS] = "subgroups",
    [FEATURE_IMAGES] = "images",
    [FEATURE_MMA] = "mma",
    [FEATURE_MMA_K8] = "mma_k8",
    [FEATURE_DPAS8] = "dpas8",
    [FEATURE_DPAS16] = "dpas16",
    [FEATURE_WMMA] = "wmma",
    [FEATURE_WMMA2] = "wmma2",
    [FEATURE_MFMA] = "mfma",
    [FEATURE_MFMA1] = "mfma1",
};

const char *feature_name(feature_id id)
{
    return names[id];
}

int feature_find(const char *name, size_t length)
{
    for (int i = 0; i < N_FEATURES; i++)
        if (strlen(names[i]) == length && !memcmp(names[i], name, length)) return i;
    return -1;
}

int opencl_version(const char *text)
{
    int major, minor;
    if (sscanf(text, "OpenCL C %2d.%2d", &major, &minor) != 2 &&
        sscanf(text, "OpenCL %2d.%2d", &major, &minor) != 2)
        return 0;
    return major < 1 || minor < 0 ? 0 : 100 * major + minor;
}

#if defined __x86_64__

/* True if the system saves these registers when it switches threads (XCR0). */
static bool system_saves(uint64_t parts)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (((uint64_t)high << 32 | low) & parts) == parts;
}

static void ask_processor(bool has[N_FEATURES])
{
    const uint64_t vectors = 0xe6, tiles = 3u << 17; /* vector registers and masks; AMX tiles */
    unsigned a, b, c, d;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d))
        has[FEATURE_AVX512_BF16] = (a >> 5 & 1) && system_saves(vectors);
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        has[FEATURE_AMX_BF16] = (d >> 24 & 1) && (d >> 22 & 1) && system_saves(tiles);
}

#else

static void ask_processor(bool has[N_FEATURES])
{
    (void)has;
}

#endif

/* Asks for the permission to use AMX tiles, for all threads, also those that run already. Without
 * it the first tile instruction ends the process. */
static bool tiles_permitted(void)
{
#if defined __x86_64__ && defined __linux__ && defined SYS_arch_prctl
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* Documentation/arch/x86/xstate.rst */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

/* out = "a, b or c", all names. */
static void list_names(char out[160])
{
    size_t used = 0;
    for (int i = 0; i < N_FEATURES; i++)
        used += (size_t)snprintf(out + used, 160 - used, "%s%s",
                                 i == 0                ? ""
                                 : i == N_FEATURES - 1 ? " or "
                                                       : ", ",
                                 names[i]);
}

static status apply_claim(bool has[N_FEATURES], bool own, const char *word, size_t length)
{
    char all[160];
    int i = length > 1 && strchr("+-", *word) ? feature_find(word + 1, length - 1) : -1;
    if (i >= 0) {
        has[i] = *word == '+' && (own || i >= FEATURE_SUBGROUPS);
        return OK;
    }
    list_names(all);
    return fail(ERR_USAGE, "DITCL_FEATURES: found \"%.*s\", expected + or - and %s", (int)length,
                word, all);
}

status features_detect(bool has[N_FEATURES], bool own_processor)
{
    status st = OK;
    const char *claims = getenv("DITCL_FEATURES");
    if (own_processor) ask_processor(has);
    for (bool more = claims && *claims; more;) {
        size_t length = strcspn(claims, ",");
        TRY(apply_claim(has, own_processor, claims, length));
        more = claims[length] == ',';
        claims += length + 1;
    }
    if (has[FEATURE_AMX_BF16]) has[FEATURE_AMX_BF16] = tiles_permitted();
done:
    return st;
}
