/* 3x3 convolutions: which implementation serves a layer, and the layer's weights. */
#include "ops/conv.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/launch.h"

/* The first that fits serves. */
static const conv_implementation *const table[] = {&conv_matrix, &conv_matrix_three,
                                                 &conv_winograd, &conv_direct};

/* DITCL_CONV names another than the first that fits, to compare them. */
static const conv_implementation *choose(const device *d, int in, int out, int up)
{
    const char *forced = getenv("DITCL_CONV");
    const conv_implementation *first = NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!table[i]->fits(d, in, out, up)) continue;
        if (forced && !strcmp(table[i]->name, forced)) return table[i];
        if (!first) first = table[i];
    }
    return first; /* the direct one fits everywhere */
}

static const conv_implementation *of(const device *d, const conv_weight *w)
{
    return choose(d, w->in, w->out, w->up);
}

const char *conv_name(const device *d, int in, int out, int up)
{
    return choose(d, in, out, up)->name;
}

double conv_input_error(const device *d, int in, int out, int up)
{
    return choose(d, in, out, up)->input_error;
}

status conv_scratch(device *d, size_t *count, const conv_weight *w, picture_shape s)
{
    return of(d, w)->scratch(d, count, w, s);
}

enum { BIAS_SLACK = 64 }; /* kernels read a bias for each channel of the last panel */

status conv_weight_upload(device *d, conv_weight *w, const float *weight, const float *bias, int in,
                          int out, int up, const char *what)
{
    const conv_implementation *c = choose(d, in, out, up);
    size_t n_stored = (size_t)in * (size_t)out * 9, n_bias = (size_t)out + BIAS_SLACK;
    float *padded = NULL;
    buf stored = {0};
    status st = OK;
    *w = (conv_weight){.in = in, .out = out, .up = up};
    TRY(memory_alloc(&padded, n_bias, sizeof *padded));
    memcpy(padded, bias, (size_t)out * sizeof *padded);
    TRY(buffer_create(d, &w->matrix, c->packed_count(d, in, out, up), what));
    TRY(buffer_create(d, &w->bias, n_bias, what));
    TRY(buffer_upload(d, w->bias, 0, padded, n_bias));
    TRY(buffer_create(d, &stored, n_stored, what));
    TRY(buffer_upload(d, stored, 0, weight, n_stored));
    TRY(c->pack(d, w, stored));
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
    return of(d, w)->run(d, out, x, w, s, use, scratch);
}

void conv_record(device *d, const conv_weight *w, picture_shape s, const conv_use *use,
                 double executed, unit on)
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
