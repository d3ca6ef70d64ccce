/* Finds, chooses and opens OpenCL devices. See device.h. */
#include "device/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "device/driver_needs.h"
#include "device/opencl.h"
#include "device/pace.h"
#include "device/probe.h"
#include "device/program.h"

/* ---- asking ---- */

/* A query that the driver refuses leaves zeros, since drivers refuse different queries. ERR_DEVICE
 * or ERR_RESOURCES only if the driver is out of memory or resources: then the answer says nothing
 * about the device. */
static status device_ask(cl_device_id id, cl_device_info what, size_t size, void *out, size_t *used)
{
    cl_int code = clGetDeviceInfo(id, what, size, out, used);
    if (code == CL_OUT_OF_HOST_MEMORY || code == CL_OUT_OF_RESOURCES)
        return cl_fail("clGetDeviceInfo", code);
    if (code == CL_SUCCESS) return OK;
    if (out) memset(out, 0, size);
    if (used) *used = 0;
    return OK;
}

static status get_text(char *out, size_t size, cl_device_id id, cl_device_info what)
{
    char value[4096] = "";
    status st = device_ask(id, what, sizeof value - 1, value, NULL);
    if (st != OK) return st;
    char *from = value;
    while (isspace((unsigned char)*from)) from++;
    for (size_t n = strlen(from); n && isspace((unsigned char)from[n - 1]);) from[--n] = 0;
    for (char *c = from; *c; c++) /* files for the device use ASCII names */
        if (!isascii((unsigned char)*c) || iscntrl((unsigned char)*c)) *c = '?';
    text_copy(out, size, from);
    return OK;
}

/* Needs `st` and a `done:` label in the function. */
#define GET(id, what, value) TRY(device_ask(id, what, sizeof(value), &(value), NULL))

static status has_extension(bool *found, cl_device_id id, const char *extension)
{
    char *all = NULL;
    size_t size = 0, n = strlen(extension);
    status st = OK;
    *found = false;
    TRY(device_ask(id, CL_DEVICE_EXTENSIONS, 0, NULL, &size));
    TRY(memory_alloc(&all, size + 1, 1));
    TRY(device_ask(id, CL_DEVICE_EXTENSIONS, size, all, NULL));
    for (char *at = all; !*found && (at = strstr(at, extension)); at += n)
        *found = (at == all || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0);
done:
    free(all);
    return st;
}

/* *capability = 10 x major + minor compute capability, of drivers that accept PTX assembly; else
 * 0. */
static status compute_capability(cl_uint *capability, cl_device_id id)
{
    /* cl_ext.h: CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV, _MINOR_NV */
    enum { CAPABILITY_MAJOR = 0x4000, CAPABILITY_MINOR };
    cl_uint major = 0, minor = 0;
    bool has;
    status st = has_extension(&has, id, "cl_nv_device_attribute_query");
    if (st == OK && has) st = device_ask(id, CAPABILITY_MAJOR, sizeof major, &major, NULL);
    if (st == OK && has) st = device_ask(id, CAPABILITY_MINOR, sizeof minor, &minor, NULL);
    *capability = 10 * major + minor;
    return st;
}

/* *least = the smallest sub-group size, which the matrix unit has, too; 0 if the device has
 * none. */
static status dpas_size(size_t *least, cl_device_id id)
{
    enum { SIZES = 0x4108, N = 16 }; /* cl_ext.h: CL_DEVICE_SUB_GROUP_SIZES_INTEL */
    size_t sizes[N], bytes = 0;
    bool has;
    *least = 0;
    status st = has_extension(&has, id, "cl_intel_subgroup_matrix_multiply_accumulate");
    if (st == OK && has) st = device_ask(id, SIZES, sizeof sizes, sizes, &bytes);
    for (size_t i = 0; i < bytes / sizeof *sizes; i++)
        if (!*least || sizes[i] < *least) *least = sizes[i];
    return st;
}

