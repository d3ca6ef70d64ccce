/* Launches cl/gemm_cpu.cl: one work-item per work-group, for a block of rows, epilogue included.
 * The arithmetic is fp32, directly or by one level of Strassen, or bf16 pairs with fp32 sums. */
#include <stdio.h>
#include <string.h>

#include "base/fp16.h"
#include "ops/gemm.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(VEC, "floats of a vector", 4, 8, 16)                                                         \
    T(NV, "vectors of a panel of columns", 1, 2, 3, 4)                                             \
    T(MR, "rows in registers", 2, 3, 4, 5, 6, 8, 10, 12, 13, 14)                                   \
    T(KU, "terms of a sum done together", 1, 2, 4, 8)                                              \
    T(KC, "terms of a pass", 288, 384, 576, 768, 1152, 1536, 2304)                                 \
    T(PREFETCH, "whether the panel is asked for ahead", 0, 1)
DECLARE_TUNABLES(TUNABLES);

typedef struct {
    int vec, vectors, rows, unroll, depth, prefetch; /* VEC NV MR KU KC PREFETCH */
} tiling;

/* About the rows of a work-group. With KC floats each, they fill half the L2 cache. */
enum { BLOCK_ROWS = 128 };

/* For each width of vectors, as many sums as registers hold. All give the same bits. */
static const int configs[][CONFIG_VALUES] = {
    {16, 3, 8, 4, 1152, 1}, {16, 3, 8, 4, 1152, 0}, {16, 2, 14, 2, 1152, 0},
    {16, 2, 12, 4, 576, 1}, {8, 2, 6, 4, 1152, 1},  {8, 2, 6, 4, 576, 0},
    {8, 3, 4, 4, 1152, 0},  {4, 2, 6, 4, 576, 0},   {4, 3, 8, 4, 576, 0},
};

static bool gemm_cpu_fits(const device *d, const int *v, const int *shape)
{
    (void)shape;
    return op_sums_stay(d, v[VEC], v[NV], v[MR]);
}

static tiling gemm_cpu_choose(const int *v)
{
    return (tiling){v[VEC], v[NV], v[MR], v[KU], v[KC], v[PREFETCH]};
}

static bool gemm_cpu_supports(const device *d, const int *shape)
{
    (void)shape;
    return d->family == FAMILY_CPU;
}

static int panel_vectors(tiling t, int n)
{
    return op_panel_vectors(n, t.vec, t.vectors);
}

static size_t gemm_cpu_panel(const device *d, const int *config, int n)
{
    tiling t = gemm_cpu_choose(config);
    (void)d;
    return (size_t)(t.vec * panel_vectors(t, n));
}

static size_t gemm_cpu_packed_count(const device *d, const int *config, int n, int k)
{
    return round_up((size_t)n, gemm_cpu_panel(d, config, n)) * (size_t)k;
}

/* packed [ceil(n / panel)][k][panel], padded with zeros */
static void gemm_cpu_pack(const device *d, const int *config, void *packed, const float *rows,
                          int first, int count, int n, int k)
{
    enum { LINE = 16 }; /* floats of a row that one cache line holds */
    size_t width = gemm_cpu_panel(d, config, n), depth = (size_t)k, columns = (size_t)count;
    float *to = (float *)packed + (size_t)first * depth;
    if (columns < width) memset(to, 0, width * depth * sizeof *to);
    for (size_t i = 0; i < depth; i += LINE) {
        size_t end = i + LINE < depth ? i + LINE : depth;
        for (size_t j = 0; j < columns; j++)
            for (size_t l = i; l < end; l++) to[l * width + j] = rows[j * depth + l];
    }
}

/* The depth is cut into equal parts, multiples of the unrolling. */
static int part_depth(tiling t, int k)
{
    size_t parts = ceil_div((size_t)k, (size_t)t.depth + (size_t)t.depth / 3);
    return (int)round_up(ceil_div((size_t)k, parts), (size_t)t.unroll);
}

/* Rows of a work-group, so that all work-groups have about the same number. */
static int block_rows(tiling t, int m)
{
    size_t blocks = ceil_div((size_t)m, BLOCK_ROWS);
    return (int)round_up(ceil_div((size_t)m, blocks), (size_t)t.rows);
}

/* Plans the launch for a [m][depth] of floats or of bf16 pairs; `options` tells the kernel
 * which. */
