/* See factors.h. */
#include "optest/factors.h"

#include <math.h>

#include "base/fp16.h"
#include "device/mma.h"

void factors_encode(const device *d, uint16_t *to, const float *values, size_t rows, size_t width)
{
    bool half = d->settings.precision == PRECISION_FP16;
    size_t parts = (size_t)mma_parts(d);
    for (size_t r = 0; r < rows; r++, to += parts * width, values += width)
        for (size_t j = 0; j < width; j++) {
            to[j] = half ? float_to_fp16_finite(values[j]) : float_to_bf16(values[j]);
            if (parts == 2) to[width + j] = float_to_bf16(values[j] - bf16_to_float(to[j]));
        }
}

void factors_decode(const device *d, float *values, const uint16_t *from, size_t rows, size_t width)
{
    bool half = d->settings.precision == PRECISION_FP16;
    size_t parts = (size_t)mma_parts(d);
    for (size_t r = 0; r < rows; r++, from += parts * width, values += width)
        for (size_t j = 0; j < width; j++) {
            values[j] = half ? fp16_to_float(from[j]) : bf16_to_float(from[j]);
            if (parts == 2) values[j] += bf16_to_float(from[width + j]);
        }
}

void factors_forgive(const device *d, double *found, const double *expected, size_t count)
{
    /* half a unit in the last place; in fp16 of a subnormal number, too */
    bool half = d->settings.precision == PRECISION_FP16;
    double relative = half ? 0x1p-11 : mma_parts(d) == 2 ? 0x1p-17 : 0x1p-9;
    for (size_t i = 0; i < count; i++) {
        double off = found[i] - expected[i];
        double most = relative * fabs(expected[i]) + (half ? 0x1p-25 : 0.0);
        if (fabs(off) <= most)
            found[i] = expected[i];
        else if (isfinite(off))
            found[i] -= off > 0.0 ? most : -most;
    }
}
