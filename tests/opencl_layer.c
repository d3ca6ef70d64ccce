/* An OpenCL layer that makes a good driver behave like a bad one or like that of a small device. It
 * is a shared object for OPENCL_LAYERS. It forwards every call to the driver, except where
 * DITCL_LAYER says otherwise.
 *
 *     OPENCL_LAYERS=$PWD/libopencl_layer.so DITCL_LAYER="fail=clEnqueueNDRangeKernel:5;log=calls"
 *
 * DITCL_LAYER is a list of settings, with semicolons between them:
 *
 * Faults. KERNEL is a name; with * at its end, it is the beginning of names:
 *
 *     fail=CALL:N[:CODE]  the N-th call of this function fails, counted from 1, with CODE [-5,
 *                         CL_OUT_OF_RESOURCES]; N+: so do all later ones; CALL may be `any`
 *     hang=CALL:N         the N-th call never returns
 *     crash=CALL:N        the N-th call ends the process by SIGSEGV
 *     crash_on=KERNEL     a launch of the kernel ends the process by SIGSEGV
 *     hang_on=KERNEL      a launch of the kernel never returns
 *     wrong=KERNEL[:ARG]  a launch of the kernel writes a wrong number to the front of the buffer
 *                         that is its argument number ARG [0]
 *     lose=N              the device is lost at the N-th launch: later calls fail with -5, except
 *                         those that release something or only query
 *     stuck               once a call has reported the lost device, later calls never return, not
 *                         even releases or the end of the process
 *     child               faults happen only in child processes of ditcl, such as check-worker
 *     only=TEXT           faults begin when a context is made for a device whose name contains TEXT
 *
 * Limits and properties of the device:
 *
 *     memory=MB           buffers and images together may have so much memory; more fails with -4
 *     largest=MB          the largest buffer, reported and enforced
 *     group=N             most work-items of a work-group, reported for the device and for each
 *                         kernel, and enforced
 *     kernel_group=N      the same, but reported for kernels only
 *     local=KB            local memory, reported and enforced; none: the device has none; global:
 *                         the device reports that it is global memory
 *     no_images, no_fp16  the device reports that it has no images or no fp16
 *     units=N             compute units, reported
 *     dpas=N              the device reports DPAS with sub-groups of N = 8 or 16; then prelude must
 *                         define its functions
 *     prelude=FILE        this text comes before the source of every program
 *     c_version=TEXT      version of OpenCL C, reported
 *     type=cpu|gpu|accelerator, name=TEXT, vendor=TEXT, driver=TEXT, version=TEXT, platform=TEXT
 *     slow=US             each work-group takes so many microseconds longer; work begins when it is
 *                         flushed, runs in order, and callers that wait for it sleep
 *     watchdog=MS         with slow: a launch that takes longer loses the device
 *
 * Logs:
 *
 *     builds=FILE         receives the options of each program that is built, one line each
 *     launches=FILE       receives a line for each launch: kernel, offset, global and local size
 *     log=FILE            receives, at the end, the number of calls of each function; with slow
 *                         also the longest launch and the deepest queue, in ms
 *
 * A setting that is not understood ends the process with exit code 99. */
#include <CL/cl_layer.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "opencl_layer_settings.h"
#include "opencl_layer_time.h"

#define EXPORT __attribute__((visibility("default")))

static bool is_child(void);
static bool harmless; /* until a context is made for the device that `only` names */

static const cl_icd_dispatch *driver;
static cl_icd_dispatch layer;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long calls[N_CALLS + 1];
static bool told_of_loss;

/* Live buffers and images, and the arguments of kernels. */
static struct {
    void *handle;
    size_t bytes;
} objects[MOST_OBJECTS];
static size_t n_objects, bytes_in_use;
static struct {
    cl_kernel kernel;
    cl_mem argument[MOST_ARGUMENTS];
} kernels[MOST_OBJECTS / 16];
static size_t n_kernels;

/* ---- faults ---- */

