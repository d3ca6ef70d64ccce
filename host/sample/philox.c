/* PyTorch's CUDA generator. See rng.h.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
 * The order of values is that of PyTorch's grid-stride kernel for distributions
 * (aten/src/ATen/native/cuda/DistributionTemplates.h): blocks of 256 threads, at most as many as
 * the GPU holds at once. A thread draws four values at a time from its own subsequence and stores
 * them one grid apart. */
#include "sample/rng.h"

#include <math.h>

enum { ROUNDS = 10, BLOCK_THREADS = 256, AT_ONCE = 4 };

void philox_words(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t from_a = UINT64_C(0xd2511f53) * a, from_c = UINT64_C(0xcd9e8d57) * c;
        a = (uint32_t)(from_c >> 32) ^ b ^ k0;
        b = (uint32_t)from_c;
        c = (uint32_t)(from_a >> 32) ^ d ^ k1;
        d = (uint32_t)from_a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* One of the two normal values of two words (Box-Muller): the sine for even, the cosine for odd.
 * The radius comes from (x + 1/2) / 2^32, the angle from 2 pi (y + 1/2) / 2^32; each is rounded
 * once to float. */
static float normal_of(uint32_t x, uint32_t y, int odd)
{
    const float unit = 0x1p-32f, turn = 0x1p-32f * 6.2831855f;
    float u = fmaf((float)x, unit, unit / 2), angle = fmaf((float)y, turn, turn / 2);
    float radius = sqrtf(-2.0f * (float)log((double)u));
    return radius * (float)(odd ? cos((double)angle) : sin((double)angle));
}

void philox_randn(rng *r, float *out, size_t n)
{
    const uint32_t key[2] = {(uint32_t)r->key, (uint32_t)(r->key >> 32)};
    if (n == 0) return;
    uint64_t blocks = (n + BLOCK_THREADS - 1) / BLOCK_THREADS;
    uint64_t held = (uint64_t)r->source.processors * (uint64_t)(r->source.threads / BLOCK_THREADS);
    if (held > 0 && blocks > held) blocks = held;
    uint64_t grid = blocks * BLOCK_THREADS, rounds = (n - 1) / (grid * AT_ONCE) + 1;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t at = r->offset / AT_ONCE + round, first = round * grid * AT_ONCE;
        for (uint64_t thread = 0; thread < grid && first + thread < n; thread++) {
            const uint32_t counter[4] = {(uint32_t)at, (uint32_t)(at >> 32), (uint32_t)thread,
                                         (uint32_t)(thread >> 32)};
            uint32_t words[AT_ONCE];
            philox_words(words, counter, key);
            for (int i = 0; i < AT_ONCE; i++) {
                uint64_t to = first + thread + (uint64_t)i * grid;
                if (to < n) out[to] = normal_of(words[i & 2], words[(i & 2) + 1], i & 1);
            }
        }
    }
    r->offset += rounds * AT_ONCE;
}
