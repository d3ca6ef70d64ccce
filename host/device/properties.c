/* Asks a driver for what reports say. See properties.h. */
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS /* clGetExtensionFunctionAddress, for the loader */
#include "device/properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "device/opencl.h"

/* The form of an answer. */
typedef enum { BOOLEAN, UINT, ULONG, SIZE, SIZES, ENUMERATED, FLAGS, TEXT, WORDS, BYTES } form;

/* Numbers from cl.h 2.0 to 3.0 and cl_ext.h, since the program is built for OpenCL 1.2. */
enum {
    HALF_FP_CONFIG = 0x1033,
    SUB_GROUPS = 0x105C,
    GROUP_MULTIPLE = 0x1067,
    DEVICE_UUID = 0x106A,
    DRIVER_UUID = 0x106B,
    DOT_PRODUCTS = 0x1073,
    WARP_SIZE_NV = 0x4003,
    WAVEFRONT_WIDTH_AMD = 0x4043,
    SUB_GROUP_SIZES_INTEL = 0x4108,
};

static const char *const local_kinds[] = {"none", "local", "global", NULL};
static const char *const cache_kinds[] = {"none", "read_only", "read_write", NULL};
static const char *const arithmetic[] = {"denorm",
                                         "inf_nan",
                                         "round_to_nearest",
                                         "round_to_zero",
                                         "round_to_inf",
                                         "fma",
                                         "soft_float",
                                         "correctly_rounded_divide_sqrt",
                                         NULL};
static const char *const dot_kinds[] = {"packed_8_bit", "8_bit", NULL};
static const char *const queue_kinds[] = {"out_of_order", "profiling", NULL};

/* needs: an OpenCL version of the device ("3.0") or an extension. Without it the driver is not
 * asked. Null: part of OpenCL 1.2. */
