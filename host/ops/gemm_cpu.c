/* Products by cl/gemm_cpu.cl: one item a tile, epilogue included. */
#include "ops/gemm.h"
#include "ops/op.h"

typedef struct {
    int vec, vectors, rows, unroll, depth, prefetch; /* VEC NV MR KU KC PREFETCH */
} tiling;

enum { BLOCK_ROWS = 128 }; /* of a work-group, about: with KC floats each they fill half a cache */

/* Candidates by the width of the device's vectors, good ones first: as many sums as registers
 * hold. All give the same bits. */
static const tiling tilings[] = {
    {16, 3, 8, 4, 1152, 1}, {16, 3, 8, 4, 1152, 0}, {16, 2, 14, 2, 1152, 0}, {16, 2, 12, 4, 576, 1},
    {8, 2, 6, 4, 1152, 1},  {8, 2, 6, 4, 576, 0},   {8, 3, 4, 4, 1152, 0},   {4, 2, 6, 4, 576, 0},
    {4, 3, 8, 4, 576, 0},
};

static tiling choose(const device *d)
{
    size_t i = 0;
    while (tilings[i].vec != d->vector_width) i++;
    return tilings[i];
}

static bool fits(const device *d)
{
    return d->class == CLASS_CPU;
}

/* Vectors of a panel: fewer where a product has fewer columns. */
static int panel_vectors(tiling t, int n)
{
    int needed = (n + t.vec - 1) / t.vec;
    return needed < t.vectors ? needed : t.vectors;
}

static size_t panel(const device *d, int n)
{
    tiling t = choose(d);
    return (size_t)(t.vec * panel_vectors(t, n));
}

static size_t packed_count(const device *d, int n, int k)
{
    return round_up((size_t)n, panel(d, n)) * (size_t)k;
}

/* packed [ceil(n / panel)][k][panel] */
static void pack(const device *d, void *packed, const float *weight, int n, int k)
{
    size_t width = panel(d, n), columns = (size_t)n, depth = (size_t)k;
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

/* The depth is cut into equal parts, multiples of the unrolling. */
static int part_depth(tiling t, int k)
{
    size_t parts = ceil_div((size_t)k, (size_t)t.depth + (size_t)t.depth / 3);
    return (int)round_up(ceil_div((size_t)k, parts), (size_t)t.unroll);
}

/* Rows of a work-group: all have about as many. */
static int block_rows(tiling t, int m)
{
    size_t blocks = ceil_div((size_t)m, BLOCK_ROWS);
    return (int)round_up(ceil_div((size_t)m, blocks), (size_t)t.rows);
}

static status product(device *d, buf out, buf a, const gemm_weight *w, int m,
                      const gemm_epilogue *e, buf scratch)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    tiling t = choose(d);
    int rows = block_rows(t, m);
    kernel *k;
    (void)scratch;
    status st = program_get(d, &k, "gemm_cpu.cl", "gemm_cpu",
                            "-DVEC=%d -DNV=%d -DMR=%d -DKU=%d -DK=%d -DKC=%d -DPREFETCH=%d "
                            "-DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
                            t.vec, panel_vectors(t, w->n), t.rows, t.unroll, w->k,
                            part_depth(t, w->k), t.prefetch, (int)e->act, e->gate != NULL,
                            e->residual.memory != NULL);
    if (st != OK) return st;
    return launch(d, k,
                  RANGE(ceil_div((size_t)w->n, panel(d, w->n)), ceil_div((size_t)m, (size_t)rows)),
                  RANGE(1), ARG(out), ARG(a), ARG(w->matrix), ARG(w->bias), ARG(e->residual),
                  ARG(gate->values), ARG(gate->rows), ARG(m), ARG(w->n), ARG(rows),
                  ARG(e->residual_rows), ARG(e->tokens), ARG(gate->stride), ARG(gate->first_row),
                  ARG(gate->rows_at), ARG(e->gate_at));
}

const gemm_implementation gemm_cpu = {
    .name = "cpu", .fits = fits, .packed_count = packed_count, .pack = pack,
    .scratch = scratch_count, .product = product};
