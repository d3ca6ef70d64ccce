/* Makes one allocation or one OpenCL call of a program fail: a shared object for LD_PRELOAD.
 *
 *     DITCL_FAULT=memory:K   the K-th allocation fails, counted from 1; with K = 0 none fails
 *     DITCL_FAULT=opencl:K   the K-th OpenCL call fails
 *     DITCL_FAULT_COUNT=FILE receives the number of allocations or calls when main returns
 *
 * An allocation counts if the main thread makes it within main, if its caller is the program,
 * jansson or the C library, and if the thread is not in an OpenCL call. Allocations of drivers do
 * not count: they differ from run to run, and this test is not about drivers. As the C standard
 * demands, a realloc that fails keeps the old memory. An OpenCL call that fails does nothing. */
#include <CL/cl.h>

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_RANGES = 16 };

static struct {
    uintptr_t begin, end;
} ranges[MOST_RANGES];
static int n_ranges;
static bool counting, memory_faults, opencl_faults;
static unsigned long fault, n_memory, n_opencl;
static int depth; /* how many OpenCL calls of the main thread are nested */

static bool on_main_thread(void)
{
    return syscall(SYS_gettid) == getpid();
}

/* ---- allocations ---- */

static bool counts(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (!counting || depth > 0) return false;
    for (int i = 0; i < n_ranges; i++)
        if (at >= ranges[i].begin && at < ranges[i].end) return on_main_thread();
    return false;
}

/* Whether this allocation must fail. */
static bool memory_fails(const void *caller)
{
    if (!counts(caller)) return false;
    return ++n_memory == fault && memory_faults;
}

/* Memory for dlsym, which allocates before the real functions are found. */
static char early[4096];
static size_t early_used;

