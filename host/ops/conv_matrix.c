/* Launches cl/conv_matrix.cl: 3x3 convolutions on AMX tiles, in bf16 or bf16x3. The first launch
 * normalises the picture and writes it in the layout of the tiles. */
#include <stdio.h>

#include "cl/layout.clh"
#include "ops/conv.h"
#include "ops/op.h"

enum { BLOCKS = 16 }; /* the most blocks of pixels of a work-group */

static bool conv_matrix_supports_one(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 1;
}

static bool conv_matrix_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 2;
}

static size_t block_pixels(const device *d)
{
    return CONV_BLOCK_PIXELS(op_tile_parts(d));
}

static size_t planes(int channels)
{
    return ceil_div((size_t)channels, CONV_PLANE);
}

/* Taps of all phases. */
static size_t taps(int up)
{
    return up == 2 ? 16 : 9;
}

/* ---- weights ---- */

static size_t conv_matrix_packed_count(const device *d, const conv_weight *w)
{
    return taps(w->up) * planes(w->in) * planes(w->out) * CONV_PLANE * CONV_PLANE *
           (size_t)op_tile_parts(d) / 2;
}

static status get(device *d, kernel **k, const char *name, int up, const char *options)
{
    return program_get(d, k, "conv_matrix.cl", name, "%s -DPARTS=%d -DUP=%d %s",
                       probe_tile_options(d), op_tile_parts(d), up, options);
}

static status conv_matrix_pack(device *d, const conv_weight *w, buf stored)
{
    kernel *k;
    status st = get(d, &k, "conv_matrix_pack", w->up, "-DWEIGHTS");
    if (st != OK) return st;
    return launch(d, k, RANGE(planes(w->out), planes(w->in)), RANGE(1), ARG(w->matrix), ARG(stored),
                  ARG(w->in), ARG(w->out));
}

/* ---- pictures ---- */

/* Pixels of the picture in the layout of the tiles: with its border, and with the pixels behind the
 * border that the last block reads. */
static size_t padded_pixels(const device *d, picture_shape s)
{
    return ((size_t)s.height + 2) * ((size_t)s.width + 2) + block_pixels(d);
}

static status conv_matrix_scratch_count(device *d, size_t *count, const conv_weight *w,
                                        picture_shape s)
{
    *count = (size_t)s.batch * planes(w->in) * padded_pixels(d, s) * CONV_PLANE *
             (size_t)op_tile_parts(d) / 2;
    return OK;
}

/* Blocks of pixels of a work-group: so few that every core gets some work-groups. */
static size_t blocks_together(const device *d, size_t blocks, size_t others)
{
    size_t together = BLOCKS;
    while (together > 1 && ceil_div(blocks, together) * others < 4 * (size_t)d->info.compute_units)
        together /= 2;
    return together;
}

static double executed(const device *d, const conv_use *u, size_t blocks)
{
    double multiplied = (double)(u->s.batch * (double)blocks * (double)block_pixels(d));
    multiplied *=
        (double)(taps(u->w->up) * planes(u->w->in) * planes(u->w->out) * CONV_PLANE * CONV_PLANE);
    return (op_tile_parts(d) == 1 ? 2 : 6) * multiplied;
}

/* launches[1] normalises the picture and writes it in the layout that launches[0] reads. */
static status conv_matrix_plan(device *d, op_plan *p, const conv_use *u)
{
    const conv_weight *w = u->w;
    picture_shape s = u->s;
    int pixels = (int)padded_pixels(d, s);
    char options[32];
    size_t phases = (size_t)(w->up * w->up), strips = planes(w->out);
    size_t blocks = ceil_div((size_t)s.height * ((size_t)s.width + 2) - 2, block_pixels(d));
    size_t together = blocks_together(d, blocks, strips * phases * (size_t)s.batch);
    p->announcing.done.executed = executed(d, u, blocks);
    launch_prepare(&p->launches[1], RANGE((size_t)s.height + 2, (size_t)s.batch), RANGE(1),
                   ARG(s.height), ARG(s.width), ARG(pixels), ARG(s.channels));
    launch_prepare(&p->launches[0],
                   RANGE(ceil_div(blocks, together), strips, (size_t)s.batch * phases), RANGE(1),
                   ARG(s.height), ARG(s.width), ARG(pixels), ARG(w->in), ARG(w->out),
                   ARG((int)together));
    snprintf(options, sizeof options, "-DPICTURE -DNORM=%d -DSILU=%d", conv_fuses(u, FUSED_NORM),
             conv_fuses(u, FUSED_SILU));
    status st = get(d, &p->launches[1].k, "conv_matrix_picture", 1, options);
    if (st != OK) return st;
    return get(d, &p->launches[0].k, "conv_matrix", w->up,
               conv_fuses(u, FUSED_RESIDUAL) ? "-DRESIDUAL=1" : "-DRESIDUAL=0");
}

#define FUNCTIONS                                                                                  \
    .conv = {.packed_count = conv_matrix_packed_count,                                             \
             .pack = conv_matrix_pack,                                                             \
             .scratch = conv_matrix_scratch_count,                                                 \
             .plan = conv_matrix_plan,                                                             \
             .enqueue = conv_enqueue_staged}

const op_impl conv_matrix = {.op = "conv",
                             .name = "amx_bf16",
                             .file = "conv_matrix.cl",
                             .input_error = 0x1p-9,
                             .roof = ROOF_16BIT,
                             IMPL_NO_TUNABLES,
                             .supports = conv_matrix_supports_one,
                             FUNCTIONS};

const op_impl conv_matrix_bf16x3 = {.op = "conv",
                                    .name = "amx_bf16x3",
                                    .file = "conv_matrix.cl",
                                    .input_error = 0x1p-18,
                                    .roof = ROOF_16BIT,
                                    IMPL_NO_TUNABLES,
                                    .supports = conv_matrix_supports_three,
                                    FUNCTIONS};
