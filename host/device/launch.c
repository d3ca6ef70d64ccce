/* Sets arguments and queues kernels. See launch.h. */
#include "device/launch.h"

#include <assert.h>
#include <string.h>

#include "device/opencl.h"
#include "device/pace.h"
#include "device/record.h"

static cl_int set_argument(kernel *k, cl_uint i, const arg *a)
{
    cl_mem memory;
    switch (a->kind) {
    case ARG_BUF:
        memory = a->b.memory;
        return clSetKernelArg(k->handle, i, sizeof memory, memory ? &memory : NULL);
    case ARG_INT: return clSetKernelArg(k->handle, i, sizeof a->i, &a->i);
    case ARG_FLOAT: return clSetKernelArg(k->handle, i, sizeof a->f, &a->f);
    }
    return CL_INVALID_VALUE;
}

status launch_kernel(device *d, kernel *k, range global, range local, const arg *args,
                     size_t n_args)
{
    status st = OK;
    size_t group = 1, groups[3];
    if (n_args != k->n_args)
        return fail(ERR_DEVICE, "kernel %s takes %u arguments, was given %zu", k->name, k->n_args,
                    n_args);
    for (int i = 0; i < 3; i++) {
        if (global.size[i] == 0) global.size[i] = 1;
        if (local.size[i] == 0) local.size[i] = 1;
        group *= local.size[i];
        if (global.size[i] % local.size[i] != 0)
            return fail(ERR_DEVICE, "kernel %s: range %zu is no multiple of its group %zu", k->name,
                        global.size[i], local.size[i]);
        groups[i] = global.size[i] / local.size[i];
    }
    if (group > d->info.max_work_group)
        return fail(ERR_LIMIT, "kernel %s: a work-group of %zu, the device allows %zu", k->name,
                    group, d->info.max_work_group);
    if (k->max_group && group > k->max_group)
        return fail(ERR_LIMIT, "kernel %s: a work-group of %zu, the driver allows this kernel %zu",
                    k->name, group, k->max_group);
    if (d->recorder) record_launch(d, k, global, local, args, n_args);
    d->handles->last = k;
    for (size_t i = 0; i < n_args; i++)
        DEVICE_TRY(d, "clSetKernelArg", set_argument(k, (cl_uint)i, &args[i]));
    TRY(pace_launch(d, k, groups, local.size));
done:
    return st == OK || st == ERR_LOST ? st : fail_in(st, "kernel %s", k->name);
}

void launch_prepare_args(prepared_launch *l, range global, range local, const arg *fixed,
                         size_t n_fixed)
{
    assert(n_fixed <= LAUNCH_FIXED);
    l->global = global;
    l->local = local;
    l->n_fixed = n_fixed;
    memcpy(l->fixed, fixed, n_fixed * sizeof *fixed);
}

status launch_prepared_args(device *d, const prepared_launch *l, const arg *args, size_t n_args)
{
    arg all[LAUNCH_ARGS];
    assert(n_args + l->n_fixed <= LAUNCH_ARGS);
    memcpy(all, args, n_args * sizeof *args);
    memcpy(all + n_args, l->fixed, l->n_fixed * sizeof *args);
    return launch_kernel(d, l->k, l->global, l->local, all, n_args + l->n_fixed);
}
