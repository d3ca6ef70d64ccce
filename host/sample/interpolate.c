/* Interpolation between two labels and two noises. See interpolate.h. */
#include "sample/interpolate.h"

#include <math.h>

double interpolate_share(int i, int n)
{
    return n > 1 ? (double)i / (n - 1) : 0;
}

int interpolate_labels(int *labels, label_mix *mixes, int n, int from, int to, int first_mixed)
{
    int n_mixes = 0;
    for (int i = 0; i < n; i++) {
        if (i == 0 || from == to)
            labels[i] = from;
        else if (i == n - 1)
            labels[i] = to;
        else {
            mixes[n_mixes] = (label_mix){from, to, (float)interpolate_share(i, n)};
            labels[i] = first_mixed + n_mixes++;
        }
    }
    return n_mixes;
}

void interpolate_noise(float *out, const float *a, const float *b, size_t values, int n)
{
    const double parallel = 1 - 1e-6; /* cosine from which vectors count as parallel */
    double ab = 0, aa = 0, bb = 0;
    for (size_t j = 0; j < values; j++) {
        ab += (double)a[j] * (double)b[j];
        aa += (double)a[j] * (double)a[j];
        bb += (double)b[j] * (double)b[j];
    }
    double cosine = ab / (sqrt(aa) * sqrt(bb)), angle = acos(cosine);
    for (int i = 0; i < n; i++, out += values) {
        double t = interpolate_share(i, n), from = 1 - t, to = t;
        if (fabs(cosine) < parallel) {
            from = sin((1 - t) * angle) / sin(angle);
            to = sin(t * angle) / sin(angle);
        }
        for (size_t j = 0; j < values; j++)
            out[j] = (float)(from * (double)a[j] + to * (double)b[j]);
    }
}
