/* The settings of the offline driver, and the properties of its device. See offline_driver.c. */
#include "offline_driver.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct offline_settings offline;

/* ---- settings ---- */

static const struct offline_settings defaults = {
    .name = "an offline device",
    .vendor = "none",
    .driver = "1",
    .version = "OpenCL 1.2",
    .c_version = "OpenCL C 1.2",
    .platform = "offline",
    .config = "-",
    .precision = "-",
    .memory = (size_t)1 << 40,
    .group = 256,
    .local = 32 << 10,
    .units = 16,
    .type = CL_DEVICE_TYPE_GPU,
};

static void misunderstood(const char *setting)
{
    fprintf(stderr, "offline_driver: DITCL_OFFLINE: \"%s\" is not understood\n", setting);
    _exit(99);
}

static size_t sized(const char *setting, const char *value, int shift)
{
    char *end;
    size_t n = strtoul(value, &end, 10);
    if (!*value || *end || !n) misunderstood(setting);
    return n << shift;
}

static bool understood_flag(const char *setting)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"fp16", &offline.fp16},
                 {"images", &offline.images},
                 {"mma", &offline.mma},
                 {"mma_k8", &offline.mma_k8}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(setting, flags[i].name)) return *flags[i].flag = true;
    return false;
}

static bool understood_size(const char *name, const char *value, const char *shown)
{
    const struct {
        const char *name;
        size_t *size;
        int shift;
    } sizes[] = {{"memory", &offline.memory, 20}, {"largest", &offline.largest, 20},
                 {"group", &offline.group, 0},    {"local", &offline.local, 10},
                 {"units", &offline.units, 0},    {"subgroups", &offline.subgroups, 0},
                 {"dpas", &offline.dpas, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (strcmp(name, sizes[i].name)) continue;
        offline.local_none |= sizes[i].size == &offline.local && !strcmp(value, "none");
        *sizes[i].size = offline.local_none && sizes[i].size == &offline.local
                             ? 0
                             : sized(shown, value, sizes[i].shift);
        return true;
    }
    return false;
}

static bool understood_text(const char *name, const char *value)
{
    const struct {
        const char *name;
        char *text;
    } texts[] = {{"name", offline.name},           {"vendor", offline.vendor},
                 {"driver", offline.driver},       {"version", offline.version},
                 {"c_version", offline.c_version}, {"platform", offline.platform},
                 {"folder", offline.folder},       {"config", offline.config},
                 {"precision", offline.precision}, {"ptx", offline.ptx}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(name, texts[i].name)) return strcpy(texts[i].text, value);
    return false;
}

static bool understood_type(const char *name, const char *value)
{
    if (strcmp(name, "type")) return false;
    offline.type = !strcmp(value, "cpu")           ? CL_DEVICE_TYPE_CPU
                   : !strcmp(value, "gpu")         ? CL_DEVICE_TYPE_GPU
                   : !strcmp(value, "accelerator") ? CL_DEVICE_TYPE_ACCELERATOR
                                                   : 0;
    return offline.type != 0;
}

static void understand(char *setting)
{
    char shown[OFFLINE_TEXT], *value = strchr(setting, '=');
    snprintf(shown, sizeof shown, "%s", setting);
    if (!value) {
        if (!understood_flag(setting)) misunderstood(shown);
        return;
    }
    *value++ = 0;
    if (strlen(value) >= OFFLINE_TEXT ||
        (!understood_size(setting, value, shown) && !understood_text(setting, value) &&
         !understood_type(setting, value)))
        misunderstood(shown);
}

void offline_read_settings(void)
{
    char copy[1 << 13];
    const char *all = getenv("DITCL_OFFLINE");
    offline = defaults;
    if (all && strlen(all) >= sizeof copy) misunderstood("too long");
    snprintf(copy, sizeof copy, "%s", all ? all : "");
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ";"));)
        if (*one) understand(one);
    if (!offline.largest) offline.largest = offline.memory;
}

/* ---- answers ---- */

cl_int offline_answer(const void *from, size_t bytes, size_t size, void *value, size_t *used)
{
    if (used) *used = bytes;
    if (!value) return CL_SUCCESS;
    if (size < bytes) return CL_INVALID_VALUE;
    if (bytes) memcpy(value, from, bytes);
    return CL_SUCCESS;
}

cl_int offline_answer_text(const char *text, size_t size, void *value, size_t *used)
{
    return offline_answer(text, strlen(text) + 1, size, value, used);
}

static cl_int answer_extensions(size_t size, void *value, size_t *used)
{
    char all[1024];
    snprintf(all, sizeof all, "cl_khr_byte_addressable_store%s%s%s%s",
             offline.fp16 ? " cl_khr_fp16" : "",
             offline.subgroups ? " cl_khr_subgroups cl_intel_required_subgroup_size" : "",
             offline.mma || offline.mma_k8 ? " cl_nv_device_attribute_query" : "",
             offline.dpas ? " cl_intel_subgroup_matrix_multiply_accumulate" : "");
    return offline_answer_text(all, size, value, used);
}