/* A driver that shares the host's memory ends the process when an allocation fails. So this
 * process's limit, less what the driver's compiler and threads need, is the device's memory. */
static void limit_memory(device_info *info)
{
    /* MB, measured: the compiler; a thread's stack and malloc arena */
    enum { COMPILER = 300, THREAD = 72 };
    uint64_t left = memory_left();
    uint64_t taken = (COMPILER + (uint64_t)THREAD * info->compute_units) << 20;
    if (left == UINT64_MAX || (info->kind != DEVICE_CPU && !info->unified_memory)) return;
    left = left > taken ? left - taken : 0;
    if (left >= info->memory_bytes) return;
    info->limited = true;
    info->memory_bytes = left;
    if (info->max_alloc_bytes > left) info->max_alloc_bytes = left;
}

static status describe_names(device_info *info, cl_platform_id platform, cl_device_id id)
{
    char value[256] = "";
    status st = OK;
    CL_TRY("clGetPlatformInfo",
           clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof value - 1, value, NULL));
    text_copy(info->platform, sizeof info->platform, value);
    TRY(get_text(info->name, sizeof info->name, id, CL_DEVICE_NAME));
    TRY(get_text(info->vendor, sizeof info->vendor, id, CL_DEVICE_VENDOR));
    TRY(get_text(info->driver, sizeof info->driver, id, CL_DRIVER_VERSION));
    TRY(get_text(info->version, sizeof info->version, id, CL_DEVICE_VERSION));
    TRY(get_text(value, sizeof value, id, CL_DEVICE_OPENCL_C_VERSION));
    info->c_version = opencl_version(value);
done:
    return st;
}

static status describe_kind(device_info *info, cl_device_id id)
{
    status st = OK;
    cl_device_type type;
    GET(id, CL_DEVICE_TYPE, type);
    info->kinds[DEVICE_CPU] = type & CL_DEVICE_TYPE_CPU;
    info->kinds[DEVICE_GPU] = type & CL_DEVICE_TYPE_GPU;
    info->kinds[DEVICE_ACCELERATOR] = type & (CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM);
    /* a device that claims all types is an emulator, which runs on the CPU */
    info->kind = info->kinds[DEVICE_CPU]   ? DEVICE_CPU
                 : info->kinds[DEVICE_GPU] ? DEVICE_GPU
                                           : DEVICE_ACCELERATOR;
done:
    return st;
}

/* Local memory of which the driver says nothing is taken for LOCAL_OWN. */
static status describe_local(device_info *info, cl_device_id id)
{
    status st = OK;
    cl_ulong bytes;
    cl_device_local_mem_type type;
    size_t used;
    GET(id, CL_DEVICE_LOCAL_MEM_SIZE, bytes);
    TRY(device_ask(id, CL_DEVICE_LOCAL_MEM_TYPE, sizeof type, &type, &used));
    info->local = !bytes || (used && type == CL_NONE) ? LOCAL_NONE
                  : used && type == CL_GLOBAL         ? LOCAL_GLOBAL
                                                      : LOCAL_OWN;
    info->local_bytes = info->local == LOCAL_NONE ? 0 : bytes;
done:
    return st;
}

/* Only one dimension of work-groups is used. */
static status describe_groups(device_info *info, cl_device_id id)
{
    enum { DIMENSIONS = 16 };
    status st = OK;
    size_t sizes[DIMENSIONS] = {0};
    GET(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, info->max_work_group);
    GET(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizes);
    if (sizes[0] && sizes[0] < info->max_work_group) info->max_work_group = sizes[0];
done:
    return st;
}

/* Some drivers count execution units. A work-group is executed by a sub-slice, which has several.
 */
