/* What the files of this folder share: <CL/cl.h>, the open device, CL_TRY. No folder above may
 * include this file. */
#ifndef DITCL_DEVICE_OPENCL_H
#define DITCL_DEVICE_OPENCL_H

#include <CL/cl.h>

#include "base/hash.h"
#include "base/status.h"
#include "device/clblast.h"
#include "device/device.h"

/* Seconds of one work-group, for launches of a kernel with the same range and work: pace.c. */
typedef struct launch_rate {
    struct launch_rate *next;
    /* work-groups of the whole range in each dimension; for a GEMM of CLBlast: m, n and k */
    size_t size[3];
    double work; /* announced FLOPs and bytes */
    double group_seconds;
    size_t timed; /* work-groups of the largest slice that was timed; 0: none */
    int n_timed;
} launch_rate;

/* What is in the queue, in predicted seconds: pace.c. */
typedef struct {
    double limit; /* of a launch; 0: no slices, flushes or waits */
    double behind_mark, before_mark, unflushed;
    int unflushed_launches;
    cl_event mark;      /* the marker that ends before_mark; or null */
    double window_from; /* when the previous marker was reached; 0: unknown */
    double slow;        /* measured over predicted time of the last window; at least 1 */
} pace;

struct kernel {
    char *file, *name, *options; /* the key in memory */
    hash128 key;                 /* the key on disk */
    double build_seconds;        /* 0 if it was not built from source */
    /* unstored: built from source and not on disk yet; launched: has run */
    bool unstored, launched;
    cl_program program;
    cl_kernel handle;
    cl_uint n_args;
    size_t max_group; /* the most work-items of a work-group that the driver allows; 0: unknown */
    launch_rate *rates;
    struct kernel *next;
};

struct device_handles {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    struct kernel *kernels; /* built so far */
    pace pace;
    launch_rate *products;     /* of CLBlast's GEMMs */
    uint64_t least_xgemm;      /* 0: unknown; see clblast.c */
    const struct kernel *last; /* queued last; null: none, or a GEMM of CLBlast */
    bool lost;                 /* no more calls are made to the driver: a call might never return */
    failure loss;
    /* the parameters that CLBlast used last; kernel null: its own */
    const char *clblast_kernel;
    int clblast_values[CLBLAST_PARAMETERS];
    bool clblast_ran;
};

/* "CL_OUT_OF_RESOURCES", or "error -9999". */
const char *cl_error_name(cl_int code);

/* Stores "call: NAME". Returns ERR_RESOURCES if resources ran out, else ERR_DEVICE. */
status cl_fail(const char *call, cl_int code);

/* The same for a call that reaches the device. If the device is lost, marks it so, names what was
 * queued last, and returns ERR_LOST. */
status cl_fail_device(device *d, const char *call, cl_int code);

/* Stores once more the line that reported the loss. Returns ERR_LOST. */
status cl_fail_lost(const device *d);

#define DEVICE_TRY(d, name, call)                                                                  \
    do {                                                                                           \
        if ((d)->handles->lost) {                                                                  \
            st = cl_fail_lost(d);                                                                  \
            goto done;                                                                             \
        }                                                                                          \
        cl_int cl_code = (call);                                                                   \
        if (cl_code != CL_SUCCESS) {                                                               \
            st = cl_fail_device(d, name, cl_code);                                                 \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

#define CL_TRY(name, call)                                                                         \
    do {                                                                                           \
        cl_int cl_code = (call);                                                                   \
        if (cl_code != CL_SUCCESS) {                                                               \
            st = cl_fail(name, cl_code);                                                           \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

#endif
