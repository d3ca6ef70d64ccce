/* Random numbers that match PyTorch's generators (torch.Generator, torch.randn in float32).
 *
 * On the CPU bit for bit, on every machine. On CUDA the integers, their order and what is made of
 * them up to one logarithm and one sine are exact; those two a GPU computes by its own fast
 * instructions, whose last bits are not documented: values agree to about 1e-6. */
#ifndef DITCL_SAMPLE_RNG_H
#define DITCL_SAMPLE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
    RNG_TORCH_CPU,        /* mt19937, and the vector kernel of processors with AVX2 */
    RNG_TORCH_CPU_SCALAR, /* mt19937, where PyTorch has none: this C library's functions */
    RNG_TORCH_CUDA        /* Philox */
} rng_kind;

/* Whose numbers. The last two: of the GPU, since a draw of more values than it has threads is in an
 * order that depends on them; processors 0: a GPU that has threads for all. */
typedef struct {
    rng_kind kind;
    int processors, threads; /* multiprocessors, and the threads that each can hold */
} rng_source;

typedef struct {
    rng_source source;
    /* mt19937 */
    uint32_t state[624];
    int left;
    uint32_t next;
    int has_cached; /* a second value of the last Box-Muller pair (short draws only) */
    double cached;
    /* Philox: the key, and how far all subsequences have come */
    uint64_t key, offset;
} rng;

/* torch-cpu, torch-cpu-scalar, torch-cuda, torch-cuda:SMs or torch-cuda:SMsxTHREADS. ERR_USAGE. */
status rng_source_parse(rng_source *source, const char *typed);

/* Whether a draw of n values is defined: where processors are not given, ERR_USAGE when only some
 * GPUs would draw them in this order; ERR_LIMIT when PyTorch would cut the draw into several. */
status rng_source_check(const rng_source *source, size_t n);

/* torch.manual_seed(seed). On the CPU only the low 32 bits count, as in PyTorch. rng_seed: of
 * torch-cpu. */
void rng_seed(rng *r, uint64_t seed);
void rng_seed_source(rng *r, const rng_source *source, uint64_t seed);

/* out[0..n) = torch.randn(n), one call. Never call it in pieces: on the CPU draws of fewer than 16
 * values take the double path, others the block-of-16 path whose tail is redrawn; on CUDA each call
 * moves every thread's subsequence on. */
void rng_randn(rng *r, float *out, size_t n);

/* What rng_randn does for RNG_TORCH_CUDA; and four words of Philox4x32-10. */
void philox_randn(rng *r, float *out, size_t n);
void philox_words(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