static status describe_units(device_info *info, cl_device_id id)
{
    enum { UNITS_OF_SUB_SLICE = 0x4254 }; /* cl_ext.h: CL_DEVICE_NUM_EUS_PER_SUB_SLICE_INTEL */
    status st = OK;
    cl_uint units, parts = 1;
    size_t used;
    bool has;
    GET(id, CL_DEVICE_MAX_COMPUTE_UNITS, units);
    TRY(has_extension(&has, id, "cl_intel_device_attribute_query"));
    if (has && info->kind == DEVICE_GPU)
        TRY(device_ask(id, UNITS_OF_SUB_SLICE, sizeof parts, &parts, &used));
    info->compute_units = parts > 1 && units > parts ? units / parts : units;
done:
    return st;
}

static status describe_sizes(device_info *info, cl_device_id id)
{
    status st = OK;
    cl_bool unified, available, images;
    cl_uint vendor;
    cl_ulong memory, max_alloc;
    GET(id, CL_DEVICE_HOST_UNIFIED_MEMORY, unified);
    GET(id, CL_DEVICE_AVAILABLE, available);
    GET(id, CL_DEVICE_VENDOR_ID, vendor);
    GET(id, CL_DEVICE_GLOBAL_MEM_SIZE, memory);
    GET(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, max_alloc);
    GET(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, info->native_vector);
    GET(id, CL_DEVICE_IMAGE_SUPPORT, images);
    GET(id, CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, info->image_texels);
    if (!images) info->image_texels = 0;
    info->unified_memory = unified;
    info->available = available;
    info->vendor_id = vendor;
    TRY(describe_units(info, id));
    info->memory_bytes = memory;
    info->max_alloc_bytes = max_alloc;
    limit_memory(info);
    TRY(describe_local(info, id));
    TRY(describe_groups(info, id));
done:
    return st;
}

/* Lowers the driver's answers to the limits in cl/devices. */
static void limit_by_quirks(device_info *info)
{
    const quirks *q = &info->quirk;
    size_t group = (size_t)q->value[QUIRK_MAX_GROUP];
    uint64_t bytes = (uint64_t)q->value[QUIRK_MAX_BUFFER_MB] << 20;
    if (q->has[QUIRK_MAX_GROUP] && group < info->max_work_group) info->max_work_group = group;
    if (q->has[QUIRK_MAX_BUFFER_MB] && bytes < info->max_alloc_bytes) info->max_alloc_bytes = bytes;
    if (q->has[QUIRK_NO_SUBGROUPS]) info->subgroups = false;
}

static status describe_claims(device_info *info, cl_device_id id)
{
    status st = OK;
    bool khr, other;
    size_t dpas;
    cl_uint capability;
    TRY(has_extension(&info->fp16, id, "cl_khr_fp16"));
    TRY(has_extension(&khr, id, "cl_khr_subgroups"));
    TRY(has_extension(&other, id, "cl_intel_subgroups"));
    TRY(compute_capability(&capability, id));
    TRY(dpas_size(&dpas, id));
    info->subgroups = khr || other;
    TRY(conf_apply_embedded(&info->quirk, &(conf_subject){.platform = info->platform,
                                                          .vendor = info->vendor,
                                                          .device = info->name,
                                                          .driver = info->driver,
                                                          .version = info->version}));
    limit_by_quirks(info);
    memcpy(info->claims, info->quirk.feature, sizeof info->claims);
    info->claims[FEATURE_MMA] |= capability >= 80;
    info->claims[FEATURE_MMA_K8] |= capability >= 75 && capability < 80;
    info->claims[FEATURE_DPAS8] |= dpas == 8;
    info->claims[FEATURE_DPAS16] |= dpas == 16;
done:
    return st;
}

static status describe_device(device_info *info, cl_platform_id platform, cl_device_id id)
{
    status st = OK;
    info->platform_handle = platform;
    info->device_handle = id;
    TRY(describe_names(info, platform, id));
    TRY(describe_kind(info, id));
    TRY(describe_sizes(info, id));
    TRY(describe_claims(info, id));
done:
    return st;
}

