/* 16-bit floating point storage, read exactly. */
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

/* IEEE binary16 -> float, subnormals, infinities and NaN included. Without a branch, so that loops
 * over it become vectors. */
static inline float fp16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t normal = rest + (112u << 23);
    uint32_t subnormal = float_bits(float_from_bits(rest + (113u << 23)) - 0x1p-14f);
    uint32_t bits = rest < 1u << 23 ? subnormal : normal;
    return float_from_bits(sign | (rest >= 31u << 23 ? rest | 0x7f800000u : bits));
}

/* float -> IEEE binary16, nearest even: infinite from 65520 on; NaN stays NaN. */
static inline uint16_t float_to_fp16(float f)
{
    uint32_t bits = float_bits(f), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= float_bits(65520.0f)) return (uint16_t)(sign | 0x7c00u);
    if (rest < float_bits(0x1p-14f)) /* the sum's last bit is a subnormal's */
        return (uint16_t)(sign | (float_bits(float_from_bits(rest) + 0.5f) - float_bits(0.5f)));
    return (uint16_t)(sign | (rest + 0xfffu + (rest >> 13 & 1u) - (112u << 23)) >> 13);
}

#define FP16_LARGEST 65504.0f

/* The same, but values too large become the largest finite half instead of infinity. */
static inline uint16_t float_to_fp16_finite(float f)
{
    return float_to_fp16(f > FP16_LARGEST ? FP16_LARGEST : f < -FP16_LARGEST ? -FP16_LARGEST : f);
}

/* bfloat16 -> float: the upper half of the bits. */
static inline float bf16_to_float(uint16_t b)
{
    return float_from_bits((uint32_t)b << 16);
}

/* float -> bfloat16, nearest even; NaN stays NaN. */
static inline uint16_t float_to_bf16(float f)
{
    uint32_t bits = float_bits(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Neither infinite nor NaN, whatever -ffast-math would say. */
static inline int float_is_finite(float f)
{
    return (float_bits(f) & 0x7f800000u) != 0x7f800000u;
}

#endif
