/* What lies between two labels and between two noises. */
#ifndef DITCL_SAMPLE_INTERPOLATE_H
#define DITCL_SAMPLE_INTERPOLATE_H

#include <stddef.h>

#include "model/dit.h"
#include "sample/rng.h"

/* How far picture i of n is on the way from the first to the last: 0 to 1. */
double interpolate_share(int i, int n);

/* labels [n] from one to the other: those between are the numbers from first_mixed on, and
 * mixes [n] say what they are. Returns how many. */
int interpolate_labels(int *labels, label_mix *mixes, int n, int from, int to, int first_mixed);

/* out [n][values]: noises on the great circle from a to b, [values] each (Shoemake 1985):
 * sin((1 - t) w) / sin w a + sin(t w) / sin w b, w the angle between them; a straight line where
 * they are all but parallel. */
void interpolate_noise(float *out, const float *a, const float *b, size_t values, int n);

#endif
