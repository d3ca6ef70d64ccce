/* What was queued, operator by operator: taken down while a recorder is set, and queued again for a
 * measurement with the very buffers and weights of the run. Operators say what they are about to
 * queue; without a recorder that costs nothing. */
#ifndef DITCL_DEVICE_RECORD_H
#define DITCL_DEVICE_RECORD_H

#include <stddef.h>

#include "device/clblast.h"
#include "device/launch.h"

/* Which arithmetic unit a product runs on; each has its own peak. */
typedef enum { ROOF_FP32, ROOF_16BIT, N_ROOFS } roof;

/* Of one call of an operator. */
typedef struct {
    double flops;    /* as its formula counts, two a multiply-add */
    double executed; /* what is really done; 0: flops */
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
    char name[RECORD_NAME]; /* what it is in its model: "qkv"; else the operator's own name */
    char shape[RECORD_SHAPE];
    work done;       /* executed is filled in */
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

/* From here on everything queued is taken down too, until record_stop. */
void record_start(record *r, device *d);
/* ERR_MEMORY when something was not taken down. */
status record_stop(record *r, device *d);
void record_free(record *r);

/* The model's name for the operator that it calls next; name must last. */
void record_name(device *d, const char *name);

/* What is queued after this is the work of this operator. */
void record_work(device *d, const announcement *a);

/* Queues one operator again. Its buffers must still be there. */
status record_replay(const record *r, device *d, size_t index);

/* The kernel of launch i of an operator, and its build options; "clblast" and "" for a product of
 * CLBlast. They live as long as the device. */
const char *record_kernel(const record *r, const recorded *o, size_t i, const char **options);

/* For this folder: what launch.c and clblast.c queue. */
void record_launch(device *d, kernel *k, range global, range local, const arg *args, size_t n_args);
void record_product(device *d, const clblast_parameters *p, buf c, buf a, buf b, const int size[3],
                    buf scratch);

#endif
