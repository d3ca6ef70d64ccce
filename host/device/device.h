/* OpenCL devices: finds them, chooses one by what a user typed, opens it.
 *
 * Nothing above this folder sees <CL/cl.h>. A platform without devices is normal. A device may
 * claim several types at once, and another vendor's id: see cl/devices. */
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

/* How kernels are shaped for a device. cpu: one work-item per work-group, and wide vectors. gpu:
 * work-groups that share tiles in local memory. */
typedef enum { FAMILY_AUTO, FAMILY_CPU, FAMILY_GPU, N_FAMILIES } kernel_family;
extern const char *const kernel_family_names[]; /* "auto", "cpu", "gpu", null */

/* Arithmetic. auto: the fastest that is as accurate as fp32 (relative L2 of a GEMM at most 1e-5).
 * fp32: nothing is rounded to fewer bits. bf16, fp16: inputs are rounded to bfloat16 or fp16, sums
 * are fp32. An operator without such kernels computes in fp32; commands refuse a precision that
 * GEMM does not have. */
typedef enum {
    PRECISION_AUTO,
    PRECISION_FP32,
    PRECISION_BF16,
    PRECISION_FP16,
    N_PRECISIONS
} precision;
extern const char *const precision_names[]; /* "auto", "fp32", "bf16", "fp16", null */

/* Where local memory is. OWN: memory of its own, which is fast. GLOBAL: in global memory, so
 * staging only copies. NONE: there is no local memory. */
typedef enum { LOCAL_OWN, LOCAL_GLOBAL, LOCAL_NONE, N_LOCALS } local_kind;
/* "local", "global", "none", null: the words of the OpenCL standard */
extern const char *const local_names[];

/* What a user may choose. Zeros are the defaults. */
typedef struct {
    kernel_family family; /* FAMILY_AUTO: the family that suits the device */
    precision precision;
    bool no_cache; /* build every program anew */
    bool profiled; /* the queue records times if the device can: span.h */
    /* the longest launch, by prediction: pace.h; negative: no limit; 0: 100, on CPUs no limit */
    int max_launch_ms;
    int slice_groups; /* for tests: slices of this many work-groups; 0: as pace.h decides */
    /* Prints a line about an event that changes no result, such as a cached program that was
     * refused. May be null. */
    void (*note)(const char *line);
    /* prints a line about a problem that does not stop the run; may be null */
    void (*warn)(const char *line);
    /* Called before a kernel of this file is compiled, which may take seconds. May be null. */
    void (*building)(const char *file);
    bool silent;   /* the log of a failed build is never printed */
    bool unprobed; /* features stay as claimed; the caller probes them one by one */
} device_settings;

typedef struct {
    int index;   /* over all platforms, as printed */
    char id[24]; /* "platform:device", as clinfo counts */
    char platform[128], name[128], vendor[128], driver[128], version[128];
    int c_version;    /* version of OpenCL C: 102 is 1.2; 0: unknown */
    device_kind kind; /* the first of GPU, accelerator, CPU that the device claims */
    bool kinds[N_DEVICE_KINDS];
    bool unified_memory; /* the device shares the host's memory: an integrated GPU or a CPU */
    unsigned vendor_id;  /* a GPU's is usually its PCI vendor */
    unsigned compute_units;
    uint64_t memory_bytes, max_alloc_bytes, local_bytes;
    local_kind local;
    bool limited; /* memory_bytes is reduced to this process's limits (ulimit) */
    size_t max_work_group;
    /* the most texels of a buffer that is read as an image; 0: there are no images */
    size_t image_texels;
    unsigned native_vector; /* floats of the device's own vectors */
    bool fp16, subgroups, available;
    bool claims[N_FEATURES]; /* of matrix units: from the driver, or from a file of cl/devices */
    quirks quirk;
    void *platform_handle, *device_handle;
} device_info;

/* A platform that shows no device, with what to do about it or ""; or a platform whose device list
 * failed, with the reason. */
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

/* Lists all devices of all platforms. An empty list is no error. ERR_LIMIT if the limits of this
 * process leave less memory than drivers need to start, since drivers would end the process. */
status device_list_init(device_list *list);
/* The same without driver_needs_prepare, so that the environment stays as it is. */
status device_list_read(device_list *list);
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

/* The probe of a feature: the device or its file claims the feature; the probe's kernel was tried,
 * compiled, and gave the exact results. why: the failure, or "". */
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
        int size;      /* of a sub-group; valid with FEATURE_SUBGROUPS */
        bool required; /* kernels can require this size */
    } subgroups;
    device_handles *handles;
    /* the caller tries kernels that may exceed the device's limits; a refusal is then no loss */
    bool tries;
    struct record *recorder; /* null, or records what is queued: record.h */
    device_slot *slot;       /* null: it is empty */
    struct {
        char name[24]; /* name of the operator that queues now, in the model or its own; "" */
        bool given;    /* record_name has given the name, and record_work has not come yet */
        double flops, bytes;
    } announced;              /* by record_work, of the operator that queues now */
    bool dry;                 /* a dry run: see device_dry */
    uint64_t allocated_bytes; /* of buffers that exist */
    uint64_t peak_bytes;      /* the most that ever existed at once */
    struct {
        /* programs: built from source; from the cache: used, refused, stored */
        int built, loaded, refused, stored;
    } programs;
} device;

/* settings: null for the defaults. */
status device_open(device *d, const device_info *info, const device_settings *settings);
/* Also stores built programs. Ignores failures and keeps the stored failure line. */
void device_close(device *d);

/* A device for a dry run of what `like` would do, while `like` is open. The same kernels are
 * chosen, but buffers are only counted: nothing is allocated, copied, checked, built or launched.
 * It shares the slot of `like`, and needs no device_close. */
device device_dry(const device *like);

/* The same for a device that does not exist: a GPU (or, for cpu kernels, a CPU) without matrix
 * units and without a limit of memory. */
device device_dry_plain(kernel_family family);

/* True if the driver gave up the device. Then no more calls are made to the driver. */
bool device_is_lost(const device *d);

/* Waits until all queued work is done. Returns the work's errors. */
status device_finish(device *d);

/* Lets the device begin with the queued work, and returns. */
status device_flush(device *d);

#endif
