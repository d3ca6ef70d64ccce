/* Products by cl/gemm_cpu.cl: one item a block of rows, epilogue included; in fp32, directly or by
 * seven products of halves, or of bfloat16 pairs with fp32 sums. */
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

enum { BLOCK_ROWS = 128 }; /* of a work-group, about: with KC floats each they fill half a cache */

/* By the width of the device's vectors: as many sums as registers hold. All give the same bits. */
static const int configs[][CONFIG_VALUES] = {
    {16, 3, 8, 4, 1152, 1}, {16, 3, 8, 4, 1152, 0}, {16, 2, 14, 2, 1152, 0},
    {16, 2, 12, 4, 576, 1}, {8, 2, 6, 4, 1152, 1},  {8, 2, 6, 4, 576, 0},
    {8, 3, 4, 4, 1152, 0},  {4, 2, 6, 4, 576, 0},   {4, 3, 8, 4, 576, 0},
};

static bool fits(const device *d, const int *v, const int *shape)
{
    (void)shape;
    return op_sums_stay(d, v[VEC], v[NV], v[MR]);
}

static tiling choose(const int *v)
{
    return (tiling){v[VEC], v[NV], v[MR], v[KU], v[KC], v[PREFETCH]};
}

static bool supports(const device *d, const int *shape)
{
    (void)shape;
    return d->family == FAMILY_CPU;
}

static int panel_vectors(tiling t, int n)
{
    return op_panel_vectors(n, t.vec, t.vectors);
}

static size_t panel(const device *d, const int *config, int n)
{
    tiling t = choose(config);
    (void)d;
    return (size_t)(t.vec * panel_vectors(t, n));
}

static size_t packed_count(const device *d, const int *config, int n, int k)
{
    return round_up((size_t)n, panel(d, config, n)) * (size_t)k;
}

/* packed [ceil(n / panel)][k][panel], padded with zeros */
static void pack(const device *d, const int *config, void *packed, const float *rows, int first,
                 int count, int n, int k)
{
    enum { LINE = 16 }; /* floats of a row that one cache line holds */
    size_t width = panel(d, config, n), depth = (size_t)k, columns = (size_t)count;
    float *to = (float *)packed + (size_t)first * depth;
    if (columns < width) memset(to, 0, width * depth * sizeof *to);
    for (size_t i = 0; i < depth; i += LINE) {
        size_t end = i + LINE < depth ? i + LINE : depth;
        for (size_t j = 0; j < columns; j++)
            for (size_t l = i; l < end; l++) to[l * width + j] = rows[j * depth + l];
    }
}