/* Counts the call. True if it must fail with *code. */
static bool interfered(int call, cl_int *code)
{
    bool asks = call == CALL_clGetPlatformIDs || call == CALL_clGetPlatformInfo ||
                call == CALL_clGetDeviceIDs || call == CALL_clGetDeviceInfo ||
                !strncmp(call_names[call], "clRelease", 9);
    const rule *found = NULL;
    pthread_mutex_lock(&lock);
    unsigned long mine = ++calls[call], all = ++calls[ANY_CALL];
    for (int i = 0; i < set.n_rules && !found && !harmless; i++) {
        const rule *r = &set.rules[i];
        unsigned long n = r->call == ANY_CALL ? all : mine;
        if ((r->call == ANY_CALL || r->call == call) && n >= r->first && n <= r->last) found = r;
    }
    bool lost = set.lost_at && !harmless && calls[CALL_clEnqueueNDRangeKernel] >= set.lost_at;
    bool stuck = lost && set.stuck && told_of_loss;
    lost = lost && !asks;
    told_of_loss |= lost;
    pthread_mutex_unlock(&lock);
    *code = found ? found->code : CL_OUT_OF_RESOURCES;
    if (found && found->what == CRASH) *(volatile int *)0 = 0;
    while (stuck || (found && found->what == HANG)) pause();
    return found || lost;
}

/* The device is lost from the next call on. */
static void lose(void)
{
    pthread_mutex_lock(&lock);
    if (!set.lost_at) set.lost_at = 1;
    pthread_mutex_unlock(&lock);
}

