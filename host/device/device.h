/* OpenCL devices: find them, choose one by what a user typed, open it.
 *
 * Nothing above this folder sees <CL/cl.h>. A platform without devices is normal; a device may
 * claim several types at once; vendor ids may belong to somebody else: see cl/devices. */
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
typedef enum { FAMILY_AUTO, FAMILY_CPU, FAMILY_GPU, N_FAMILIES } kernel_family;
extern const char *const kernel_family_names[]; /* "auto", "cpu", "gpu", null */

/* Arithmetic. auto: the fastest that is as accurate as fp32 (relative error of a GEMM at most
 * 1e-5); fp32; bf16 and fp16: inputs rounded to bfloat16 or fp16, fp32 sums. An operator without
 * such kernels computes in fp32; commands refuse a precision that GEMM does not have. */
typedef enum {
    PRECISION_AUTO,
    PRECISION_FP32,
    PRECISION_BF16,
    PRECISION_FP16,
    N_PRECISIONS
} precision;
extern const char *const precision_names[]; /* "auto", "fp32", "bf16", "fp16", null */

/* Where local memory is: of its own kind, which is fast; in global memory, where staging is only
 * copying; or there is none. */
typedef enum { LOCAL_OWN, LOCAL_GLOBAL, LOCAL_NONE, N_LOCALS } local_kind;
extern const char *const local_names[]; /* "local", "global", "none", null: the standard's words */

/* What a user may choose; zeros are the defaults. */
typedef struct {
    kernel_family family; /* FAMILY_AUTO: as suits the device */
    precision precision;
    bool no_cache;     /* build every program anew */
    bool profiled;     /* the queue keeps times, where it can: span.h */
    int max_launch_ms; /* by prediction, see pace.h; negative: no limit; 0: 100, on CPUs none */
    int slice_groups;  /* for tests: every launch in slices of so many work-groups; 0: pace.h */
    /* Called with a line about something unasked, such as a cached program that was refused; may be
     * null. */
    void (*note)(const char *line);
    void (*warn)(const char *line); /* likewise, for something wrong that does not stop the run */
    bool unprobed; /* features are left as they are claimed, to be probed one by one */
} device_settings;

typedef struct {
    int index;   /* over all platforms, as printed */
    char id[24]; /* "platform:device", as clinfo counts */
    char platform[128], name[128], vendor[128], driver[128], version[128];
    int c_version;    /* of OpenCL C: 102 is 1.2; 0: not known */
    device_kind kind; /* the first of GPU, accelerator, CPU that the device claims */
    bool kinds[N_DEVICE_KINDS];
    bool unified_memory; /* shares the host's: an integrated GPU or a CPU */
    unsigned compute_units;
    uint64_t memory_bytes, max_alloc_bytes, local_bytes;
    local_kind local;
    bool limited; /* memory_bytes is reduced to this process's limits (ulimit) */
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
    char note[1000]; /* what driver_needs_prepare chose or could not find; or "" */
} device_list;

/* Lists all devices of all platforms; none is no error. ERR_LIMIT if the limits of this process
 * leave less memory than drivers need to start, since they would abort. */
status device_list_init(device_list *list);
void device_list_free(device_list *list);

/* *index = the device that selector names: an index; P:D; gpu, cpu or accelerator (best of that
 * type); the exact name; else part of one platform's name, one device's name, or one device's
 * version text. Null or "" chooses: discrete GPU, integrated GPU, accelerator, CPU, the vendors'
 * platforms first, but none that quirks.def calls ONLY_IF_NAMED.
 * ERR_USAGE if several devices or none match; the line does not contain the selector. ERR_DEVICE if
 * there is no device at all. */
status device_choose(int *index, const device_list *list, const char *selector);

typedef struct device_handles device_handles;
typedef struct kernel kernel;
struct record;

/* What a layer above keeps with an open device (ops/choices.h). device_close calls free. */
typedef struct device_slot {
    void (*free)(struct device_slot *slot);
} device_slot;

/* What a feature's probe found: the device or its file claims the feature; the probe's kernel was
 * tried, built, and gave the exact results. why: what failed, or "". */
typedef struct {
    bool claimed, tried, built, right;
    char why[200];
} probe_result;

/* An open device: one context, one in-order queue. */
typedef struct device {
    device_info info;
    device_settings settings;
    kernel_family family; /* never FAMILY_AUTO */
    bool feature[N_FEATURES];
    probe_result probed[N_FEATURES];
    int vector_width; /* floats: 16, 8 or 4 */
    struct {
        int size;      /* of a sub-group, where there is FEATURE_SUBGROUPS */
        bool required; /* kernels can ask for this size */
    } subgroups;
    device_handles *handles;
    bool tries; /* kernels that may need more than the device has, which is then no loss */
    struct record *recorder; /* null, or takes down what is queued: record.h */
    device_slot *slot;       /* null: it is empty */
    struct {
        char name[24]; /* the model's or the operator's; "": none yet */
        bool given;    /* the name, by record_name, and not yet the work */
        double flops, bytes;
    } announced;              /* by record_work, of the operator that queues now */
    uint64_t allocated_bytes; /* by buffer_create, still held */
    struct {
        int built, loaded, refused, stored; /* built from source; cached: used, bad, new */
    } programs;
} device;

/* settings null: the defaults. */
status device_open(device *d, const device_info *info, const device_settings *settings);
/* Also stores built programs; failures of that are ignored, and the stored failure line stays. */
void device_close(device *d);

/* Whether the driver gave it up: nothing is asked of it any more. */
bool device_is_lost(const device *d);

/* Waits until all queued work is done; its errors surface here. */
status device_finish(device *d);

/* Lets the device begin with what is queued, and returns. */
status device_flush(device *d);

#endif
