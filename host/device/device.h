/* OpenCL devices: find them, choose one by what a user typed, open it.
 *
 * Nothing above this folder sees <CL/cl.h>. A platform without devices is normal; a device may
 * claim several types at once; vendor ids may belong to somebody else: see docs/devices.md. */
#ifndef DITCL_DEVICE_DEVICE_H
#define DITCL_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"
#include "device/conf.h"
#include "device/features.h"

typedef enum { DEVICE_CPU, DEVICE_GPU, DEVICE_ACCELERATOR, N_DEVICE_KINDS } device_kind;

/* How kernels are shaped for a device: one work-item per work-group and wide vectors, or
 * work-groups that share tiles in local memory. */
typedef enum { CLASS_AUTO, CLASS_CPU, CLASS_GPU, N_CLASSES } kernel_class;
extern const char *const kernel_class_names[]; /* "auto", "cpu", "gpu", null */

/* Arithmetic of products: the fastest whose results are fp32's (relative error of a product at most
 * 1e-5); true fp32; inputs rounded to bfloat16 or to half, with fp32 sums. An operator whose
 * kernels have no such inputs is computed in fp32; commands refuse where GEMM is one. */
typedef enum {
    PRECISION_AUTO, PRECISION_FP32, PRECISION_BF16, PRECISION_FP16, N_PRECISIONS
} precision;
extern const char *const precision_names[]; /* "auto", "fp32", "bf16", "fp16", null */

/* What a user may choose; zeros are the defaults. */
typedef struct {
    kernel_class class; /* CLASS_AUTO: as suits the device */
    precision precision;
    bool no_cache; /* build every program anew */
    bool profiled; /* the queue keeps times, where it can: span.h */
    /* Called with a line on what happened unasked, such as a cached program that was refused; null:
     * nobody listens. */
    void (*note)(const char *line);
    void (*warn)(const char *line); /* likewise: something is wrong, but not in the way */
} device_settings;

typedef struct {
    int index;   /* over all platforms, as printed */
    char id[24]; /* "platform:device", as clinfo counts */
    char platform[128], name[128], vendor[128], driver[128], version[128];
    device_kind kind;    /* the first of GPU, accelerator, CPU that the device claims */
    bool kinds[N_DEVICE_KINDS];
    bool unified_memory; /* shares the host's: an integrated GPU or a CPU */
    unsigned compute_units;
    uint64_t memory_bytes, max_alloc_bytes, local_bytes;
    bool limited; /* memory_bytes is what this process's limits (ulimit) leave of it */
    size_t max_work_group;
    size_t image_texels; /* of a buffer that is read as an image, at most; 0: there are no images */
    unsigned native_vector; /* floats the device says it works on at once */
    bool fp16, subgroups, available;
    bool claims[N_FEATURES]; /* of matrix units: what the driver or a file of cl/devices says */
    quirks quirk;
    void *platform_handle, *device_handle;
} device_info;

/* A platform that shows no device, and what to do about it, or ""; or one that failed to show one,
 * and the reason. */
typedef struct {
    char name[128], advice[CONF_ADVICE];
    bool failed;
} empty_platform;

typedef struct {
    device_info *items;
    int n;
    int n_platforms;
    empty_platform *empty; /* n_empty */
    int n_empty;
    char note[1000]; /* what was chosen for drivers unasked, or does not work; or "" */
} device_list;

/* All devices of all platforms; none is no error. ERR_LIMIT where this process may not take the
 * memory that drivers need to start: they end the process there. */
status device_list_init(device_list *list);
void device_list_free(device_list *list);

/* *index = the device that selector names: an index; P:D; gpu, cpu or accelerator (best of that
 * type); the exact name; else part of one platform's name, one device's name, or one device's
 * version text. Null or "" chooses: discrete GPU, integrated GPU, accelerator, CPU, the vendors'
 * platforms first.
 * ERR_USAGE when several are left or none is meant, in a line without the selector; ERR_DEVICE when
 * there is no device at all. */
status device_choose(int *index, const device_list *list, const char *selector);

typedef struct device_handles device_handles;
typedef struct kernel kernel;
struct record;

/* Values that were measured to suit the device; the rest of one is known to ops/tuning.c. */
typedef struct device_tuned {
    struct device_tuned *next;
} device_tuned;

/* An open device: one context, one in-order queue. */
typedef struct {
    device_info info;
    device_settings settings;
    kernel_class class; /* never CLASS_AUTO */
    bool feature[N_FEATURES];
    int vector_width; /* floats: 16, 8 or 4 */
    struct {
        int size;      /* of a sub-group, where there is FEATURE_SUBGROUPS */
        bool required; /* kernels can ask for this size */
    } subgroups;
    device_tuned *tuned; /* the newest first */
    device_handles *handles;
    struct record *recorder;  /* null, or takes down what is queued: record.h */
    struct pretended *pretended; /* null, or the device is not there: pretend.h */
    uint64_t allocated_bytes; /* by buffer_create, still held */
    /* What ran, for people: the arithmetic of each operator as bits (ops/op.h), and layers that
     * stayed in fp32 since fp16 does not hold their weights. */
    struct {
        unsigned gemm, attention, conv;
    } ran;
    struct {
        int n;
        char first[160];
        float largest; /* weight of the first */
    } wide;
    struct {
        int built, loaded, refused, stored; /* from source, from the cache; cached but no good */
    } programs;
    struct {
        int m, n, k;
        const void *by;
        hash128 values;
    } *products; /* what ops/gemm_check.c found right here */
    size_t n_products, products_capacity;
} device;

/* settings null: the defaults. */
status device_open(device *d, const device_info *info, const device_settings *settings);
/* Also stores built programs. What fails of that is no failure: the stored one stays. */
void device_close(device *d);

/* Waits until all queued work is done; its errors surface here. */
status device_finish(device *d);

#endif
