/* The offline driver: an OpenCL driver (ICD) for a device that does not exist. It checks programs,
 * buffers and launches against limits that are settings, writes each program to a folder, and
 * computes nothing: reads give zeros. So the compiler of a GPU can be tried without the GPU, with
 * the same sources and options that the GPU's driver would get.
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
 *     mma, dpas=N             the device has matrix units, dpas with sub-groups of N = 8 or 16
 *     type=cpu|gpu|accelerator, name=TEXT, vendor=TEXT, driver=TEXT, version=TEXT, c_version=TEXT,
 *     platform=TEXT
 *     folder=DIR              existing folder for the programs and for index.tsv. When the process
 *                             ends, index.tsv gets a line for each kernel: the program's file, its
 *                             options, and the largest work-group that was launched. A program
 *                             without #line "cl/..." belongs to a library and is not written
 *     config=TEXT, precision=TEXT  two more columns, for the kernels that are built from now on
 *
 * A setting that is not understood ends the process with exit code 99. A call that the driver does
 * not implement ends it by abort(). */
#include "offline_driver.h"

#include <CL/cl_ext.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

struct _cl_context {
    OFFLINE_OBJECT;
};
struct _cl_command_queue {
    OFFLINE_OBJECT;
    cl_context context;
};
struct _cl_mem {
    OFFLINE_OBJECT;
    cl_context context;
    cl_mem parent; /* of an image: the buffer that it is made from */
    size_t bytes, mapped;
};
struct _cl_program {
    OFFLINE_OBJECT;
    cl_context context;
    char *source, *options;
};
struct _cl_kernel {
    OFFLINE_OBJECT;
    cl_program program;
    offline_kernel *listed;
    uint64_t set; /* a bit for each argument */
};
struct _cl_event {
    OFFLINE_OBJECT;
    cl_ulong from, to;
};

static cl_icd_dispatch dispatch;
struct _cl_platform_id offline_platform = {&dispatch};
static struct _cl_device_id the_device = {&dispatch};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t bytes_in_use;
static cl_ulong busy_until;

#define ANSWER(type, x) offline_answer(&(type){x}, sizeof(type), size, value, used)

/* ---- objects ---- */

/* A new object with one reference. Null, and *error, if memory runs out. */
#define NEW(object, error)                                                                         \
    do {                                                                                           \
        (object) = calloc(1, sizeof *(object));                                                    \
        if (error) *(error) = (object) ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;                       \
        if (!(object)) return NULL;                                                                \
        (object)->dispatch = &dispatch;                                                            \
        (object)->references = 1;                                                                  \
    } while (0)

#define RETAIN(name, type)                                                                         \
    static cl_int CL_API_CALL name(type object)                                                    \
    {                                                                                              \
        __atomic_add_fetch(&object->references, 1, __ATOMIC_SEQ_CST);                              \
        return CL_SUCCESS;                                                                         \
    }
RETAIN(retain_context, cl_context)
RETAIN(retain_queue, cl_command_queue)
RETAIN(retain_mem, cl_mem)
RETAIN(retain_program, cl_program)
RETAIN(retain_kernel, cl_kernel)
RETAIN(retain_event, cl_event)

static bool is_last(int *references)
{
    return __atomic_sub_fetch(references, 1, __ATOMIC_SEQ_CST) == 0;
}