/* Adds a platform that shows no device. what: the failure there, or "". */
static status note_empty(device_list *list, cl_platform_id platform, const char *what)
{
    size_t capacity = (size_t)list->n_empty;
    quirks found = {0};
    char name[sizeof list->empty->name] = "?";
    clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
    status st = memory_grow(&list->empty, &capacity, capacity + 1, sizeof *list->empty);
    if (st == OK) st = conf_apply_embedded(&found, &(conf_subject){name, "", "", "", ""});
    if (st != OK) return st;
    empty_platform *e = &list->empty[list->n_empty++];
    text_copy(e->name, sizeof e->name, name);
    text_copy(e->advice, sizeof e->advice, *what ? what : found.advice);
    e->failed = *what;
    return OK;
}

static status list_platform(device_list *list, size_t *capacity, cl_platform_id platform, int p)
{
    status st = OK;
    cl_device_id *ids = NULL;
    cl_uint n = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n);
    if (code != CL_SUCCESS && code != CL_DEVICE_NOT_FOUND) CL_TRY("clGetDeviceIDs", code);
    if (code == CL_DEVICE_NOT_FOUND || n == 0) {
        st = note_empty(list, platform, "");
        goto done;
    }
    TRY(memory_alloc(&ids, n, sizeof *ids));
    CL_TRY("clGetDeviceIDs", clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, n, ids, NULL));
    for (cl_uint i = 0; i < n; i++) {
        TRY(memory_grow(&list->items, capacity, (size_t)list->n + 1, sizeof *list->items));
        device_info *info = &list->items[list->n];
        *info = (device_info){.index = list->n};
        snprintf(info->id, sizeof info->id, "%d:%u", p, i);
        TRY(describe_device(info, platform, ids[i]));
        list->n++;
    }
done:
    free(ids);
    return st;
}

/* Drivers end the process if they cannot allocate what they need to start. */
static status check_limits(void)
{
    /* MB, measured: a compiler's libraries, and memory to compile a kernel */
    enum { NEEDED = 900 };
    uint64_t left = memory_left() >> 20;
    if (left >= NEEDED) return OK;
    fail(ERR_LIMIT,
         "this process may take %llu MB more (ulimit -v or -d), OpenCL drivers need %d "
         "MB",
         (unsigned long long)left, NEEDED);
    fail_hint("ulimit -v unlimited, or a higher limit, before ditcl");
    return ERR_LIMIT;
}

status device_list_init(device_list *list)
{
    char note[sizeof list->note] = "";
    *list = (device_list){0};
    status st = check_limits();
    if (st != OK) return st;
    driver_needs_prepare(note, sizeof note);
    st = device_list_read(list);
    memcpy(list->note, note, sizeof note);
    return st;
}

status device_list_read(device_list *list)
{
    enum { NO_PLATFORM = -1001 }; /* cl_ext.h: CL_PLATFORM_NOT_FOUND_KHR */
    *list = (device_list){0};
    status st = check_limits();
    if (st != OK) return st;
    cl_platform_id *platforms = NULL;
    cl_uint n = 0;
    size_t capacity = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &n);
    if (code != CL_SUCCESS && code != NO_PLATFORM) CL_TRY("clGetPlatformIDs", code);
    if (code == NO_PLATFORM || n == 0) goto done;
    TRY(memory_alloc(&platforms, n, sizeof *platforms));
    CL_TRY("clGetPlatformIDs", clGetPlatformIDs(n, platforms, NULL));
    list->n_platforms = (int)n;
    for (cl_uint p = 0; p < n; p++) {
        st = list_platform(list, &capacity, platforms[p], (int)p);
        if (st == ERR_DEVICE || st == ERR_RESOURCES) /* other platforms may work */
            st = note_empty(list, platforms[p], fail_line());
        if (st != OK) goto done;
    }
    if (list->n > 0) fail_clear();
done:
    free(platforms);
    if (st != OK) device_list_free(list);
    return st;
}

void device_list_free(device_list *list)
{
    free(list->items);
    free(list->empty);
    *list = (device_list){0};
}

/* ---- choosing ---- */

