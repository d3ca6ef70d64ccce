/* Shared by the files of the offline driver: its settings and its list of kernels. */
#ifndef DITCL_TESTS_OFFLINE_DRIVER_H
#define DITCL_TESTS_OFFLINE_DRIVER_H

#include <CL/cl_icd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { OFFLINE_TEXT = 256, OFFLINE_ARGUMENTS = 64 };

/* The settings of DITCL_OFFLINE. The head of offline_driver.c explains each. */
extern struct offline_settings {
    char name[OFFLINE_TEXT], vendor[OFFLINE_TEXT], driver[OFFLINE_TEXT], version[OFFLINE_TEXT],
        c_version[OFFLINE_TEXT], platform[OFFLINE_TEXT], folder[OFFLINE_TEXT], config[OFFLINE_TEXT],
        precision[OFFLINE_TEXT];
    size_t memory, largest, group, local, units, subgroups, dpas;
    bool local_none, fp16, images, mma;
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

#endif
