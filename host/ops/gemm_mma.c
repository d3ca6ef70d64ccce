/* Launches cl/gemm_mma.cl: GEMM on the device's matrix units, in fp16, bf16 or bf16x3, with fp32
 * sums. */
#include <math.h>
#include <string.h>

#include "base/fp16.h"
#include "ops/gemm.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(MT, "rows of a work-group's tile", 8, 16, 32, 64, 128)                                       \
    T(NT, "columns of a work-group's tile", 8, 16, 32, 64, 128)                                    \
    T(KT, "steps of the depth in local memory at once", 16, 32)                                    \
    T(WM, "rows of a sub-group", 8, 16, 32, 64)                                                    \
    T(WN, "columns of a sub-group", 8, 16, 32, 64)                                                 \
    T(DB, "steps that are fetched ahead; without asynchronous copies at most 1", 0, 1, 2, 3)       \
    T(SPLIT, "parts of the depth that are summed apart", 1, 2, 4, 8)
DECLARE_TUNABLES(TUNABLES);

/* Large tiles that keep the matrix units busy, then smaller ones for few rows or columns, then
 * those that split K. The rule of ops/waves.h chooses among them. fits() refuses tiles that the
 * sizes of a device's MMA do not divide. Not yet measured on a GPU. */
static const int configs[][CONFIG_VALUES] = {
    /* MT NT KT WM WN DB SPLIT */
    {128, 128, 32, 64, 64, 2, 1}, {128, 128, 16, 64, 64, 3, 1}, {128, 128, 16, 64, 64, 2, 1},
    {128, 128, 16, 64, 32, 2, 1}, {64, 128, 32, 32, 32, 2, 1},  {128, 128, 32, 64, 32, 2, 1},
    {128, 64, 32, 32, 32, 2, 1},  {64, 64, 32, 32, 32, 2, 1},   {128, 64, 32, 32, 16, 2, 1},
    {64, 64, 32, 32, 16, 0, 1},   {64, 64, 32, 16, 16, 2, 1},   {64, 64, 16, 32, 8, 2, 1},
    {32, 64, 32, 32, 16, 2, 1},   {32, 64, 16, 32, 16, 2, 1},   {32, 64, 16, 16, 16, 2, 1},
    {32, 32, 32, 16, 16, 2, 1},   {32, 32, 16, 16, 16, 2, 1},   {32, 64, 16, 16, 8, 2, 1},
    {16, 64, 32, 16, 16, 2, 1},   {16, 64, 16, 16, 16, 2, 1},   {16, 16, 32, 16, 16, 2, 1},
    {16, 16, 32, 16, 8, 2, 1},    {16, 16, 16, 16, 16, 0, 1},   {8, 16, 16, 8, 16, 0, 1},
    {16, 8, 16, 16, 8, 0, 1},     {8, 8, 16, 8, 8, 0, 1},       {64, 128, 32, 32, 32, 2, 4},
    {64, 128, 32, 32, 32, 2, 2},  {64, 64, 32, 32, 32, 2, 8},   {64, 64, 32, 32, 32, 2, 4},
    {64, 64, 32, 32, 32, 2, 2},   {32, 64, 32, 32, 16, 2, 8},   {32, 64, 32, 32, 16, 2, 4},
    {32, 64, 16, 16, 8, 2, 4},    {32, 64, 32, 32, 16, 2, 2},   {32, 32, 32, 16, 16, 2, 8},
    {16, 64, 32, 16, 16, 2, 8},   {32, 32, 32, 16, 16, 2, 4},   {16, 64, 32, 16, 16, 2, 4},
    {16, 64, 32, 16, 16, 2, 2},
};

static int gemm_mma_items(const matrix_unit *u, const int *v)
{
    return u->lanes * (v[MT] / v[WM]) * (v[NT] / v[WN]);
}

static gemm_tile gemm_mma_tile(const matrix_unit *u, const int *v)
{
    return (gemm_tile){v[MT], v[NT], v[KT], gemm_mma_items(u, v), v[SPLIT]};
}

/* Whether inputs go to local memory by asynchronous copies: ASYNC in the kernel. */
static bool copies(const matrix_unit *u, const int *v)
{
    return u->async && v[DB] > 0;
}

/* An emulated matrix unit, which only tests have, exchanges fragments in local memory, too. */
static uint64_t gemm_mma_local_bytes(const device *d, const matrix_unit *u, const int *v)
{
    int stages = copies(u, v) ? v[DB] + 1 : v[DB] ? 2 : 1;
    int row = mma_parts(d) * v[KT] + (copies(u, v) ? 0 : 8);
    int tiles = (v[MT] + v[NT]) * row * stages * 2;
    return (uint64_t)(tiles + mma_exchange_bytes(d, u, gemm_mma_items(u, v)));
}