/* In a wrapper: returns the error if this call must fail. */
#define STATUS(name)                                                                               \
    do {                                                                                           \
        cl_int code;                                                                               \
        if (interfered(CALL_##name, &code)) return code;                                           \
    } while (0)
#define OBJECT(name, error)                                                                        \
    do {                                                                                           \
        cl_int code;                                                                               \
        if (interfered(CALL_##name, &code)) {                                                      \
            if (error) *(error) = code;                                                            \
            return NULL;                                                                           \
        }                                                                                          \
    } while (0)

/* ---- queries ---- */

/* Answers a clGet...Info query. */
static cl_int answer(const void *from, size_t n, size_t size, void *value, size_t *used)
{
    if (value && size < n) return CL_INVALID_VALUE;
    if (value) memcpy(value, from, n);
    if (used) *used = n;
    return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t size, void *value, size_t *used)
{
    return answer(text, strlen(text) + 1, size, value, used);
}

static cl_int CL_API_CALL get_platform_ids(cl_uint n, cl_platform_id *out, cl_uint *found)
{
    STATUS(clGetPlatformIDs);
    return driver->clGetPlatformIDs(n, out, found);
}

static cl_int CL_API_CALL get_platform_info(cl_platform_id p, cl_platform_info what, size_t size,
                                            void *value, size_t *used)
{
    STATUS(clGetPlatformInfo);
    if (what == CL_PLATFORM_NAME && *set.platform)
        return answer_text(set.platform, size, value, used);
    return driver->clGetPlatformInfo(p, what, size, value, used);
}

static cl_int CL_API_CALL get_device_ids(cl_platform_id p, cl_device_type type, cl_uint n,
                                         cl_device_id *out, cl_uint *found)
{
    STATUS(clGetDeviceIDs);
    return driver->clGetDeviceIDs(p, set.type ? CL_DEVICE_TYPE_ALL : type, n, out, found);
}

/* The driver's extensions, without and with those that the settings deny and add. */
static cl_int extensions(cl_device_id d, size_t size, void *value, size_t *used)
{
    static const char fp16[] = "cl_khr_fp16",
                      dpas[] = " cl_intel_subgroup_matrix_multiply_accumulate";
    char all[1 << 14] = "";
    cl_int code =
        driver->clGetDeviceInfo(d, CL_DEVICE_EXTENSIONS, sizeof all - sizeof dpas, all, NULL);
    if (code != CL_SUCCESS) return code;
    for (char *at; set.no_fp16 && (at = strstr(all, fp16));)
        memmove(at, at + sizeof fp16 - 1, strlen(at + sizeof fp16 - 1) + 1);
    if (set.dpas) strcat(all, dpas);
    return answer_text(all, size, value, used);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum { SUB_GROUP_SIZES = 0x4108 }; /* cl_ext.h: CL_DEVICE_SUB_GROUP_SIZES_INTEL */

static cl_int CL_API_CALL get_device_info(cl_device_id d, cl_device_info what, size_t size,
                                          void *value, size_t *used)
{
    STATUS(clGetDeviceInfo);
    const struct {
        cl_device_info what;
        const char *text;
    } texts[] = {{CL_DEVICE_NAME, set.name},
                 {CL_DEVICE_VENDOR, set.vendor},
                 {CL_DRIVER_VERSION, set.driver},
                 {CL_DEVICE_VERSION, set.version},
                 {CL_DEVICE_OPENCL_C_VERSION, set.c_version}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (what == texts[i].what && *texts[i].text)
            return answer_text(texts[i].text, size, value, used);
    if (what == CL_DEVICE_EXTENSIONS && (set.no_fp16 || set.dpas))
        return extensions(d, size, value, used);
    if (what == SUB_GROUP_SIZES && set.dpas)
        return answer(&set.dpas, sizeof set.dpas, size, value, used);
    if (what == CL_DEVICE_TYPE && set.type)
        return answer(&set.type, sizeof set.type, size, value, used);
    if (what == CL_DEVICE_MAX_COMPUTE_UNITS && set.units)
        return answer(&set.units, sizeof set.units, size, value, used);
    if (what == CL_DEVICE_IMAGE_SUPPORT && set.no_images)
        return answer(&(cl_bool){CL_FALSE}, sizeof(cl_bool), size, value, used);
    if (what == CL_DEVICE_LOCAL_MEM_TYPE && (set.local_none || set.local_global))
        return answer(&(cl_device_local_mem_type){set.local_none ? CL_NONE : CL_GLOBAL},
                      sizeof(cl_device_local_mem_type), size, value, used);
    cl_int code = driver->clGetDeviceInfo(d, what, size, value, used);
    if (code != CL_SUCCESS || !value) return code;
    if (what == CL_DEVICE_MAX_WORK_GROUP_SIZE && set.group)
        *(size_t *)value = least(*(size_t *)value, set.group);
    for (size_t i = 0; what == CL_DEVICE_MAX_WORK_ITEM_SIZES && set.group && i < 3; i++)
        ((size_t *)value)[i] = least(((size_t *)value)[i], set.group);
    if (what == CL_DEVICE_LOCAL_MEM_SIZE && (set.local || set.local_none))
        *(cl_ulong *)value = set.local_none ? 0 : least((size_t) * (cl_ulong *)value, set.local);
    if (what == CL_DEVICE_MAX_MEM_ALLOC_SIZE && set.largest)
        *(cl_ulong *)value = least((size_t) * (cl_ulong *)value, set.largest);
    if (what == CL_DEVICE_GLOBAL_MEM_SIZE && set.memory)
        *(cl_ulong *)value = least((size_t) * (cl_ulong *)value, set.memory);
    return code;
}

static cl_int CL_API_CALL get_kernel_work_group_info(cl_kernel k, cl_device_id d,
                                                     cl_kernel_work_group_info what, size_t size,
                                                     void *value, size_t *used)
{
    STATUS(clGetKernelWorkGroupInfo);
    cl_int code = driver->clGetKernelWorkGroupInfo(k, d, what, size, value, used);
    if (code == CL_SUCCESS && value && what == CL_KERNEL_WORK_GROUP_SIZE && set.group)
        *(size_t *)value = least(*(size_t *)value, set.group);
    if (code == CL_SUCCESS && value && what == CL_KERNEL_WORK_GROUP_SIZE && set.kernel_group)
        *(size_t *)value = least(*(size_t *)value, set.kernel_group);
    return code;
}

/* ---- memory ---- */

/* Reserves memory. False if the device has too little left. */
static bool take(size_t bytes)
{
    pthread_mutex_lock(&lock);
    bool room = !set.memory || bytes <= set.memory - least(bytes_in_use, set.memory);
    if (room) bytes_in_use += bytes;
    pthread_mutex_unlock(&lock);
    return room;
}

static void remember(cl_mem handle, size_t bytes)
{
    pthread_mutex_lock(&lock);
    if (!handle)
        bytes_in_use -= bytes;
    else if (n_objects < MOST_OBJECTS) {
        objects[n_objects].handle = handle;
        objects[n_objects++].bytes = bytes;
    }
    pthread_mutex_unlock(&lock);
}

static cl_mem CL_API_CALL create_buffer(cl_context c, cl_mem_flags flags, size_t size, void *host,
                                        cl_int *error)
{
    cl_mem made = NULL;
    OBJECT(clCreateBuffer, error);
    if (set.largest && size > set.largest) {
        if (error) *error = CL_INVALID_BUFFER_SIZE;
    } else if (!take(size)) {
        if (error) *error = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    } else {
        made = driver->clCreateBuffer(c, flags, size, host, error);
        remember(made, size);
    }
    return made;
}

static cl_mem CL_API_CALL create_image(cl_context c, cl_mem_flags flags,
                                       const cl_image_format *format, const cl_image_desc *image,
                                       void *host, cl_int *error)
{
    OBJECT(clCreateImage, error);
    if (set.no_images) {
        if (error) *error = CL_INVALID_OPERATION;
        return NULL;
    }
    return driver->clCreateImage(c, flags, format, image, host, error);
}

static cl_int CL_API_CALL release_mem_object(cl_mem handle)
{
    cl_uint references = 0;
    STATUS(clReleaseMemObject);
    driver->clGetMemObjectInfo(handle, CL_MEM_REFERENCE_COUNT, sizeof references, &references,
                               NULL);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; references == 1 && i < n_objects; i++) {
        if (objects[i].handle != handle) continue;
        bytes_in_use -= objects[i].bytes;
        objects[i] = objects[--n_objects];
    }
    pthread_mutex_unlock(&lock);
    return driver->clReleaseMemObject(handle);
}

/* ---- kernels ---- */

static cl_int CL_API_CALL set_kernel_arg(cl_kernel k, cl_uint index, size_t size, const void *value)
{
    STATUS(clSetKernelArg);
    cl_int code = driver->clSetKernelArg(k, index, size, value);
    if (!*set.wrong || index >= MOST_ARGUMENTS || size != sizeof(cl_mem) || !value) return code;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < n_kernels && kernels[i].kernel != k) i++;
    if (i < sizeof kernels / sizeof *kernels) {
        if (i == n_kernels) kernels[n_kernels++].kernel = k;
        memcpy(&kernels[i].argument[index], value, sizeof(cl_mem));
    }
    pthread_mutex_unlock(&lock);
    return code;
}

/* Whether the kernel has this name, or, with * at its end, a name that begins so. */
static bool is_named(cl_kernel k, const char *pattern)
{
    char name[TEXT_BYTES] = "";
    size_t n = strlen(pattern);
    if (!n || driver->clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL))
        return false;
    return pattern[n - 1] == '*' ? !strncmp(name, pattern, n - 1) : !strcmp(name, pattern);
}

static cl_int spoil(cl_command_queue q, cl_kernel k)
{
    static const float wrong = 12345.0f;
    cl_mem target = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_kernels; i++)
        if (kernels[i].kernel == k) target = kernels[i].argument[set.wrong_argument];
    pthread_mutex_unlock(&lock);
    if (!target) return CL_SUCCESS;
    return driver->clEnqueueWriteBuffer(q, target, CL_TRUE, 0, sizeof wrong, &wrong, 0, NULL, NULL);
}

/* The error with which the smaller device refuses this launch, or CL_SUCCESS. */
static cl_int refuse(cl_kernel k, cl_uint dims, const size_t *local)
{
    cl_ulong bytes = 0;
    size_t items = 1;
    for (cl_uint i = 0; local && i < dims; i++) items *= local[i];
    if (set.group && items > set.group) return CL_INVALID_WORK_GROUP_SIZE;
    if (set.kernel_group && items > set.kernel_group) return CL_INVALID_WORK_GROUP_SIZE;
    if (!set.local && !set.local_none) return CL_SUCCESS;
    cl_device_id d;
    cl_context c;
    if (driver->clGetKernelInfo(k, CL_KERNEL_CONTEXT, sizeof c, &c, NULL) ||
        driver->clGetContextInfo(c, CL_CONTEXT_DEVICES, sizeof d, &d, NULL) ||
        driver->clGetKernelWorkGroupInfo(k, d, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes,
                                         NULL))
        return CL_SUCCESS;
    return bytes > (set.local_none ? 0 : set.local) ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

/* Logs a launch and adds its time, as the settings say. */
static void note_launch(cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global,
                        const size_t *local)
{
    char name[TEXT_BYTES] = "";
    size_t groups = 1, from[3] = {0}, all[3] = {1, 1, 1}, group[3] = {1, 1, 1};
    FILE *file = *set.launches ? fopen(set.launches, "a") : NULL;
    for (cl_uint i = 0; i < dims; i++) {
        from[i] = offset ? offset[i] : 0;
        all[i] = global[i];
        group[i] = local ? local[i] : 1;
        groups *= all[i] / group[i];
    }
    if (file) {
        driver->clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
        fprintf(file, "%s %zu,%zu,%zu %zu,%zu,%zu %zu,%zu,%zu\n", name, from[0], from[1], from[2],
                all[0], all[1], all[2], group[0], group[1], group[2]);
        fclose(file);
    }
    double seconds = (double)(groups * set.slow) * 1e-6;
    if (seconds > 0) layer_time_queue(seconds);
    if (set.watchdog && seconds * 1e3 > (double)set.watchdog) lose();
}

static cl_int CL_API_CALL enqueue_ndrange_kernel(cl_command_queue q, cl_kernel k, cl_uint dims,
                                                 const size_t *offset, const size_t *global,
                                                 const size_t *local, cl_uint n,
                                                 const cl_event *waits, cl_event *event)
{
    STATUS(clEnqueueNDRangeKernel);
    if (!harmless && is_named(k, set.crash_on)) *(volatile int *)0 = 0;
    while (!harmless && is_named(k, set.hang_on)) pause();
    cl_int code = refuse(k, dims, local);
    if (code == CL_SUCCESS)
        code = driver->clEnqueueNDRangeKernel(q, k, dims, offset, global, local, n, waits, event);
    if (code == CL_SUCCESS) note_launch(k, dims, offset, global, local);
    return code == CL_SUCCESS && !harmless && is_named(k, set.wrong) ? spoil(q, k) : code;
}

/* ---- calls that are only counted and made to fail ---- */

#define PLAIN_STATUS(name, parameters, arguments)                                                  \
    static cl_int CL_API_CALL plain_##name parameters                                              \
    {                                                                                              \
        STATUS(name);                                                                              \
        return driver->name arguments;                                                             \
    }
#define PLAIN_OBJECT(type, name, parameters, arguments)                                            \
    static type CL_API_CALL plain_##name parameters                                                \
    {                                                                                              \
        OBJECT(name, error);                                                                       \
        return driver->name arguments;                                                             \
    }

/* As PLAIN_STATUS; then `passes` advances the clock of the slow device. */
#define TIMED_STATUS(name, parameters, arguments, passes)                                          \
    static cl_int CL_API_CALL plain_##name parameters                                              \
    {                                                                                              \
        STATUS(name);                                                                              \
        cl_int code = driver->name arguments;                                                      \
        passes;                                                                                    \
        return code;                                                                               \
    }

typedef void(CL_CALLBACK *told)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *built)(cl_program, void *);

/* kept = the options without that of compilers for DPAS, which doubles a thread's registers. */
static const char *without_registers(char kept[1 << 12], const char *options)
{
    static const char option[] = "-cl-intel-256-GRF-per-thread";
    snprintf(kept, 1 << 12, "%s", options ? options : "");
    char *at = strstr(kept, option);
    if (at) memset(at, ' ', sizeof option - 1);
    return kept;
}

static cl_int CL_API_CALL build_program(cl_program p, cl_uint n, const cl_device_id *d,
                                        const char *options, built f, void *data)
{
    STATUS(clBuildProgram);
    FILE *file = *set.builds ? fopen(set.builds, "a") : NULL;
    if (file) fprintf(file, "%s\n", options ? options : "");
    if (file) fclose(file);
    char kept[1 << 12];
    return driver->clBuildProgram(p, n, d, set.dpas ? without_registers(kept, options) : options, f,
                                  data);
}

PLAIN_OBJECT(cl_context, clCreateContext,
             (const cl_context_properties *p, cl_uint n, const cl_device_id *d, told f, void *data,
              cl_int *error),
             (p, n, d, f, data, error))

static cl_context CL_API_CALL create_context(const cl_context_properties *p, cl_uint n,
                                             const cl_device_id *d, told f, void *data,
                                             cl_int *error)
{
    char name[TEXT_BYTES] = "";
    if (n) driver->clGetDeviceInfo(*d, CL_DEVICE_NAME, sizeof name - 1, name, NULL);
    harmless = !strstr(name, set.only) || (set.child && !is_child());
    return plain_clCreateContext(p, n, d, f, data, error);
}

PLAIN_OBJECT(cl_command_queue, clCreateCommandQueue,
             (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *error),
             (c, d, p, error))
PLAIN_OBJECT(cl_program, clCreateProgramWithSource,
             (cl_context c, cl_uint n, const char **s, const size_t *l, cl_int *error),
             (c, n, s, l, error))

/* With set.prelude before the program's text, which ditcl gives as one string. */
static cl_program CL_API_CALL create_program(cl_context c, cl_uint n, const char **source,
                                             const size_t *length, cl_int *error)
{
    static char prelude[1 << 14];
    FILE *file = *set.prelude && n == 1 ? fopen(set.prelude, "r") : NULL;
    if (!file) return plain_clCreateProgramWithSource(c, n, source, length, error);
    size_t bytes = fread(prelude, 1, sizeof prelude, file);
    fclose(file);
    const char *both[] = {prelude, *source};
    const size_t lengths[] = {bytes, length && *length ? *length : strlen(*source)};
    return plain_clCreateProgramWithSource(c, 2, both, lengths, error);
}

PLAIN_OBJECT(cl_program, clCreateProgramWithBinary,
             (cl_context c, cl_uint n, const cl_device_id *d, const size_t *l,
              const unsigned char **b, cl_int *s, cl_int *error),
             (c, n, d, l, b, s, error))
PLAIN_OBJECT(cl_kernel, clCreateKernel, (cl_program p, const char *name, cl_int *error),
             (p, name, error))
static void *CL_API_CALL plain_clEnqueueMapBuffer(cl_command_queue q, cl_mem b, cl_bool blocking,
                                                  cl_map_flags f, size_t at, size_t n, cl_uint w,
                                                  const cl_event *e, cl_event *event, cl_int *error)
{
    OBJECT(clEnqueueMapBuffer, error);
    void *p = driver->clEnqueueMapBuffer(q, b, blocking, f, at, n, w, e, event, error);
    if (blocking) layer_time_finish();
    return p;
}

PLAIN_STATUS(clReleaseContext, (cl_context c), (c))
PLAIN_STATUS(clReleaseCommandQueue, (cl_command_queue q), (q))
PLAIN_STATUS(clGetProgramInfo,
             (cl_program p, cl_program_info what, size_t n, void *v, size_t *used),
             (p, what, n, v, used))
PLAIN_STATUS(clGetProgramBuildInfo,
             (cl_program p, cl_device_id d, cl_program_build_info what, size_t n, void *v,
              size_t *used),
             (p, d, what, n, v, used))
PLAIN_STATUS(clRetainProgram, (cl_program p), (p))
PLAIN_STATUS(clReleaseProgram, (cl_program p), (p))
PLAIN_STATUS(clReleaseKernel, (cl_kernel k), (k))
PLAIN_STATUS(clGetKernelInfo, (cl_kernel k, cl_kernel_info what, size_t n, void *v, size_t *used),
             (k, what, n, v, used))
TIMED_STATUS(clEnqueueReadBuffer,
             (cl_command_queue q, cl_mem b, cl_bool blocking, size_t at, size_t n, void *to,
              cl_uint w, const cl_event *e, cl_event *event),
             (q, b, blocking, at, n, to, w, e, event), if (blocking) layer_time_finish())
TIMED_STATUS(clEnqueueWriteBuffer,
             (cl_command_queue q, cl_mem b, cl_bool blocking, size_t at, size_t n, const void *from,
              cl_uint w, const cl_event *e, cl_event *event),
             (q, b, blocking, at, n, from, w, e, event), if (blocking) layer_time_finish())
PLAIN_STATUS(clEnqueueCopyBuffer,
             (cl_command_queue q, cl_mem from, cl_mem to, size_t at, size_t to_at, size_t n,
              cl_uint w, const cl_event *e, cl_event *event),
             (q, from, to, at, to_at, n, w, e, event))
PLAIN_STATUS(clEnqueueUnmapMemObject,
             (cl_command_queue q, cl_mem b, void *mapped, cl_uint w, const cl_event *e,
              cl_event *event),
             (q, b, mapped, w, e, event))
TIMED_STATUS(clEnqueueMarkerWithWaitList,
             (cl_command_queue q, cl_uint w, const cl_event *e, cl_event *event), (q, w, e, event),
             if (event) layer_time_mark(*event))
TIMED_STATUS(clWaitForEvents, (cl_uint n, const cl_event *e), (n, e),
             for (cl_uint i = 0; i < n; i++) layer_time_wait(e[i]))
TIMED_STATUS(clFlush, (cl_command_queue q), (q), layer_time_flush())
TIMED_STATUS(clFinish, (cl_command_queue q), (q), layer_time_finish())
PLAIN_STATUS(clGetEventProfilingInfo,
             (cl_event e, cl_profiling_info what, size_t n, void *v, size_t *used),
             (e, what, n, v, used))
PLAIN_STATUS(clReleaseEvent, (cl_event e), (e))

__attribute__((destructor)) static void write_log(void)
{
    while (set.stuck && told_of_loss) pause();
    FILE *file = *set.log ? fopen(set.log, "w") : NULL;
    for (int i = 0; file && i < N_CALLS; i++)
        if (calls[i]) fprintf(file, "%s %lu\n", call_names[i], calls[i]);
    if (file) fprintf(file, "any %lu\n", calls[ANY_CALL]);
    if (file && set.slow)
        fprintf(file, "longest %.0f\ndeepest %.0f\n", layer_time_longest * 1e3,
                layer_time_deepest * 1e3);
    if (file) fclose(file);
}

/* ---- the interface to the loader ---- */

EXPORT CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t size, void *value,
                                                      size_t *used)
{
    if (what == CL_LAYER_NAME) return answer_text("ditcl's faulty driver", size, value, used);
    if (what == CL_LAYER_API_VERSION)
        return answer(&(cl_layer_api_version){CL_LAYER_API_VERSION_100},
                      sizeof(cl_layer_api_version), size, value, used);
    return CL_INVALID_VALUE;
}

