/* What products that make tiles in local memory (cl/gemm_tiles.clh) share. */
#include <stdio.h>

#include "ops/gemm.h"
#include "ops/op.h"

static const gemm_epilogue no_epilogue = {0};

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

enum { LEAST_DEPTH = 128 }; /* of a part */

bool gemm_tiles_split_fits(const device *d, gemm_tile t, const int *shape)
{
    size_t units = d->info.compute_units ? d->info.compute_units : 1;
    size_t tiles =
        ceil_div((size_t)shape[0], (size_t)t.rows) * ceil_div((size_t)shape[1], (size_t)t.columns);
    return t.split == 1 ||
           (shape[2] / t.split >= LEAST_DEPTH && tiles <= units / ((size_t)t.split / 2));
}

/* Those that have any steps. */
static size_t parts_of(gemm_tile t, int k)
{
    size_t depth = (size_t)k, steps = (size_t)t.steps;
    return ceil_div(depth, ceil_div(depth, (size_t)t.split * steps) * steps);
}

size_t gemm_tiles_scratch(gemm_tile t, int m, int n, int k)
{
    return t.split == 1 ? 0 : parts_of(t, k) * (size_t)m * (size_t)n;
}

void gemm_tiles_options(char out[GEMM_TILES_OPTIONS], const gemm_weight *w, const gemm_epilogue *e,
                        gemm_tile t, int load, int vector)
{
    if (t.split > 1) e = &no_epilogue;
    snprintf(out, GEMM_TILES_OPTIONS,
             "-DAV=%d -DTAIL=%d -DWHOLE=%d -DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
             w->k % load ? 1 : load, w->k % t.steps != 0, w->n % vector == 0, (int)e->act,
             e->gate != NULL, e->residual.memory != NULL);
}

/* parts: of the depth, each with m rows of out. */
static status launch_tiles(device *d, kernel *k, buf out, buf a, const gemm_weight *w, int m,
                           const gemm_epilogue *e, gemm_tile t, size_t parts)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    return launch(d, k,
                  RANGE(ceil_div((size_t)w->n, (size_t)t.columns) * (size_t)t.items,
                        ceil_div((size_t)m, (size_t)t.rows), parts),
                  RANGE((size_t)t.items), ARG(out), ARG(a),
                  ARG(w->view.memory ? w->view : w->matrix), ARG(w->bias), ARG(e->residual),
                  ARG(gate->values), ARG(gate->rows), ARG(m), ARG(w->n), ARG(w->k),
                  ARG((int)gemm_tiles_depth(w->k)), ARG(e->residual_rows), ARG(e->tokens),
                  ARG(gate->stride), ARG(gate->first_row), ARG(gate->rows_at), ARG(e->gate_at));
}

status gemm_tiles_launch(device *d, kernel *k, buf out, buf a, const gemm_weight *w, int m,
                         const gemm_epilogue *e, gemm_tile t, buf scratch)
{
    size_t parts = parts_of(t, w->k);
    if (t.split == 1) return launch_tiles(d, k, out, a, w, m, e, t, 1);
    status st = launch_tiles(d, k, scratch, a, w, m, &no_epilogue, t, parts);
    return st == OK ? gemm_finish(d, out, scratch, (int)parts, w, m, e) : st;
}

status gemm_finish(device *d, buf out, buf sums, int parts, const gemm_weight *w, int m,
                   const gemm_epilogue *e)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    size_t group = (size_t)op_items(d);
    kernel *k;
    status st =
        program_get(d, &k, "epilogue.cl", "epilogue", "-DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
                    (int)e->act, e->gate != NULL, e->residual.memory != NULL);
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)w->n, group), (size_t)m), RANGE(group), ARG(out),
                  ARG(sums), ARG(parts), ARG(m), ARG(w->bias), ARG(e->residual), ARG(gate->values),
                  ARG(gate->rows), ARG(w->n), ARG(e->residual_rows), ARG(e->tokens),
                  ARG(gate->stride), ARG(gate->first_row), ARG(gate->rows_at), ARG(e->gate_at));
}
