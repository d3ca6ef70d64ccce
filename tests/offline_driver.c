/* The offline driver: an OpenCL driver (ICD) for a device that does not exist. It checks programs,
 * buffers and launches against limits that are settings, writes each program to a folder, and
 * computes nothing: reads give zeros. So the compiler of a GPU can be tried without the GPU, with
 * the same sources and options that the GPU's driver would get.
 *
 * With `ptx`, the driver also runs the programs, in an interpreter of NVIDIA's assembly language:
 * ptx.h.
 *
 *     OCL_ICD_VENDORS=$PWD/build/offline DITCL_OFFLINE="group=512;local=64" ditcl devices -v
 *
 * DITCL_OFFLINE is a list of settings, with semicolons between them. It is read when the driver is
 * loaded, and again when a context is made.
 *
 *     memory=MB, largest=MB   memory of the device [1048576], the largest buffer [all memory]
 *     group=N                 most work-items of a work-group, reported and enforced [256]
 *     local=KB                local memory [32]; none: the device has none
 *     units=N                 compute units [16]
 *     fp16, images            the device has this feature
 *     subgroups=N             the device has sub-groups of N work-items
 *     mma, mma_k8, dpas=N     the device has matrix units, dpas with sub-groups of N = 8 or 16
 *     type=cpu|gpu|accelerator, name=TEXT, vendor=TEXT, driver=TEXT, version=TEXT, c_version=TEXT,
 *     platform=TEXT
 *     folder=DIR              existing folder for the programs and for index.tsv. When the process
 *                             ends, index.tsv gets a line for each kernel: the program's file, its
 *                             options, and the largest work-group that was launched. A program
 *                             without #line "cl/..." belongs to a library and is not written
 *     ptx=PROGRAM             PROGRAM SOURCE RESULT OPTION... compiles a source into PTX. Memory
 *                             has contents, and launches run: in one the warps of each work-group
 *                             go forward, in the next backward, then shuffled
 *     config=TEXT, precision=TEXT  two more columns, for the kernels that are built from now on
 *
 * A setting that is not understood ends the process with exit code 99. A call that the driver does
 * not implement ends it by abort(). */
#include "offline_driver.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

cl_icd_dispatch offline_dispatch;
struct _cl_platform_id offline_platform = {&offline_dispatch};
struct _cl_device_id offline_device = {&offline_dispatch};
pthread_mutex_t offline_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_ulong busy_until;

/* ---- objects ---- */

OFFLINE_RETAIN(retain_context, cl_context)
OFFLINE_RETAIN(retain_queue, cl_command_queue)
OFFLINE_RETAIN(retain_event, cl_event)