static cl_int CL_API_CALL release_context(cl_context c)
{
    if (is_last(&c->references)) free(c);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_queue(cl_command_queue q)
{
    if (is_last(&q->references)) free(q);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_mem(cl_mem m)
{
    if (!is_last(&m->references)) return CL_SUCCESS;
    pthread_mutex_lock(&lock);
    if (!m->parent) bytes_in_use -= m->bytes;
    pthread_mutex_unlock(&lock);
    if (m->parent) release_mem(m->parent);
    free(m);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_program(cl_program p)
{
    if (!is_last(&p->references)) return CL_SUCCESS;
    free(p->source);
    free(p->options);
    free(p);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_kernel(cl_kernel k)
{
    if (!is_last(&k->references)) return CL_SUCCESS;
    release_program(k->program);
    free(k);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_event(cl_event e)
{
    if (is_last(&e->references)) free(e);
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
    if (found && out && n) *out = &the_device;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_context CL_API_CALL create_context(
    const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
    void(CL_CALLBACK *told)(const char *, const void *, size_t, void *), void *data, cl_int *error)
{
    cl_context c;
    (void)properties, (void)n, (void)devices, (void)told, (void)data;
    NEW(c, error);
    pthread_mutex_lock(&lock);
    offline_read_settings();
    pthread_mutex_unlock(&lock);
    return c;
}

static cl_int CL_API_CALL context_info(cl_context c, cl_context_info what, size_t size, void *value,
                                       size_t *used)
{
    switch (what) {
    case CL_CONTEXT_REFERENCE_COUNT: return ANSWER(cl_uint, (cl_uint)c->references);
    case CL_CONTEXT_NUM_DEVICES: return ANSWER(cl_uint, 1);
    case CL_CONTEXT_DEVICES: return ANSWER(cl_device_id, &the_device);
    default: return CL_INVALID_VALUE;
    }
}

static cl_command_queue CL_API_CALL create_queue(cl_context c, cl_device_id d,
                                                 cl_command_queue_properties kept, cl_int *error)
{
    cl_command_queue q;
    (void)d, (void)kept;
    NEW(q, error);
    q->context = c;
    return q;
}

static cl_int CL_API_CALL queue_info(cl_command_queue q, cl_command_queue_info what, size_t size,
                                     void *value, size_t *used)
{
    switch (what) {
    case CL_QUEUE_CONTEXT: return ANSWER(cl_context, q->context);
    case CL_QUEUE_DEVICE: return ANSWER(cl_device_id, &the_device);
    case CL_QUEUE_REFERENCE_COUNT: return ANSWER(cl_uint, (cl_uint)q->references);
    case CL_QUEUE_PROPERTIES: return ANSWER(cl_command_queue_properties, CL_QUEUE_PROFILING_ENABLE);
    default: return CL_INVALID_VALUE;
    }
}

/* ---- commands and their events ---- */

/* A command that takes a microsecond. Commands run one after the other. */
static cl_int command(cl_event *event)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    cl_ulong now = (cl_ulong)t.tv_sec * 1000000000u + (cl_ulong)t.tv_nsec;
    pthread_mutex_lock(&lock);
    cl_ulong from = now > busy_until ? now : busy_until;
    busy_until = from + 1000;
    pthread_mutex_unlock(&lock);
    if (!event) return CL_SUCCESS;
    cl_event e = calloc(1, sizeof *e);
    if (!e) return CL_OUT_OF_HOST_MEMORY;
    *e = (struct _cl_event){&dispatch, 1, from, from + 1000};
    *event = e;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL event_info(cl_event e, cl_event_info what, size_t size, void *value,
                                     size_t *used)
{
    (void)e;
    return what == CL_EVENT_COMMAND_EXECUTION_STATUS ? ANSWER(cl_int, CL_COMPLETE)
                                                     : CL_INVALID_VALUE;
}

static cl_int CL_API_CALL event_times(cl_event e, cl_profiling_info what, size_t size, void *value,
                                      size_t *used)
{
    return ANSWER(cl_ulong, what == CL_PROFILING_COMMAND_END ? e->to : e->from);
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
    return command(event);
}

/* ---- memory ---- */

static cl_mem CL_API_CALL create_buffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host,
                                        cl_int *error)
{
    cl_mem m;
    cl_int code = CL_SUCCESS;
    (void)flags, (void)host;
    pthread_mutex_lock(&lock);
    if (!bytes || bytes > offline.largest)
        code = CL_INVALID_BUFFER_SIZE;
    else if (bytes > offline.memory - bytes_in_use)
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    else
        bytes_in_use += bytes;
    pthread_mutex_unlock(&lock);
    if (error) *error = code;
    if (code != CL_SUCCESS) return NULL;
    NEW(m, error);
    m->context = c;
    m->bytes = bytes;
    return m;
}

/* Makes images from buffers only. */
static cl_mem CL_API_CALL create_image(cl_context c, cl_mem_flags flags, const cl_image_format *f,
                                       const cl_image_desc *of, void *host, cl_int *error)
{
    cl_mem m;
    (void)flags, (void)f, (void)host;
    if (!offline.images || of->image_type != CL_MEM_OBJECT_IMAGE1D_BUFFER || !of->buffer) {
        if (error) *error = CL_INVALID_OPERATION;
        return NULL;
    }
    NEW(m, error);
    retain_mem(of->buffer);
    m->context = c;
    m->parent = of->buffer;
    return m;
}

static cl_int CL_API_CALL mem_info(cl_mem m, cl_mem_info what, size_t size, void *value,
                                   size_t *used)
{
    switch (what) {
    case CL_MEM_TYPE:
        return ANSWER(cl_mem_object_type,
                      m->parent ? CL_MEM_OBJECT_IMAGE1D_BUFFER : CL_MEM_OBJECT_BUFFER);
    case CL_MEM_SIZE: return ANSWER(size_t, m->bytes);
    case CL_MEM_FLAGS: return ANSWER(cl_mem_flags, CL_MEM_READ_WRITE);
    case CL_MEM_REFERENCE_COUNT: return ANSWER(cl_uint, (cl_uint)m->references);
    case CL_MEM_CONTEXT: return ANSWER(cl_context, m->context);
    default: return CL_INVALID_VALUE;
    }
}

static bool within(cl_mem m, size_t at, size_t n)
{
    return at <= m->bytes && n <= m->bytes - at;
}

static cl_int CL_API_CALL write_buffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t at,
                                       size_t n, const void *from, cl_uint w, const cl_event *waits,
                                       cl_event *event)
{
    (void)q, (void)blocking, (void)from, (void)w, (void)waits;
    return within(m, at, n) ? command(event) : CL_INVALID_VALUE;
}

static cl_int CL_API_CALL read_buffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t at,
                                      size_t n, void *to, cl_uint w, const cl_event *waits,
                                      cl_event *event)
{
    (void)q, (void)blocking, (void)w, (void)waits;
    if (!within(m, at, n)) return CL_INVALID_VALUE;
    memset(to, 0, n);
    return command(event);
}

static cl_int CL_API_CALL copy_buffer(cl_command_queue q, cl_mem from, cl_mem to, size_t from_at,
                                      size_t to_at, size_t n, cl_uint w, const cl_event *waits,
                                      cl_event *event)
{
    (void)q, (void)w, (void)waits;
    return within(from, from_at, n) && within(to, to_at, n) ? command(event) : CL_INVALID_VALUE;
}

/* Maps zeros, which take memory only if the program writes there. Unmapping frees them. */
static void *CL_API_CALL map_buffer(cl_command_queue q, cl_mem m, cl_bool blocking,
                                    cl_map_flags flags, size_t at, size_t n, cl_uint w,
                                    const cl_event *waits, cl_event *event, cl_int *error)
{
    void *p = MAP_FAILED;
    (void)q, (void)blocking, (void)flags, (void)w, (void)waits;
    if (within(m, at, n) && n && !m->mapped)
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                 0);
    cl_int code = p == MAP_FAILED ? CL_MAP_FAILURE : command(event);
    if (error) *error = code;
    if (code != CL_SUCCESS) return NULL;
    m->mapped = n;
    return p;
}

static cl_int CL_API_CALL unmap(cl_command_queue q, cl_mem m, void *p, cl_uint w,
                                const cl_event *waits, cl_event *event)
{
    (void)q, (void)w, (void)waits;
    if (!m->mapped || munmap(p, m->mapped)) return CL_INVALID_VALUE;
    m->mapped = 0;
    return command(event);
}

/* ---- programs ---- */

static size_t part_length(const char **parts, const size_t *lengths, cl_uint i)
{
    return lengths && lengths[i] ? lengths[i] : strlen(parts[i]);
}

static cl_program CL_API_CALL create_program(cl_context c, cl_uint n, const char **parts,
                                             const size_t *lengths, cl_int *error)
{
    cl_program p;
    size_t bytes = 0, used = 0;
    NEW(p, error);
    p->context = c;
    for (cl_uint i = 0; i < n; i++) bytes += part_length(parts, lengths, i);
    p->source = calloc(bytes + 1, 1);
    for (cl_uint i = 0; p->source && i < n; used += part_length(parts, lengths, i++))
        memcpy(p->source + used, parts[i], part_length(parts, lengths, i));
    if (p->source) return p;
    if (error) *error = CL_OUT_OF_HOST_MEMORY;
    release_program(p);
    return NULL;
}

/* The binary of a program is its source. */
static cl_program CL_API_CALL load_program(cl_context c, cl_uint n, const cl_device_id *d,
                                           const size_t *lengths, const unsigned char **binaries,
                                           cl_int *statuses, cl_int *error)
{
    const char *source = (const char *)binaries[0];
    (void)d;
    if (statuses) *statuses = CL_SUCCESS;
    return create_program(c, n, &source, lengths, error);
}

static cl_int CL_API_CALL build_program(cl_program p, cl_uint n, const cl_device_id *d,
                                        const char *options,
                                        void(CL_CALLBACK *told)(cl_program, void *), void *data)
{
    char *copy = strdup(options ? options : "");
    (void)n, (void)d;
    if (!copy) return CL_OUT_OF_HOST_MEMORY;
    free(p->options);
    p->options = copy;
    if (told) told(p, data);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL program_info(cl_program p, cl_program_info what, size_t size, void *value,
                                       size_t *used)
{
    switch (what) {
    case CL_PROGRAM_CONTEXT: return ANSWER(cl_context, p->context);
    case CL_PROGRAM_NUM_DEVICES: return ANSWER(cl_uint, 1);
    case CL_PROGRAM_DEVICES: return ANSWER(cl_device_id, &the_device);
    case CL_PROGRAM_SOURCE: return offline_answer_text(p->source, size, value, used);
    case CL_PROGRAM_BINARY_SIZES: return ANSWER(size_t, strlen(p->source));
    case CL_PROGRAM_BINARIES:
        if (used) *used = sizeof(void *);
        if (value) memcpy(*(void **)value, p->source, strlen(p->source));
        return CL_SUCCESS;
    default: return CL_INVALID_VALUE;
    }
}

static cl_int CL_API_CALL build_info(cl_program p, cl_device_id d, cl_program_build_info what,
                                     size_t size, void *value, size_t *used)
{
    (void)d;
    switch (what) {
    case CL_PROGRAM_BUILD_STATUS:
        return ANSWER(cl_build_status, p->options ? CL_BUILD_SUCCESS : CL_BUILD_NONE);
    case CL_PROGRAM_BUILD_OPTIONS:
        return offline_answer_text(p->options ? p->options : "", size, value, used);
    case CL_PROGRAM_BUILD_LOG: return offline_answer_text("", size, value, used);
    default: return CL_INVALID_VALUE;
    }
}

/* ---- kernels ---- */

static cl_kernel CL_API_CALL create_kernel(cl_program p, const char *name, cl_int *error)
{
    cl_kernel k;
    if (!p->options || !strstr(p->source, name)) {
        if (error) *error = p->options ? CL_INVALID_KERNEL_NAME : CL_INVALID_PROGRAM_EXECUTABLE;
        return NULL;
    }
    NEW(k, error);
    retain_program(p);
    k->program = p;
    pthread_mutex_lock(&lock);
    k->listed = offline_list_kernel(p->source, p->options, name);
    pthread_mutex_unlock(&lock);
    if (k->listed) return k;
    if (error) *error = CL_OUT_OF_RESOURCES;
    release_kernel(k);
    return NULL;
}

static cl_int count_arguments(cl_kernel k)
{
    offline_kernel *l = k->listed;
    pthread_mutex_lock(&lock);
    if (l->n_args < 0)
        l->n_args = offline_count_arguments(k->program->source, k->program->options, l->name);
    pthread_mutex_unlock(&lock);
    if (l->n_args < 0)
        fprintf(stderr, "offline_driver: no declaration of kernel %s with %s\n", l->name,
                k->program->options);
    return l->n_args < 0 ? CL_INVALID_KERNEL_DEFINITION : CL_SUCCESS;
}

static cl_int CL_API_CALL kernel_info(cl_kernel k, cl_kernel_info what, size_t size, void *value,
                                      size_t *used)
{
    cl_int code;
    switch (what) {
    case CL_KERNEL_FUNCTION_NAME: return offline_answer_text(k->listed->name, size, value, used);
    case CL_KERNEL_CONTEXT: return ANSWER(cl_context, k->program->context);
    case CL_KERNEL_PROGRAM: return ANSWER(cl_program, k->program);
    case CL_KERNEL_NUM_ARGS:
        code = count_arguments(k);
        return code == CL_SUCCESS ? ANSWER(cl_uint, (cl_uint)k->listed->n_args) : code;
    default: return CL_INVALID_VALUE;
    }
}

static cl_int CL_API_CALL kernel_group_info(cl_kernel k, cl_device_id d,
                                            cl_kernel_work_group_info what, size_t size,
                                            void *value, size_t *used)
{
    static const size_t none[3] = {0, 0, 0};
    (void)k, (void)d;
    switch (what) {
    case CL_KERNEL_WORK_GROUP_SIZE: return ANSWER(size_t, offline.group);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
        return offline_answer(none, sizeof none, size, value, used);
    case CL_KERNEL_LOCAL_MEM_SIZE:
    case CL_KERNEL_PRIVATE_MEM_SIZE: return ANSWER(cl_ulong, 0);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE: return ANSWER(size_t, 1);
    default: return CL_INVALID_VALUE;
    }
}

static cl_int CL_API_CALL set_argument(cl_kernel k, cl_uint i, size_t size, const void *value)
{
    (void)value;
    if (i >= OFFLINE_ARGUMENTS || (k->listed->n_args >= 0 && (int)i >= k->listed->n_args))
        return CL_INVALID_ARG_INDEX;
    if (!size) return CL_INVALID_ARG_SIZE;
    k->set |= (uint64_t)1 << i;
    return CL_SUCCESS;
}

/* Whether each argument was set. True if the number of arguments is unknown. */
static bool all_set(cl_kernel k)
{
    int n = k->listed->n_args;
    return n < 0 || n >= OFFLINE_ARGUMENTS || k->set == ((uint64_t)1 << n) - 1;
}

static cl_int CL_API_CALL launch(cl_command_queue q, cl_kernel k, cl_uint dims,
                                 const size_t *offset, const size_t *global, const size_t *local,
                                 cl_uint n, const cl_event *waits, cl_event *event)
{
    size_t items = 1;
    (void)q, (void)offset, (void)n, (void)waits;
    if (!dims || dims > 3) return CL_INVALID_WORK_DIMENSION;
    if (!all_set(k)) return CL_INVALID_KERNEL_ARGS;
    for (cl_uint i = 0; i < dims; i++) {
        if (!global[i]) return CL_INVALID_GLOBAL_WORK_SIZE;
        if (local && (!local[i] || global[i] % local[i])) return CL_INVALID_WORK_GROUP_SIZE;
        items *= local ? local[i] : 1;
    }
    if (items > offline.group) return CL_INVALID_WORK_GROUP_SIZE;
    pthread_mutex_lock(&lock);
    if (items > k->listed->group) k->listed->group = items;
    pthread_mutex_unlock(&lock);
    return command(event);
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
    for (size_t i = 0; i < sizeof dispatch / sizeof stop; i++)
        memcpy((char *)&dispatch + i * sizeof stop, &stop, sizeof stop);
    dispatch.clGetPlatformInfo = platform_info;
    dispatch.clGetDeviceIDs = device_ids;
    dispatch.clGetDeviceInfo = offline_device_info;
    dispatch.clCreateContext = create_context;
    dispatch.clRetainContext = retain_context;
    dispatch.clReleaseContext = release_context;
    dispatch.clGetContextInfo = context_info;
    dispatch.clCreateCommandQueue = create_queue;
    dispatch.clRetainCommandQueue = retain_queue;
    dispatch.clReleaseCommandQueue = release_queue;
    dispatch.clGetCommandQueueInfo = queue_info;
    dispatch.clCreateBuffer = create_buffer;
    dispatch.clCreateImage = create_image;
    dispatch.clRetainMemObject = retain_mem;
    dispatch.clReleaseMemObject = release_mem;
    dispatch.clGetMemObjectInfo = mem_info;
    dispatch.clCreateProgramWithSource = create_program;
    dispatch.clCreateProgramWithBinary = load_program;
    dispatch.clRetainProgram = retain_program;
    dispatch.clReleaseProgram = release_program;
    dispatch.clBuildProgram = build_program;
    dispatch.clGetProgramInfo = program_info;
    dispatch.clGetProgramBuildInfo = build_info;
    dispatch.clCreateKernel = create_kernel;
    dispatch.clRetainKernel = retain_kernel;
    dispatch.clReleaseKernel = release_kernel;
    dispatch.clSetKernelArg = set_argument;
    dispatch.clGetKernelInfo = kernel_info;
    dispatch.clGetKernelWorkGroupInfo = kernel_group_info;
    dispatch.clWaitForEvents = wait_for_events;
    dispatch.clGetEventInfo = event_info;
    dispatch.clRetainEvent = retain_event;
    dispatch.clReleaseEvent = release_event;
    dispatch.clGetEventProfilingInfo = event_times;
    dispatch.clFlush = done;
    dispatch.clFinish = done;
    dispatch.clEnqueueReadBuffer = read_buffer;
    dispatch.clEnqueueWriteBuffer = write_buffer;
    dispatch.clEnqueueCopyBuffer = copy_buffer;
    dispatch.clEnqueueMapBuffer = map_buffer;
    dispatch.clEnqueueUnmapMemObject = unmap;
    dispatch.clEnqueueNDRangeKernel = launch;
    dispatch.clEnqueueMarkerWithWaitList = marker;
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
