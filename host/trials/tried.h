/* What `ditcl tune` has tried on a device, beside the store: <device>.tried. A candidate is written
 * down before it runs, and what came of it afterwards, so that one which took the machine down, or
 * the process, is not tried again. Lines that cannot be read are skipped. */
#ifndef DITCL_TRIALS_TRIED_H
#define DITCL_TRIALS_TRIED_H

#include <stdio.h>

#include "device/device.h"
#include "ops/tuning.h"
#include "trials/contest.h"

typedef enum { TRIED_TIME, TRIED_WRONG, TRIED_FAILED, TRIED_DIED } tried_outcome;

typedef struct {
    const tuning *t;
    int shape[TUNING_SIZES], values[TUNING_VALUES];
    tried_outcome outcome;
    contest_time time; /* held is not kept */
} tried_entry;

typedef struct {
    tried_entry *items;
    size_t n, capacity;
    FILE *file; /* appended to */
    const device *d;
} tried;

/* Reads what there is for this device, class, precision, driver and kernels. */
status tried_open(tried *l, const device *d);
void tried_close(tried *l);

/* What became of this candidate, or null. */
const tried_entry *tried_find(const tried *l, const tuning *t, const int *shape,
                              const int *values);

/* On disk when it returns. */
status tried_begin(tried *l, const tuning *t, const int *shape, const int *values);
/* time: where there is one. */
status tried_end(tried *l, tried_outcome outcome, const contest_time *time);

/* Removes the file. */
void tried_forget(const device_info *info);

#endif
