/* The formulas of operators in double precision, each in its operator's file. Operator tests and
 * workloads compare results with them.
 *
 * squares, scale: null, or what the rounding errors of a value are measured by; see compare(). */
#ifndef DITCL_OPTEST_REFERENCES_H
#define DITCL_OPTEST_REFERENCES_H

#include "ops/ops.h"

/* One value of a GEMM: the row a [k], the weights w [k] of a column, and what belongs to both in
 * the epilogue. *squares: the sum of the squared terms. */
double gemm_reference(double *squares, const float *a, const float *w, size_t k, float bias,
                      unsigned fused, float gate, float residual);

/* One query of one head. out [d], scale [d]; q [d]; keys: the first key of the head, further ones
 * are 3 * width floats apart, and each value is `width` floats after its key. */
void attention_reference(double *out, double *scale, const float *q, const float *keys,
                         size_t tokens, size_t d, size_t width);

/* The inputs of a convolution of one picture. */
typedef struct {
    const float *x, *affine, *weight, *bias;
    int height, width, in, out, up;
    bool norm, silu;
} conv_inputs;

/* All channels of pixel (y, x) of the result: out [out], squares [out]. */
void conv_reference(double *out, double *squares, const conv_inputs *c, int y, int x);

/* One token: out [width], scale [width]. */
void modulate_reference(double *out, double *scale, const float *x, const float *shift,
                        const float *factor, size_t width, double epsilon);

/* The mean and the variance of `wide` channels, the first at x, over all pixels of a picture. */
void groupnorm_reference(double *mean, double *variance, const float *x, size_t pixels,
                         size_t channels, size_t wide);

#endif
