/* The offline driver's programs, kernels and launches. See offline_driver.c. */
#include "offline_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

OFFLINE_RETAIN(retain_program, cl_program)
OFFLINE_RETAIN(retain_kernel, cl_kernel)

static cl_int CL_API_CALL release_program(cl_program p)
{
    if (!offline_is_last(&p->references)) return CL_SUCCESS;
    free(p->source);
    free(p->options);
    ptx_free(p->ptx);
    free(p);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_kernel(cl_kernel k)
{
    if (!offline_is_last(&k->references)) return CL_SUCCESS;
    release_program(k->program);
    free(k);
    return CL_SUCCESS;
}

static size_t part_length(const char **parts, const size_t *lengths, cl_uint i)
{
    return lengths && lengths[i] ? lengths[i] : strlen(parts[i]);
}

static cl_program CL_API_CALL create_program(cl_context c, cl_uint n, const char **parts,
                                             const size_t *lengths, cl_int *error)
{
    cl_program p;
    size_t bytes = 0, used = 0;
    OFFLINE_NEW(p, error);
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
    if (*offline.ptx && !ptx_device_build(p)) return CL_BUILD_PROGRAM_FAILURE;
    if (told) told(p, data);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL program_info(cl_program p, cl_program_info what, size_t size, void *value,
                                       size_t *used)
{
    switch (what) {
    case CL_PROGRAM_CONTEXT: return OFFLINE_ANSWER(cl_context, p->context);
    case CL_PROGRAM_NUM_DEVICES: return OFFLINE_ANSWER(cl_uint, 1);
    case CL_PROGRAM_DEVICES: return OFFLINE_ANSWER(cl_device_id, &offline_device);
    case CL_PROGRAM_SOURCE: return offline_answer_text(p->source, size, value, used);
    case CL_PROGRAM_BINARY_SIZES: return OFFLINE_ANSWER(size_t, strlen(p->source));
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
        return OFFLINE_ANSWER(cl_build_status, *p->log      ? CL_BUILD_ERROR
                                               : p->options ? CL_BUILD_SUCCESS
                                                            : CL_BUILD_NONE);
    case CL_PROGRAM_BUILD_OPTIONS:
        return offline_answer_text(p->options ? p->options : "", size, value, used);
    case CL_PROGRAM_BUILD_LOG: return offline_answer_text(p->log, size, value, used);
    default: return CL_INVALID_VALUE;
    }
}

/* ---- kernels ---- */

static cl_kernel CL_API_CALL create_kernel(cl_program p, const char *name, cl_int *error)
{
    cl_kernel k;
    const ptx_kernel *ptx = p->ptx ? ptx_find(p->ptx, name) : NULL;
    if (!p->options || !strstr(p->source, name) || (*offline.ptx && !ptx)) {
        if (error) *error = p->options ? CL_INVALID_KERNEL_NAME : CL_INVALID_PROGRAM_EXECUTABLE;
        return NULL;
    }
    OFFLINE_NEW(k, error);
    retain_program(p);
    k->program = p;
    k->ptx = ptx;
    pthread_mutex_lock(&offline_lock);
    k->listed = offline_list_kernel(p->source, p->options, name);
    pthread_mutex_unlock(&offline_lock);
    if (k->listed) return k;
    if (error) *error = CL_OUT_OF_RESOURCES;
    release_kernel(k);
    return NULL;
}

static cl_int count_arguments(cl_kernel k)
{
    offline_kernel *l = k->listed;
    pthread_mutex_lock(&offline_lock);
    if (l->n_args < 0)
        l->n_args = offline_count_arguments(k->program->source, k->program->options, l->name);
    pthread_mutex_unlock(&offline_lock);
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
    case CL_KERNEL_CONTEXT: return OFFLINE_ANSWER(cl_context, k->program->context);
    case CL_KERNEL_PROGRAM: return OFFLINE_ANSWER(cl_program, k->program);
    case CL_KERNEL_NUM_ARGS:
        code = count_arguments(k);
        return code == CL_SUCCESS ? OFFLINE_ANSWER(cl_uint, (cl_uint)k->listed->n_args) : code;
    default: return CL_INVALID_VALUE;
    }
}

static cl_int CL_API_CALL kernel_group_info(cl_kernel k, cl_device_id d,
                                            cl_kernel_work_group_info what, size_t size,
                                            void *value, size_t *used)
{
    static const size_t none[3] = {0, 0, 0};
    (void)d;
    switch (what) {
    case CL_KERNEL_WORK_GROUP_SIZE: return OFFLINE_ANSWER(size_t, offline.group);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
        return offline_answer(none, sizeof none, size, value, used);
    case CL_KERNEL_LOCAL_MEM_SIZE:
        return OFFLINE_ANSWER(cl_ulong, k->ptx ? ptx_shared_bytes(k->ptx) : 0);
    case CL_KERNEL_PRIVATE_MEM_SIZE: return OFFLINE_ANSWER(cl_ulong, 0);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE: return OFFLINE_ANSWER(size_t, 1);
    default: return CL_INVALID_VALUE;
    }
}

static cl_int CL_API_CALL set_argument(cl_kernel k, cl_uint i, size_t size, const void *value)
{
    if (i >= OFFLINE_ARGUMENTS || (k->listed->n_args >= 0 && (int)i >= k->listed->n_args))
        return CL_INVALID_ARG_INDEX;
    if (!size) return CL_INVALID_ARG_SIZE;
    k->set |= (uint64_t)1 << i;
    k->values[i] = 0;
    if (value) memcpy(&k->values[i], value, size < 8 ? size : 8);
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
    (void)q, (void)n, (void)waits;
    if (!dims || dims > 3) return CL_INVALID_WORK_DIMENSION;
    if (!all_set(k)) return CL_INVALID_KERNEL_ARGS;
    for (cl_uint i = 0; i < dims; i++) {
        if (!global[i]) return CL_INVALID_GLOBAL_WORK_SIZE;
        if (local && (!local[i] || global[i] % local[i])) return CL_INVALID_WORK_GROUP_SIZE;
        items *= local ? local[i] : 1;
    }
    if (items > offline.group) return CL_INVALID_WORK_GROUP_SIZE;
    pthread_mutex_lock(&offline_lock);
    if (items > k->listed->group) k->listed->group = items;
    pthread_mutex_unlock(&offline_lock);
    cl_int code = k->ptx ? ptx_device_launch(k, dims, offset, global, local) : CL_SUCCESS;
    return code == CL_SUCCESS ? offline_command(event) : code;
}

void offline_fill_programs(cl_icd_dispatch *to)
{
    to->clCreateProgramWithSource = create_program;
    to->clCreateProgramWithBinary = load_program;
    to->clRetainProgram = retain_program;
    to->clReleaseProgram = release_program;
    to->clBuildProgram = build_program;
    to->clGetProgramInfo = program_info;
    to->clGetProgramBuildInfo = build_info;
    to->clCreateKernel = create_kernel;
    to->clRetainKernel = retain_kernel;
    to->clReleaseKernel = release_kernel;
    to->clSetKernelArg = set_argument;
    to->clGetKernelInfo = kernel_info;
    to->clGetKernelWorkGroupInfo = kernel_group_info;
    to->clEnqueueNDRangeKernel = launch;
}
