/* The offline driver's memory. See offline_driver.c. */
#include "offline_driver.h"

#include <string.h>
#include <sys/mman.h>

static size_t bytes_in_use;
static cl_mem first; /* the first in the list of buffers that have data */

OFFLINE_RETAIN(retain_mem, cl_mem)

static cl_int CL_API_CALL release_mem(cl_mem m)
{
    if (!offline_is_last(&m->references)) return CL_SUCCESS;
    pthread_mutex_lock(&offline_lock);
    if (!m->parent) bytes_in_use -= m->bytes;
    for (cl_mem *at = &first; *at; at = &(*at)->next)
        if (*at == m) {
            *at = m->next;
            break;
        }
    pthread_mutex_unlock(&offline_lock);
    if (m->data) munmap(m->data, m->bytes);
    if (m->parent) release_mem(m->parent);
    free(m);
    return CL_SUCCESS;
}

ptx_buffer *offline_buffers(int *n)
{
    ptx_buffer *all;
    *n = 0;
    pthread_mutex_lock(&offline_lock);
    for (cl_mem m = first; m; m = m->next) ++*n;
    all = calloc((size_t)*n + 1, sizeof *all);
    *n = 0;
    for (cl_mem m = first; m && all; m = m->next)
        all[(*n)++] = (ptx_buffer){(uintptr_t)m->data, m->bytes};
    pthread_mutex_unlock(&offline_lock);
    return all;
}

/* Zeros, which take memory only where a program writes; null if memory ran out. */
static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static cl_mem CL_API_CALL create_buffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host,
                                        cl_int *error)
{
    cl_mem m;
    cl_int code = CL_SUCCESS;
    (void)flags, (void)host;
    pthread_mutex_lock(&offline_lock);
    if (!bytes || bytes > offline.largest)
        code = CL_INVALID_BUFFER_SIZE;
    else if (bytes > offline.memory - bytes_in_use)
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    else
        bytes_in_use += bytes;
    pthread_mutex_unlock(&offline_lock);
    if (error) *error = code;
    if (code != CL_SUCCESS) return NULL;
    OFFLINE_NEW(m, error);
    m->context = c;
    m->bytes = bytes;
    if (!*offline.ptx) return m;
    m->data = reserve(bytes);
    if (!m->data) {
        if (error) *error = CL_MEM_OBJECT_ALLOCATION_FAILURE;
        release_mem(m);
        return NULL;
    }
    pthread_mutex_lock(&offline_lock);
    m->next = first;
    first = m;
    pthread_mutex_unlock(&offline_lock);
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
    OFFLINE_NEW(m, error);
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
        return OFFLINE_ANSWER(cl_mem_object_type,
                              m->parent ? CL_MEM_OBJECT_IMAGE1D_BUFFER : CL_MEM_OBJECT_BUFFER);
    case CL_MEM_SIZE: return OFFLINE_ANSWER(size_t, m->bytes);
    case CL_MEM_FLAGS: return OFFLINE_ANSWER(cl_mem_flags, CL_MEM_READ_WRITE);
    case CL_MEM_REFERENCE_COUNT: return OFFLINE_ANSWER(cl_uint, (cl_uint)m->references);
    case CL_MEM_CONTEXT: return OFFLINE_ANSWER(cl_context, m->context);
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
    (void)q, (void)blocking, (void)w, (void)waits;
    if (!within(m, at, n)) return CL_INVALID_VALUE;
    if (m->data) memcpy(m->data + at, from, n);
    return offline_command(event);
}

static cl_int CL_API_CALL read_buffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t at,
                                      size_t n, void *to, cl_uint w, const cl_event *waits,
                                      cl_event *event)
{
    (void)q, (void)blocking, (void)w, (void)waits;
    if (!within(m, at, n)) return CL_INVALID_VALUE;
    if (m->data)
        memcpy(to, m->data + at, n);
    else
        memset(to, 0, n);
    return offline_command(event);
}

static cl_int CL_API_CALL copy_buffer(cl_command_queue q, cl_mem from, cl_mem to, size_t from_at,
                                      size_t to_at, size_t n, cl_uint w, const cl_event *waits,
                                      cl_event *event)
{
    (void)q, (void)w, (void)waits;
    if (!within(from, from_at, n) || !within(to, to_at, n)) return CL_INVALID_VALUE;
    if (from->data && to->data) memmove(to->data + to_at, from->data + from_at, n);
    return offline_command(event);
}

/* Maps the buffer's own memory, or zeros, which the unmapping frees. */
static void *CL_API_CALL map_buffer(cl_command_queue q, cl_mem m, cl_bool blocking,
                                    cl_map_flags flags, size_t at, size_t n, cl_uint w,
                                    const cl_event *waits, cl_event *event, cl_int *error)
{
    void *p = NULL;
    (void)q, (void)blocking, (void)flags, (void)w, (void)waits;
    if (within(m, at, n) && n && !m->mapped) p = m->data ? m->data + at : reserve(n);
    cl_int code = !p ? CL_MAP_FAILURE : offline_command(event);
    if (error) *error = code;
    if (code != CL_SUCCESS) return NULL;
    m->mapped = n;
    return p;
}

static cl_int CL_API_CALL unmap(cl_command_queue q, cl_mem m, void *p, cl_uint w,
                                const cl_event *waits, cl_event *event)
{
    (void)q, (void)w, (void)waits;
    if (!m->mapped || (!m->data && munmap(p, m->mapped))) return CL_INVALID_VALUE;
    m->mapped = 0;
    return offline_command(event);
}

void offline_fill_memory(cl_icd_dispatch *to)
{
    to->clCreateBuffer = create_buffer;
    to->clCreateImage = create_image;
    to->clRetainMemObject = retain_mem;
    to->clReleaseMemObject = release_mem;
    to->clGetMemObjectInfo = mem_info;
    to->clEnqueueReadBuffer = read_buffer;
    to->clEnqueueWriteBuffer = write_buffer;
    to->clEnqueueCopyBuffer = copy_buffer;
    to->clEnqueueMapBuffer = map_buffer;
    to->clEnqueueUnmapMemObject = unmap;
}
