/* Launches cl/conv.cl; packs its weights. */
#include <string.h>

#include "ops/op.h"
#include "ops/ops.h"

typedef struct {
    int vec, vectors, pixels, group; /* VEC NV PX WG */
} tiling;

static tiling choose(const device *d)
{
    static const tiling by_class[N_CLASSES] = {
        [CLASS_CPU] = {.vec = 16, .vectors = 2, .pixels = 12, .group = 1},
        [CLASS_GPU] = {.vec = 4, .vectors = 2, .pixels = 4, .group = 64},
    };
    tiling t = by_class[d->class];
    t.group = op_group(d, t.group);
    return t;
}

static size_t panel(const device *d)
{
    tiling t = choose(d);
    return (size_t)(t.vec * t.vectors);
}

size_t conv_padded_pixels(const device *d, int height, int width)
{
    /* behind the border, what the last item reads beyond its own pixels */
    return ((size_t)height + 2) * ((size_t)width + 2) + (size_t)choose(d).pixels + 1;
}

size_t conv_weight_count(const device *d, int in_channels, int out_channels)
{
    return round_up((size_t)out_channels, panel(d)) * 9 * (size_t)in_channels;
}

size_t conv_bias_count(const device *d, int out_channels)
{
    return round_up((size_t)out_channels, panel(d));
}

void conv_pack_weight(const device *d, float *packed, const float *weight, int in_channels,
                      int out_channels)
{
    size_t nr = panel(d), in = (size_t)in_channels, out = (size_t)out_channels;
    for (size_t p = 0; p < ceil_div(out, nr); p++)
        for (size_t tap = 0; tap < 9; tap++)
            for (size_t c = 0; c < in; c++)
                for (size_t j = 0; j < nr; j++) {
                    size_t o = p * nr + j;
                    *packed++ = o < out ? weight[(o * in + c) * 9 + tap] : 0.0f;
                }
}

void conv_pack_bias(const device *d, float *packed, const float *bias, int out_channels)
{
    size_t n = (size_t)out_channels;
    memset(packed, 0, conv_bias_count(d, out_channels) * sizeof *packed);
    memcpy(packed, bias, n * sizeof *packed);
}

status op_conv3x3(device *d, buf out, buf x, buf weight, buf bias, buf residual, picture_shape s,
                  int out_channels)
{
    tiling t = choose(d);
    kernel *k;
    double area = (double)s.batch * s.height * s.width, in = s.channels, to = out_channels;
    record_work(d, "conv3x3",
                (work){.flops = 18 * area * in * to,
                       .bytes = 4 * (area * (in + (residual.memory ? 2 : 1) * to) + 9 * in * to)},
                "%dx%d %d->%d%s", s.height, s.width, s.channels, out_channels,
                residual.memory ? " residual" : "");
    int pixels = (int)conv_padded_pixels(d, s.height, s.width);
    size_t group = (size_t)t.group;
    size_t tiles = ceil_div((size_t)s.height * ((size_t)s.width + 2), (size_t)t.pixels);
    status st = program_get(d, &k, "conv.cl", "conv3x3", "-DVEC=%d -DNV=%d -DPX=%d -DRESIDUAL=%d",
                            t.vec, t.vectors, t.pixels, residual.memory != NULL);
    if (st != OK) return st;
    return launch(d, k,
                  RANGE(round_up(tiles, group), ceil_div((size_t)out_channels, panel(d)),
                        (size_t)s.batch),
                  RANGE(group), ARG(out), ARG(x), ARG(weight), ARG(bias), ARG(residual),
                  ARG(s.height), ARG(s.width), ARG(pixels), ARG(s.channels), ARG(out_channels));
}
