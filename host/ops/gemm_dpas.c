/* Launches cl/gemm_dpas.cl: GEMM on DPAS, in fp16, bf16 or bf16x3, with fp32 sums. */
#include <string.h>

#include "base/fp16.h"
#include "ops/gemm.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(MT, "rows of a work-group's tile", 8, 16, 32, 64, 128)                                       \
    T(NT, "columns of a work-group's tile", 8, 16, 32, 64, 128)                                    \
    T(WM, "rows of a sub-group", 8, 16, 32, 64)                                                    \
    T(WN, "columns of a sub-group", 8, 16, 32, 64)                                                 \
    T(AHEAD, "whether weights are fetched while the step before is multiplied", 0, 1)              \
    T(SPLIT, "parts of the depth that are summed apart", 1, 2, 4, 8)
DECLARE_TUNABLES(TUNABLES);

/* Large tiles that keep the matrix units busy, then smaller ones for few rows or columns, then
 * those that split K. The rule of ops/waves.h chooses among them. Not yet measured on a GPU. */
static const int configs[][CONFIG_VALUES] = {
    /* MT NT WM WN AHEAD SPLIT */
    {128, 128, 64, 32, 1, 1}, {128, 128, 32, 32, 1, 1}, {128, 128, 32, 32, 0, 1},
    {64, 128, 32, 32, 1, 1},  {128, 64, 32, 32, 1, 1},  {64, 64, 16, 32, 1, 1},
    {64, 64, 32, 16, 1, 1},   {64, 64, 16, 16, 1, 1},   {32, 64, 16, 16, 1, 1},
    {16, 64, 16, 16, 1, 1},   {16, 32, 16, 16, 1, 1},   {16, 16, 16, 16, 1, 1},
    {16, 8, 16, 8, 1, 1},     {8, 64, 8, 16, 1, 1},     {8, 16, 8, 16, 1, 1},
    {8, 8, 8, 8, 1, 1},       {8, 16, 8, 16, 0, 1},     {8, 8, 8, 8, 0, 1},
    {64, 64, 16, 32, 1, 4},   {64, 64, 16, 32, 1, 2},   {32, 64, 16, 16, 1, 8},
    {32, 64, 16, 16, 1, 4},   {32, 64, 16, 16, 1, 2},   {16, 64, 16, 16, 1, 8},
    {16, 64, 16, 16, 1, 4},   {16, 64, 16, 16, 1, 2},   {8, 64, 8, 16, 1, 8},
    {8, 64, 8, 16, 1, 4},
};

enum { KT = GEMM_DEPTH }; /* of the kernel: steps of a in local memory at once */

static int gemm_dpas_items(const matrix_unit *u, const int *v)
{
    return u->lanes * (v[MT] / v[WM]) * (v[NT] / v[WN]);
}

static gemm_tile gemm_dpas_tile(const matrix_unit *u, const int *v)
{
    return (gemm_tile){v[MT], v[NT], KT, gemm_dpas_items(u, v), v[SPLIT]};
}

/* An emulated matrix unit, which only tests have, exchanges fragments in local memory, too. */
static uint64_t gemm_dpas_local_bytes(const device *d, const matrix_unit *u, const int *v)
{
    int stages = 2 * mma_parts(d) * KT * v[MT] * 2;
    return (uint64_t)(stages + mma_exchange_bytes(d, u, gemm_dpas_items(u, v)));
}

/* Sums, both factors of a step, and what a work-item has fetched of a and not yet staged. */
static int gemm_dpas_floats_of_item(const matrix_unit *u, const int *v, int parts)
{
    int on_way = 4 * (int)ceil_div((size_t)(v[MT] * KT / 4), (size_t)gemm_dpas_items(u, v));
    int weights = (1 + v[AHEAD]) * parts * (v[WN] / u->n) * u->b;
    return v[WM] * v[WN] / u->lanes + weights + parts * u->a + on_way + 8 * v[AHEAD];
}

/* MMAs of one sub-group in a launch: all steps of its part of K. */
static size_t gemm_dpas_products(const device *d, const matrix_unit *u, const int *v, int k)
{
    size_t depth = ceil_div((size_t)k, (size_t)(v[SPLIT] * KT)) * KT;
    return depth / MMA_DEPTH * (size_t)(v[WM] / u->m * (v[WN] / u->n)) *
           (size_t)(mma_parts(d) == 2 ? 3 : 1);
}

static bool gemm_dpas_fits(const device *d, const int *v, const int *shape)
{
    int m = shape[0], n = shape[1];
    const matrix_unit *u = mma_of(d);
    return u && divides(v[WM], v[MT]) && divides(v[WN], v[NT]) && divides(u->m, v[WM]) &&
           divides(u->n, v[WN]) && (size_t)gemm_dpas_items(u, v) <= d->info.max_work_group &&
           gemm_dpas_local_bytes(d, u, v) <= d->info.local_bytes &&
           gemm_dpas_floats_of_item(u, v, mma_parts(d)) <= mma_most_floats(u) &&
           mma_products_fit(d, u, gemm_dpas_products(d, u, v, shape[2])) &&
           gemm_tiles_split_fits(gemm_dpas_tile(u, v), shape) &&
           /* no tile of which more than half is unused, if there is a smaller one */
           (v[MT] == u->m || v[MT] < 2 * m) && (v[NT] == u->n || v[NT] < 2 * n);
}

