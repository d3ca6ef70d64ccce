/* Shared by the files of the offline driver: its settings and its list of kernels. */
#ifndef DITCL_TESTS_OFFLINE_DRIVER_H
#define DITCL_TESTS_OFFLINE_DRIVER_H

#include <CL/cl_icd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "ptx.h"

enum { OFFLINE_TEXT = 256, OFFLINE_ARGUMENTS = 64 };

/* The settings of DITCL_OFFLINE. The head of offline_driver.c explains each. */
extern struct offline_settings {
    char name[OFFLINE_TEXT], vendor[OFFLINE_TEXT], driver[OFFLINE_TEXT], version[OFFLINE_TEXT],
        c_version[OFFLINE_TEXT], platform[OFFLINE_TEXT], folder[OFFLINE_TEXT], config[OFFLINE_TEXT],
        precision[OFFLINE_TEXT], ptx[OFFLINE_TEXT];
    size_t memory, largest, group, local, units, subgroups, dpas;
    bool local_none, fp16, images, mma, mma_k8;
    cl_device_type type;
} offline;

/* Reads DITCL_OFFLINE. A setting that is not understood ends the process with exit code 99. */
void offline_read_settings(void);

/* One kernel of a program. It lives until the process ends. */
typedef struct offline_kernel {
    struct offline_kernel *next;
    char *file;                       /* such as "fill.cl"; "" if the source has no #line */
    char *name, *options, source[64]; /* source: the program's file in the folder */
    char config[OFFLINE_TEXT], precision[OFFLINE_TEXT];
    int n_args;   /* negative: not counted yet */
    size_t group; /* work-items of its largest work-group */
} offline_kernel;

/* The kernel's entry in the list. A new entry also writes the program into the folder. Null if
 * memory runs out or the folder cannot be written. */
offline_kernel *offline_list_kernel(const char *source, const char *options, const char *name);

/* The number of the kernel's arguments, from its declaration after the preprocessor; negative if it
 * is not declared. */
int offline_count_arguments(const char *source, const char *options, const char *name);

/* Writes index.tsv into the folder: a line for each kernel of ditcl. */
void offline_write_index(void);

/* Answers a clGet...Info query. Writes no more than size bytes. */
cl_int offline_answer(const void *from, size_t bytes, size_t size, void *value, size_t *used);
cl_int offline_answer_text(const char *text, size_t size, void *value, size_t *used);

/* clGetDeviceInfo, in offline_driver_device.c. */
cl_int CL_API_CALL offline_device_info(cl_device_id d, cl_device_info what, size_t size,
                                       void *value, size_t *used);

#define OFFLINE_OBJECT                                                                             \
    cl_icd_dispatch *dispatch;                                                                     \
    int references

struct _cl_platform_id {
    cl_icd_dispatch *dispatch;
};
struct _cl_device_id {
    cl_icd_dispatch *dispatch;
};
extern struct _cl_platform_id offline_platform;
extern struct _cl_device_id offline_device;
extern cl_icd_dispatch offline_dispatch;
extern pthread_mutex_t offline_lock;

struct _cl_context {
    OFFLINE_OBJECT;
};
struct _cl_command_queue {
    OFFLINE_OBJECT;
    cl_context context;
};
struct _cl_mem {
    OFFLINE_OBJECT;
    cl_context context;
    cl_mem parent; /* of an image: the buffer that it is made from */
    size_t bytes, mapped;
    uint8_t *data; /* null: the device computes nothing */
    struct _cl_mem *next;
};
struct _cl_program {
    OFFLINE_OBJECT;
    cl_context context;
    char *source, *options;
    ptx_module *ptx; /* null: the device computes nothing, or it was not built */
    char log[PTX_WHY];
};
struct _cl_kernel {
    OFFLINE_OBJECT;
    cl_program program;
    offline_kernel *listed;
    uint64_t set; /* a bit for each argument */
    const ptx_kernel *ptx;
    uint64_t values[OFFLINE_ARGUMENTS]; /* the arguments' bits; for a buffer, the cl_mem */
};
struct _cl_event {
    OFFLINE_OBJECT;
    cl_ulong from, to;
};

/* A new object with one reference. Null, and *error, if memory runs out. */
#define OFFLINE_NEW(object, error)                                                                 \
    do {                                                                                           \
        (object) = calloc(1, sizeof *(object));                                                    \
        if (error) *(error) = (object) ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;                       \
        if (!(object)) return NULL;                                                                \
        (object)->dispatch = &offline_dispatch;                                                    \
        (object)->references = 1;                                                                  \
    } while (0)

#define OFFLINE_RETAIN(name, type)                                                                 \
    static cl_int CL_API_CALL name(type object)                                                    \
    {                                                                                              \
        __atomic_add_fetch(&object->references, 1, __ATOMIC_SEQ_CST);                              \
        return CL_SUCCESS;                                                                         \
    }
static inline bool offline_is_last(int *references)
{
    return __atomic_sub_fetch(references, 1, __ATOMIC_SEQ_CST) == 0;
}

#define OFFLINE_ANSWER(type, x) offline_answer(&(type){x}, sizeof(type), size, value, used)

/* A command that was run, and its event if that is not null. */
cl_int offline_command(cl_event *event);

/* All buffers that have data; null if memory ran out. The caller frees them. */
ptx_buffer *offline_buffers(int *n);

/* Compiles the program's source. If that fails, returns false and fills the program's log. */
bool ptx_device_build(cl_program p);
/* Runs the kernel. Prints what the kernel does wrong, and returns an error. */
cl_int ptx_device_launch(cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global,
                         const size_t *local);

/* Each file puts its calls into the table. */
void offline_fill_memory(cl_icd_dispatch *to);
void offline_fill_programs(cl_icd_dispatch *to);

#endif