static cl_int answer_texts(cl_device_info what, size_t size, void *value, size_t *used)
{
    switch (what) {
    case CL_DEVICE_NAME: return offline_answer_text(offline.name, size, value, used);
    case CL_DEVICE_VENDOR: return offline_answer_text(offline.vendor, size, value, used);
    case CL_DRIVER_VERSION: return offline_answer_text(offline.driver, size, value, used);
    case CL_DEVICE_VERSION: return offline_answer_text(offline.version, size, value, used);
    case CL_DEVICE_OPENCL_C_VERSION:
        return offline_answer_text(offline.c_version, size, value, used);
    case CL_DEVICE_PROFILE: return offline_answer_text("FULL_PROFILE", size, value, used);
    case CL_DEVICE_BUILT_IN_KERNELS: return offline_answer_text("", size, value, used);
    case CL_DEVICE_EXTENSIONS: return answer_extensions(size, value, used);
    default: return CL_INVALID_VALUE;
    }
}

static cl_int answer_memory(cl_device_info what, size_t size, void *value, size_t *used)
{
    switch (what) {
    case CL_DEVICE_GLOBAL_MEM_SIZE: return OFFLINE_ANSWER(cl_ulong, offline.memory);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE: return OFFLINE_ANSWER(cl_ulong, offline.largest);
    case CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE: return OFFLINE_ANSWER(cl_ulong, 65536);
    case CL_DEVICE_GLOBAL_MEM_CACHE_SIZE: return OFFLINE_ANSWER(cl_ulong, 0);
    case CL_DEVICE_LOCAL_MEM_SIZE: return OFFLINE_ANSWER(cl_ulong, offline.local);
    case CL_DEVICE_LOCAL_MEM_TYPE:
        return OFFLINE_ANSWER(cl_device_local_mem_type, offline.local ? CL_LOCAL : CL_NONE);
    case CL_DEVICE_HOST_UNIFIED_MEMORY: return OFFLINE_ANSWER(cl_bool, CL_FALSE);
    case CL_DEVICE_IMAGE_SUPPORT: return OFFLINE_ANSWER(cl_bool, offline.images);
    case CL_DEVICE_IMAGE_MAX_BUFFER_SIZE:
        return OFFLINE_ANSWER(size_t, offline.images ? (size_t)1 << 27 : 0);
    default: return answer_texts(what, size, value, used);
    }
}

cl_int CL_API_CALL offline_device_info(cl_device_id d, cl_device_info what, size_t size,
                                       void *value, size_t *used)
{
    enum { CAPABILITY_MAJOR = 0x4000, CAPABILITY_MINOR, SUB_GROUP_SIZES = 0x4108 }; /* cl_ext.h */
    const size_t sizes[3] = {offline.group, offline.group, offline.group};
    size_t lanes = offline.dpas ? offline.dpas : offline.subgroups;
    (void)d;
    switch (what) {
    case CL_DEVICE_TYPE: return OFFLINE_ANSWER(cl_device_type, offline.type);
    case CL_DEVICE_PLATFORM: return OFFLINE_ANSWER(cl_platform_id, &offline_platform);
    case CL_DEVICE_VENDOR_ID: return OFFLINE_ANSWER(cl_uint, 0);
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_LINKER_AVAILABLE: return OFFLINE_ANSWER(cl_bool, CL_TRUE);
    case CL_DEVICE_MAX_COMPUTE_UNITS: return OFFLINE_ANSWER(cl_uint, (cl_uint)offline.units);
    case CL_DEVICE_MAX_CLOCK_FREQUENCY: return OFFLINE_ANSWER(cl_uint, 1000);
    case CL_DEVICE_ADDRESS_BITS: return OFFLINE_ANSWER(cl_uint, 64);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: return OFFLINE_ANSWER(size_t, offline.group);
    case CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS: return OFFLINE_ANSWER(cl_uint, 3);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES:
        return offline_answer(sizes, sizeof sizes, size, value, used);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT: return OFFLINE_ANSWER(cl_uint, 1);
    case CL_DEVICE_QUEUE_PROPERTIES:
        return OFFLINE_ANSWER(cl_command_queue_properties, CL_QUEUE_PROFILING_ENABLE);
    case CL_DEVICE_PROFILING_TIMER_RESOLUTION: return OFFLINE_ANSWER(size_t, 1);
    case CL_DEVICE_SINGLE_FP_CONFIG:
        return OFFLINE_ANSWER(cl_device_fp_config, CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN);
    case CAPABILITY_MAJOR: return OFFLINE_ANSWER(cl_uint, offline.mma ? 8 : 7);
    case CAPABILITY_MINOR: return OFFLINE_ANSWER(cl_uint, offline.mma ? 0 : 5);
    case SUB_GROUP_SIZES: return lanes ? OFFLINE_ANSWER(size_t, lanes) : CL_INVALID_VALUE;
    default: return answer_memory(what, size, value, used);
    }
}