static cl_int CL_API_CALL release_context(cl_context c)
{
    if (offline_is_last(&c->references)) free(c);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_queue(cl_command_queue q)
{
    if (offline_is_last(&q->references)) free(q);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_event(cl_event e)
{
    if (offline_is_last(&e->references)) free(e);
    return CL_SUCCESS;
}

/* ---- the platform, the device, the context ---- */

EXPORT CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint n, cl_platform_id *out,
                                                              cl_uint *count)
{
    if (count) *count = 1;
    if (out && n) *out = &offline_platform;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL platform_info(cl_platform_id p, cl_platform_info what, size_t size,
                                        void *value, size_t *used)
{
    (void)p;
    switch (what) {
    case CL_PLATFORM_PROFILE: return offline_answer_text("FULL_PROFILE", size, value, used);
    case CL_PLATFORM_VERSION: return offline_answer_text(offline.version, size, value, used);
    case CL_PLATFORM_NAME: return offline_answer_text(offline.platform, size, value, used);
    case CL_PLATFORM_VENDOR: return offline_answer_text(offline.vendor, size, value, used);
    case CL_PLATFORM_EXTENSIONS: return offline_answer_text("cl_khr_icd", size, value, used);
    case CL_PLATFORM_ICD_SUFFIX_KHR: return offline_answer_text("OFFLINE", size, value, used);
    default: return CL_INVALID_VALUE;
    }
}

static cl_int CL_API_CALL device_ids(cl_platform_id p, cl_device_type type, cl_uint n,
                                     cl_device_id *out, cl_uint *count)
{
    bool found = type & (offline.type | CL_DEVICE_TYPE_DEFAULT);
    (void)p;
    if (count) *count = found;
    if (found && out && n) *out = &offline_device;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_context CL_API_CALL create_context(
    const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
    void(CL_CALLBACK *told)(const char *, const void *, size_t, void *), void *data, cl_int *error)
{
    cl_context c;
    (void)properties, (void)n, (void)devices, (void)told, (void)data;
    OFFLINE_NEW(c, error);
    pthread_mutex_lock(&offline_lock);
    offline_read_settings();
    pthread_mutex_unlock(&offline_lock);
    return c;
}

static cl_int CL_API_CALL context_info(cl_context c, cl_context_info what, size_t size, void *value,
                                       size_t *used)
{
    switch (what) {
    case CL_CONTEXT_REFERENCE_COUNT: return OFFLINE_ANSWER(cl_uint, (cl_uint)c->references);
    case CL_CONTEXT_NUM_DEVICES: return OFFLINE_ANSWER(cl_uint, 1);
    case CL_CONTEXT_DEVICES: return OFFLINE_ANSWER(cl_device_id, &offline_device);
    default: return CL_INVALID_VALUE;
    }
}

static cl_command_queue CL_API_CALL create_queue(cl_context c, cl_device_id d,
                                                 cl_command_queue_properties kept, cl_int *error)
{
    cl_command_queue q;
    (void)d, (void)kept;
    OFFLINE_NEW(q, error);
    q->context = c;
    return q;
}

static cl_int CL_API_CALL queue_info(cl_command_queue q, cl_command_queue_info what, size_t size,
                                     void *value, size_t *used)
{
    switch (what) {
    case CL_QUEUE_CONTEXT: return OFFLINE_ANSWER(cl_context, q->context);
    case CL_QUEUE_DEVICE: return OFFLINE_ANSWER(cl_device_id, &offline_device);
    case CL_QUEUE_REFERENCE_COUNT: return OFFLINE_ANSWER(cl_uint, (cl_uint)q->references);
    case CL_QUEUE_PROPERTIES:
        return OFFLINE_ANSWER(cl_command_queue_properties, CL_QUEUE_PROFILING_ENABLE);
    default: return CL_INVALID_VALUE;
    }
}

/* ---- commands and their events ---- */

/* A command that takes a microsecond. Commands run one after the other. */
cl_int offline_command(cl_event *event)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    cl_ulong now = (cl_ulong)t.tv_sec * 1000000000u + (cl_ulong)t.tv_nsec;
    pthread_mutex_lock(&offline_lock);
    cl_ulong from = now > busy_until ? now : busy_until;
    busy_until = from + 1000;
    pthread_mutex_unlock(&offline_lock);
    if (!event) return CL_SUCCESS;
    cl_event e = calloc(1, sizeof *e);
    if (!e) return CL_OUT_OF_HOST_MEMORY;
    *e = (struct _cl_event){&offline_dispatch, 1, from, from + 1000};
    *event = e;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL event_info(cl_event e, cl_event_info what, size_t size, void *value,
                                     size_t *used)
{
    (void)e;
    return what == CL_EVENT_COMMAND_EXECUTION_STATUS ? OFFLINE_ANSWER(cl_int, CL_COMPLETE)
                                                     : CL_INVALID_VALUE;
}

static cl_int CL_API_CALL event_times(cl_event e, cl_profiling_info what, size_t size, void *value,
                                      size_t *used)
{
    return OFFLINE_ANSWER(cl_ulong, what == CL_PROFILING_COMMAND_END ? e->to : e->from);
}

static cl_int CL_API_CALL wait_for_events(cl_uint n, const cl_event *events)
{
    (void)events;
    return n ? CL_SUCCESS : CL_INVALID_VALUE;
}

static cl_int CL_API_CALL done(cl_command_queue q)
{
    (void)q;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL marker(cl_command_queue q, cl_uint n, const cl_event *waits,
                                 cl_event *event)
{
    (void)q, (void)n, (void)waits;
    return offline_command(event);
}

/* ---- what the loader asks for ---- */

static void missing(void)
{
    fprintf(stderr, "offline_driver: a call that it does not have\n");
    abort();
}

static void fill_dispatch(void)
{
    typedef void (*entry)(void);
    const entry stop = missing;
    for (size_t i = 0; i < sizeof offline_dispatch / sizeof stop; i++)
        memcpy((char *)&offline_dispatch + i * sizeof stop, &stop, sizeof stop);
    offline_dispatch.clGetPlatformInfo = platform_info;
    offline_dispatch.clGetDeviceIDs = device_ids;
    offline_dispatch.clGetDeviceInfo = offline_device_info;
    offline_dispatch.clCreateContext = create_context;
    offline_dispatch.clRetainContext = retain_context;
    offline_dispatch.clReleaseContext = release_context;
    offline_dispatch.clGetContextInfo = context_info;
    offline_dispatch.clCreateCommandQueue = create_queue;
    offline_dispatch.clRetainCommandQueue = retain_queue;
    offline_dispatch.clReleaseCommandQueue = release_queue;
    offline_dispatch.clGetCommandQueueInfo = queue_info;
    offline_dispatch.clWaitForEvents = wait_for_events;
    offline_dispatch.clGetEventInfo = event_info;
    offline_dispatch.clRetainEvent = retain_event;
    offline_dispatch.clReleaseEvent = release_event;
    offline_dispatch.clGetEventProfilingInfo = event_times;
    offline_fill_memory(&offline_dispatch);
    offline_fill_programs(&offline_dispatch);
    offline_dispatch.clFlush = done;
    offline_dispatch.clFinish = done;
    offline_dispatch.clEnqueueMarkerWithWaitList = marker;
}

__attribute__((constructor)) static void begin(void)
{
    offline_read_settings();
    fill_dispatch();
}

__attribute__((destructor)) static void end(void)
{
    offline_write_index();
}

/* The functions that the loader looks up by name. */
EXPORT CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name)
{
    static const struct {
        const char *name;
        union {
            cl_int(CL_API_CALL *platforms)(cl_uint, cl_platform_id *, cl_uint *);
            cl_int(CL_API_CALL *info)(cl_platform_id, cl_platform_info, size_t, void *, size_t *);
            void *address;
        } of;
    } known[] = {{"clIcdGetPlatformIDsKHR", {.platforms = clIcdGetPlatformIDsKHR}},
                 {"clGetPlatformInfo", {.info = platform_info}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) return known[i].of.address;
    return NULL;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id p, cl_platform_info what,
                                                         size_t size, void *value, size_t *used)
{
    return platform_info(p, what, size, value, used);
}
