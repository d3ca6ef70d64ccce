/* Convolutions by cl/conv.cl, tap by tap: on every device, for any number of channels.
 * op_groupnorm_apply normalises, enlarges and pads the input before. */
#include "ops/conv.h"
#include "ops/op.h"

typedef struct {
    int vec, vectors, pixels, group; /* VEC NV PX WG */
} tiling;

static tiling conv_direct_choose(const device *d, int out)
{
    tiling t = {4, 2, 4, op_group(d, 64)};
    if (d->family == FAMILY_CPU) {
        if (out <= 4) /* a picture of 3 channels would leave most of a wide panel empty */
            t = (tiling){4, 1, 12, 1};
        else if (d->vector_width == 16)
            t = (tiling){16, 2, 12, 1};
        else
            t = (tiling){d->vector_width, 2, 6, 1};
    }
    return t;
}

static bool conv_direct_supports(const device *d, const int *shape)
{
    (void)d, (void)shape;
    return true;
}

static size_t conv_direct_panel(const device *d, int out)
{
    tiling t = conv_direct_choose(d, out);
    return (size_t)(t.vec * t.vectors);
}

static size_t conv_direct_packed_count(const device *d, const conv_weight *w)
{
    return round_up((size_t)w->out, conv_direct_panel(d, w->out)) * 9 * (size_t)w->in;
}

static status conv_direct_pack(device *d, const conv_weight *w, buf stored)
{
    kernel *k;
    int width = (int)conv_direct_panel(d, w->out);
    size_t group = (size_t)op_items(d), count = conv_direct_packed_count(d, w);
    status st = program_get(d, &k, "conv.cl", "conv_pack", "-DPACK");
    if (st != OK) return st;
    return launch(d, k,
                  RANGE(round_up((size_t)(w->in * width), group), 9,
                        count / (9 * (size_t)w->in * (size_t)width)),
                  RANGE(group), ARG(w->matrix), ARG(stored), ARG(w->in), ARG(w->out), ARG(width));
}

/* Pixels behind the border, which the last work-item reads. */
static int slack(const device *d, int out)
{
    return conv_direct_choose(d, out).pixels + 1;
}

static size_t padded_pixels(const device *d, const conv_weight *w, picture_shape s)
{
    return ((size_t)(s.height * w->up) + 2) * ((size_t)(s.width * w->up) + 2) +
           (size_t)slack(d, w->out);
}

static status conv_direct_scratch_count(device *d, size_t *count, const conv_weight *w,
                                        picture_shape s)
{
    *count = (size_t)s.batch * padded_pixels(d, w, s) * (size_t)w->in;
    return OK;
}

static status conv_direct_plan(device *d, op_plan *p, const conv_use *u)
{
    const conv_weight *w = u->w;
    picture_shape s = u->s;
    tiling t = conv_direct_choose(d, w->out);
    const groupnorm_use before = {.norm = conv_fuses(u, FUSED_NORM),
                                  .silu = conv_fuses(u, FUSED_SILU),
                                  .up = w->up,
                                  .pad = true,
                                  .slack = slack(d, w->out)};
    int pixels = (int)padded_pixels(d, w, s), height = s.height * w->up, width = s.width * w->up;
    size_t group = (size_t)t.group;
    size_t tiles = ceil_div((size_t)height * ((size_t)width + 2), (size_t)t.pixels);
    status st = groupnorm_apply_prepare(d, &p->launches[1], s, &before);
    if (st != OK) return st;
    launch_prepare(&p->launches[0],
                   RANGE(round_up(tiles, group),
                         ceil_div((size_t)w->out, conv_direct_panel(d, w->out)), (size_t)s.batch),
                   RANGE(group), ARG(height), ARG(width), ARG(pixels), ARG(w->in), ARG(w->out));
    return program_get(d, &p->launches[0].k, "conv.cl", "conv3x3",
                       "-DVEC=%d -DNV=%d -DPX=%d -DRESIDUAL=%d", t.vec, t.vectors, t.pixels,
                       conv_fuses(u, FUSED_RESIDUAL));
}

const op_impl conv_direct = {.op = "conv",
                             .name = "direct",
                             .file = "conv.cl",
                             IMPL_NO_TUNABLES,
                             .supports = conv_direct_supports,
                             .conv = {.packed_count = conv_direct_packed_count,
                                      .pack = conv_direct_pack,
                                      .scratch = conv_direct_scratch_count,
                                      .plan = conv_direct_plan,
                                      .enqueue = conv_enqueue_staged}};