static int rank(const device_info *info)
{
    int kind = info->kind == DEVICE_GPU           ? (info->unified_memory ? 2 : 3)
               : info->kind == DEVICE_ACCELERATOR ? 1
                                                  : 0;
    return (info->quirk.has[QUIRK_ONLY_IF_NAMED] ? -32 : 0) + (info->available ? 16 : 0) +
           2 * kind + (info->quirk.has[QUIRK_CHOOSE_LAST] ? 0 : 1);
}

static int best(const device_list *list, int kind)
{
    int found = -1;
    for (int i = 0; i < list->n; i++) {
        const device_info *info = &list->items[i];
        if (kind >= 0 && !info->kinds[kind]) continue;
        if (found < 0 || rank(info) > rank(&list->items[found])) found = i;
    }
    return found;
}

static bool exact_name(const device_info *info, const char *selector)
{
    return text_equal_nocase(info->name, selector);
}

static bool part_of_platform(const device_info *info, const char *selector)
{
    return text_contains_nocase(info->platform, selector);
}

static bool part_of_name(const device_info *info, const char *selector)
{
    return text_contains_nocase(info->name, selector);
}

/* True if the device's version text has the selector: it may have a project's short name where the
 * platform has a longer one. */
static bool part_of_version(const device_info *info, const char *selector)
{
    const char *behind = strncmp(info->version, "OpenCL ", 7) ? "" : strchr(info->version + 7, ' ');
    return behind && text_contains_nocase(behind, selector);
}

/* out = "0: NAME (PLATFORM), 1: ..." of the devices that match, or of all devices. */
static void list_matches(char *out, size_t size, const device_list *list,
                         bool (*match)(const device_info *, const char *), const char *selector)
{
    size_t used = 0;
    for (int i = 0; i < list->n && used < size; i++) {
        const device_info *info = &list->items[i];
        if (match && !match(info, selector)) continue;
        int n = snprintf(out + used, size - used, "%s%d: %s (%s)", used ? ", " : "", i, info->name,
                         info->platform);
        used += n > 0 ? (size_t)n : 0;
    }
}

static status choose_by_text(int *index, const device_list *list, const char *selector)
{
    static bool (*const rules[])(const device_info *, const char *) = {
        exact_name, part_of_platform, part_of_name, part_of_version};
    char names[800] = "";
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        int n = 0;
        for (int i = list->n - 1; i >= 0; i--)
            if (rules[r](&list->items[i], selector)) {
                n++;
                *index = i;
            }
        if (n == 1) return OK;
        if (n > 1) {
            list_matches(names, sizeof names, list, rules[r], selector);
            return fail(ERR_USAGE, "means several devices: %s", names);
        }
    }
    list_matches(names, sizeof names, list, NULL, NULL);
    return fail(ERR_USAGE, "no such device; there are %s", names);
}

static status no_device(const device_list *list)
{
    char names[900] = "", advice[1000] = "";
    if (list->n_platforms == 0) {
        driver_needs_no_platform(names, sizeof names);
        fail(ERR_DEVICE, "no OpenCL platform found: %s", names);
        fail_hint("install a driver: apt install pocl-opencl-icd runs on any CPU; for GPUs "
                  "intel-opencl-icd, mesa-opencl-icd, nvidia-opencl-icd, rocm-opencl-icd");
        return ERR_DEVICE;
    }
    quirks known = {0};
    if (conf_apply_embedded(&known, &(conf_subject){"", "", "", "", ""}) != OK ||
        driver_needs_check(&known) != OK)
        return ERR_DEVICE;
    for (int i = 0; i < list->n_empty; i++) {
        const empty_platform *e = &list->empty[i];
        size_t used = strlen(names), told = strlen(advice);
        snprintf(names + used, sizeof names - used, "%s%s%s%s%s", i ? ", " : "", e->name,
                 e->failed ? " (" : "", e->failed ? e->advice : "", e->failed ? ")" : "");
        if (*e->advice && !e->failed)
            snprintf(advice + told, sizeof advice - told, "%s%s: %s", told ? "; " : "", e->name,
                     e->advice);
    }
    fail(ERR_DEVICE, "no OpenCL device found (platforms without devices: %s)%s%s", names,
         *list->note ? "; " : "", list->note);
    if (*advice)
        fail_hint("%s", advice);
    else
        fail_hint("install another driver: apt install pocl-opencl-icd runs on any CPU");
    return ERR_DEVICE;
}