static void *early_memory(size_t size)
{
    size_t begin = (early_used + 15) / 16 * 16;
    if (size > sizeof early - begin) abort();
    early_used = begin + size;
    return early + begin;
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

/* The real function of this name. */
static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

#define REAL(pointer, name)                                                                        \
    static __typeof__(name) *pointer;                                                              \
    static bool asking;                                                                            \
    if (!pointer && !asking) {                                                                     \
        asking = true;                                                                             \
        void *next_one = next(#name);                                                              \
        memcpy(&pointer, &next_one, sizeof next_one);                                              \
        asking = false;                                                                            \
    }

#define CALLER __builtin_extract_return_addr(__builtin_return_address(0))

void *malloc(size_t size)
{
    REAL(real, malloc)
    if (!real) return early_memory(size);
    if (memory_fails(CALLER)) {
        errno = ENOMEM;
        return NULL;
    }
    return real(size);
}

void *calloc(size_t count, size_t size)
{
    REAL(real, calloc)
    if (!real) return early_memory(count * size); /* zero */
    if (memory_fails(CALLER)) {
        errno = ENOMEM;
        return NULL;
    }
    return real(count, size);
}

void *realloc(void *old, size_t size)
{
    REAL(real, realloc)
    if (!real || is_early(old)) abort();
    if (memory_fails(CALLER)) {
        errno = ENOMEM;
        return NULL;
    }
    return real(old, size);
}

void free(void *p)
{
    REAL(real, free)
    if (real && !is_early(p)) real(p);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    REAL(real, aligned_alloc)
    if (memory_fails(CALLER)) {
        errno = ENOMEM;
        return NULL;
    }
    return real(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    REAL(real, posix_memalign)
    if (memory_fails(CALLER)) return ENOMEM;
    return real(out, alignment, size);
}

/* ---- OpenCL calls ---- */

static bool opencl_fails(void)
{
    if (!counting || depth > 0 || !on_main_thread()) return false;
    return ++n_opencl == fault && opencl_faults;
}

/* Runs the call; on the main thread, depth is one higher meanwhile. */
#define DEEPER(call)                                                                               \
    do {                                                                                           \
        bool main_thread = on_main_thread();                                                       \
        depth += main_thread;                                                                      \
        call;                                                                                      \
        depth -= main_thread;                                                                      \
    } while (0)

/* Wraps a function that returns an error code. */
#define CODE(name, code, parameters, ...)                                                          \
    CL_API_ENTRY cl_int CL_API_CALL name parameters                                                \
    {                                                                                              \
        cl_int result;                                                                             \
        REAL(real, name)                                                                           \
        if (opencl_fails()) return code;                                                           \
        DEEPER(result = real(__VA_ARGS__));                                                        \
        return result;                                                                             \
    }

/* Wraps a function that returns an object or a pointer, and an error code through `error`. */
#define OBJECT(type, name, code, parameters, ...)                                                  \
    CL_API_ENTRY type CL_API_CALL name parameters                                                  \
    {                                                                                              \
        type result;                                                                               \
        REAL(real, name)                                                                           \
        if (opencl_fails()) {                                                                      \
            if (error) *error = code;                                                              \
            return NULL;                                                                           \
        }                                                                                          \
        DEEPER(result = real(__VA_ARGS__));                                                        \
        return result;                                                                             \
    }

typedef void(CL_CALLBACK *context_notify)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *program_notify)(cl_program, void *);

CODE(clGetPlatformIDs, CL_OUT_OF_HOST_MEMORY, (cl_uint n, cl_platform_id *out, cl_uint *found), n,
     out, found)
CODE(clGetPlatformInfo, CL_OUT_OF_HOST_MEMORY,
     (cl_platform_id p, cl_platform_info what, size_t size, void *out, size_t *used), p, what, size,
     out, used)
CODE(clGetDeviceIDs, CL_OUT_OF_HOST_MEMORY,
     (cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *out, cl_uint *found), p, type,
     n, out, found)
CODE(clGetDeviceInfo, CL_OUT_OF_HOST_MEMORY,
     (cl_device_id d, cl_device_info what, size_t size, void *out, size_t *used), d, what, size,
     out, used)
OBJECT(cl_context, clCreateContext, CL_DEVICE_NOT_AVAILABLE,
       (const cl_context_properties *p, cl_uint n, const cl_device_id *d, context_notify notify,
        void *data, cl_int *error),
       p, n, d, notify, data, error)
CODE(clReleaseContext, CL_OUT_OF_RESOURCES, (cl_context c), c)
OBJECT(cl_command_queue, clCreateCommandQueue, CL_OUT_OF_HOST_MEMORY,
       (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *error), c, d, p, error)
CODE(clReleaseCommandQueue, CL_OUT_OF_RESOURCES, (cl_command_queue q), q)
OBJECT(cl_mem, clCreateBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE,
       (cl_context c, cl_mem_flags flags, size_t size, void *host, cl_int *error), c, flags, size,
       host, error)
OBJECT(cl_mem, clCreateImage, CL_MEM_OBJECT_ALLOCATION_FAILURE,
       (cl_context c, cl_mem_flags flags, const cl_image_format *format,
        const cl_image_desc *description, void *host, cl_int *error),
       c, flags, format, description, host, error)
CODE(clReleaseMemObject, CL_OUT_OF_RESOURCES, (cl_mem m), m)
OBJECT(cl_program, clCreateProgramWithSource, CL_OUT_OF_HOST_MEMORY,
       (cl_context c, cl_uint n, const char **parts, const size_t *lengths, cl_int *error), c, n,
       parts, lengths, error)
OBJECT(cl_program, clCreateProgramWithBinary, CL_OUT_OF_HOST_MEMORY,
       (cl_context c, cl_uint n, const cl_device_id *d, const size_t *lengths,
        const unsigned char **binaries, cl_int *status, cl_int *error),
       c, n, d, lengths, binaries, status, error)
CODE(clBuildProgram, CL_OUT_OF_HOST_MEMORY,
     (cl_program p, cl_uint n, const cl_device_id *d, const char *options, program_notify notify,
      void *data),
     p, n, d, options, notify, data)
CODE(clGetProgramInfo, CL_OUT_OF_HOST_MEMORY,
     (cl_program p, cl_program_info what, size_t size, void *out, size_t *used), p, what, size, out,
     used)
CODE(clGetProgramBuildInfo, CL_OUT_OF_HOST_MEMORY,
     (cl_program p, cl_device_id d, cl_program_build_info what, size_t size, void *out,
      size_t *used),
     p, d, what, size, out, used)
CODE(clRetainProgram, CL_OUT_OF_RESOURCES, (cl_program p), p)
CODE(clReleaseProgram, CL_OUT_OF_RESOURCES, (cl_program p), p)
OBJECT(cl_kernel, clCreateKernel, CL_OUT_OF_HOST_MEMORY,
       (cl_program p, const char *name, cl_int *error), p, name, error)
CODE(clSetKernelArg, CL_OUT_OF_HOST_MEMORY,
     (cl_kernel k, cl_uint index, size_t size, const void *value), k, index, size, value)
CODE(clGetKernelInfo, CL_OUT_OF_HOST_MEMORY,
     (cl_kernel k, cl_kernel_info what, size_t size, void *out, size_t *used), k, what, size, out,
     used)
CODE(clGetKernelWorkGroupInfo, CL_OUT_OF_HOST_MEMORY,
     (cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t size, void *out,
      size_t *used),
     k, d, what, size, out, used)
CODE(clReleaseKernel, CL_OUT_OF_RESOURCES, (cl_kernel k), k)
CODE(clEnqueueNDRangeKernel, CL_OUT_OF_RESOURCES,
     (cl_command_queue q, cl_kernel k, cl_uint n, const size_t *offset, const size_t *global,
      const size_t *local, cl_uint n_events, const cl_event *events, cl_event *event),
     q, k, n, offset, global, local, n_events, events, event)
CODE(clEnqueueReadBuffer, CL_OUT_OF_RESOURCES,
     (cl_command_queue q, cl_mem m, cl_bool wait, size_t at, size_t size, void *out,
      cl_uint n_events, const cl_event *events, cl_event *event),
     q, m, wait, at, size, out, n_events, events, event)
CODE(clEnqueueWriteBuffer, CL_OUT_OF_RESOURCES,
     (cl_command_queue q, cl_mem m, cl_bool wait, size_t at, size_t size, const void *from,
      cl_uint n_events, const cl_event *events, cl_event *event),
     q, m, wait, at, size, from, n_events, events, event)
OBJECT(void *, clEnqueueMapBuffer, CL_MAP_FAILURE,
       (cl_command_queue q, cl_mem m, cl_bool wait, cl_map_flags flags, size_t at, size_t size,
        cl_uint n_events, const cl_event *events, cl_event *event, cl_int *error),
       q, m, wait, flags, at, size, n_events, events, event, error)
CODE(clEnqueueUnmapMemObject, CL_OUT_OF_RESOURCES,
     (cl_command_queue q, cl_mem m, void *mapped, cl_uint n_events, const cl_event *events,
      cl_event *event),
     q, m, mapped, n_events, events, event)
CODE(clEnqueueMarkerWithWaitList, CL_OUT_OF_RESOURCES,
     (cl_command_queue q, cl_uint n_events, const cl_event *events, cl_event *event), q, n_events,
     events, event)
CODE(clGetEventProfilingInfo, CL_PROFILING_INFO_NOT_AVAILABLE,
     (cl_event e, cl_profiling_info what, size_t size, void *out, size_t *used), e, what, size, out,
     used)
CODE(clReleaseEvent, CL_OUT_OF_RESOURCES, (cl_event e), e)
CODE(clFlush, CL_OUT_OF_RESOURCES, (cl_command_queue q), q)
CODE(clFinish, CL_OUT_OF_RESOURCES, (cl_command_queue q), q)

/* ---- begin and end ---- */

/* Adds the code of a library whose allocations count. The program itself has an empty name. */
static int add_range(struct dl_phdr_info *info, size_t size, void *context)
{
    const char *name = info->dlpi_name;
    (void)size, (void)context;
    if (*name && !strstr(name, "/libjansson.") && !strstr(name, "/libc.")) return 0;
    for (int i = 0; i < info->dlpi_phnum && n_ranges < MOST_RANGES; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        ranges[n_ranges].begin = info->dlpi_addr + part->p_vaddr;
        ranges[n_ranges++].end = info->dlpi_addr + part->p_vaddr + part->p_memsz;
    }
    return 0;
}

static int (*real_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment)
{
    const char *which = getenv("DITCL_FAULT"), *path = getenv("DITCL_FAULT_COUNT");
    if (!which || !strchr(which, ':')) return real_main(argc, argv, environment);
    fault = strtoul(strchr(which, ':') + 1, NULL, 10);
    memory_faults = !strncmp(which, "memory:", 7);
    opencl_faults = !strncmp(which, "opencl:", 7);
    dl_iterate_phdr(add_range, NULL);
    counting = true;
    int code = real_main(argc, argv, environment);
    counting = false;
    FILE *out = path ? fopen(path, "w") : NULL;
    if (out) {
        fprintf(out, "%lu\n", memory_faults ? n_memory : n_opencl);
        fclose(out);
    }
    return code;
}

typedef int start(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                  void (*)(void), void *);
start __libc_start_main;

int __libc_start_main(int (*main_function)(int, char **, char **), int argc, char **argv,
                      void (*begin)(void), void (*end)(void), void (*end_loader)(void), void *stack)
{
    REAL(real, __libc_start_main)
    real_main = main_function;
    return real(counted_main, argc, argv, begin, end, end_loader, stack);
}
