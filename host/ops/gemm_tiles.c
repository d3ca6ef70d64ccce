/* What GEMMs with tiles in local memory (cl/gemm_tiles.clh) share. */
#include <stdio.h>

#include "ops/gemm.h"
#include "ops/op.h"

size_t gemm_tiles_panel(const device *d, const int *config, int n)
{
    (void)d, (void)config, (void)n;
    return GEMM_PANEL;
}

size_t gemm_tiles_depth(int k)
{
    return round_up((size_t)k, GEMM_DEPTH);
}

size_t gemm_tiles_count_fp16(const device *d, const int *config, int n, int k)
{
    (void)d, (void)config;
    return round_up((size_t)n, GEMM_PANEL) * gemm_tiles_depth(k) / 2;
}

enum { LEAST_DEPTH = 128 }; /* of a part of K */

bool gemm_tiles_split_fits(const device *d, gemm_tile t, const int *shape)
{
    size_t units = d->info.compute_units ? d->info.compute_units : 1;
    size_t tiles =
        ceil_div((size_t)shape[0], (size_t)t.rows) * ceil_div((size_t)shape[1], (size_t)t.columns);
    return t.split == 1 ||
           (shape[2] / t.split >= LEAST_DEPTH && tiles <= units / ((size_t)t.split / 2));
}

/* Parts of K that have any steps. */
static size_t parts_of(gemm_tile t, int k)
{
    size_t depth = (size_t)k, steps = (size_t)t.steps;
    return ceil_div(depth, ceil_div(depth, (size_t)t.split * steps) * steps);
}

size_t gemm_tiles_scratch(gemm_tile t, int m, int n, int k)
{
    return t.split == 1 ? 0 : parts_of(t, k) * (size_t)m * (size_t)n;
}

void gemm_tiles_options(char out[GEMM_TILES_OPTIONS], const gemm_use *u, gemm_tile t, int load,
                        int vector)
{
    char epilogue[EPILOGUE_OPTIONS];
    gemm_epilogue_options(epilogue, t.split > 1 ? 0 : u->fused);
    bool factors = u->fused & READS_FACTORS; /* 8 in one load */
    snprintf(out, GEMM_TILES_OPTIONS, "-DAV=%d -DTAIL=%d -DWHOLE=%d%s %s",
             factors       ? 8
             : u->k % load ? 1
                           : load,
             u->k % t.steps != 0, u->n % vector == 0, factors ? " -DREADS_FACTORS=1" : "",
             epilogue);
}

status gemm_tiles_plan(device *d, op_plan *p, const gemm_use *u, gemm_tile t)
{
    size_t parts = t.split == 1 ? 1 : parts_of(t, u->k);
    launch_prepare(&p->launches[0],
                   RANGE(ceil_div((size_t)u->n, (size_t)t.columns) * (size_t)t.items,
                         ceil_div((size_t)u->m, (size_t)t.rows), parts),
                   RANGE((size_t)t.items), ARG(u->m), ARG(u->k), ARG((int)gemm_tiles_depth(u->k)));
    return t.split == 1 ? OK : gemm_finish_plan(d, &p->launches[1], u, (int)parts);
}

status gemm_tiles_enqueue(device *d, const op_plan *p, const gemm_call *c)
{
    if (!p->launches[1].k) return gemm_enqueue(d, p, c);
    const epilogue_args none = {.bias = c->epilogue.bias, .n = c->epilogue.n};
    status st = launch_epilogue(d, &p->launches[0], &none, ARG(c->scratch), ARG(c->a), ARG(c->b));
    return st == OK ? gemm_finish(d, &p->launches[1], c, c->scratch) : st;
}