static status choose_default(int *index, const device_list *list)
{
    char names[800] = "";
    *index = best(list, -1);
    if (!list->items[*index].quirk.has[QUIRK_ONLY_IF_NAMED]) return OK;
    list_matches(names, sizeof names, list, NULL, NULL);
    fail(ERR_DEVICE, "no device that is chosen by itself; there are %s", names);
    fail_hint("--device %d uses this one; ditcl devices -v says what is wrong with it", *index);
    return ERR_DEVICE;
}

status device_choose(int *index, const device_list *list, const char *selector)
{
    static const char *const kind_names[] = {"cpu", "gpu", "accelerator"};
    if (list->n == 0) return no_device(list);
    if (!selector || !*selector) return choose_default(index, list);
    uint64_t number;
    if (text_to_uint(selector, &number)) {
        if (number >= (uint64_t)list->n)
            return fail(ERR_USAGE, "expected 0 to %d; ditcl devices lists them", list->n - 1);
        *index = (int)number;
        return OK;
    }
    for (int i = 0; i < list->n; i++)
        if (!strcmp(list->items[i].id, selector)) {
            *index = i;
            return OK;
        }
    for (int kind = 0; kind < N_DEVICE_KINDS; kind++) {
        if (!text_equal_nocase(selector, kind_names[kind])) continue;
        *index = best(list, kind);
        if (*index >= 0) return OK;
        char names[800] = "";
        list_matches(names, sizeof names, list, NULL, NULL);
        return fail(ERR_USAGE, "no device of this type; there are %s", names);
    }
    return choose_by_text(index, list, selector);
}

/* ---- opening ---- */

const char *const kernel_family_names[] = {
    [FAMILY_AUTO] = "auto", [FAMILY_CPU] = "cpu", [FAMILY_GPU] = "gpu", [N_FAMILIES] = NULL};
const char *const local_names[] = {
    [LOCAL_OWN] = "local", [LOCAL_GLOBAL] = "global", [LOCAL_NONE] = "none", [N_LOCALS] = NULL};
const char *const precision_names[] = {[PRECISION_AUTO] = "auto",
                                       [PRECISION_FP32] = "fp32",
                                       [PRECISION_BF16] = "bf16",
                                       [PRECISION_FP16] = "fp16",
                                       [N_PRECISIONS] = NULL};

/* Chooses the kernel family, the features and the vector width. */
static status choose_family(device *d)
{
    status st = OK;
    const device_info *info = &d->info;
    /* some drivers claim several types, so cl/devices says whether work-items are lanes */
    bool lanes = info->kind != DEVICE_CPU || info->quirk.has[QUIRK_LANES_ARE_ITEMS];
    d->family = d->settings.family != FAMILY_AUTO ? d->settings.family
                : lanes                           ? FAMILY_GPU
                                                  : FAMILY_CPU;
    if (d->family == FAMILY_CPU && info->quirk.has[QUIRK_LOOPS_ARE_CUT])
        TRY(fail(ERR_USAGE, "--kernels cpu: its driver cuts long loops short, and the kernels of "
                            "the cpu family have long loops"));
    d->vector_width = info->native_vector >= 16 ? 16 : info->native_vector >= 8 ? 8 : 4;
    memcpy(d->feature, info->claims, sizeof d->feature);
    d->feature[FEATURE_SUBGROUPS] = info->subgroups;
    d->feature[FEATURE_IMAGES] = info->image_texels > 0 && !info->quirk.has[QUIRK_NO_IMAGES];
    TRY(features_detect(d->feature, !lanes && !info->quirk.has[QUIRK_NO_ASSEMBLY]));
    if (info->quirk.has[QUIRK_NO_VECTOR_ASSEMBLY] || d->vector_width < 16)
        d->feature[FEATURE_AVX512_BF16] = false;
    for (int i = 0; i < N_FEATURES; i++) d->probed[i] = (probe_result){.claimed = d->feature[i]};
done:
    return st;
}

