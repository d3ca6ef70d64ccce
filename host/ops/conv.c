/* 3x3 convolutions: layers' weights and launches. */
#include "ops/conv.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "device/launch.h"
#include "ops/op.h"

static void conv_shape(int shape[SHAPE_SIZES], conv_layer l)
{
    const int all[SHAPE_SIZES] = {l.pixels, l.in, l.out, l.up};
    memcpy(shape, all, sizeof all);
}

/* Chooses what serves a layer with these weights: if fp16 cannot hold them, the first
 * implementation that keeps fp32. */
static status choose_for(device *d, op_choice *c, const float *weight, size_t count, conv_layer l,
                         const char *what)
{
    int shape[SHAPE_SIZES];
    float largest = 0.0f;
    conv_shape(shape, l);
    status st = impl_choose_right(d, c, &operators[OP_CONV], shape, l.use, false);
    if (st != OK || op_arith(c->impl->input_error) != ARITH_FP16) return st;
    if (!weight) return OK; /* a dry run */
    for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(weight[i]));
    if (largest <= FP16_LARGEST) return OK;
    op_stays_fp32(d, what, largest);
    return impl_choose_right(d, c, &operators[OP_CONV], shape, l.use, true);
}

const char *conv_name(const device *d, conv_layer like)
{
    int shape[SHAPE_SIZES];
    conv_shape(shape, like);
    return impl_serving_name(d, &operators[OP_CONV], shape);
}

double conv_input_error(const device *d, conv_layer like)
{
    int shape[SHAPE_SIZES];
    conv_shape(shape, like);
    return impl_serving_error(d, &operators[OP_CONV], shape);
}

status conv_scratch(device *d, size_t *count, const conv_weight *w, picture_shape s)
{
    *count = 0;
    return w->use.impl->conv.scratch ? w->use.impl->conv.scratch(d, count, w, s) : OK;
}

status conv_weight_upload(device *d, conv_weight *w, const float *weight, const float *bias,
                          conv_layer like, const char *what)
{
    size_t out = (size_t)like.out, n_stored = (size_t)like.in * out * 9, n_bias = out + BIAS_SLACK;
    float *padded = NULL;
    buf stored = {0};
    status st = OK;
    *w = (conv_weight){.in = like.in, .out = like.out, .up = like.up};
    TRY(choose_for(d, &w->use, weight, n_stored, like, what));
    TRY(memory_alloc(&padded, n_bias, sizeof *padded));
    if (weight) memcpy(padded, bias, out * sizeof *padded);
    TRY(buffer_create(d, &w->matrix, w->use.impl->conv.packed_count(d, w), what));
    TRY(buffer_create(d, &w->bias, n_bias, what));
    TRY(buffer_upload(d, w->bias, 0, padded, n_bias));
    TRY(buffer_create(d, &stored, n_stored, what));
    if (!weight) goto done;
    TRY(buffer_upload(d, stored, 0, weight, n_stored));
    TRY(w->use.impl->conv.pack(d, w, stored));
    TRY(device_finish(d)); /* `stored` is released below */
done:
    free(padded);
    buffer_release(d, &stored);
    if (st != OK) conv_weight_free(d, w);
    return st;
}

void conv_weight_free(device *d, conv_weight *w)
{
    buffer_release(d, &w->matrix);
    buffer_release(d, &w->bias);
}

/* ---- plans and launches ---- */

status conv_plan(device *d, op_plan *p, const conv_weight *w, picture_shape s, unsigned fused)
{
    const conv_use u = {w, s, fused};
    double area = (double)s.batch * s.height * s.width, grown = area * w->up * w->up;
    double in = w->in, out = w->out, moved = fused & FUSED_RESIDUAL ? 2 * out : out;
    plan_begin(p, "conv3x3",
               (work){.flops = 18 * grown * in * out,
                      .bytes = 4 * (area * in + grown * moved + 9 * in * out),
                      .on = w->use.impl->roof},
               "%dx%d %d->%d%s%s", s.height * w->up, s.width * w->up, w->in, w->out,
               w->up == 2 ? " up" : "", fused & FUSED_RESIDUAL ? " residual" : "");
    p->choice = w->use;
    op_note_ran(d, w->use);
    conv_shape(p->shape, (conv_layer){s.height * s.width, w->in, w->out, w->up, fused});
    return w->use.impl->conv.plan(d, p, &u);
}

status op_conv3x3(device *d, const op_plan *p, const conv_buffers *b)
{
    assert(b->w->use.impl == p->choice.impl && b->w->use.config == p->choice.config);
    record_work(d, &p->announcing);
    return p->choice.impl->conv.enqueue(d, p, b);
}

waves conv_waves(read_cost c, int x, int y, int out, double own_pixels, double own_out,
                 const int *shape)
{
    enum { PIXELS, IN, OUT, UP };
    size_t side = (size_t)(ceil(sqrt(shape[PIXELS])) * shape[UP]);
    size_t tiles = ceil_div(side, (size_t)x) * ceil_div(side, (size_t)y);
    double saved = (double)(x * y) - (x + 2) * (y + 2) / 9.0; /* pixels that are read once */
    double step = waves_step(c, x * y, out, own_pixels, own_out) - c.global * saved;
    return (waves){.groups = (double)(tiles * ceil_div((size_t)shape[OUT], (size_t)out)),
                   .work = 9.0 * shape[IN] * step};
}

status conv_enqueue(device *d, const op_plan *p, const conv_buffers *b)
{
    return launch_prepared(d, &p->launches[0], ARG(b->out), ARG(b->x), ARG(b->affine),
                           ARG(b->w->matrix), ARG(b->w->bias), ARG(b->residual));
}

status conv_enqueue_staged(device *d, const op_plan *p, const conv_buffers *b)
{
    status st = launch_prepared(d, &p->launches[1], ARG(b->scratch), ARG(b->x), ARG(b->affine));
    if (st != OK) return st;
    return launch_prepared(d, &p->launches[0], ARG(b->out), ARG(b->scratch), ARG(b->w->matrix),
                           ARG(b->w->bias), ARG(b->residual));
}
