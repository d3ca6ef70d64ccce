/* What the files of this folder share: <CL/cl.h>, the open device, CL_TRY. Nobody above may include
 * it. */
#ifndef DITCL_DEVICE_OPENCL_H
#define DITCL_DEVICE_OPENCL_H

#include <CL/cl.h>

#include "base/hash.h"
#include "base/status.h"
#include "device/clblast.h"
#include "device/device.h"

struct kernel {
    char *file, *name, *options; /* its key in memory */
    hash128 key;                 /* and on disk */
    double build_seconds;        /* from source; else 0 */
    bool unstored, launched;     /* built from source and not on disk yet; has run */
    cl_program program;
    cl_kernel handle;
    cl_uint n_args;
    struct kernel *next;
};

struct device_handles {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    struct kernel *kernels; /* built so far */
    /* what clblast.c had CLBlast use last; kernel null: as shipped */
    const char *clblast_kernel;
    int clblast_values[CLBLAST_PARAMETERS];
};

/* "CL_OUT_OF_RESOURCES", or "error -9999". */
const char *cl_error_name(cl_int code);

/* Stores "call: NAME" and returns ERR_DEVICE, or ERR_RESOURCES if resources ran out. */
status cl_fail(const char *call, cl_int code);

#define CL_TRY(name, call)                                                                         \
    do {                                                                                           \
        cl_int cl_code = (call);                                                                   \
        if (cl_code != CL_SUCCESS) {                                                               \
            st = cl_fail(name, cl_code);                                                           \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

#endif
