/* Which configuration fills a device: one rule orders the default configurations of an
 * implementation by a guess of their time. It is computed when a plan is made, and measures
 * nothing. The unit of time is a multiply-add of one compute unit.
 *
 *     time = most(ceil(groups / units), BUSY / items) x work + after
 *
 * The busiest compute unit executes ceil(groups / units) work-groups. If they have fewer than BUSY
 * work-items together, the unit waits for memory in between and takes as long as if it had BUSY.
 * The first term is half as long again if there are fewer than FILLED waves (groups / units), since
 * compute units without work do not read memory either: a full device is wanted even if the guess
 * is that it is a little slower.
 *
 * The work of a work-group is that of its tile, R x C results, where a sub-group or a work-item
 * has r x c of them. Each step of the depth costs
 *
 *     R C multiply-adds + local (R C / r + R C / c) + global (R + C)
 *
 * since factors are read from local memory once for each sub-group or work-item, and from global
 * memory once for each work-group. So large tiles are cheap where there are many of them, and small
 * tiles, or parts of the depth, where large ones would leave compute units idle. */
#ifndef DITCL_OPS_WAVES_H
#define DITCL_OPS_WAVES_H

#include "device/device.h"

/* A launch with a configuration. */
typedef struct {
    double groups; /* work-groups */
    double items;  /* work-items of each */
    double work;   /* of each */
    double after;  /* of what follows the launch, such as the sum of the parts of the depth */
} waves;

/* What a number costs that is read from local or from global memory. Estimates: a compute unit's
 * multiply-adds in the time that it takes to read the number. */
typedef struct {
    double local, global;
} read_cost;

/* Of kernels that compute in fp32, and of kernels on matrix units, which multiply `parts` numbers
 * for each input (mma_parts). */
#define WAVES_FP32 ((read_cost){1.0, 8.0})
read_cost waves_of_unit(int parts);

/* A step of the depth. rows, columns: of the tile; own_rows, own_columns: of a sub-group or of a
 * work-item. */
double waves_step(read_cost c, double rows, double columns, double own_rows, double own_columns);

/* Compute units for the rule: what the device reports, or 16 if that is no plausible number. */
double waves_units(const device *d);

/* The time. 0 on CPUs, where the order of the configurations was measured. */
double waves_time(const device *d, const waves *w);

/* Whether there are fewer than FILLED waves. False on CPUs. */
bool waves_leave_idle(const device *d, const waves *w);

#endif
