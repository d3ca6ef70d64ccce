/* Launches cl/gemm_gpu.cl: tiles in local memory, epilogue included; weights in fp32 or fp16, sums
 * in fp32. */
#include <string.h>

#include "base/fp16.h"
#include "ops/gemm.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(MT, "rows of a work-group's tile", 4, 8, 16, 32, 64, 128)                                    \
    T(NT, "columns of a work-group's tile", 8, 16, 32, 64, 128)                                    \
    T(KT, "steps of the depth in local memory at once", 4, 8, 16, 32)                              \
    T(MR, "rows of a work-item", 1, 2, 4, 8)                                                       \
    T(NR, "columns of a work-item", 1, 2, 4, 8)                                                    \
    T(VEC, "floats that one load brings", 1, 2, 4)                                                 \
    T(KU, "steps of the depth unrolled", 1, 2, 4, 8, 16)                                           \
    T(LA, "activations go through local memory", 0, 1)                                             \
    T(LB, "weights go through local memory", 0, 1)                                                 \
    T(DB, "two stages in local memory: one fetched, one used", 0, 1)                               \
    T(PAD, "floats behind a local row of activations", 0, 1, 2, 4)                                 \
    T(SG, "activations are passed round in a sub-group", 0, 1)                                     \
    T(SPLIT, "parts of the depth that are summed apart", 1, 2, 4, 8)                               \
    T(IMAGE, "weights are read as an image", 0, 1)
DECLARE_TUNABLES(TUNABLES);

/* About the most floats in a work-item's registers; the rest of 256 registers is for addresses. */
enum { MAX_FLOATS = 160 };

/* First those for common desktop GPUs, then larger tiles for GPUs with many registers. Then
 * those for few rows or columns. Where local memory is absent, global memory or small, the block
 * without it serves: work-groups of 64, for many rows and columns, for few columns, and later for
 * few rows. The last of the block of small work-groups fit everywhere. Then those that split K. The
 * rule of ops/waves.h chooses among all these. Those that read images are for the tuner. Not yet
 * measured on a GPU. */
