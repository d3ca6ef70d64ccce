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

bool gemm_tiles_split_fits(gemm_tile t, const int *shape)
{
    return t.split == 1 || shape[2] / t.split >= LEAST_DEPTH;
}

static size_t part_depth(gemm_tile t, int k)
{
    size_t steps = (size_t)t.steps;
    return ceil_div((size_t)k, (size_t)t.split * steps) * steps;
}

/* Parts of K that have any steps. */
static size_t parts_of(gemm_tile t, int k)
{
    return ceil_div((size_t)k, part_depth(t, k));
}

/* A tile's results are written once. If K is split, another launch, which takes as long as LAUNCH
 * reads, about 3 microseconds, reads the sums of all parts and writes the results. FLOATS: reads of
 * a step of the depth overlap with arithmetic and are often of 16 bits; those of sums are neither.
 * A split must gain a tenth, since its sums take memory. */
waves gemm_tiles_waves(const device *d, gemm_tile t, read_cost c, double step, const int *shape)
{
    enum { LAUNCH = 1 << 17, FLOATS = 4 };
    size_t m = (size_t)shape[0], n = (size_t)shape[1], parts = parts_of(t, shape[2]);
    size_t tiles = ceil_div(m, (size_t)t.rows) * ceil_div(n, (size_t)t.columns);
    double sums = (double)((parts + 1) * m * n) / waves_units(d);
    if (t.split > 1) step *= 1.1;
    return (waves){.groups = (double)(tiles * parts),
                   .items = t.items,
                   .work = step * (double)part_depth(t, shape[2]) +
                           c.global * FLOATS * t.rows * t.columns,
                   .after = t.split == 1 ? 0.0 : c.global * (LAUNCH + FLOATS * sums)};
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