status device_open(device *d, const device_info *info, const device_settings *settings)
{
    *d = (device){.info = *info, .settings = settings ? *settings : (device_settings){0}};
    status st = OK;
    cl_int code;
    TRY(choose_family(d));
    if (info->quirk.cache.here) TRY(driver_needs_check(&info->quirk));
    const char *edited = getenv("DITCL_CL_DIR");
    /* kernels that are being edited would only fill the cache */
    if (edited && *edited) d->settings.no_cache = true;
    TRY(memory_alloc(&d->handles, 1, sizeof *d->handles));
    d->handles->id = info->device_handle;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)info->platform_handle, 0};
    d->handles->context = clCreateContext(properties, 1, &d->handles->id, NULL, NULL, &code);
    CL_TRY("clCreateContext", code);
    cl_command_queue_properties kept = d->settings.profiled ? CL_QUEUE_PROFILING_ENABLE : 0;
    d->handles->queue = clCreateCommandQueue(d->handles->context, d->handles->id, kept, &code);
    CL_TRY("clCreateCommandQueue", code);
    pace_init(d);
    if (!d->settings.unprobed) TRY(probe_features(d));
done:
    if (st != OK) {
        fail_in(st, "device %d (%s)", info->index, info->name);
        device_close(d);
    }
    return st;
}

device device_dry(const device *like)
{
    device d = *like;
    d.dry = true;
    d.info.memory_bytes = UINT64_MAX;
    d.allocated_bytes = d.peak_bytes = 0;
    return d;
}

device device_dry_plain(kernel_family family)
{
    bool cpu = family == FAMILY_CPU;
    device_info info = {.kind = cpu ? DEVICE_CPU : DEVICE_GPU,
                        .compute_units = cpu ? 16 : 64,
                        .max_alloc_bytes = UINT64_MAX,
                        .local = LOCAL_OWN,
                        .local_bytes = 32 << 10,
                        .max_work_group = 256};
    device d = {.info = info, .family = cpu ? FAMILY_CPU : FAMILY_GPU, .vector_width = cpu ? 8 : 4};
    text_copy(d.info.name, sizeof d.info.name, cpu ? "a plain CPU" : "a plain GPU");
    return device_dry(&d);
}

/* Releases all handles, unless the device is lost: its driver may hang. They last until the process
 * ends. */
static void close_handles(device *d)
{
    device_handles *h = d->handles;
    if (h->queue) device_finish(d);
    if (!h->lost) program_store_all(d);
    program_free_all(d);
    if (!h->lost) clblast_close(d);
    pace_free(h->products);
    if (h->queue && !h->lost) clReleaseCommandQueue(h->queue);
    if (h->context && !h->lost) clReleaseContext(h->context);
}

void device_close(device *d)
{
    failure first;
    fail_keep(&first);
    if (d->handles) {
        close_handles(d);
        free(d->handles);
    }
    if (d->slot) d->slot->free(d->slot);
    *d = (device){0};
    fail_put_back(&first);
}

bool device_is_lost(const device *d)
{
    return d->handles && d->handles->lost;
}

status device_finish(device *d)
{
    status st = OK;
    if (d->dry) return OK;
    DEVICE_TRY(d, "clFinish", clFinish(d->handles->queue));
    pace_drained(d);
done:
    return st;
}

status device_flush(device *d)
{
    status st = OK;
    DEVICE_TRY(d, "clFlush", clFlush(d->handles->queue));
done:
    return st;
}
