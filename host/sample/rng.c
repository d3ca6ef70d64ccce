/* PyTorch's CPU stream, and which stream is meant. See rng.h.
 *
 * mt19937 with torch's two ways to normal values (aten/src/ATen/native/cpu/DistributionTemplates.h,
 * core/DistributionsHelper.h). The block path's logarithm, sine and cosine are those of its AVX2
 * kernel, down to where GCC fused multiply and add: every fusion is an explicit fmaf here and no
 * other product feeds a sum, so the bits depend neither on the compiler nor on the processor.
 *
 * The polynomials are Cephes' (Stephen L. Moshier), after the single-precision SIMD versions of
 * Julien Pommier and Giovanni Garberoglio, published under the zlib licence:
 *   This software is provided 'as-is', without any express or implied warranty. In no event will
 *   the authors be held liable for any damages arising from the use of this software. Permission is
 *   granted to anyone to use this software for any purpose, including commercial applications, and
 *   to alter it and redistribute it freely, subject to the following restrictions: 1. The origin of
 *   this software must not be misrepresented; you must not claim that you wrote the original
 *   software. If you use this software in a product, an acknowledgment in the product documentation
 *   would be appreciated but is not required. 2. Altered source versions must be plainly marked as
 *   such, and must not be misrepresented as being the original software. 3. This notice may not be
 *   removed or altered from any source distribution.
 * What follows is an altered version. */
#include "sample/rng.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/fp16.h"
#include "base/text.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float arithmetic must round to float at every step");

enum { STATE = 624, SHIFT = 397, BLOCK = 16, PAIRS = BLOCK / 2 };

static const double two_pi = 6.283185307179586476925;

/* ---- choice of the generator ---- */

enum { LEAST_THREADS = 256, MOST_THREADS = 1 << 16, MOST_PROCESSORS = 1 << 16 };
/* All GPUs but the smallest hold this many threads. */
static const size_t same_everywhere = 16384;
/* For larger tensors PyTorch needs 64-bit indices and splits the draw. */
static const size_t most_at_once = ((size_t)1 << 29) - 1;

static const char cuda_name[] = "torch-cuda";

/* Parses "68" or "68x1536". */
static bool parse_gpu(rng_source *source, const char *typed)
{
    char processors[16];
    uint64_t number;
    size_t n = strcspn(typed, "x");
    if (n >= sizeof processors) return false;
    memcpy(processors, typed, n);
    processors[n] = 0;
    if (!text_to_uint(processors, &number) || number < 1 || number > MOST_PROCESSORS) return false;
    source->processors = (int)number;
    if (!typed[n]) return true;
    if (!text_to_uint(typed + n + 1, &number) || number < LEAST_THREADS || number > MOST_THREADS)
        return false;
    source->threads = (int)number;
    return true;
}

status rng_source_parse(rng_source *source, const char *typed)
{
    *source = (rng_source){.kind = RNG_TORCH_CPU, .threads = 2048};
    if (!strcmp(typed, "torch-cpu")) return OK;
    source->kind = RNG_TORCH_CPU_SCALAR;
    if (!strcmp(typed, "torch-cpu-scalar")) return OK;
    source->kind = RNG_TORCH_CUDA;
    if (!strcmp(typed, cuda_name)) return OK;
    size_t n = strlen(cuda_name);
    if (!strncmp(typed, cuda_name, n) && typed[n] == ':') {
        if (parse_gpu(source, typed + n + 1)) return OK;
        return fail(ERR_USAGE,
                    "--rng %.60s: expected the GPU's multiprocessors, as in %s:108, or "
                    "with the threads of each, as in %s:68x1536",
                    typed, cuda_name, cuda_name);
    }
    return fail(ERR_USAGE,
                "--rng %.60s: expected torch-cpu, torch-cpu-scalar, torch-cuda or "
                "torch-cuda:SMs",
                typed);
}

status rng_source_check(const rng_source *source, size_t n)
{
    if (source->kind != RNG_TORCH_CUDA) return OK;
    if (n > most_at_once)
        return fail(ERR_LIMIT, "--rng %s: %zu values at once are more than %zu", cuda_name, n,
                    most_at_once);
    if (source->processors > 0 || n <= same_everywhere) return OK;
    fail(ERR_USAGE, "--rng %s: GPUs draw %zu values at once in an order that depends on their size",
         cuda_name, n);
    fail_hint("give the GPU's multiprocessors, and the threads of each if not 2048: "
              "--rng torch-cuda:108 or torch-cuda:68x1536");
    return ERR_USAGE;
}

/* ---- uniform ---- */

void rng_seed(rng *r, uint64_t seed)
{
    rng_seed_source(r, &(rng_source){.kind = RNG_TORCH_CPU}, seed);
}

void rng_seed_source(rng *r, const rng_source *source, uint64_t seed)
{
    *r = (rng){.source = *source, .left = 1, .key = seed};
    r->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < STATE; i++) {
        uint32_t before = r->state[i - 1];
        r->state[i] = 1812433253u * (before ^ before >> 30) + i;
    }
}

