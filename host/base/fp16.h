/* 16-bit floating point storage: fp16 and bf16. */
#ifndef DITCL_BASE_FP16_H
#define DITCL_BASE_FP16_H

#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE binary16 to float, including subnormals, infinities and NaN. It has no branch, so that
 * compilers vectorise loops over it. */
static inline float fp16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t normal = rest + (112u << 23);
    uint32_t subnormal = float_bits(float_from_bits(rest + (113u << 23)) - 0x1p-14f);
    uint32_t bits = rest < 1u << 23 ? subnormal : normal;
    return float_from_bits(sign | (rest >= 31u << 23 ? rest | 0x7f800000u : bits));
}

/* float to IEEE binary16, rounded to nearest even; infinite from 65520 on; NaN stays NaN. */
static inline uint16_t float_to_fp16(float f)
{
    uint32_t bits = float_bits(f), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= float_bits(65520.0f)) return (uint16_t)(sign | 0x7c00u);
    if (rest < float_bits(0x1p-14f)) /* adding 0.5 rounds at the last bit of a subnormal */
        return (uint16_t)(sign | (float_bits(float_from_bits(rest) + 0.5f) - float_bits(0.5f)));
    return (uint16_t)(sign | (rest + 0xfffu + (rest >> 13 & 1u) - (112u << 23)) >> 13);
}

#define FP16_LARGEST 65504.0f

/* The same, but values that are too large become 65504 instead of infinity. */
static inline uint16_t float_to_fp16_finite(float f)
{
    return float_to_fp16(f > FP16_LARGEST ? FP16_LARGEST : f < -FP16_LARGEST ? -FP16_LARGEST : f);
}

/* bf16 to float: the upper 16 bits. */
static inline float bf16_to_float(uint16_t b)
{
    return float_from_bits((uint32_t)b << 16);
}

/* float to bf16, rounded to nearest even; NaN stays NaN. */
static inline uint16_t float_to_bf16(float f)
{
    uint32_t bits = float_bits(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* False for infinity and NaN, even with -ffast-math. */
static inline int float_is_finite(float f)
{
    return (float_bits(f) & 0x7f800000u) != 0x7f800000u;
}

#endif
