/* Launches cl/conv_gpu.cl: tiles of pixels and channels, shared by the work-items of a work-group.
 * The input is normalised, activated and enlarged as it is staged, so there is no scratch memory.
 */
#include "ops/conv.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(TX, "columns of a work-group's pixels", 2, 4, 8, 16, 32)                                     \
    T(TY, "rows of a work-group's pixels", 1, 2, 4, 8, 16)                                         \
    T(BC, "output channels of a work-group's tile", 4, 8, 16, 32, 64, 128)                         \
    T(RP, "pixels of a work-item", 1, 2, 4, 8)                                                     \
    T(RC, "output channels of a work-item", 4, 8, 16, 32)                                          \
    T(VEC, "output channels of a vector", 4, 8, 16)                                                \
    T(CC, "input channels that are staged at a time", 4, 8, 16, 32)                                \
    T(ST, "taps whose weights are staged at a time, 0 none", 0, 1, 3, 9)
DECLARE_TUNABLES(TUNABLES);

enum { PIXELS, IN, OUT, UP }; /* indices in a shape */

/* Registers of a work-item, and of a whole work-group, that compilers can be expected to use. */
enum { ITEM_REGISTERS = 228, GROUP_REGISTERS = 65536 };

static int group(const int *v)
{
    return v[TX] * v[TY] / v[RP] * (v[BC] / v[RC]);
}

/* As declared in the kernel. */
static size_t conv_gpu_local_bytes(const int *v, int up)
{
    int width = (v[TX] + up - 1) / up + 2, height = (v[TY] + up - 1) / up + 2;
    return sizeof(float) * (size_t)(width * height * (v[CC] + 4) + v[ST] * v[CC] * v[BC]);
}

/* Of a work-item: sums, four values and an offset of each pixel, weights, and 20 for the rest. */
static int conv_gpu_registers(const int *v, const int *shape)
{
    (void)shape;
    return v[RP] * v[RC] + 5 * v[RP] + v[RC] + v[VEC] + 20;
}

static bool conv_gpu_fits(const device *d, const int *v, const int *shape)
{
    int registers = conv_gpu_registers(v, shape);
    if (v[TX] * v[TY] % v[RP] != 0 || v[BC] % v[RC] != 0 || v[RC] % v[VEC] != 0) return false;
    /* a tile that is empty for the most part */
    if ((v[BC] > 16 && v[BC] >= 2 * shape[OUT]) || (v[CC] > 4 && v[CC] >= 2 * shape[IN]))
        return false;
    if ((size_t)group(v) > d->info.max_work_group) return false;
    if (conv_gpu_local_bytes(v, shape[UP]) > d->info.local_bytes) return false;
    /* a work-group of one work-item is for CPUs: its sums may lie in memory */
    if (group(v) == 1) return v[RP] * v[RC] <= 256;
    return registers <= ITEM_REGISTERS && registers * group(v) <= GROUP_REGISTERS;
}

static waves conv_gpu_waves(const device *d, const int *v, const int *shape)
{
    enum { FROM_CACHE = 4 }; /* weights that are not staged */
    (void)d;
    double weights = v[ST] ? 1 : FROM_CACHE;
    waves w = conv_waves(WAVES_FP32, v[TX], v[TY], v[BC], v[RP] / weights, v[RC], shape);
    w.items = group(v);
    return w;
}

static const int configs[][CONFIG_VALUES] = {
    /* TX, TY, BC, RP, RC, VEC, CC, ST */
    {16, 8, 64, 8, 4, 4, 16, 1}, {8, 8, 64, 4, 8, 4, 16, 3}, {8, 8, 64, 8, 4, 4, 16, 1},
    {8, 8, 32, 4, 4, 4, 8, 3},   {8, 8, 16, 2, 4, 4, 16, 3}, {16, 8, 4, 1, 4, 4, 16, 3},
    {8, 8, 16, 4, 4, 4, 4, 1},   {8, 4, 32, 4, 4, 4, 8, 0},  {8, 4, 16, 4, 4, 4, 8, 0},
    {4, 2, 128, 4, 4, 4, 4, 0},  {4, 2, 64, 2, 4, 4, 4, 0}, /* 768 bytes of local memory */
    {4, 2, 16, 1, 4, 4, 4, 0},   {8, 2, 4, 1, 4, 4, 4, 0},   {4, 4, 4, 4, 4, 4, 4, 0},
    {8, 1, 32, 8, 32, 16, 8, 0}, {8, 1, 8, 8, 8, 4, 4, 0},   {4, 1, 4, 4, 4, 4, 4, 0},
};