static void next_state(rng *r)
{
    uint32_t *s = r->state;
    for (int i = 0; i < STATE; i++) {
        uint32_t low = s[(i + 1) % STATE];
        uint32_t mixed = (s[i] & 0x80000000u) | (low & 0x7fffffffu);
        s[i] = s[(i + SHIFT) % STATE] ^ mixed >> 1 ^ (low & 1u ? 0x9908b0dfu : 0u);
    }
    r->left = STATE;
    r->next = 0;
}

static uint32_t random_32(rng *r)
{
    if (--r->left == 0) next_state(r);
    uint32_t y = r->state[r->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* Uniform in [0, 1), in steps of 2^-24. */
static float uniform_float(rng *r)
{
    return (float)(random_32(r) & 0xffffffu) * 0x1p-24f;
}

/* Uniform in [0, 1), in steps of 2^-53. The first word is the upper one. */
static double uniform_double(rng *r)
{
    uint64_t high = random_32(r);
    uint64_t bits = high << 32 | random_32(r);
    return (double)(bits & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* ---- short draws: Box-Muller in double, one value at a time ---- */

static float normal_single(rng *r)
{
    if (r->has_cached) {
        r->has_cached = 0;
        return (float)r->cached;
    }
    double u1 = uniform_double(r), u2 = uniform_double(r);
    double radius = sqrt(-2.0 * log1p(-u2)), angle = two_pi * u1;
    r->cached = radius * sin(angle);
    r->has_cached = 1;
    return (float)(radius * cos(angle));
}

/* ---- long draws: Box-Muller in float, sixteen at a time ---- */

/* Natural logarithm of x in (0, 1]. */
static float log_float(float x)
{
    static const float p[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                              -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                              2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
    if (x < FLT_MIN) x = FLT_MIN;
    uint32_t bits = float_bits(x);
    float e = (float)((int)(bits >> 23) - 126);
    x = float_from_bits((bits & 0x007fffffu) | 0x3f000000u); /* [0.5, 1) */
    if (x < 0.707106781186547524f) {
        float half = x;
        x = x - 1.0f;
        e = e - 1.0f;
        x = x + half;
    } else {
        x = x - 1.0f;
    }
    float z = x * x, y = p[0];
    for (int i = 1; i < 9; i++) y = fmaf(y, x, p[i]);
    y = y * x;
    y = fmaf(y, z, e * -2.12194440e-4f);
    y = fmaf(-z, 0.5f, y);
    x = x + y;
    return fmaf(e, 0.693359375f, x);
}

/* Sine and cosine of x >= 0. */
static void sine_cosine_float(float x, float *sine, float *cosine)
{
    int octant = (int)(x * 1.27323954473516f);
    octant = (octant + 1) & ~1;
    float y = (float)octant;
    x = fmaf(y, -0.78515625f, x); /* minus y pi/4, in three parts */
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float z = x * x;

    float c = fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f);
    c = fmaf(c, z, 4.166664568298827e-2f);
    c = c * z;
    c = fmaf(c, z, -(z * 0.5f));
    c = c + 1.0f;

    float s = fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f);
    s = fmaf(s, z, -1.6666654611e-1f);
    s = s * z;
    s = fmaf(s, x, x);

    int quadrant = octant >> 1 & 3;
    float a = quadrant & 1 ? c : s, b = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -a : a;
    *cosine = quadrant == 1 || quadrant == 2 ? -b : b;
}

/* Turns sixteen uniform values into normal ones, in place. */
static void normal_block(float *d)
{
    for (int i = 0; i < PAIRS; i++) {
        float radius = sqrtf(-2.0f * log_float(1.0f - d[i])), sine, cosine;
        sine_cosine_float((float)two_pi * d[i + PAIRS], &sine, &cosine);
        d[i] = radius * cosine;
        d[i + PAIRS] = radius * sine;
    }
}

/* The same for processors without the vector kernel. The angle is rounded once. */
static void normal_block_scalar(float *d)
{
    for (int i = 0; i < PAIRS; i++) {
        float radius = sqrtf(-2.0f * logf(1.0f - d[i]));
        float angle = (float)(two_pi * (double)d[i + PAIRS]);
        d[i] = radius * cosf(angle);
        d[i + PAIRS] = radius * sinf(angle);
    }
}

void rng_randn(rng *r, float *out, size_t n)
{
    void (*normal)(float *) =
        r->source.kind == RNG_TORCH_CPU_SCALAR ? normal_block_scalar : normal_block;
    if (r->source.kind == RNG_TORCH_CUDA) {
        philox_randn(r, out, n);
        return;
    }
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++) out[i] = normal_single(r);
        return;
    }
    for (size_t i = 0; i < n; i++) out[i] = uniform_float(r);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK) normal(out + i);
    if (n % BLOCK) { /* the last sixteen values are redrawn, though some were drawn before */
        float *tail = out + n - BLOCK;
        for (int i = 0; i < BLOCK; i++) tail[i] = uniform_float(r);
        normal(tail);
    }
}