static waves gemm_dpas_waves(const device *d, const int *v, const int *shape)
{
    read_cost c = waves_of_unit(mma_parts(d));
    return gemm_tiles_waves(d, gemm_dpas_tile(mma_of(d), v), c,
                            waves_step(c, v[MT], v[NT], v[WM], v[WN]), shape);
}

static bool gemm_dpas_supports(const device *d, const int *shape)
{
    (void)shape;
    return op_has_dpas(d, PRECISION_FP16);
}

static bool gemm_dpas_supports_bf16(const device *d, const int *shape)
{
    (void)shape;
    return op_has_dpas(d, PRECISION_BF16);
}

static bool gemm_dpas_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_has_dpas(d, PRECISION_AUTO);
}

static size_t gemm_dpas_packed_count(const device *d, const int *config, int n, int k)
{
    return (size_t)mma_parts(d) * gemm_tiles_count_fp16(d, config, n, k);
}

/* The part of a weight; part 1: what rounding to bfloat16 leaves of it. Infinity becomes the
 * largest number of fp16. */
static uint16_t part_of(const device *d, float x, size_t part)
{
    if (d->settings.precision == PRECISION_FP16) return float_to_fp16_finite(x);
    uint16_t high = float_to_bf16(x);
    return part ? float_to_bf16(x - bf16_to_float(high)) : high;
}

/* packed [n / N][depth / MMA_DEPTH][parts][MMA_DEPTH / 2][N][2], N the columns of an MMA; n and
 * depth are padded with zeros. All configurations read this layout, so that the configuration may
 * change. The loops write in the order of the memory, which may be uncached. */
static void gemm_dpas_pack(const device *d, const int *config, void *packed, const float *rows,
                           int first, int count, int n, int k)
{
    (void)config, (void)n;
    size_t depth = (size_t)k, padded = gemm_tiles_depth(k), parts = (size_t)mma_parts(d);
    size_t columns = (size_t)mma_of(d)->n, rest = (size_t)count;
    uint16_t *to = (uint16_t *)packed + (size_t)first * parts * padded;
    for (size_t block = 0; block < GEMM_PANEL; block += columns)
        for (size_t begin = 0; begin < padded; begin += MMA_DEPTH)
            for (size_t part = 0; part < parts; part++)
                for (size_t step = begin; step < begin + MMA_DEPTH; step += 2)
                    for (size_t j = block; j < block + columns; j++)
                        for (size_t l = step; l < step + 2; l++)
                            *to++ =
                                j < rest && l < depth ? part_of(d, rows[j * depth + l], part) : 0;
}

static status gemm_dpas_scratch(device *d, const int *config, size_t *count, int m, int n, int k)
{
    *count = gemm_tiles_scratch(gemm_dpas_tile(mma_of(d), config), m, n, k);
    return OK;
}

static status gemm_dpas_plan(device *d, op_plan *p, const gemm_use *u)
{
    const int *v = u->choice.config;
    const matrix_unit *unit = mma_of(d);
    char options[CONFIG_OPTIONS], shape[GEMM_TILES_OPTIONS], units[MMA_OPTIONS];
    configuration_options(options, u->choice.impl, v);
    gemm_tiles_options(shape, u, gemm_dpas_tile(unit, v), 4, unit->vector);
    mma_options(units, d, unit);
    int floats = gemm_dpas_floats_of_item(unit, v, mma_parts(d));
    if (mma_parts(d) == 2) p->announcing.done.executed = 3 * p->announcing.done.flops;
    status st = gemm_tiles_plan(d, p, u, gemm_dpas_tile(unit, v));
    if (st != OK) return st;
    return program_get(d, &p->launches[0].k, "gemm_dpas.cl", "gemm_dpas", "%s%s -DPARTS=%d %s%s",
                       units, mma_registers(d, unit, floats), mma_parts(d), shape, options);
}

#define DPAS(called, supported, error)                                                             \
    {                                                                                              \
        .op = "gemm", .name = called, .file = "gemm_dpas.cl", .input_error = error,                \
        .roof = ROOF_16BIT, .factors = true, IMPL_TUNABLES, .supports = supported,                 \
        .fits = gemm_dpas_fits, .waves = gemm_dpas_waves, .gemm = {                                \
            .packed_count = gemm_dpas_packed_count,                                                \
            .panel = gemm_tiles_panel,                                                             \
            .pack = gemm_dpas_pack,                                                                \
            .scratch = gemm_dpas_scratch,                                                          \
            .plan = gemm_dpas_plan,                                                                \
            .enqueue = gemm_tiles_enqueue                                                          \
        }                                                                                          \
    }

const op_impl gemm_dpas = DPAS("gpu_dpas", gemm_dpas_supports, 0x1p-11);
const op_impl gemm_dpas_bf16 = DPAS("gpu_dpas_bf16", gemm_dpas_supports_bf16, 0x1p-9);
const op_impl gemm_dpas_bf16x3 = DPAS("gpu_dpas_bf16x3", gemm_dpas_supports_three, 0x1p-18);