static status plan_as(device *d, op_plan *p, const gemm_use *u, int depth, const char *options)
{
    char epilogue[EPILOGUE_OPTIONS];
    tiling t = gemm_cpu_choose(u->choice.config);
    int rows = block_rows(t, u->m);
    size_t panels = ceil_div((size_t)u->n, gemm_cpu_panel(d, u->choice.config, u->n));
    gemm_epilogue_options(epilogue, u->fused);
    launch_prepare(&p->launches[0], RANGE(panels, ceil_div((size_t)u->m, (size_t)rows)), RANGE(1),
                   ARG(u->m), ARG(rows));
    return program_get(d, &p->launches[0].k, "gemm_cpu.cl", "gemm_cpu",
                       "-DVEC=%d -DNV=%d -DMR=%d -DKU=%d -DK=%d -DKC=%d -DPREFETCH=%d %s%s", t.vec,
                       panel_vectors(t, u->n), t.rows, t.unroll, depth, part_depth(t, depth),
                       t.prefetch, epilogue, options);
}

static status gemm_cpu_plan(device *d, op_plan *p, const gemm_use *u)
{
    return plan_as(d, p, u, u->k, "");
}

const op_impl gemm_cpu = {.op = "gemm",
                          .name = "cpu",
                          .file = "gemm_cpu.cl",
                          IMPL_TUNABLES,
                          .supports = gemm_cpu_supports,
                          .fits = gemm_cpu_fits,
                          .gemm = {.packed_count = gemm_cpu_packed_count,
                                   .panel = gemm_cpu_panel,
                                   .pack = gemm_cpu_pack,
                                   .plan = gemm_cpu_plan,
                                   .enqueue = gemm_enqueue}};

/* ---- Strassen ---- */

enum { HALF_ROWS = 256, LEAST_ROWS = 128, LEAST_DEPTH = 256 };

static bool supports_strassen(const device *d, const int *shape)
{
    return gemm_cpu_supports(d, shape) && d->settings.precision == PRECISION_AUTO;
}

/* Whether the blocks are large enough for a level of Strassen; else the GEMM is done directly. */
static bool halves(const device *d, const int *config, int m, int n, int k)
{
    tiling t = gemm_cpu_choose(config);
    return m % (2 * t.rows) == 0 && m >= LEAST_ROWS && k % (2 * t.vec) == 0 &&
           k % (2 * t.unroll) == 0 && k >= LEAST_DEPTH &&
           (size_t)n % (2 * gemm_cpu_panel(d, config, n)) == 0;
}

static size_t half_blocks(int m)
{
    return ceil_div((size_t)m / 2, HALF_ROWS);
}

static size_t panel_pairs(const device *d, const int *config, int n)
{
    return (size_t)n / (2 * gemm_cpu_panel(d, config, n));
}

/* *count = floats of the sums of blocks: of the activations, then of the work-groups' panels. */
static status scratch_strassen(device *d, const int *config, size_t *count, int m, int n, int k)
{
    size_t depth = (size_t)k;
    *count = 0;
    if (halves(d, config, m, n, k))
        *count = (size_t)m * depth + panel_pairs(d, config, n) * half_blocks(m) *
                                         gemm_cpu_panel(d, config, n) * (depth / 2);
    return OK;
}

/* launches[1] sums blocks of the activations for launches[0]. */
static status plan_strassen(device *d, op_plan *p, const gemm_use *u)
{
    const int *config = u->choice.config;
    tiling t = gemm_cpu_choose(config);
    int half = u->m / 2;
    char options[128], epilogue[EPILOGUE_OPTIONS], none[EPILOGUE_OPTIONS];
    if (!halves(d, config, u->m, u->n, u->k)) return gemm_cpu_plan(d, p, u);
    int rows = (int)round_up(ceil_div((size_t)half, half_blocks(u->m)), (size_t)t.rows);
    p->announcing.done.executed = p->announcing.done.flops * 7.0 / 8.0;
    launch_prepare(&p->launches[1], RANGE((size_t)half), RANGE(1), ARG(half));
    launch_prepare(&p->launches[0], RANGE(panel_pairs(d, config, u->n), half_blocks(u->m)),
                   RANGE(1), ARG(half), ARG(rows));
    snprintf(options, sizeof options,
             "-DSTRASSEN -DVEC=%d -DNV=%d -DMR=%d -DKU=%d -DK=%d -DPREFETCH=%d", t.vec, t.vectors,
             t.rows, t.unroll, u->k, t.prefetch);
    gemm_epilogue_options(epilogue, u->fused);
    gemm_epilogue_options(none, 0);
    status st = program_get(d, &p->launches[1].k, "gemm_cpu.cl", "gemm_strassen_sums", "%s %s",
                            options, none);
    if (st != OK) return st;
    return program_get(d, &p->launches[0].k, "gemm_cpu.cl", "gemm_strassen", "%s %s", options,
                       epilogue);
}

