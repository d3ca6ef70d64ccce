/* Random numbers that match PyTorch's CPU generator bit for bit (torch.Generator, torch.randn in
 * float32, its AVX2 variant), on every machine. */
#ifndef DITCL_SAMPLE_RNG_H
#define DITCL_SAMPLE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t state[624];
    int left;
    uint32_t next;
    int has_cached; /* a second value of the last Box-Muller pair (short draws only) */
    double cached;
} rng;

/* torch.manual_seed(seed): only the low 32 bits count, as in PyTorch. */
void rng_seed(rng *r, uint64_t seed);

/* out[0..n) = torch.randn(n), one call: draws of fewer than 16 values take the double path, others
 * the block-of-16 path whose tail is redrawn. Never call it in pieces. */
void rng_randn(rng *r, float *out, size_t n);

#endif
