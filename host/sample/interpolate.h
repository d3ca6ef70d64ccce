/* Interpolation: lerp of label embeddings, slerp of noise. */
#ifndef DITCL_SAMPLE_INTERPOLATE_H
#define DITCL_SAMPLE_INTERPOLATE_H

#include <stddef.h>

#include "model/dit.h"
#include "sample/rng.h"

/* The position of picture i of n between the first (0) and the last (1). */
double interpolate_share(int i, int n);

/* labels [n] = labels for the way from one label to another. Those in between are the numbers from
 * first_mixed on, which mixes [n] describes. Returns the number of mixes. */
int interpolate_labels(int *labels, label_mix *mixes, int n, int from, int to, int first_mixed);

/* out [n][values]: noises on the great circle from a [values] to b [values] (slerp, Shoemake 1985):
 * sin((1 - t) w) / sin w a + sin(t w) / sin w b, where w is the angle between a and b. A straight
 * line if they are nearly parallel. */
void interpolate_noise(float *out, const float *a, const float *b, size_t values, int n);

#endif