static status enqueue_strassen(device *d, const op_plan *p, const gemm_call *c)
{
    if (!p->launches[1].k) return gemm_enqueue(d, p, c);
    status st = launch_prepared(d, &p->launches[1], ARG(c->scratch), ARG(c->a));
    if (st != OK) return st;
    return launch_epilogue(d, &p->launches[0], &c->epilogue, ARG(c->out), ARG(c->a),
                           ARG(c->scratch), ARG(c->b));
}

const op_impl gemm_cpu_strassen = {.op = "gemm",
                                   .name = "cpu_strassen",
                                   .file = "gemm_cpu.cl",
                                   .input_error = 0x1p-22,
                                   IMPL_TUNABLES,
                                   .supports = supports_strassen,
                                   .fits = gemm_cpu_fits,
                                   .gemm = {.packed_count = gemm_cpu_packed_count,
                                            .panel = gemm_cpu_panel,
                                            .pack = gemm_cpu_pack,
                                            .scratch = scratch_strassen,
                                            .plan = plan_strassen,
                                            .enqueue = enqueue_strassen}};

/* ---- bf16 pairs ---- */

static const char pair_options[] = " -DBF16 -DVECTOR_ASSEMBLY=1";

static bool gemm_cpu_supports_pairs(const device *d, const int *shape)
{
    return gemm_cpu_supports(d, shape) && d->vector_width == 16 &&
           d->feature[FEATURE_AVX512_BF16] && d->settings.precision == PRECISION_BF16;
}

static int n_pairs(int k)
{
    return k / 2 + k % 2;
}

static size_t packed_count_pairs(const device *d, const int *config, int n, int k)
{
    return gemm_cpu_packed_count(d, config, n, n_pairs(k));
}

/* packed [ceil(n / panel)][pairs][panel][2], padded with zeros */
static void pack_pairs(const device *d, const int *config, void *packed, const float *rows,
                       int first, int count, int n, int k)
{
    enum { LINE = 32 };
    size_t width = gemm_cpu_panel(d, config, n), depth = (size_t)k, pairs = (size_t)n_pairs(k);
    uint16_t *to = (uint16_t *)packed + (size_t)first * 2 * pairs;
    memset(to, 0, width * 2 * pairs * sizeof *to);
    for (size_t i = 0; i < depth; i += LINE) {
        size_t end = i + LINE < depth ? i + LINE : depth;
        for (size_t j = 0; j < (size_t)count; j++)
            for (size_t l = i; l < end; l++)
                to[(l / 2 * width + j) * 2 + l % 2] = float_to_bf16(rows[j * depth + l]);
    }
}

/* *count = floats that the activations take as bf16 pairs. */
static status scratch_count_pairs(device *d, const int *config, size_t *count, int m, int n, int k)
{
    (void)d, (void)config, (void)n;
    *count = (size_t)m * (size_t)n_pairs(k);
    return OK;
}

/* launches[1] rounds the activations for launches[0]. */
static status plan_pairs(device *d, op_plan *p, const gemm_use *u)
{
    int depth = n_pairs(u->k);
    char none[EPILOGUE_OPTIONS];
    gemm_epilogue_options(none, 0);
    launch_prepare(&p->launches[1], RANGE((size_t)u->m), RANGE(1), ARG(u->k));
    status st = program_get(d, &p->launches[1].k, "gemm_cpu.cl", "gemm_cpu_round",
                            "-DVEC=16 -DNV=1 -DMR=1 -DKU=1 -DK=%d -DKC=1 -DPREFETCH=0 %s%s", depth,
                            none, pair_options);
    return st == OK ? plan_as(d, p, u, depth, pair_options) : st;
}

const op_impl gemm_cpu_pairs = {.op = "gemm",
                                .name = "avx512_bf16",
                                .file = "gemm_cpu.cl",
                                .input_error = 0x1p-9,
                                .roof = ROOF_16BIT,
                                IMPL_TUNABLES,
                                .supports = gemm_cpu_supports_pairs,
                                .fits = gemm_cpu_fits,
                                .gemm = {.packed_count = packed_count_pairs,
                                         .panel = gemm_cpu_panel,
                                         .pack = pack_pairs,
                                         .scratch = scratch_count_pairs,
                                         .plan = plan_pairs,
                                         .enqueue = gemm_enqueue_packed}};