/* Sums, both factors of a step, and what a work-item has fetched and not yet staged. */
static int gemm_mma_floats_of_item(const matrix_unit *u, const int *v, int parts)
{
    int columns = copies(u, v) ? 0 : parts * v[NT];
    int on_way = (2 * v[MT] + columns) * v[KT] / (2 * gemm_mma_items(u, v));
    return v[WM] * v[WN] / u->lanes + parts * (u->a + v[WN] / u->n * u->b) + on_way;
}

/* MMAs of one sub-group in a launch: all steps of its part of K. */
static size_t gemm_mma_products(const device *d, const matrix_unit *u, const int *v, int k)
{
    size_t depth = ceil_div((size_t)k, (size_t)(v[SPLIT] * v[KT])) * (size_t)v[KT];
    return depth / MMA_DEPTH * (size_t)(v[WM] / u->m * (v[WN] / u->n)) *
           (size_t)(mma_parts(d) == 2 ? 3 : 1);
}

static bool gemm_mma_fits(const device *d, const int *v, const int *shape)
{
    int m = shape[0], n = shape[1];
    const matrix_unit *u = mma_of(d);
    return u && (u->async || v[DB] < 3) && divides(v[WM], v[MT]) && divides(v[WN], v[NT]) &&
           divides(u->m, v[WM]) && divides(u->n, v[WN]) &&
           (size_t)gemm_mma_items(u, v) <= d->info.max_work_group &&
           gemm_mma_local_bytes(d, u, v) <= d->info.local_bytes &&
           gemm_mma_floats_of_item(u, v, mma_parts(d)) <= u->floats &&
           mma_products_fit(d, u, gemm_mma_products(d, u, v, shape[2])) &&
           gemm_tiles_split_fits(gemm_mma_tile(u, v), shape) &&
           /* no tile of which more than half is unused, if there is a smaller one */
           (v[MT] == u->m || v[MT] < 2 * m) && (v[NT] == u->n || v[NT] < 2 * n);
}

static waves gemm_mma_waves(const device *d, const int *v, const int *shape)
{
    read_cost c = waves_of_unit(mma_parts(d));
    return gemm_tiles_waves(d, gemm_mma_tile(mma_of(d), v), c,
                            waves_step(c, v[MT], v[NT], v[WM], v[WN]), shape);
}

static bool gemm_mma_supports(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_FP16) && !op_has_dpas(d, PRECISION_FP16);
}

static bool gemm_mma_supports_bf16(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_BF16) && !op_has_dpas(d, PRECISION_BF16);
}

static bool gemm_mma_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_AUTO) && !op_has_dpas(d, PRECISION_AUTO);
}

static size_t gemm_mma_packed_count(const device *d, const int *config, int n, int k)
{
    size_t scales = mma_flushes(d) ? round_up((size_t)n, GEMM_PANEL) : 0;
    return (size_t)mma_parts(d) * gemm_tiles_count_fp16(d, config, n, k) + scales;
}

/* low: the remainder after rounding to bfloat16, or null. */
static void pack_row(const device *d, uint16_t *to, uint16_t *low, const float *row, size_t depth)
{
    if (d->settings.precision == PRECISION_FP16) { /* infinity becomes the largest number of fp16 */
        for (size_t l = 0; l < depth; l++) to[l] = float_to_fp16_finite(row[l]);
        return;
    }
    for (size_t l = 0; l < depth; l++) {
        to[l] = float_to_bf16(row[l]);
        if (low) low[l] = float_to_bf16(row[l] - bf16_to_float(to[l]));
    }
}

/* The scale of a row of weights for matrix units that flush subnormal numbers (cl/mma.clh). */
static float row_scale(const float *row, size_t depth)
{
    enum { LARGEST = 14, MOST = 100 }; /* exponents; the scale and its inverse are normal numbers */
    float largest = 0.0f;
    for (size_t l = 0; l < depth; l++)
        if (isfinite(row[l])) largest = fmaxf(largest, fabsf(row[l]));
    int e = largest > 0.0f ? ilogbf(largest) : LARGEST;
    return ldexpf(1.0f, (e < -MOST ? -MOST : e > MOST ? MOST : e) - LARGEST);
}

