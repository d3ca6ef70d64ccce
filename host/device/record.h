/* A record of what was queued, operator by operator. It can queue an operator again, with the
 * buffers and weights of the run, to measure it. Operators announce what they queue. Without a
 * recorder that costs nothing. */
#ifndef DITCL_DEVICE_RECORD_H
#define DITCL_DEVICE_RECORD_H

#include <stddef.h>

#include "device/clblast.h"
#include "device/launch.h"

/* Which arithmetic hardware an operator uses; each has its own peak. */
typedef enum { ROOF_FP32, ROOF_16BIT, N_ROOFS } roof;

/* The work of one call of an operator. */
typedef struct {
    double flops;    /* as the formula counts; a multiply-add is two */
    double executed; /* operations that are really executed; 0: as many as flops */
    double bytes;    /* each value read or written once */
    roof on;
} work;

enum { RECORD_NAME = 24, RECORD_SHAPE = 64 };

/* What an operator says of itself before its launches. */
typedef struct {
    const char *name;         /* its own; must last */
    char shape[RECORD_SHAPE]; /* "512x3456x1152" */
    work done;
} announcement;

typedef struct {
    /* the operator's name in its model, such as "qkv"; else its own name */
    char name[RECORD_NAME];
    char shape[RECORD_SHAPE];
    work done;       /* with `executed` filled in */
    size_t first, n; /* its launches */
} recorded;

typedef struct record {
    recorded *operators;
    size_t n, capacity;
    struct recorded_launch *launches;
    size_t n_launches, launches_capacity;
    const char *next_name;
    status failed;
} record;

/* Records everything that is queued until record_stop. */
void record_start(record *r, device *d);
/* ERR_MEMORY if something was not recorded. */
status record_stop(record *r, device *d);
void record_free(record *r);

/* Names the operator that the model calls next. name must outlive the record. */
void record_name(device *d, const char *name);

/* An operator announces itself. What is queued next belongs to it. */
void record_work(device *d, const announcement *a);

/* Queues one operator again. Its buffers must still exist. */
status record_replay(const record *r, device *d, size_t index);

/* The kernel of launch i of an operator, and its build options; "clblast" and "" for CLBlast. Both
 * last as long as the device. */
const char *record_kernel(const record *r, const recorded *o, size_t i, const char **options);

/* *groups = the work-groups of launch i of an operator, *items = the work-items of each; 0 and 0
 * for CLBlast. */
void record_sizes(const record *r, const recorded *o, size_t i, size_t *groups, size_t *items);

/* For this folder: launch.c and clblast.c report what they queue. */
void record_launch(device *d, kernel *k, range global, range local, const arg *args, size_t n_args);
void record_product(device *d, const clblast_parameters *p, buf c, buf a, buf b, const int size[3],
                    buf scratch);

#endif
