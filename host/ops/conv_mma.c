/* Launches cl/conv_mma.cl: 3x3 convolutions on the device's matrix units, in fp16, bf16 or
 * bf16x3, with fp32 sums. As in conv_gpu.c, the input is normalised as it is staged, so there is no
 * scratch memory. */
#include <stdio.h>

#include "ops/conv.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(TX, "columns of a work-group's pixels", 8, 16, 32)                                           \
    T(TY, "rows of a work-group's pixels", 1, 2, 4, 8, 16)                                         \
    T(BC, "output channels of a work-group's tile", 8, 16, 32, 64, 128)                            \
    T(WM, "pixels of a sub-group", 8, 16, 32, 64, 128)                                             \
    T(WN, "output channels of a sub-group", 8, 16, 32, 64)                                         \
    T(CC, "input channels that are staged at a time", 16, 32, 64)                                  \
    T(ST, "taps whose weights are staged at a time", 1, 3, 9)                                      \
    T(DB, "fetched ahead: 0 nothing, 1 weights, 2 the patch, too", 0, 1, 2)
DECLARE_TUNABLES(TUNABLES);

enum { IN = 1, OUT }; /* indices in a shape */

/* Large tiles first, then those for devices and layers with less. Not yet measured on a GPU. */
static const int configs[][CONFIG_VALUES] = {
    /* TX, TY, BC, WM, WN, CC, ST, DB */
    {16, 8, 128, 64, 64, 32, 1, 1}, {16, 8, 128, 64, 32, 32, 1, 1}, {16, 8, 64, 32, 32, 32, 1, 1},
    {16, 8, 128, 64, 64, 32, 1, 2}, {16, 8, 128, 64, 32, 32, 1, 2}, {16, 8, 64, 32, 32, 32, 1, 2},
    {16, 8, 128, 64, 64, 16, 1, 1}, {16, 8, 128, 64, 32, 16, 1, 1}, {16, 8, 64, 32, 32, 16, 1, 1},
    {16, 4, 64, 32, 32, 32, 1, 1},  {16, 8, 64, 32, 16, 16, 1, 1},  {16, 8, 64, 16, 16, 16, 1, 1},
    {16, 8, 64, 16, 8, 16, 1, 1},   {16, 8, 32, 16, 8, 16, 1, 1},   {16, 8, 16, 32, 16, 32, 3, 1},
    {16, 8, 8, 32, 8, 32, 3, 1},    {16, 8, 16, 16, 16, 16, 3, 1},  {16, 8, 8, 16, 8, 16, 3, 1},
    {16, 4, 16, 16, 16, 16, 1, 0},  {16, 1, 16, 16, 16, 16, 1, 0},  {16, 1, 8, 16, 8, 16, 1, 0},
    {8, 1, 16, 8, 16, 16, 1, 0},    {8, 1, 8, 8, 8, 16, 1, 0},
};

/* bf16x3 leaves out the first NOT_IN_TWO configurations: its two parts of 32 channels would
 * leave local memory for only one work-group. */
enum { N_CONFIGS = sizeof configs / sizeof *configs, NOT_IN_TWO = 6 };

static int conv_mma_items(const matrix_unit *u, const int *v)
{
    return u->lanes * (v[TX] * v[TY] / v[WM]) * (v[BC] / v[WN]);
}

static int patch_pixels(const int *v)
{
    return (v[TX] + 2) * (v[TY] + 2);
}

/* Whether weights go to local memory by asynchronous copies: ASYNC in the kernel. */
static bool copies(const matrix_unit *u, const int *v)
{
    return u->async && v[DB] > 0;
}

/* Local memory that the kernel declares. An emulated matrix unit, which only tests have, exchanges
 * fragments there, too. */
static uint64_t conv_mma_local_bytes(const device *d, const matrix_unit *u, const int *v)
{
    int row = mma_parts(d) * v[CC], padded = row + 8;
    int stages = mma_is_dpas(u) ? 0 : copies(u, v) ? 3 : v[DB] ? 2 : 1;
    int weights = stages * v[ST] * v[BC] * (copies(u, v) ? row : padded);
    return (uint64_t)((patch_pixels(v) * padded + weights) * 2 +
                      mma_exchange_bytes(d, u, conv_mma_items(u, v)));
}