static status scratch_count(device *d, const int *config, size_t *count, int m, int n, int k)
{
    (void)d, (void)config, (void)m, (void)n, (void)k;
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

/* For a [m][depth] of floats or pairs, which `options` tells the kernel. */
static status build_as(device *d, kernel **k, const gemm_call *c, int depth, const char *options)
{
    char epilogue[EPILOGUE_OPTIONS];
    tiling t = choose(c->w->use.config);
    gemm_epilogue_options(epilogue, c->e);
    return program_get(d, k, "gemm_cpu.cl", "gemm_cpu",
                       "-DVEC=%d -DNV=%d -DMR=%d -DKU=%d -DK=%d -DKC=%d -DPREFETCH=%d %s%s", t.vec,
                       panel_vectors(t, c->w->n), t.rows, t.unroll, depth, part_depth(t, depth),
                       t.prefetch, epilogue, options);
}

static status multiply(device *d, kernel *k, buf a, const gemm_call *c)
{
    const gemm_weight *w = c->w;
    int rows = block_rows(choose(w->use.config), c->m);
    size_t panels = ceil_div((size_t)w->n, panel(d, w->use.config, w->n));
    return launch(d, k, RANGE(panels, ceil_div((size_t)c->m, (size_t)rows)), RANGE(1), ARG(c->out),
                  ARG(a), ARG(w->matrix), EPILOGUE_BUFFERS(c->args), ARG(c->m), ARG(w->n),
                  ARG(rows), EPILOGUE_SIZES(c->args));
}

static status build(device *d, kernel *k[LAYER_KERNELS], const gemm_call *c)
{
    return build_as(d, &k[0], c, c->w->k, "");
}

static status enqueue(device *d, kernel *const k[LAYER_KERNELS], const gemm_call *c)
{
    return multiply(d, k[0], c->a, c);
}

const op_impl gemm_cpu = {.op = "gemm",
                          .name = "cpu",
                          .file = "gemm_cpu.cl",
                          IMPL_TUNABLES,
                          .supports = supports,
                          .fits = fits,
                          .gemm = {.packed_count = packed_count,
                                   .panel = panel,
                                   .pack = pack,
                                   .scratch = scratch_count,
                                   .build = build,
                                   .enqueue = enqueue}};

/* ---- seven products of halves ---- */

enum { HALF_ROWS = 256, LEAST_ROWS = 128, LEAST_DEPTH = 256 };

static bool supports_strassen(const device *d, const int *shape)
{
    return supports(d, shape) && d->settings.precision == PRECISION_AUTO;
}

/* Whether a product has halves that are worth it; others are done directly. */
static bool halves(const device *d, const int *config, int m, int n, int k)
{
    tiling t = choose(config);
    return m % (2 * t.rows) == 0 && m >= LEAST_ROWS && k % (2 * t.vec) == 0 &&
           k % (2 * t.unroll) == 0 && k >= LEAST_DEPTH &&
           (size_t)n % (2 * panel(d, config, n)) == 0;
}

static double flop_factor(const device *d, const int *config, int m, int n, int k)
{
    return halves(d, config, m, n, k) ? 7.0 / 8.0 : 1.0;
}

static size_t half_blocks(int m)
{
    return ceil_div((size_t)m / 2, HALF_ROWS);
}

static size_t panel_pairs(const device *d, const int *config, int n)
{
    return (size_t)n / (2 * panel(d, config, n));
}

/* The sums of halves of the activations, then of the work-groups' panels. */
static status scratch_strassen(device *d, const int *config, size_t *count, int m, int n, int k)
{
    size_t depth = (size_t)k;
    *count = 0;
    if (halves(d, config, m, n, k))
        *count = (size_t)m * depth +
                 panel_pairs(d, config, n) * half_blocks(m) * panel(d, config, n) * (depth / 2);
    return OK;
}

static bool is_halved(const device *d, const gemm_call *c)
{
    return halves(d, c->w->use.config, c->m, c->w->n, c->w->k);
}

/* k[1] sums halves of the activations for k[0]. */
static status build_strassen(device *d, kernel *k[LAYER_KERNELS], const gemm_call *c)
{
    tiling t = choose(c->w->use.config);
    char options[128], epilogue[EPILOGUE_OPTIONS], none[EPILOGUE_OPTIONS];
    if (!is_halved(d, c)) return build(d, k, c);
    snprintf(options, sizeof options,
             "-DSTRASSEN -DVEC=%d -DNV=%d -DMR=%d -DKU=%d -DK=%d -DPREFETCH=%d", t.vec, t.vectors,
             t.rows, t.unroll, c->w->k, t.prefetch);
    gemm_epilogue_options(epilogue, c->e);
    gemm_epilogue_options(none, &gemm_no_epilogue);
    status st = program_get(d, &k[1], "gemm_cpu.cl", "gemm_strassen_sums", "%s %s", options, none);
    if (st != OK) return st;
    return program_get(d, &k[0], "gemm_cpu.cl", "gemm_strassen", "%s %s", options, epilogue);
}

static status enqueue_strassen(device *d, kernel *const k[LAYER_KERNELS], const gemm_call *c)
{
    const gemm_weight *w = c->w;
    if (!is_halved(d, c)) return enqueue(d, k, c);
    tiling t = choose(w->use.config);
    int half = c->m / 2;
    int rows = (int)round_up(ceil_div((size_t)half, half_blocks(c->m)), (size_t)t.rows);
    status st =
        launch(d, k[1], RANGE((size_t)half), RANGE(1), ARG(c->scratch), ARG(c->a), ARG(half));
    if (st != OK) return st;
    return launch(d, k[0], RANGE(panel_pairs(d, w->use.config, w->n), half_blocks(c->m)), RANGE(1),
                  ARG(c->out), ARG(c->a), ARG(c->scratch), ARG(w->matrix),
                  EPILOGUE_BUFFERS(c->args), ARG(half), ARG(w->n), ARG(rows),
                  EPILOGUE_SIZES(c->args));
}

const op_impl gemm_cpu_strassen = {.op = "gemm",
                                   .name = "cpu_strassen",
                                   .file = "gemm_cpu.cl",
                                   .input_error = 0x1p-22,
                                   IMPL_TUNABLES,
                                   .supports = supports_strassen,
                                   .fits = fits,
                                   .gemm = {.packed_count = packed_count,
                                            .panel = panel,
                                            .pack = pack,
                                            .scratch = scratch_strassen,
                                            .build = build_strassen,
                                            .enqueue = enqueue_strassen,
                                            .flop_factor = flop_factor}};

/* ---- bfloat16 pairs ---- */

static const char pair_options[] = " -DBF16 -DVECTOR_ASSEMBLY=1";

static bool supports_pairs(const device *d, const int *shape)
{
    return supports(d, shape) && d->vector_width == 16 && d->feature[FEATURE_AVX512_BF16] &&
           d->settings.precision == PRECISION_BF16;
}

static int n_pairs(int k)
{
    return k / 2 + k % 2;
}

static size_t packed_count_pairs(const device *d, const int *config, int n, int k)
{
    return packed_count(d, config, n, n_pairs(k));
}

/* packed [ceil(n / panel)][pairs][panel][2], padded with zeros */
static void pack_pairs(const device *d, const int *config, void *packed, const float *rows,
                       int first, int count, int n, int k)
{
    enum { LINE = 32 };
    size_t width = panel(d, config, n), depth = (size_t)k, pairs = (size_t)n_pairs(k);
    uint16_t *to = (uint16_t *)packed + (size_t)first * 2 * pairs;
    memset(to, 0, width * 2 * pairs * sizeof *to);
    for (size_t i = 0; i < depth; i += LINE) {
        size_t end = i + LINE < depth ? i + LINE : depth;
        for (size_t j = 0; j < (size_t)count; j++)
            for (size_t l = i; l < end; l++)
                to[(l / 2 * width + j) * 2 + l % 2] = float_to_bf16(rows[j * depth + l]);
    }
}

/* The activations in pairs. */
static status scratch_count_pairs(device *d, const int *config, size_t *count, int m, int n, int k)
{
    (void)d, (void)config, (void)n;
    *count = (size_t)m * (size_t)n_pairs(k);
    return OK;
}

/* k[1] rounds the activations for k[0]. */
static status build_pairs(device *d, kernel *k[LAYER_KERNELS], const gemm_call *c)
{
    int depth = n_pairs(c->w->k);
    char none[EPILOGUE_OPTIONS];
    gemm_epilogue_options(none, &gemm_no_epilogue);
    status st = program_get(d, &k[1], "gemm_cpu.cl", "gemm_cpu_round",
                            "-DVEC=16 -DNV=1 -DMR=1 -DKU=1 -DK=%d -DKC=1 -DPREFETCH=0 %s%s", depth,
                            none, pair_options);
    return st == OK ? build_as(d, &k[0], c, depth, pair_options) : st;
}

static status enqueue_pairs(device *d, kernel *const k[LAYER_KERNELS], const gemm_call *c)
{
    status st =
        launch(d, k[1], RANGE((size_t)c->m), RANGE(1), ARG(c->scratch), ARG(c->a), ARG(c->w->k));
    return st == OK ? multiply(d, k[0], c->scratch, c) : st;
}

const op_impl gemm_cpu_pairs = {.op = "gemm",
                                .name = "avx512_bf16",
                                .file = "gemm_cpu.cl",
                                .input_error = 0x1p-9,
                                .roof = ROOF_16BIT,
                                IMPL_TUNABLES,
                                .supports = supports_pairs,
                                .fits = fits,
                                .gemm = {.packed_count = packed_count_pairs,
                                         .panel = panel,
                                         .pack = pack_pairs,
                                         .scratch = scratch_count_pairs,
                                         .build = build_pairs,
                                         .enqueue = enqueue_pairs}};
