/* 3x3 convolutions: which implementation serves a layer, and the layer's weights. */
#include "ops/conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "device/launch.h"
#include "ops/first_use.h"
#include "ops/op.h"

/* The first that fits serves. */
static const conv_implementation *const table[] = {
    &conv_matrix,   &conv_matrix_three, &conv_mma,      &conv_mma_bf16, &conv_mma_three,
    &conv_gpu_fp16, &conv_gpu,          &conv_winograd, &conv_direct};

enum { N_IMPLEMENTATIONS = sizeof table / sizeof *table };

/* As DITCL_CONV names it, else as it is stored, else the first that fits; values null: none is
 * left. */
static conv_weight choose(const device *d, conv_layer l)
{
    const char *forced = getenv("DITCL_CONV");
    const int shape[TUNING_SIZES] = {l.pixels, l.in, l.out, l.up};
    const tuning *stored = tuning_serving(d, "conv", shape);
    conv_weight w = {.in = l.in, .out = l.out, .up = l.up};
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < N_IMPLEMENTATIONS; i++) {
            const tuning *t = table[i]->tuned;
            if (pass == 0 && (!forced || strcmp(t->kind, forced) != 0)) continue;
            if (pass == 1 && t != stored) continue;
            w.by = table[i];
            w.values = tuning_values_for(d, t, shape);
            if (w.values && table[i]->fits(d, l.in, l.out, l.up)) return w;
        }
    w.values = NULL;
    return w;
}

/* For weights that fp16 does not hold. */
static conv_weight choose_exact(const device *d, conv_layer l)
{
    const int shape[TUNING_SIZES] = {l.pixels, l.in, l.out, l.up};
    conv_weight w = {.in = l.in, .out = l.out, .up = l.up};
    for (int i = 0; i < N_IMPLEMENTATIONS && !w.values; i++) {
        if (op_arith(table[i]->input_error) != ARITH_FP32 || !table[i]->fits(d, l.in, l.out, l.up))
            continue;
        w.by = table[i];
        w.values = tuning_values_for(d, table[i]->tuned, shape);
    }
    return w;
}

/* *w = the first of its choices that is right on this device. */
static status choose_right(device *d, conv_weight *w,
                           conv_weight (*next)(const device *d, conv_layer l), conv_layer l)
{
    const int shape[TUNING_SIZES] = {l.pixels, l.in, l.out, l.up};
    bool right = false;
    while (!right) {
        *w = next(d, l);
        if (!w->values) return first_use_none(d, "conv", shape);
        const first_use what = {"conv", w->by->tuned, w->values, shape, l.use};
        status st = first_use_check(d, &what, &right);
        if (st != OK) return st;
    }
    return OK;
}

/* What serves a layer with these weights: where fp16 does not hold them, the first that takes them
 * as they are. */
static status choose_for(device *d, conv_weight *w, const float *weight, size_t count, conv_layer l,
                         const char *what)
{
    float largest = 0.0f;
    status st = choose_right(d, w, choose, l);
    if (st != OK || op_arith(w->by->input_error) != ARITH_FP16) return st;
    for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(weight[i]));
    if (largest <= FP16_LARGEST) return OK;
    op_stays_fp32(d, what, largest);
    return choose_right(d, w, choose_exact, l);
}

bool conv_keeps_fp32(const tuning *t)
{
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (table[i]->tuned == t) return op_arith(table[i]->input_error) == ARITH_FP32;
    return false;
}

int conv_kinds(const device *d, const int *shape, const tuning *out[TUNING_KINDS])
{
    int n = 0;
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (!d || (table[i]->fits(d, shape[1], shape[2], shape[3]) &&
                   tuning_values_for(d, table[i]->tuned, shape)))
            out[n++] = table[i]->tuned;
    return n;
}

const char *conv_name(const device *d, conv_layer like)
{
    conv_weight w = choose(d, like);
    return w.values ? w.by->tuned->kind : "none";
}

double conv_input_error(const device *d, conv_layer like)
{
    conv_weight w = choose(d, like);
    return w.values ? w.by->input_error : 0.0;
}

status conv_scratch(device *d, size_t *count, const conv_weight *w, picture_shape s)
{
    return w->by->scratch(d, count, w, s);
}

enum { BIAS_SLACK = 64 }; /* kernels read a bias for each channel of the last panel */

status conv_weight_upload(device *d, conv_weight *w, const float *weight, const float *bias,
                          conv_layer like, const char *what)
{
    size_t out = (size_t)like.out, n_stored = (size_t)like.in * out * 9, n_bias = out + BIAS_SLACK;
    float *padded = NULL;
    buf stored = {0};
    status st = OK;
    TRY(choose_for(d, w, weight, n_stored, like, what));
    TRY(memory_alloc(&padded, n_bias, sizeof *padded));
    memcpy(padded, bias, out * sizeof *padded);
    TRY(buffer_create(d, &w->matrix, w->by->packed_count(d, w), what));
    TRY(buffer_create(d, &w->bias, n_bias, what));
    TRY(buffer_upload(d, w->bias, 0, padded, n_bias));
    TRY(buffer_create(d, &stored, n_stored, what));
    TRY(buffer_upload(d, stored, 0, weight, n_stored));
    TRY(w->by->pack(d, w, stored));
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
}

status op_conv3x3(device *d, buf out, buf x, const conv_weight *w, picture_shape s,
                  const conv_use *use, buf scratch)
{
    d->ran.conv |= 1u << op_arith(w->by->input_error);
    return w->by->run(d, out, x, w, s, use, scratch);
}

void conv_record(device *d, const conv_weight *w, picture_shape s, const conv_use *use,
                 double executed, roof on)
{
    double area = (double)s.batch * s.height * s.width, grown = area * w->up * w->up;
    double in = w->in, out = w->out, moved = use->residual.memory ? 2 * out : out;
    record_work(d, "conv3x3",
                (work){.flops = 18 * grown * in * out,
                       .executed = executed,
                       .bytes = 4 * (area * in + grown * moved + 9 * in * out),
                       .on = on},
                "%dx%d %d->%d%s%s", s.height * w->up, s.width * w->up, w->in, w->out,
                w->up == 2 ? " up" : "", use->residual.memory ? " residual" : "");
}