/* The input tile is always staged, since it is normalised in local memory. */
static bool conv_gpu_stages(const int *v)
{
    return v[ST] > 0;
}

static bool conv_gpu_supports(const device *d, const int *shape)
{
    (void)shape;
    return d->family == FAMILY_GPU;
}

static bool conv_gpu_supports_fp16(const device *d, const int *shape)
{
    return conv_gpu_supports(d, shape) && d->settings.precision == PRECISION_FP16;
}

static int is_fp16(const conv_weight *w)
{
    return w->use.impl == &conv_gpu_fp16;
}

static size_t in_padded(const conv_weight *w)
{
    return round_up((size_t)w->in, 4);
}

static size_t out_padded(const conv_weight *w)
{
    return round_up((size_t)w->out, (size_t)w->use.config[VEC]);
}

static size_t conv_gpu_packed_count(const device *d, const conv_weight *w)
{
    (void)d;
    return ceil_div(9 * in_padded(w) * out_padded(w), is_fp16(w) ? 2 : 1);
}

static status conv_gpu_pack(device *d, const conv_weight *w, buf stored)
{
    kernel *k;
    size_t group = (size_t)op_items(d), in = in_padded(w), out = out_padded(w);
    status st =
        program_get(d, &k, "conv_gpu.cl", "conv_gpu_pack", "-DPACK -DVEC=4 -DHALF=%d", is_fp16(w));
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up(out, group), in, 9), RANGE(group), ARG(w->matrix),
                  ARG(stored), ARG(w->in), ARG((int)in), ARG(w->out), ARG((int)out));
}

static status conv_gpu_plan(device *d, op_plan *p, const conv_use *u)
{
    const conv_weight *w = u->w;
    picture_shape s = u->s;
    const int *v = w->use.config;
    char options[CONFIG_OPTIONS];
    size_t tiles_x = ceil_div((size_t)(s.width * w->up), (size_t)v[TX]);
    size_t tiles_y = ceil_div((size_t)(s.height * w->up), (size_t)v[TY]), items = (size_t)group(v);
    configuration_options(options, w->use.impl, v);
    launch_prepare(
        &p->launches[0],
        RANGE(tiles_x * tiles_y * items, ceil_div((size_t)w->out, (size_t)v[BC]), (size_t)s.batch),
        RANGE(items), ARG(s.height), ARG(s.width), ARG((int)tiles_x), ARG(w->in), ARG(w->out),
        ARG((int)out_padded(w)));
    return program_get(d, &p->launches[0].k, "conv_gpu.cl", "conv_gpu",
                       "-DUP=%d -DNORM=%d -DSILU=%d -DRESIDUAL=%d -DHALF=%d -DIN_WHOLE=%d "
                       "-DOUT_WHOLE=%d%s",
                       w->up, conv_fuses(u, FUSED_NORM), conv_fuses(u, FUSED_SILU),
                       conv_fuses(u, FUSED_RESIDUAL), is_fp16(w), w->in % 4 == 0,
                       w->out % v[VEC] == 0, options);
}

#define FUNCTIONS                                                                                  \
    .conv = {.packed_count = conv_gpu_packed_count,                                                \
             .pack = conv_gpu_pack,                                                                \
             .plan = conv_gpu_plan,                                                                \
             .enqueue = conv_enqueue}

const op_impl conv_gpu = {.op = "conv",
                          .name = "gpu",
                          .file = "conv_gpu.cl",
                          IMPL_TUNABLES,
                          .supports = conv_gpu_supports,
                          .fits = conv_gpu_fits,
                          .waves = conv_gpu_waves,
                          .stages = conv_gpu_stages,
                          .registers = conv_gpu_registers,
                          FUNCTIONS};

/* Weights in fp16, everything else in fp32. */
const op_impl conv_gpu_fp16 = {.op = "conv",
                               .name = "gpu_fp16",
                               .file = "conv_gpu.cl",
                               .input_error = 0x1p-11,
                               IMPL_TUNABLES,
                               .supports = conv_gpu_supports_fp16,
                               .fits = conv_gpu_fits,
                               .waves = conv_gpu_waves,
                               .stages = conv_gpu_stages,
                               .registers = conv_gpu_registers,
                               FUNCTIONS};
