/* What the files of this folder share: <CL/cl.h>, the open device, CL_TRY. Nobody above may include
 * it. */
#ifndef DITCL_DEVICE_OPENCL_H
#define DITCL_DEVICE_OPENCL_H

#include <CL/cl.h>

#include "base/hash.h"
#include "base/status.h"
#include "device/clblast.h"
#include "device/device.h"

/* Seconds of a work-group in launches of one kind: pace.c. */
typedef struct launch_rate {
    struct launch_rate *next;
    size_t size[3]; /* of the whole: work-groups in each dimension; of a GEMM m, n and k */
    double work;    /* announced FLOPs and bytes */
    double group_seconds;
    size_t timed; /* work-groups of the largest slice that was timed; 0: none */
    int n_timed;
} launch_rate;

/* What is queued, in seconds by prediction: pace.c. */
typedef struct {
    double limit; /* of a launch; 0: neither slices, flushes nor waits */
    double behind_mark, before_mark, unflushed;
    int unflushed_launches;
    cl_event mark;      /* ends before_mark; or null */
    double window_from; /* when the mark before was reached; 0: not known */
    double slow;        /* measured over predicted, of the last window; at least 1 */
} pace;

struct kernel {
    char *file, *name, *options; /* its key in memory */
    hash128 key;                 /* and on disk */
    double build_seconds;        /* from source; else 0 */
    bool unstored, launched;     /* built from source and not on disk yet; has run */
    cl_program program;
    cl_kernel handle;
    cl_uint n_args;
    size_t max_group; /* work-items of a work-group that the driver allows it; 0: unknown */
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
    uint64_t least_xgemm;      /* 0: not known; see clblast.c */
    const struct kernel *last; /* queued last; null: none, or a product of CLBlast */
    bool lost; /* nothing is asked of its driver any more: a call might never return */
    failure loss;
    /* what clblast.c had CLBlast use last; kernel null: as shipped */
    const char *clblast_kernel;
    int clblast_values[CLBLAST_PARAMETERS];
    bool clblast_ran;
};

/* "CL_OUT_OF_RESOURCES", or "error -9999". */
const char *cl_error_name(cl_int code);

/* Stores "call: NAME" and returns ERR_DEVICE, or ERR_RESOURCES if resources ran out. */
status cl_fail(const char *call, cl_int code);

/* The same of a call that reaches the device. Where the device is lost, marks it so, says what was
 * queued last and returns ERR_LOST. */
status cl_fail_device(device *d, const char *call, cl_int code);

/* ERR_LOST with the line of the loss. */
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