/* Vectors of four words that a work-item fetches: of the weights, and of the input tile. */
static int weight_loads(const matrix_unit *u, const int *v, int parts)
{
    return (int)ceil_div((size_t)(v[ST] * v[BC] * parts * v[CC] / 8), (size_t)conv_mma_items(u, v));
}

static int patch_loads(const matrix_unit *u, const int *v)
{
    return (int)ceil_div((size_t)(patch_pixels(v) * v[CC] / 4), (size_t)conv_mma_items(u, v));
}

enum { LOADS_AT_ONCE = 4 }; /* of the input tile, if it is not fetched ahead */

/* Sums, both factors of a step, and what a work-item has fetched and not yet staged. */
static int conv_mma_floats_of_item(const matrix_unit *u, const int *v, int parts)
{
    int loads = patch_loads(u, v);
    if (v[DB] < 2 && loads > LOADS_AT_ONCE) loads = LOADS_AT_ONCE;
    if (v[DB] > 0 && !copies(u, v) && !mma_is_dpas(u)) loads += weight_loads(u, v, parts);
    int on_way = 4 * loads + 8; /* 8: the factors and offsets of four channels */
    return v[WM] * v[WN] / u->lanes + parts * (u->a + v[WN] / u->n * u->b) + on_way;
}

/* MMAs that stand for one product. */
static int products_of(const device *d)
{
    return mma_parts(d) == 2 ? 3 : 1;
}

/* MMAs of a sub-group, over all channels and taps. */
static size_t conv_mma_products(const device *d, const matrix_unit *u, const int *v, int in)
{
    return 9 * round_up((size_t)in, (size_t)v[CC]) / MMA_DEPTH *
           (size_t)(v[WM] / u->m * (v[WN] / u->n) * products_of(d));
}

static bool conv_mma_fits(const device *d, const int *v, const int *shape)
{
    const matrix_unit *u = mma_of(d);
    return u && divides(u->m, v[TX]) && divides(u->m, v[WM]) && divides(u->n, v[WN]) &&
           divides(v[WM], v[TX] * v[TY]) && divides(v[WN], v[BC]) &&
           (divides(v[WM], v[TX]) || divides(v[TX], v[WM])) &&
           divides(v[CC] / 4, conv_mma_items(u, v)) &&
           (size_t)conv_mma_items(u, v) <= d->info.max_work_group &&
           conv_mma_local_bytes(d, u, v) <= d->info.local_bytes &&
           conv_mma_floats_of_item(u, v, mma_parts(d)) <= mma_most_floats(u) &&
           mma_products_fit(d, u, conv_mma_products(d, u, v, shape[IN])) &&
           /* no tile of which more than half is unused, if there is a smaller one */
           (v[BC] == u->n || v[BC] < 2 * shape[OUT]) && (v[CC] == 16 || v[CC] < 2 * shape[IN]);
}

static waves conv_mma_waves(const device *d, const int *v, const int *shape)
{
    waves w = conv_waves(waves_of_unit(mma_parts(d)), v[TX], v[TY], v[BC], v[WM], v[WN], shape);
    w.items = conv_mma_items(mma_of(d), v);
    return w;
}

static bool conv_mma_supports(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_FP16);
}

static bool conv_mma_supports_bf16(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_BF16);
}

static bool conv_mma_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_AUTO);
}

static size_t in_padded(const conv_weight *w)
{
    return round_up((size_t)w->in, (size_t)w->use.config[CC]);
}

static size_t out_padded(const conv_weight *w)
{
    return round_up((size_t)w->out, (size_t)w->use.config[BC]);
}

static size_t conv_mma_packed_count(const device *d, const conv_weight *w)
{
    size_t scales = mma_flushes(d) ? out_padded(w) : 0;
    return 9 * in_padded(w) * out_padded(w) * (size_t)mma_parts(d) / 2 + scales;
}

