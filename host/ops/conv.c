/* 3x3 convolutions: layers' weights and launches. */
#include "ops/conv.h"

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

/* What serves a layer with these weights: where fp16 does not hold them, the first that takes them
 * as they are. */
static status choose_for(device *d, op_choice *c, const float *weight, size_t count, conv_layer l,
                         const char *what)
{
    int shape[SHAPE_SIZES];
    float largest = 0.0f;
    conv_shape(shape, l);
    status st = impl_choose_right(d, c, &operators[OP_CONV], shape, l.use, false);
    if (st != OK || op_arith(c->impl->input_error) != ARITH_FP16) return st;
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
    return w->use.impl->conv.scratch(d, count, w, s);
}

enum { BIAS_SLACK = 64 }; /* kernels read a bias for each channel of the last panel */

status conv_weight_upload(device *d, conv_weight *w, const float *weight, const float *bias,
                          conv_layer like, const char *what)
{
    size_t out = (size_t)like.out, n_stored = (size_t)like.in * out * 9, n_bias = out + BIAS_SLACK;
    float *padded = NULL;
    buf stored = {0};
    status st = OK;
    *w = (conv_weight){.in = like.in, .out = like.out, .up = like.up};
    TRY(choose_for(d, &w->use, weight, n_stored, like, what));
    TRY(memory_alloc(&w->built, 1, sizeof *w->built));
    TRY(memory_alloc(&padded, n_bias, sizeof *padded));
    if (weight) memcpy(padded, bias, out * sizeof *padded);
    TRY(buffer_create(d, &w->matrix, w->use.impl->conv.packed_count(d, w), what));
    TRY(buffer_create(d, &w->bias, n_bias, what));
    TRY(buffer_upload(d, w->bias, 0, padded, n_bias));
    TRY(buffer_create(d, &stored, n_stored, what));
    if (!weight) goto done;
    TRY(buffer_upload(d, stored, 0, weight, n_stored));
    TRY(w->use.impl->conv.pack(d, w, stored));
    TRY(device_finish(d)); /* before the stored weights go */
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
    free(w->built);
    w->built = NULL;
}

/* *k = the kernels of the call, built where the layer was not used like this before. */
static status kernels_of(device *d, kernel ***k, const conv_call *c)
{
    int fused =
        (c->use->affine.memory != NULL) + 2 * c->use->silu + 4 * (c->use->residual.memory != NULL);
    const int key[USE_KEY] = {fused, c->s.batch, c->s.height, c->s.width};
    *k = op_built_kernels(c->w->built, key);
    if ((*k)[0]) return OK;
    op_note_ran(d, c->w->use);
    status st = c->w->use.impl->conv.build(d, *k, c);
    if (st != OK) (*k)[0] = NULL;
    return st;
}

status op_conv3x3(device *d, buf out, buf x, const conv_weight *w, picture_shape s,
                  const conv_use *use, buf scratch)
{
    const conv_call c = {out, x, scratch, w, s, use};
    kernel **k;
    status st = kernels_of(d, &k, &c);
    return st == OK ? w->use.impl->conv.enqueue(d, k, &c) : st;
}

void conv_record(device *d, const conv_call *c, double executed)
{
    const conv_weight *w = c->w;
    picture_shape s = c->s;
    double area = (double)s.batch * s.height * s.width, grown = area * w->up * w->up;
    double in = w->in, out = w->out, moved = c->use->residual.memory ? 2 * out : out;
    record_work(d, "conv3x3",
                (work){.flops = 18 * grown * in * out,
                       .executed = executed,
                       .bytes = 4 * (area * in + grown * moved + 9 * in * out),
                       .on = w->use.impl->roof},
                "%dx%d %d->%d%s%s", s.height * w->up, s.width * w->up, w->in, w->out,
                w->up == 2 ? " up" : "", c->use->residual.memory ? " residual" : "");
}
