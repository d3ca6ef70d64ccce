/* The noise of a run's pictures: one generator draws for the whole series, or each picture has a
 * generator of its own, as with diffusers' list of generators. */
#ifndef DITCL_SAMPLE_NOISE_H
#define DITCL_SAMPLE_NOISE_H

#include "sample/rng.h"

typedef struct {
    rng_source source;
    uint64_t seed;
    /* null, or [n]: each picture's noise is that of a run with this seed and one picture */
    const uint64_t *seeds;
    /* null, or [n]: the numbers of the pictures in a series of `series` pictures. The noise of the
     * whole series is drawn, and only theirs is kept. Not with seeds. */
    const int *picks;
    int n, series;
} noise_request;

typedef struct {
    noise_request request;
    size_t values;   /* of a picture */
    rng *generators; /* one, or one for each picture */
    float *drawn;    /* room for a draw of which only a part is kept; null: all is kept */
} noise_stream;

/* values: of a picture. Allocates, and seeds the generators. */
status noise_open(noise_stream *s, const noise_request *request, size_t values);

/* Returns to the first draw. */
void noise_restart(noise_stream *s);

/* out [n][values] = the next draw. halves: 2 if the model's batch is guided; the second half of the
 * draw is not used. out has room for n * values * halves. */
void noise_draw(noise_stream *s, float *out, int halves);

/* The number of values of one call of torch.randn: see rng_source_check. */
size_t noise_at_once(const noise_request *request, size_t values, int halves);

void noise_close(noise_stream *s);

#endif
