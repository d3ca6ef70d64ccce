/* Random numbers that match PyTorch's generators (torch.Generator, torch.randn in float32).
 *
 * CPU generators match bit for bit on every machine. For CUDA, the integers, their order, and the
 * values up to one logarithm and one sine match exactly. A GPU computes those two with fast
 * instructions whose last bits are not documented, so values agree to about 1e-6. */
#ifndef DITCL_SAMPLE_RNG_H
#define DITCL_SAMPLE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
    RNG_TORCH_CPU,        /* mt19937, as PyTorch on processors with AVX2 (vector kernel) */
    RNG_TORCH_CPU_SCALAR, /* mt19937, as PyTorch on other processors (the C library's functions) */
    RNG_TORCH_CUDA        /* Philox */
} rng_kind;

/* The generator to match. processors and threads describe the GPU, since the order of values
 * depends on its number of threads if a draw has more values than that. processors 0: a GPU with
 * enough threads for all values. */
typedef struct {
    rng_kind kind;
    int processors, threads; /* multiprocessors, and threads that each can hold */
} rng_source;

typedef struct {
    rng_source source;
    /* mt19937 */
    uint32_t state[624];
    int left;
    uint32_t next;
    int has_cached; /* the second value of the last Box-Muller pair (short draws only) */
    double cached;
    /* Philox: the key, and the common offset of all subsequences */
    uint64_t key, offset;
} rng;

/* Parses torch-cpu, torch-cpu-scalar, torch-cuda, torch-cuda:SMs or torch-cuda:SMsxTHREADS.
 * ERR_USAGE for anything else. */
status rng_source_parse(rng_source *source, const char *typed);

/* Checks that a draw of n values is defined. ERR_USAGE if the GPU is not given and only some GPUs
 * would draw in this order. ERR_LIMIT if PyTorch would split the draw. */
status rng_source_check(const rng_source *source, size_t n);

/* torch.manual_seed(seed). The CPU generators use only the low 32 bits, as PyTorch does. rng_seed:
 * for torch-cpu. */
void rng_seed(rng *r, uint64_t seed);
void rng_seed_source(rng *r, const rng_source *source, uint64_t seed);

/* out[0..n) = torch.randn(n) in one call. Never split a draw. On the CPU fewer than 16 values take
 * the double path; more take the path in blocks of 16, which redraws the tail. On CUDA each call
 * advances every thread's subsequence. */
void rng_randn(rng *r, float *out, size_t n);

/* The part of rng_randn for RNG_TORCH_CUDA; four words of Philox4x32-10. */
void philox_randn(rng *r, float *out, size_t n);
void philox_words(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
