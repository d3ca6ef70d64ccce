/* The settings of DITCL_LAYER. The head of opencl_layer.c explains each. */
#ifndef DITCL_TESTS_OPENCL_LAYER_SETTINGS_H
#define DITCL_TESTS_OPENCL_LAYER_SETTINGS_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>

enum { MOST_RULES = 32, MOST_OBJECTS = 1 << 16, MOST_ARGUMENTS = 64, TEXT_BYTES = 256 };

/* The functions that the layer counts and can make fail. */
/* clang-format off */
#define CALLS(X)                                                                                   \
    X(clGetPlatformIDs) X(clGetPlatformInfo) X(clGetDeviceIDs) X(clGetDeviceInfo)                  \
    X(clCreateContext) X(clReleaseContext) X(clCreateCommandQueue) X(clReleaseCommandQueue)        \
    X(clCreateBuffer) X(clCreateImage) X(clReleaseMemObject) X(clCreateProgramWithSource)          \
    X(clCreateProgramWithBinary) X(clBuildProgram) X(clGetProgramInfo) X(clGetProgramBuildInfo)    \
    X(clRetainProgram) X(clReleaseProgram) X(clCreateKernel) X(clReleaseKernel) X(clGetKernelInfo) \
    X(clGetKernelWorkGroupInfo) X(clSetKernelArg) X(clEnqueueNDRangeKernel)                        \
    X(clEnqueueReadBuffer) X(clEnqueueWriteBuffer) X(clEnqueueCopyBuffer) X(clEnqueueMapBuffer)    \
    X(clEnqueueUnmapMemObject) X(clEnqueueMarkerWithWaitList) X(clWaitForEvents) X(clFlush)        \
    X(clFinish) X(clGetEventProfilingInfo) X(clReleaseEvent)
/* clang-format on */
#define ENUM(name) CALL_##name,
enum { CALLS(ENUM) N_CALLS, ANY_CALL = N_CALLS };
extern const char *const call_names[];

typedef struct {
    enum { FAIL, HANG, CRASH } what;
    int call;
    unsigned long first, last;
    cl_int code;
} rule;

extern struct layer_settings {
    rule rules[MOST_RULES];
    int n_rules;
    unsigned long lost_at;
    char wrong[TEXT_BYTES];
    int wrong_argument;
    size_t memory, largest, group, kernel_group, local, slow, watchdog, dpas;
    bool local_none, local_global, no_images, no_fp16, stuck, child;
    cl_uint units;
    cl_device_type type;
    char name[TEXT_BYTES], vendor[TEXT_BYTES], driver[TEXT_BYTES], version[TEXT_BYTES],
        c_version[TEXT_BYTES], platform[TEXT_BYTES], log[TEXT_BYTES], builds[TEXT_BYTES],
        launches[TEXT_BYTES], only[TEXT_BYTES], prelude[TEXT_BYTES], crash_on[TEXT_BYTES],
        hang_on[TEXT_BYTES];
} set;

/* Reads DITCL_LAYER. A setting that is not understood ends the process with exit code 99. */
void layer_read_settings(void);

#endif