static const struct {
    const char *name;
    cl_device_info what;
    form as;
    const char *needs;
    const char *const *names;
} rows[] = {
    {"opencl_c_version", CL_DEVICE_OPENCL_C_VERSION, TEXT, NULL, NULL},
    {"profile", CL_DEVICE_PROFILE, TEXT, NULL, NULL},
    {"vendor_id", CL_DEVICE_VENDOR_ID, UINT, NULL, NULL},
    {"device_uuid", DEVICE_UUID, BYTES, "cl_khr_device_uuid", NULL},
    {"driver_uuid", DRIVER_UUID, BYTES, "cl_khr_device_uuid", NULL},
    {"compute_units", CL_DEVICE_MAX_COMPUTE_UNITS, UINT, NULL, NULL},
    {"clock_mhz", CL_DEVICE_MAX_CLOCK_FREQUENCY, UINT, NULL, NULL},
    {"address_bits", CL_DEVICE_ADDRESS_BITS, UINT, NULL, NULL},
    {"unified_memory", CL_DEVICE_HOST_UNIFIED_MEMORY, BOOLEAN, NULL, NULL},
    {"global_memory_bytes", CL_DEVICE_GLOBAL_MEM_SIZE, ULONG, NULL, NULL},
    {"largest_allocation_bytes", CL_DEVICE_MAX_MEM_ALLOC_SIZE, ULONG, NULL, NULL},
    {"global_cache_bytes", CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, ULONG, NULL, NULL},
    {"global_cache_line_bytes", CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, UINT, NULL, NULL},
    {"global_cache_type", CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, ENUMERATED, NULL, cache_kinds},
    {"local_memory_bytes", CL_DEVICE_LOCAL_MEM_SIZE, ULONG, NULL, NULL},
    {"local_memory_type", CL_DEVICE_LOCAL_MEM_TYPE, ENUMERATED, NULL, local_kinds},
    {"constant_buffer_bytes", CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, ULONG, NULL, NULL},
    {"constant_arguments", CL_DEVICE_MAX_CONSTANT_ARGS, UINT, NULL, NULL},
    {"work_group_items", CL_DEVICE_MAX_WORK_GROUP_SIZE, SIZE, NULL, NULL},
    {"work_item_sizes", CL_DEVICE_MAX_WORK_ITEM_SIZES, SIZES, NULL, NULL},
    {"work_group_multiple", GROUP_MULTIPLE, SIZE, "3.0", NULL},
    {"sub_groups_of_a_work_group", SUB_GROUPS, UINT, "2.1", NULL},
    {"sub_group_sizes", SUB_GROUP_SIZES_INTEL, SIZES, "cl_intel_required_subgroup_size", NULL},
    {"warp_size", WARP_SIZE_NV, UINT, "cl_nv_device_attribute_query", NULL},
    {"wavefront_width", WAVEFRONT_WIDTH_AMD, UINT, "cl_amd_device_attribute_query", NULL},
    {"preferred_floats", CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, UINT, NULL, NULL},
    {"native_floats", CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, UINT, NULL, NULL},
    {"native_halves", CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, UINT, NULL, NULL},
    {"fp16", HALF_FP_CONFIG, FLAGS, "cl_khr_fp16", arithmetic},
    {"fp32", CL_DEVICE_SINGLE_FP_CONFIG, FLAGS, NULL, arithmetic},
    {"fp64", CL_DEVICE_DOUBLE_FP_CONFIG, FLAGS, NULL, arithmetic},
    {"dot_products", DOT_PRODUCTS, FLAGS, "cl_khr_integer_dot_product", dot_kinds},
    {"images", CL_DEVICE_IMAGE_SUPPORT, BOOLEAN, NULL, NULL},
    {"image_buffer_texels", CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, SIZE, NULL, NULL},
    {"timer_ns", CL_DEVICE_PROFILING_TIMER_RESOLUTION, SIZE, NULL, NULL},
    {"queue", CL_DEVICE_QUEUE_PROPERTIES, FLAGS, NULL, queue_kinds},
    {"available", CL_DEVICE_AVAILABLE, BOOLEAN, NULL, NULL},
    {"compiler_available", CL_DEVICE_COMPILER_AVAILABLE, BOOLEAN, NULL, NULL},
    {"extensions", CL_DEVICE_EXTENSIONS, WORDS, NULL, NULL},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* *out = the answer with a NUL, or null if the driver refuses. */
static status property_ask(char **out, size_t *size, cl_device_id id, cl_device_info what)
{
    status st = OK;
    *out = NULL;
    cl_int code = clGetDeviceInfo(id, what, 0, NULL, size);
    if (code == CL_SUCCESS && *size < 1 << 20) {
        TRY(memory_alloc(out, *size + 1, 1));
        code = clGetDeviceInfo(id, what, *size, *out, NULL);
    }
    if (code == CL_OUT_OF_HOST_MEMORY || code == CL_OUT_OF_RESOURCES)
        st = cl_fail("clGetDeviceInfo", code);
done:
    if (st == OK && code == CL_SUCCESS) return OK;
    free(*out);
    *out = NULL;
    return st;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) return true;
    return false;
}