static status conv_mma_pack(device *d, const conv_weight *w, buf stored)
{
    status st = OK;
    kernel *k;
    char units[MMA_OPTIONS], options[MMA_OPTIONS + 40];
    size_t group = (size_t)op_items(d), out = out_padded(w), most = round_up(out, group);
    mma_options(units, d, mma_of(d));
    snprintf(options, sizeof options, "%s -DPACK -DPARTS=%d -DCC=%d", units, mma_parts(d),
             w->use.config[CC]);
    if (mma_flushes(d)) {
        TRY(program_get(d, &k, "conv_mma.cl", "conv_mma_scales", "%s", options));
        TRY(launch(d, k, RANGE(most), RANGE(group), ARG(w->matrix), ARG(stored), ARG(w->in),
                   ARG(w->out), ARG((int)out)));
    }
    TRY(program_get(d, &k, "conv_mma.cl", "conv_mma_pack", "%s", options));
    TRY(launch(d, k, RANGE(most, in_padded(w), 9), RANGE(group), ARG(w->matrix), ARG(stored),
               ARG(w->in), ARG(w->out), ARG((int)out)));
done:
    return st;
}

static status conv_mma_plan(device *d, op_plan *p, const conv_use *u)
{
    const conv_weight *w = u->w;
    picture_shape s = u->s;
    const int *v = w->use.config;
    const matrix_unit *unit = mma_of(d);
    char options[CONFIG_OPTIONS], units[MMA_OPTIONS];
    size_t tiles_x = ceil_div((size_t)(s.width * w->up), (size_t)v[TX]);
    size_t tiles_y = ceil_div((size_t)(s.height * w->up), (size_t)v[TY]);
    size_t group = (size_t)conv_mma_items(unit, v), tiles = tiles_x * tiles_y;
    double multiplied = 9.0 * s.batch * (double)tiles * v[TX] * v[TY];
    multiplied *= (double)in_padded(w) * (double)out_padded(w) * products_of(d);
    p->announcing.done.executed = 2 * multiplied;
    configuration_options(options, w->use.impl, v);
    mma_options(units, d, unit);
    int floats = conv_mma_floats_of_item(unit, v, mma_parts(d));
    launch_prepare(&p->launches[0],
                   RANGE(tiles * group, ceil_div((size_t)w->out, (size_t)v[BC]), (size_t)s.batch),
                   RANGE(group), ARG(s.height), ARG(s.width), ARG((int)tiles_x), ARG(w->in),
                   ARG(w->out), ARG((int)out_padded(w)));
    return program_get(d, &p->launches[0].k, "conv_mma.cl", "conv_mma",
                       "%s%s -DPARTS=%d -DUP=%d -DNORM=%d -DSILU=%d -DRESIDUAL=%d "
                       "-DIN_WHOLE=%d -DOUT_WHOLE=%d%s",
                       units, mma_registers(d, unit, floats), mma_parts(d), w->up,
                       conv_fuses(u, FUSED_NORM), conv_fuses(u, FUSED_SILU),
                       conv_fuses(u, FUSED_RESIDUAL), w->in % 4 == 0, w->out % unit->vector == 0,
                       options);
}

#define MMA(called, supported, error, first)                                                       \
    {                                                                                              \
        .op = "conv", .name = called, .file = "conv_mma.cl", .input_error = error,                 \
        .roof = ROOF_16BIT, .tunables = tunables, .n = N_TUNABLES_HERE,                            \
        .configs = configs + first, .n_configs = N_CONFIGS - first, .supports = supported,         \
        .fits = conv_mma_fits, .waves = conv_mma_waves, .conv = {                                  \
            .packed_count = conv_mma_packed_count,                                                 \
            .pack = conv_mma_pack,                                                                 \
            .plan = conv_mma_plan,                                                                 \
            .enqueue = conv_enqueue                                                                \
        }                                                                                          \
    }

const op_impl conv_mma = MMA("gpu_mma", conv_mma_supports, 0x1p-11, 0);
const op_impl conv_mma_bf16 = MMA("gpu_mma_bf16", conv_mma_supports_bf16, 0x1p-9, 0);
const op_impl conv_mma_bf16x3 = MMA("gpu_mma_bf16x3", conv_mma_supports_three, 0x1p-18, NOT_IN_TWO);
