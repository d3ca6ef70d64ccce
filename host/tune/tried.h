/* What `ditcl tune` has tried on a device, beside the store: <device>.tried. A candidate is written
 * down before it runs, and what came of it afterwards, so that one which took the machine down, or
 * the process, is not tried again. Lines that cannot be read are skipped:
 *
 *     try 17 gemm gpu auto 512x4608x1152 gpu HASH 64 128 16 ...
 *     was 17 0.0021 4.9e9 0 | was 17 wrong | was 17 failed | was 17 died */
#ifndef DITCL_TUNE_TRIED_H
#define DITCL_TUNE_TRIED_H

#include <stdio.h>

#include "device/device.h"
#include "ops/tuning.h"
#include "tune/contest.h"

typedef enum { TRIED_TIME, TRIED_WRONG, TRIED_FAILED, TRIED_DIED } tried_outcome;

typedef struct {
    const tuning *t;
    int shape[TUNING_SIZES], values[TUNING_VALUES];
    tried_outcome outcome;
    contest_time time; /* held is not kept */
    unsigned number;   /* in the file */
    int counted;       /* for the search: the class it was counted for, from 1 */
} tried_entry;

typedef struct {
    tried_entry *items;
    size_t n, capacity;
    FILE *file; /* appended to */
    unsigned numbers;
    const device *d;
} tried;

/* Reads what there is for this device, class, precision, driver and kernels. */
status tried_open(tried *l, const device *d);
void tried_close(tried *l);

/* What became of this candidate, or null. */
const tried_entry *tried_find(const tried *l, const tuning *t, const int *shape, const int *values);

/* On disk when it returns. *which = its index. Several may have begun and not ended. */
status tried_begin(tried *l, size_t *which, const tuning *t, const int *shape, const int *values);
/* time: where there is one. */
status tried_end(tried *l, size_t which, tried_outcome outcome, const contest_time *time);

/* Removes the file. */
void tried_forget(const device_info *info);

#endif