/* "OpenCL 3.0 ..." includes 2.1. */
static bool has_version(const char *version, const char *wanted)
{
    int major = 0, minor = 0, wanted_major = 0, wanted_minor = 0;
    sscanf(version, "OpenCL %d.%d", &major, &minor);
    sscanf(wanted, "%d.%d", &wanted_major, &wanted_minor);
    return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

/* The number of `size` bytes, in the machine's order. */
static uint64_t number(const char *bytes, size_t size)
{
    uint64_t all = 0;
    uint32_t few = 0;
    if (size == sizeof few) memcpy(&few, bytes, sizeof few);
    if (size == sizeof all) memcpy(&all, bytes, sizeof all);
    return size == sizeof few ? few : all;
}

static status put_names(property *p, form as, const char *const *names, uint64_t value)
{
    text words = {0};
    status st = text_append(&words, "%s", "");
    p->kind = as == FLAGS ? PROPERTY_WORDS : PROPERTY_TEXT;
    for (int i = 0; names[i] && st == OK; i++)
        if (as == FLAGS ? value >> i & 1 : value == (uint64_t)i)
            st = text_append(&words, "%s%s", words.length ? " " : "", names[i]);
    p->text = words.data;
    return st;
}

static status put_bytes(property *p, const char *bytes, size_t size)
{
    text digits = {0};
    status st = text_append(&digits, "%s", "");
    p->kind = PROPERTY_TEXT;
    for (size_t i = 0; i < size && st == OK; i++)
        st = text_append(&digits, "%02x", (unsigned)(unsigned char)bytes[i]);
    p->text = digits.data;
    return st;
}

/* answer: if the property is a text, this function takes ownership. */
static status property_parse(property *p, form as, const char *const *names, char **answer,
                             size_t size)
{
    p->numbers[0] = number(*answer, size);
    p->n = 1;
    switch (as) {
    case BOOLEAN: p->kind = PROPERTY_BOOL; return OK;
    case UINT:
    case ULONG:
    case SIZE: p->kind = PROPERTY_NUMBER; return OK;
    case SIZES:
        p->kind = PROPERTY_LIST;
        p->n = size / sizeof(size_t) < PROPERTY_NUMBERS ? size / sizeof(size_t) : PROPERTY_NUMBERS;
        for (size_t i = 0; i < p->n; i++)
            p->numbers[i] = number(*answer + i * sizeof(size_t), sizeof(size_t));
        return OK;
    case ENUMERATED:
    case FLAGS: return put_names(p, as, names, p->numbers[0]);
    case BYTES: return put_bytes(p, *answer, size);
    case TEXT:
    case WORDS: break;
    }
    p->kind = as == TEXT ? PROPERTY_TEXT : PROPERTY_WORDS;
    p->text = *answer;
    *answer = NULL;
    return OK;
}

static status add(property_list *list, const char *name, form as, const char *const *names,
                  char **answer, size_t size)
{
    status st = memory_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items);
    if (st != OK) return st;
    property *p = &list->items[list->n++];
    *p = (property){.name = name};
    return property_parse(p, as, names, answer, size);
}

static status add_platform_version(property_list *list, cl_platform_id platform)
{
    char value[256] = "", *copy = NULL;
    if (clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof value - 1, value, NULL)) return OK;
    status st = memory_strdup(&copy, value);
    if (st == OK) st = add(list, "platform_version", TEXT, NULL, &copy, strlen(value));
    free(copy);
    return st;
}

status properties_ask(property_list *list, const device_info *info)
{
    status st = OK;
    char *extensions = NULL, *answer = NULL;
    size_t size;
    *list = (property_list){0};
    TRY(property_ask(&extensions, &size, info->device_handle, CL_DEVICE_EXTENSIONS));
    TRY(add_platform_version(list, info->platform_handle));
    for (int i = 0; i < N_ROWS; i++) {
        const char *needs = rows[i].needs;
        bool is_there = !needs || (*needs == 'c' ? extensions && has_word(extensions, needs)
                                                 : has_version(info->version, needs));
        if (!is_there) continue;
        TRY(property_ask(&answer, &size, info->device_handle, rows[i].what));
        if (!answer) continue;
        TRY(add(list, rows[i].name, rows[i].as, rows[i].names, &answer, size));
        free(answer);
        answer = NULL;
    }
done:
    free(answer);
    free(extensions);
    if (st != OK) properties_free(list);
    return st;
}

void properties_free(property_list *list)
{
    for (size_t i = 0; i < list->n; i++) free(list->items[i].text);
    free(list->items);
    *list = (property_list){0};
}

/* ---- the loader ---- */

void properties_loader(char *out, size_t size)
{
    /* ocl_icd.h, cl_ext.h: cl_icdl_info */
    enum { ICDL_VERSION = 2, ICDL_NAME = 3 };
    union {
        void *address;
        cl_int(CL_API_CALL *call)(cl_uint what, size_t size, void *value, size_t *used);
    } ask_loader;
    char name[64] = "", version[64] = "";
    *out = 0;
    ask_loader.address = clGetExtensionFunctionAddress("clGetICDLoaderInfoOCLICD");
    if (!ask_loader.address) return;
    if (ask_loader.call(ICDL_NAME, sizeof name - 1, name, NULL) != CL_SUCCESS) return;
    if (ask_loader.call(ICDL_VERSION, sizeof version - 1, version, NULL) != CL_SUCCESS)
        *version = 0;
    snprintf(out, size, "%s%s%s", name, *version ? " " : "", version);
}
