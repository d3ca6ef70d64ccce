/* Convolutions by cl/conv_matrix.cl on matrix tiles of bf16: one product of rounded inputs, or
 * three that keep 16 bits of each input. The first launch lays the picture out, normalised. */
#include "ops/conv.h"
#include "ops/op.h"

enum {
    PLANE = 32,  /* channels, of the input and of the result, that are worked on together */
    BLOCKS = 16, /* blocks of pixels of a work-group at most */
};

static bool supports_one(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 1;
}

static bool supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 2;
}

/* Of a block: as the kernel has it. */
static size_t block_pixels(const device *d)
{
    return op_tile_parts(d) == 1 ? 48 : 32;
}

static size_t planes(int channels)
{
    return ceil_div((size_t)channels, PLANE);
}

/* Taps of all phases. */
static size_t taps(int up)
{
    return up == 2 ? 16 : 9;
}

/* ---- weights ---- */

static size_t packed_count(const device *d, const conv_weight *w)
{
    return taps(w->up) * planes(w->in) * planes(w->out) * PLANE * PLANE * (size_t)op_tile_parts(d) /
           2;
}

static status get(device *d, kernel **k, const char *name, int up, const char *options)
{
    return program_get(d, k, "conv_matrix.cl", name, "%s -DPARTS=%d -DUP=%d %s",
                       probe_tile_options(d), op_tile_parts(d), up, options);
}

static status pack(device *d, const conv_weight *w, buf stored)
{
    kernel *k;
    status st = get(d, &k, "conv_matrix_pack", w->up, "-DWEIGHTS");
    if (st != OK) return st;
    return launch(d, k, RANGE(planes(w->out), planes(w->in)), RANGE(1), ARG(w->matrix), ARG(stored),
                  ARG(w->in), ARG(w->out));
}

/* ---- pictures ---- */

/* Of a laid out picture: the border, and behind it what the last block reads beyond its own. */
static size_t padded_pixels(const device *d, picture_shape s)
{
    return ((size_t)s.height + 2) * ((size_t)s.width + 2) + block_pixels(d);
}

static status scratch_count(device *d, size_t *count, const conv_weight *w, picture_shape s)
{
    *count = (size_t)s.batch * planes(w->in) * padded_pixels(d, s) * PLANE *
             (size_t)op_tile_parts(d) / 2;
    return OK;
}

/* k[1] lays the picture out, normalised, for k[0]. */
static status build(device *d, kernel *k[LAYER_KERNELS], const conv_call *c)
{
    static const char *const options[2][2] = {
        {"-DPICTURE -DNORM=0 -DSILU=0", "-DPICTURE -DNORM=0 -DSILU=1"},
        {"-DPICTURE -DNORM=1 -DSILU=0", "-DPICTURE -DNORM=1 -DSILU=1"}};
    const conv_weight *w = c->w;
    const conv_use *use = c->use;
    status st =
        get(d, &k[1], "conv_matrix_picture", 1, options[use->affine.memory != NULL][use->silu]);
    if (st != OK) return st;
    return get(d, &k[0], "conv_matrix", w->up,
               use->residual.memory ? "-DRESIDUAL=1" : "-DRESIDUAL=0");
}

static status lay_out(device *d, kernel *k, const conv_call *c)
{
    picture_shape s = c->s;
    return launch(d, k, RANGE((size_t)s.height + 2, (size_t)s.batch), RANGE(1), ARG(c->scratch),
                  ARG(c->x), ARG(c->use->affine), ARG(s.height), ARG(s.width),
                  ARG((int)padded_pixels(d, s)), ARG(s.channels));
}

static status enqueue(device *d, kernel *const k[LAYER_KERNELS], const conv_call *c)
{
    const conv_weight *w = c->w;
    picture_shape s = c->s;
    size_t phases = (size_t)(w->up * w->up), strips = planes(w->out), block = block_pixels(d);
    size_t blocks = ceil_div((size_t)s.height * ((size_t)s.width + 2) - 2, block);
    size_t others = strips * phases * (size_t)s.batch, together = BLOCKS;
    while (together > 1 && ceil_div(blocks, together) * others < 4 * (size_t)d->info.compute_units)
        together /= 2;
    double products = op_tile_parts(d) == 1 ? 1 : 3;
    double multiplied = (double)(s.batch * (double)blocks * (double)block);
    multiplied *= (double)(taps(w->up) * planes(w->in) * strips * PLANE * PLANE);
    conv_record(d, c, 2 * products * multiplied);
    status st = lay_out(d, k[1], c);
    if (st != OK) return st;
    return launch(d, k[0], RANGE(ceil_div(blocks, together), strips, (size_t)s.batch * phases),
                  RANGE(1), ARG(c->out), ARG(c->scratch), ARG(w->matrix), ARG(w->bias),
                  ARG(c->use->residual), ARG(s.height), ARG(s.width), ARG((int)padded_pixels(d, s)),
                  ARG(w->in), ARG(w->out), ARG((int)together));
}

const op_impl conv_matrix = {.op = "conv",
                             .name = "amx_bf16",
                             .file = "conv_matrix.cl",
                             .input_error = 0x1p-9,
                             .roof = ROOF_16BIT,
                             IMPL_NO_TUNABLES,
                             .supports = supports_one,
                             .conv = {.packed_count = packed_count,
                                      .pack = pack,
                                      .scratch = scratch_count,
                                      .build = build,
                                      .enqueue = enqueue}};

const op_impl conv_matrix_bf16x3 = {.op = "conv",
                                    .name = "amx_bf16x3",
                                    .file = "conv_matrix.cl",
                                    .input_error = 0x1p-18,
                                    .roof = ROOF_16BIT,
                                    IMPL_NO_TUNABLES,
                                    .supports = supports_three,
                                    .conv = {.packed_count = packed_count,
                                             .pack = pack,
                                             .scratch = scratch_count,
                                             .build = build,
                                             .enqueue = enqueue}};
