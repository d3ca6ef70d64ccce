/* Epilogues of GEMM: the options and arguments of kernels that have one (cl/epilogue.clh), and the
 * one that runs by itself (cl/epilogue.cl). */
#include <stdio.h>
#include <string.h>

#include "cl/epilogue_arguments.clh"
#include "ops/gemm.h"
#include "ops/op.h"

void gemm_epilogue_options(char out[EPILOGUE_OPTIONS], unsigned fused)
{
    snprintf(out, EPILOGUE_OPTIONS, "-DGELU=%d -DSILU=%d -DGATE=%d -DRESIDUAL=%d%s",
             (fused & FUSED_GELU) != 0, (fused & FUSED_SILU) != 0, (fused & FUSED_GATE) != 0,
             (fused & FUSED_RESIDUAL) != 0, fused & WRITES_FACTORS ? " -DWRITES_FACTORS=1" : "");
}

#define EPILOGUE_ARG(name) ARG(e->name)

status launch_epilogue_args(device *d, const prepared_launch *l, const epilogue_args *e,
                            const arg *args, size_t n_args)
{
    const arg last[] = {EPILOGUE_LIST(EPILOGUE_ARG, EPILOGUE_ARG, EPILOGUE_ARG)};
    arg all[LAUNCH_ARGS];
    memcpy(all, args, n_args * sizeof *args);
    memcpy(all + n_args, last, sizeof last);
    return launch_prepared_args(d, l, all, n_args + sizeof last / sizeof *last);
}

status gemm_enqueue(device *d, const op_plan *p, const gemm_call *c)
{
    return launch_epilogue(d, &p->launches[0], &c->epilogue, ARG(c->out), ARG(c->a), ARG(c->b));
}

status gemm_enqueue_packed(device *d, const op_plan *p, const gemm_call *c)
{
    status st = launch_prepared(d, &p->launches[1], ARG(c->scratch), ARG(c->a));
    if (st != OK) return st;
    return launch_epilogue(d, &p->launches[0], &c->epilogue, ARG(c->out), ARG(c->scratch),
                           ARG(c->b));
}

status gemm_finish_plan(device *d, prepared_launch *l, const gemm_use *u, int parts)
{
    char options[EPILOGUE_OPTIONS], result[RESULT_OPTIONS];
    size_t group = (size_t)op_items(d);
    gemm_epilogue_options(options, u->fused & ~(unsigned)WRITES_FACTORS);
    op_result_options(result, d, u->fused);
    launch_prepare(l, RANGE(round_up((size_t)u->n, group), (size_t)u->m), RANGE(group), ARG(parts),
                   ARG(u->m));
    return program_get(d, &l->k, "epilogue.cl", "epilogue_of_sums", "%s%s", options, result);
}

status gemm_finish(device *d, const prepared_launch *l, const gemm_call *c, buf sums)
{
    return launch_epilogue(d, l, &c->epilogue, ARG(c->out), ARG(sums));
}
