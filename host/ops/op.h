/* What operators share: work-group sizes. Each announces its work by record_work. */
#ifndef DITCL_OPS_OP_H
#define DITCL_OPS_OP_H

#include "device/device.h"
#include "device/launch.h"
#include "device/probe.h"
#include "device/program.h"
#include "device/record.h"

/* Largest power of two that is at most `wanted` and that the device allows; 1 for the cpu class. */
static inline int op_group(const device *d, int wanted)
{
    int group = 1;
    if (d->class == CLASS_CPU) return 1;
    while (group * 2 <= wanted && (size_t)group * 2 <= d->info.max_work_group) group *= 2;
    return group;
}

/* Range of one item per element along the first dimension: groups of 64 suit every device here,
 * since a cpu vectorises over the items of such simple kernels. */
static inline int op_items(const device *d)
{
    int group = 64;
    while ((size_t)group > d->info.max_work_group) group /= 2;
    return group;
}

#endif