/* Packs a panel's rows in scaled form, and their scales. */
static void pack_scaled(uint16_t *to, float *scales, const float *rows, size_t count, size_t depth,
                        size_t padded)
{
    for (size_t j = 0; j < GEMM_PANEL; j++) scales[j] = 1.0f;
    for (size_t j = 0; j < count; j++, to += padded, rows += depth) {
        scales[j] = row_scale(rows, depth);
        for (size_t l = 0; l < depth; l++) to[l] = float_to_fp16_finite(rows[l] / scales[j]);
    }
}

/* packed [n][parts][depth], n and depth padded with zeros. All configurations read this layout, so
 * that the configuration may change. For matrix units that flush, the scales [n] follow. */
static void gemm_mma_pack(const device *d, const int *config, void *packed, const float *rows,
                          int first, int count, int n, int k)
{
    (void)config;
    size_t depth = (size_t)k, padded = gemm_tiles_depth(k), parts = (size_t)mma_parts(d);
    uint16_t *to = (uint16_t *)packed + (size_t)first * parts * padded;
    memset(to, 0, GEMM_PANEL * parts * padded * sizeof *to);
    if (mma_flushes(d)) {
        float *scales = (float *)((uint16_t *)packed + round_up((size_t)n, GEMM_PANEL) * padded);
        pack_scaled(to, scales + first, rows, (size_t)count, depth, padded);
        return;
    }
    for (size_t j = 0; j < (size_t)count; j++, to += parts * padded)
        pack_row(d, to, parts == 2 ? to + padded : NULL, rows + j * depth, depth);
}

static status gemm_mma_scratch_for(device *d, const int *config, size_t *count, int m, int n, int k)
{
    *count = gemm_tiles_scratch(gemm_mma_tile(mma_of(d), config), m, n, k);
    return OK;
}

static status gemm_mma_plan(device *d, op_plan *p, const gemm_use *u)
{
    const int *v = u->choice.config;
    const matrix_unit *unit = mma_of(d);
    char options[CONFIG_OPTIONS], shape[GEMM_TILES_OPTIONS], units[MMA_OPTIONS];
    configuration_options(options, u->choice.impl, v);
    gemm_tiles_options(shape, u, gemm_mma_tile(unit, v), 4, unit->vector);
    mma_options(units, d, unit);
    if (mma_parts(d) == 2) p->announcing.done.executed = 3 * p->announcing.done.flops;
    status st = gemm_tiles_plan(d, p, u, gemm_mma_tile(unit, v));
    if (st != OK) return st;
    return program_get(d, &p->launches[0].k, "gemm_mma.cl", "gemm_mma", "%s -DPARTS=%d %s%s", units,
                       mma_parts(d), shape, options);
}

#define FUNCTIONS                                                                                  \
    .gemm = {.packed_count = gemm_mma_packed_count,                                                \
             .panel = gemm_tiles_panel,                                                            \
             .pack = gemm_mma_pack,                                                                \
             .scratch = gemm_mma_scratch_for,                                                      \
             .plan = gemm_mma_plan,                                                                \
             .enqueue = gemm_tiles_enqueue}

const op_impl gemm_mma = {.op = "gemm",
                          .name = "gpu_mma",
                          .file = "gemm_mma.cl",
                          .input_error = 0x1p-11,
                          .roof = ROOF_16BIT,
                          .factors = READS_FACTORS | WRITES_FACTORS,
                          IMPL_TUNABLES,
                          .supports = gemm_mma_supports,
                          .fits = gemm_mma_fits,
                          .waves = gemm_mma_waves,
                          FUNCTIONS};

const op_impl gemm_mma_bf16 = {.op = "gemm",
                               .name = "gpu_mma_bf16",
                               .file = "gemm_mma.cl",
                               .input_error = 0x1p-9,
                               .roof = ROOF_16BIT,
                               .factors = READS_FACTORS | WRITES_FACTORS,
                               IMPL_TUNABLES,
                               .supports = gemm_mma_supports_bf16,
                               .fits = gemm_mma_fits,
                               .waves = gemm_mma_waves,
                               FUNCTIONS};

const op_impl gemm_mma_bf16x3 = {.op = "gemm",
                                 .name = "gpu_mma_bf16x3",
                                 .file = "gemm_mma.cl",
                                 .input_error = 0x1p-18,
                                 .roof = ROOF_16BIT,
                                 .factors = READS_FACTORS | WRITES_FACTORS,
                                 IMPL_TUNABLES,
                                 .supports = gemm_mma_supports_three,
                                 .fits = gemm_mma_fits,
                                 .waves = gemm_mma_waves,
                                 FUNCTIONS};
