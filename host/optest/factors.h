/* Factors (cl/factors.clh) for operator tests, by the host's own rounding. */
#ifndef DITCL_OPTEST_FACTORS_H
#define DITCL_OPTEST_FACTORS_H

#include <stddef.h>
#include <stdint.h>

#include "device/device.h"

/* to [rows][parts][width] = factors of values [rows][width], and back. */
void factors_encode(const device *d, uint16_t *to, const float *values, size_t rows, size_t width);
void factors_decode(const device *d, float *values, const uint16_t *from, size_t rows,
                    size_t width);

/* Moves found values towards the expected ones by at most the error of their rounding to factors.
 */
void factors_forgive(const device *d, double *found, const double *expected, size_t count);

#endif
