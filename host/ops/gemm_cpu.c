/* Products by cl/gemm_cpu.cl: one item a tile, epilogue included. */
#include <float.h>

#include "ops/gemm.h"
#include "ops/op.h"

typedef struct {
    int vec, vectors, rows; /* VEC NV MR */
} tiling;

/* By the width of the device's vectors: as many sums as fill its registers. */
static tiling choose(const device *d)
{
    if (d->vector_width == 16) return (tiling){16, 3, 8};
    return (tiling){d->vector_width, 2, 6};
}

static bool fits(const device *d)
{
    return d->class == CLASS_CPU;
}

static size_t panel(const device *d)
{
    tiling t = choose(d);
    return (size_t)(t.vec * t.vectors);
}

static size_t packed_count(const device *d, int n, int k)
{
    return round_up((size_t)n, panel(d)) * (size_t)k;
}

/* packed [ceil(n / panel)][k][panel] */
static void pack(const device *d, void *packed, const float *weight, int n, int k)
{
    size_t width = panel(d), columns = (size_t)n, depth = (size_t)k;
    float *to = packed;
    for (size_t p = 0; p < columns; p += width)
        for (size_t i = 0; i < depth; i++, to += width)
            for (size_t j = 0; j < width && p + j < columns; j++)
                to[j] = weight[(p + j) * depth + i];
}

static status scratch_count(device *d, size_t *count, int m, int n, int k)
{
    (void)d, (void)m, (void)n, (void)k;
    *count = 0;
    return OK;
}

static status product(device *d, buf out, buf a, const gemm_weight *w, int m,
                      const gemm_epilogue *e, buf scratch)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    tiling t = choose(d);
    kernel *k;
    (void)scratch;
    status st = program_get(d, &k, "gemm_cpu.cl", "gemm_cpu",
                            "-DVEC=%d -DNV=%d -DMR=%d -DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
                            t.vec, t.vectors, t.rows, (int)e->act, e->gate != NULL,
                            e->residual.memory != NULL);
    if (st != OK) return st;
    size_t tiles = ceil_div((size_t)m, (size_t)t.rows), panels = ceil_div((size_t)w->n, panel(d));
    return launch(d, k, RANGE(tiles, panels), RANGE(1), ARG(out), ARG(a), ARG(w->matrix), ARG(w->bias), ARG(e->residual),
                  ARG(gate->values), ARG(gate->rows), ARG(m), ARG(w->n), ARG(w->k),
                  ARG(e->residual_rows), ARG(e->tokens), ARG(gate->stride), ARG(gate->first_row),
                  ARG(gate->rows_at), ARG(e->gate_at));
}

const gemm_implementation gemm_cpu = {
    .name = "cpu", .fits = fits, .packed_count = packed_count, .pack = pack,
    .scratch = scratch_count, .product = product, .unit_error = FLT_EPSILON / 2};
