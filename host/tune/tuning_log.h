/* The tuning log: the candidates that `ditcl tune` has tried on a device, in the file
 * <device>.tried in the folder of the store. A candidate is written before it runs and its outcome
 * afterwards, so a candidate that ended the process or the machine is not tried again. Unreadable
 * lines are skipped:
 *
 *     try 17 gemm gpu auto 512x4608x1152 gpu HASH 64 128 16 ...
 *     was 17 0.0021 4.9e9 0 | was 17 wrong | was 17 failed | was 17 died */
#ifndef DITCL_TUNE_TUNING_LOG_H
#define DITCL_TUNE_TUNING_LOG_H

#include <stdio.h>

#include "device/device.h"
#include "ops/impl.h"
#include "tune/bench_worker.h"

typedef enum { OUTCOME_TIME, OUTCOME_WRONG, OUTCOME_FAILED, OUTCOME_DIED } tuning_outcome;

typedef struct {
    const op_impl *t;
    int shape[SHAPE_SIZES], values[CONFIG_VALUES];
    tuning_outcome outcome;
    candidate_time time; /* baseline is not stored */
    unsigned number;     /* of the line in the file */
    int counted;         /* for the search: 1 + the shape bucket that has counted it; 0: none has */
} tuning_log_entry;

typedef struct {
    tuning_log_entry *items;
    size_t n, capacity;
    FILE *file; /* appended to */
    unsigned numbers;
    const device *d;
} tuning_log;

/* Reads the entries of this device, kernel family, precision, driver and kernels. */
status tuning_log_open(tuning_log *l, const device *d);
void tuning_log_close(tuning_log *l);

/* The entry of this candidate, or null. */
const tuning_log_entry *tuning_log_find(const tuning_log *l, const op_impl *t, const int *shape,
                                        const int *values);

/* The entry is on disk when this returns. *which = its index. Several candidates may run at once.
 */
status tuning_log_begin(tuning_log *l, size_t *which, const op_impl *t, const int *shape,
                        const int *values);
/* time: null unless the outcome is OUTCOME_TIME. */
status tuning_log_end(tuning_log *l, size_t which, tuning_outcome outcome,
                      const candidate_time *time);

/* Removes the file. */
void tuning_log_forget(const device_info *info);

#endif
