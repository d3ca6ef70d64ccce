/* What products that make tiles in local memory (cl/gemm_tiles.clh) share. */
#include <stdio.h>

#include "ops/gemm.h"
#include "ops/op.h"

size_t gemm_tiles_panel(const device *d, const int *values, int n)
{
    (void)d, (void)values, (void)n;
    return GEMM_PANEL;
}

size_t gemm_tiles_depth(int k)
{
    return round_up((size_t)k, GEMM_DEPTH);
}

size_t gemm_tiles_count_half(const device *d, const int *values, int n, int k)
{
    (void)d, (void)values;
    return round_up((size_t)n, GEMM_PANEL) * gemm_tiles_depth(k) / 2;
}

status gemm_no_scratch(device *d, const int *values, size_t *count, int m, int n, int k)
{
    (void)d, (void)values, (void)m, (void)n, (void)k;
    *count = 0;
    return OK;
}

void gemm_tiles_options(char out[GEMM_TILES_OPTIONS], const gemm_weight *w,
                        const gemm_epilogue *e, int kt, int load, int vector)
{
    snprintf(out, GEMM_TILES_OPTIONS,
             "-DAV=%d -DTAIL=%d -DWHOLE=%d -DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
             w->k % load ? 1 : load, w->k % kt != 0, w->n % vector == 0, (int)e->act,
             e->gate != NULL, e->residual.memory != NULL);
}

status gemm_tiles_launch(device *d, kernel *k, buf out, buf a, const gemm_weight *w, int m,
                         const gemm_epilogue *e, gemm_tile t)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    return launch(d, k,
                  RANGE(ceil_div((size_t)w->n, (size_t)t.columns) * (size_t)t.items,
                        ceil_div((size_t)m, (size_t)t.rows)),
                  RANGE((size_t)t.items), ARG(out), ARG(a), ARG(w->matrix), ARG(w->bias),
                  ARG(e->residual), ARG(gate->values), ARG(gate->rows), ARG(m), ARG(w->n),
                  ARG(w->k), ARG((int)gemm_tiles_depth(w->k)), ARG(e->residual_rows),
                  ARG(e->tokens), ARG(gate->stride), ARG(gate->first_row), ARG(gate->rows_at),
                  ARG(e->gate_at));
}