/* Whether this is a child of ditcl: its first argument ends with -worker. */
static bool is_child(void)
{
    char words[TEXT_BYTES] = "";
    FILE *file = fopen("/proc/self/cmdline", "r");
    size_t n = file ? fread(words, 1, sizeof words - 1, file) : 0;
    if (file) fclose(file);
    const char *first = words + strlen(words) + 1;
    size_t length = first < words + n ? strlen(first) : 0;
    return length > 7 && !strcmp(first + length - 7, "-worker");
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint n, const cl_icd_dispatch *target,
                                                   cl_uint *n_ours, const cl_icd_dispatch **ours)
{
    if (!target || !n_ours || !ours || n < sizeof layer / sizeof layer.clGetPlatformIDs)
        return CL_INVALID_VALUE;
    layer_read_settings();
    harmless = *set.only || (set.child && !is_child());
    driver = target;
    layer = *target;
    layer.clGetPlatformIDs = get_platform_ids;
    layer.clGetPlatformInfo = get_platform_info;
    layer.clGetDeviceIDs = get_device_ids;
    layer.clGetDeviceInfo = get_device_info;
    layer.clGetKernelWorkGroupInfo = get_kernel_work_group_info;
    layer.clCreateContext = create_context;
    layer.clCreateBuffer = create_buffer;
    layer.clCreateImage = create_image;
    layer.clReleaseMemObject = release_mem_object;
    layer.clSetKernelArg = set_kernel_arg;
    layer.clEnqueueNDRangeKernel = enqueue_ndrange_kernel;
    layer.clBuildProgram = build_program;
    layer.clCreateProgramWithSource = create_program;
#define PLAIN(name) layer.name = plain_##name
    PLAIN(clReleaseContext);
    PLAIN(clCreateCommandQueue);
    PLAIN(clReleaseCommandQueue);
    PLAIN(clCreateProgramWithBinary);
    PLAIN(clGetProgramInfo);
    PLAIN(clGetProgramBuildInfo);
    PLAIN(clRetainProgram);
    PLAIN(clReleaseProgram);
    PLAIN(clCreateKernel);
    PLAIN(clReleaseKernel);
    PLAIN(clGetKernelInfo);
    PLAIN(clEnqueueReadBuffer);
    PLAIN(clEnqueueWriteBuffer);
    PLAIN(clEnqueueCopyBuffer);
    PLAIN(clEnqueueMapBuffer);
    PLAIN(clEnqueueUnmapMemObject);
    PLAIN(clEnqueueMarkerWithWaitList);
    PLAIN(clWaitForEvents);
    PLAIN(clFlush);
    PLAIN(clFinish);
    PLAIN(clGetEventProfilingInfo);
    PLAIN(clReleaseEvent);
    *ours = &layer;
    *n_ours = sizeof layer / sizeof layer.clGetPlatformIDs;
    return CL_SUCCESS;
}