static const int configs[][CONFIG_VALUES] = {
    /* MT NT KT MR NR VEC KU LA LB DB PAD SG SPLIT IMAGE */
    {64, 64, 16, 8, 4, 4, 8, 1, 1, 1, 4, 0, 1},
    {128, 128, 8, 8, 8, 4, 8, 1, 1, 1, 4, 0, 1},
    {128, 64, 16, 8, 4, 4, 8, 1, 1, 0, 4, 0, 1},
    {64, 128, 16, 8, 8, 4, 4, 1, 1, 0, 1, 0, 1},
    {64, 64, 16, 8, 8, 4, 4, 1, 1, 0, 4, 0, 1},
    {64, 64, 32, 4, 4, 4, 4, 1, 1, 0, 2, 0, 1},
    {32, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 1},
    {32, 32, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 1},
    {16, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 1},
    {32, 64, 4, 4, 8, 4, 4, 0, 0, 0, 0, 0, 1}, /* no local memory */
    {16, 64, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {32, 32, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {64, 16, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {128, 8, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {16, 32, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 1}, /* few rows */
    {8, 64, 32, 2, 4, 4, 8, 1, 1, 0, 1, 0, 1},
    {4, 64, 32, 1, 4, 4, 8, 1, 0, 0, 0, 0, 1},
    {8, 32, 32, 2, 4, 4, 8, 1, 1, 0, 1, 0, 1},
    {8, 128, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1}, /* few rows, no local memory */
    {4, 128, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {64, 64, 16, 8, 8, 4, 4, 0, 1, 0, 0, 0, 1},
    {64, 128, 16, 8, 4, 4, 8, 0, 0, 0, 0, 1, 1},
    {64, 64, 16, 8, 4, 4, 4, 0, 1, 0, 0, 1, 1},
    {64, 64, 4, 8, 8, 4, 4, 0, 0, 0, 0, 0, 1},
    {16, 16, 8, 4, 4, 4, 4, 1, 1, 0, 0, 0, 1}, /* small work-groups */
    {16, 16, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {8, 16, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {8, 8, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {4, 8, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 1},
    {4, 8, 4, 4, 8, 4, 4, 0, 0, 0, 0, 0, 1},
    {64, 64, 16, 8, 4, 4, 8, 1, 1, 1, 4, 0, 8}, /* parts of K */
    {64, 64, 16, 8, 4, 4, 8, 1, 1, 1, 4, 0, 4},
    {64, 64, 16, 8, 4, 4, 8, 1, 1, 1, 4, 0, 2},
    {32, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 8},
    {32, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 4},
    {32, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 2},
    {32, 32, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 8},
    {16, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 8},
    {32, 32, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 4},
    {16, 64, 16, 4, 4, 4, 8, 1, 1, 1, 4, 0, 4},
    {8, 64, 32, 2, 4, 4, 8, 1, 1, 0, 1, 0, 8},
    {8, 64, 32, 2, 4, 4, 8, 1, 1, 0, 1, 0, 4},
    {4, 64, 32, 1, 4, 4, 8, 1, 0, 0, 0, 0, 8},
    {4, 64, 32, 1, 4, 4, 8, 1, 0, 0, 0, 0, 4},
    {4, 64, 32, 1, 4, 4, 8, 1, 0, 0, 0, 0, 2},
    {8, 128, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 4},
    {4, 128, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 4},
    {64, 64, 16, 8, 4, 4, 8, 1, 1, 1, 4, 0, 1, 1}, /* images */
    {64, 64, 16, 8, 4, 4, 8, 1, 0, 0, 4, 0, 1, 1},
    {32, 64, 4, 4, 8, 4, 4, 0, 0, 0, 0, 0, 1, 1},
    {32, 64, 4, 8, 4, 4, 4, 0, 0, 0, 0, 0, 1, 1},
    {16, 64, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 8, 1},
};

static int gemm_gpu_items(const int *v)
{
    return v[MT] / v[MR] * (v[NT] / v[NR]);
}

static gemm_tile gemm_gpu_tile(const int *v)
{
    return (gemm_tile){v[MT], v[NT], v[KT], gemm_gpu_items(v), v[SPLIT]};
}

static uint64_t gemm_gpu_local_bytes(const int *v)
{
    int a = v[LA] * (v[MT] + v[PAD]), b = v[LB] * v[NT];
    return (uint64_t)((a + b) * v[KT] * (1 + v[DB])) * sizeof(float);
}

/* Sums, both factors of a step, and what a work-item has fetched and not yet staged. */
static int gemm_gpu_floats_of_item(const int *v)
{
    int step = v[LA] ? 1 : v[SG] ? 2 : v[VEC];
    int on_way = (v[LA] * v[MT] + v[LB] * v[NT]) * v[KT] / gemm_gpu_items(v);
    return v[MR] * v[NR] + step * v[MR] + v[NR] + on_way;
}

/* The same with addresses and counters. */
static int gemm_gpu_registers(const int *v, const int *shape)
{
    (void)shape;
    return gemm_gpu_floats_of_item(v) + 24;
}

/* The work-items of a sub-group must have the same rows. */
static bool subgroups_fit(const device *d, const int *v)
{
    return !v[LA] && d->feature[FEATURE_SUBGROUPS] && d->subgroups.size > 0 &&
           divides(d->subgroups.size, v[NT] / v[NR]) && v[KU] <= d->subgroups.size;
}

/* True if the kernel can read the weights as an image, whether they are fp32 or fp16. */
static bool image_fits(const device *d, const int *v, const int *shape)
{
    size_t values = round_up((size_t)shape[1], GEMM_PANEL) * gemm_tiles_depth(shape[2]);
    return v[VEC] == 4 && d->feature[FEATURE_IMAGES] && values / 4 <= d->info.image_texels;
}

static bool gemm_gpu_fits(const device *d, const int *v, const int *shape)
{
    int m = shape[0], n = shape[1];
    return divides(v[MR], v[MT]) && divides(v[NR], v[NT]) && divides(v[VEC], v[NR]) &&
           divides(v[KU], v[KT]) && (v[LA] || divides(v[VEC], v[KU])) && divides(v[VEC], v[KT]) &&
           (v[LA] || v[LB] || !v[DB]) && (v[LA] || !v[PAD]) && (!v[SG] || subgroups_fit(d, v)) &&
           (!v[IMAGE] || image_fits(d, v, shape)) &&
           (size_t)gemm_gpu_items(v) <= d->info.max_work_group &&
           gemm_gpu_local_bytes(v) <= d->info.local_bytes &&
           gemm_gpu_floats_of_item(v) <= MAX_FLOATS &&
           gemm_tiles_split_fits(gemm_gpu_tile(v), shape) &&
           /* no tile of which more than half is unused, if there is a smaller one */
           (v[MT] == 4 || v[MT] < 2 * m) && (v[NT] == 8 || v[NT] < 2 * n);
}

/* What the rule of ops/waves.h does not know: a factor that is not staged is read from a cache; a
 * tile that is not double-buffered is waited for; registers beyond FLOATS leave room for fewer
 * work-items. */
static waves gemm_gpu_waves(const device *d, const int *v, const int *shape)
{
    enum { FROM_CACHE = 4, FROM_SUBGROUP = 2, FLOATS = 64 };
    read_cost c = WAVES_FP32;
    double a = v[LA] ? 1 : v[SG] ? FROM_SUBGROUP : FROM_CACHE, b = v[LB] ? 1 : FROM_CACHE;
    double step = waves_step(c, v[MT], v[NT], v[MR] / b, v[NR] / a);
    int floats = gemm_gpu_floats_of_item(v);
    if (!v[DB]) step *= 1.1;
    if (floats > FLOATS) step *= 1.0 + (floats - FLOATS) / 96.0;
    return gemm_tiles_waves(d, gemm_gpu_tile(v), c, step, shape);
}

static bool gemm_gpu_stages(const int *v)
{
    return v[LA] || v[LB];
}

static bool gemm_gpu_supports(const device *d, const int *shape)
{
    (void)shape;
    return d->family == FAMILY_GPU;
}

static bool gemm_gpu_supports_fp16(const device *d, const int *shape)
{
    return gemm_gpu_supports(d, shape) && d->settings.precision == PRECISION_FP16;
}

static size_t gemm_gpu_packed_count(const device *d, const int *config, int n, int k)
{
    return 2 * gemm_tiles_count_fp16(d, config, n, k);
}

enum { LINE = 16 }; /* floats of a row that one cache line holds */

/* packed [ceil(n / GEMM_PANEL)][padded depth][GEMM_PANEL], padded with zeros. The layout is the
 * same for all configurations. In fp16, infinity becomes the largest number. */
static void pack_as(void *packed, const float *rows, int first, int count, int k, bool half)
{
    size_t depth = (size_t)k, padded = gemm_tiles_depth(k), columns = (size_t)count;
    size_t size = half ? sizeof(uint16_t) : sizeof(float);
    void *to = (char *)packed + (size_t)first * padded * size;
    float *to_float = to;
    uint16_t *to_fp16 = to;
    if (columns < GEMM_PANEL)
        memset(to, 0, padded * GEMM_PANEL * size);
    else
        memset((char *)to + depth * GEMM_PANEL * size, 0, (padded - depth) * GEMM_PANEL * size);
    for (size_t i = 0; i < depth; i += LINE) {
        size_t end = i + LINE < depth ? i + LINE : depth;
        for (size_t j = 0; j < columns; j++) {
            const float *row = rows + j * depth;
            if (half)
                for (size_t l = i; l < end; l++)
                    to_fp16[l * GEMM_PANEL + j] = float_to_fp16_finite(row[l]);
            else
                for (size_t l = i; l < end; l++) to_float[l * GEMM_PANEL + j] = row[l];
        }
    }
}

static void gemm_gpu_pack(const device *d, const int *config, void *packed, const float *rows,
                          int first, int count, int n, int k)
{
    (void)d, (void)config, (void)n;
    pack_as(packed, rows, first, count, k, false);
}

static void pack_fp16(const device *d, const int *config, void *packed, const float *rows,
                      int first, int count, int n, int k)
{
    (void)d, (void)config, (void)n;
    pack_as(packed, rows, first, count, k, true);
}

static int texel(const int *config)
{
    return config[IMAGE] ? 16 : 0;
}

static int texel_fp16(const int *config)
{
    return config[IMAGE] ? 8 : 0;
}

static status gemm_gpu_scratch_for(device *d, const int *config, size_t *count, int m, int n, int k)
{
    (void)d;
    *count = gemm_tiles_scratch(gemm_gpu_tile(config), m, n, k);
    return OK;
}

static status gemm_gpu_plan(device *d, op_plan *p, const gemm_use *u)
{
    const int *v = u->choice.config;
    char options[CONFIG_OPTIONS], shape[GEMM_TILES_OPTIONS], subgroups[PROBE_OPTIONS] = "";
    if (v[SG]) probe_subgroup_options(subgroups, d);
    configuration_options(options, u->choice.impl, v);
    gemm_tiles_options(shape, u, gemm_gpu_tile(v), v[VEC], v[VEC]);
    status st = gemm_tiles_plan(d, p, u, gemm_gpu_tile(v));
    if (st != OK) return st;
    return program_get(d, &p->launches[0].k, "gemm_gpu.cl", "gemm_gpu", "-DHALF=%d %s%s %s",
                       u->choice.impl == &gemm_gpu_fp16, shape, options, subgroups);
}

const op_impl gemm_gpu = {.op = "gemm",
                          .name = "gpu",
                          .file = "gemm_gpu.cl",
                          IMPL_TUNABLES,
                          .supports = gemm_gpu_supports,
                          .fits = gemm_gpu_fits,
                          .waves = gemm_gpu_waves,
                          .stages = gemm_gpu_stages,
                          .registers = gemm_gpu_registers,
                          .gemm = {.packed_count = gemm_gpu_packed_count,
                                   .panel = gemm_tiles_panel,
                                   .pack = gemm_gpu_pack,
                                   .texel = texel,
                                   .scratch = gemm_gpu_scratch_for,
                                   .plan = gemm_gpu_plan,
                                   .enqueue = gemm_tiles_enqueue}};

const op_impl gemm_gpu_fp16 = {.op = "gemm",
                               .name = "gpu_fp16",
                               .file = "gemm_gpu.cl",
                               .input_error = 0x1p-11,
                               IMPL_TUNABLES,
                               .supports = gemm_gpu_supports_fp16,
                               .fits = gemm_gpu_fits,
                               .waves = gemm_gpu_waves,
                               .stages = gemm_gpu_stages,
                               .registers = gemm_gpu_registers,
                               .gemm = {.packed_count = gemm_tiles_count_fp16,
                                        .panel = gemm_tiles_panel,
                                        .pack = pack_fp16,
                                        .texel = texel_fp16,
                                        .scratch = gemm_gpu_scratch_for,
                                        .plan = gemm_gpu_plan,
                                        .enqueue = gemm_tiles_enqueue}};
