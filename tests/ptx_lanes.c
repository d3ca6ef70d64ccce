/* Operations of PTX that work on each lane alone. See ptx_program.h; the rules are in PTX 9.7. */
#include <math.h>
#include <string.h>

#include "base/fp16.h"
#include "ptx_program.h"

#define EACH for (int i = 0; i < PTX_LANES; i++)

/* 16-bit values lie in words whose upper half is zero. */
typedef uint32_t word;

/* STORED: the type of a source in its register. COMPUTED: the type to which the source is
 * converted. RESULT: the type of the result, and the bits of it that are kept. x, y and z are
 * the sources. */
#define LANE_OP(name, STORED, COMPUTED, RESULT, bits, value)                                       \
    static void name(void *r, const void *pa, const void *pb, const void *pc)                      \
    {                                                                                              \
        const STORED *a = pa, *b = pb ? pb : pa, *c = pc ? pc : pa;                                \
        RESULT *out = r;                                                                           \
        EACH                                                                                       \
        {                                                                                          \
            COMPUTED x = (COMPUTED)a[i], y = (COMPUTED)b[i], z = (COMPUTED)c[i];                   \
            (void)y, (void)z;                                                                      \
            out[i] = (RESULT)(value) & (RESULT)(bits);                                             \
        }                                                                                          \
    }
#define FLOAT_OP(name, value)                                                                      \
    static void name(void *r, const void *pa, const void *pb, const void *pc)                      \
    {                                                                                              \
        const float *a = pa, *b = pb ? pb : pa, *c = pc ? pc : pa;                                 \
        float *out = r;                                                                            \
        EACH                                                                                       \
        {                                                                                          \
            float x = a[i], y = b[i], z = c[i];                                                    \
            (void)y, (void)z;                                                                      \
            out[i] = value;                                                                        \
        }                                                                                          \
    }
/* Shift counts are words, and clamped. */
#define SHIFT_OP(name, STORED, COMPUTED, bits, value)                                              \
    static void name(void *r, const void *pa, const void *pb, const void *pc)                      \
    {                                                                                              \
        const STORED *a = pa;                                                                      \
        const uint32_t *b = pb;                                                                    \
        STORED *out = r;                                                                           \
        (void)pc;                                                                                  \
        EACH                                                                                       \
        {                                                                                          \
            COMPUTED x = (COMPUTED)a[i];                                                           \
            int n = 8 * (int)sizeof x, y = b[i] < (uint32_t)n ? (int)b[i] : n;                     \
            (void)n;                                                                               \
            out[i] = (STORED)(value) & (STORED)(bits);                                             \
        }                                                                                          \
    }
#define COMPARE_OP(name, STORED, COMPUTED, condition)                                              \
    static void name(void *r, const void *pa, const void *pb, const void *pc)                      \
    {                                                                                              \
        const STORED *a = pa, *b = pb;                                                             \
        uint32_t lanes = 0;                                                                        \
        (void)pc;                                                                                  \
        EACH                                                                                       \
        {                                                                                          \
            COMPUTED x = (COMPUTED)a[i], y = (COMPUTED)b[i];                                       \
            lanes |= (uint32_t)(condition) << i;                                                   \
        }                                                                                          \
        *(uint32_t *)r = lanes;                                                                    \
    }
#define PREDICATE_OP(name, value)                                                                  \
    static void name(void *r, const void *pa, const void *pb, const void *pc)                      \
    {                                                                                              \
        uint32_t x = *(const uint32_t *)pa, y = pb ? *(const uint32_t *)pb : 0;                    \
        (void)pc, (void)y;                                                                         \
        *(uint32_t *)r = value;                                                                    \
    }

#define INTEGER_OPS(t, STORED, S, U, bits)                                                         \
    LANE_OP(add_##t, STORED, U, STORED, bits, x + y)                                               \
    LANE_OP(sub_##t, STORED, U, STORED, bits, x - y)                                               \
    LANE_OP(mul_##t, STORED, U, STORED, bits, (STORED)x *(STORED)y)                                \
    LANE_OP(mad_##t, STORED, U, STORED, bits, (STORED)x *(STORED)y + (STORED)z)                    \
    LANE_OP(and_##t, STORED, U, STORED, bits, x &y)                                                \
    LANE_OP(or_##t, STORED, U, STORED, bits, x | y)                                                \
    LANE_OP(xor_##t, STORED, U, STORED, bits, x ^ y)                                               \
    LANE_OP(not_##t, STORED, U, STORED, bits, ~x)                                                  \
    LANE_OP(neg_##t, STORED, U, STORED, bits, (STORED)0 - (STORED)x)                               \
    LANE_OP(abs_##t, STORED, S, STORED, bits, x < 0 ? (STORED)0 - (STORED)x : (STORED)x)           \
    LANE_OP(min_s##t, STORED, S, STORED, bits, x < y ? x : y)                                      \
    LANE_OP(max_s##t, STORED, S, STORED, bits, x > y ? x : y)                                      \
    LANE_OP(min_u##t, STORED, U, STORED, bits, x < y ? x : y)                                      \
    LANE_OP(max_u##t, STORED, U, STORED, bits, x > y ? x : y)                                      \
    LANE_OP(div_u##t, STORED, U, STORED, bits, y ? x / y : (U) ~(U)0)                              \
    LANE_OP(rem_u##t, STORED, U, STORED, bits, y ? x % y : x)                                      \
    LANE_OP(div_s##t, STORED, S, STORED, bits,                                                     \
            y == 0    ? ~(STORED)0                                                                 \
            : y == -1 ? (STORED)0 - (STORED)x                                                      \
                      : (STORED)(x / y))                                                           \
    LANE_OP(rem_s##t, STORED, S, STORED, bits, y == 0 ? x : y == -1 ? 0 : x % y)                   \
    SHIFT_OP(shl_##t, STORED, U, bits, y == n ? 0 : (STORED)x << y)                                \
    SHIFT_OP(shr_u##t, STORED, U, bits, y == n ? 0 : x >> y)                                       \
    SHIFT_OP(shr_s##t, STORED, S, bits, x >> (y == n ? n - 1 : y))                                 \
    COMPARE_OP(eq_##t, STORED, U, x == y)                                                          \
    COMPARE_OP(ne_##t, STORED, U, x != y)                                                          \
    COMPARE_OP(lt_s##t, STORED, S, x < y)                                                          \
    COMPARE_OP(le_s##t, STORED, S, x <= y)                                                         \
    COMPARE_OP(gt_s##t, STORED, S, x > y)                                                          \
    COMPARE_OP(ge_s##t, STORED, S, x >= y)                                                         \
    COMPARE_OP(lt_u##t, STORED, U, x < y)                                                          \
    COMPARE_OP(le_u##t, STORED, U, x <= y)                                                         \
    COMPARE_OP(gt_u##t, STORED, U, x > y)                                                          \
    COMPARE_OP(ge_u##t, STORED, U, x >= y)
INTEGER_OPS(16, word, int16_t, uint16_t, 0xffff)
INTEGER_OPS(32, word, int32_t, uint32_t, ~(word)0)
INTEGER_OPS(64, uint64_t, int64_t, uint64_t, ~(uint64_t)0)

LANE_OP(mul_hi_s32, word, int32_t, word, ~(word)0, (uint64_t)((int64_t)x *y) >> 32)
LANE_OP(mul_hi_u32, word, uint32_t, word, ~(word)0, (uint64_t)x *y >> 32)
LANE_OP(mul_hi_u16, word, uint16_t, word, 0xffff, (uint32_t)x *y >> 16)
LANE_OP(mul_hi_s16, word, int16_t, word, 0xffff, (uint32_t)(x *y) >> 16)
LANE_OP(mul_wide_s32, word, int32_t, uint64_t, ~(uint64_t)0, (int64_t)x *y)
LANE_OP(mul_wide_u32, word, uint32_t, uint64_t, ~(uint64_t)0, (uint64_t)x *y)
LANE_OP(mul_wide_s16, word, int16_t, word, ~(word)0, x *y)
LANE_OP(mul_wide_u16, word, uint16_t, word, ~(word)0, (uint32_t)x *y)
LANE_OP(bfe_u32, word, uint32_t, word, ~(word)0,
        y > 31 || z == 0 ? 0 : x >> y & (z > 31 ? ~0u : (1u << z) - 1u))

/* shifts the field up until its highest bit is the top bit, and down again */
static uint32_t signed_field(uint32_t x, uint32_t from, uint32_t bits)
{
    if (bits == 0) return 0;
    if (from + bits > 32) bits = 32 - from;
    return (uint32_t)((int32_t)(x << (32 - from - bits)) >> (32 - bits));
}
LANE_OP(bfe_s32, word, uint32_t, word, ~(word)0, y > 31 || z > 32 ? 0 : signed_field(x, y, z))

FLOAT_OP(add_f32, x + y)
FLOAT_OP(sub_f32, x - y)
FLOAT_OP(mul_f32, x *y)
FLOAT_OP(div_f32, x / y)
FLOAT_OP(neg_f32, -x)
FLOAT_OP(abs_f32, fabsf(x))
FLOAT_OP(min_f32, fminf(x, y))
FLOAT_OP(max_f32, fmaxf(x, y))
FLOAT_OP(min_nan_f32, x != x || y != y ? (float)NAN : fminf(x, y))
FLOAT_OP(max_nan_f32, x != x || y != y ? (float)NAN : fmaxf(x, y))
FLOAT_OP(rcp_f32, 1.0f / x)
FLOAT_OP(sqrt_f32, sqrtf(x))
FLOAT_OP(rsqrt_f32, 1.0f / sqrtf(x))
FLOAT_OP(ex2_f32, exp2f(x))
FLOAT_OP(lg2_f32, log2f(x))
FLOAT_OP(round_f32, rintf(x))
FLOAT_OP(trunc_f32, truncf(x))
FLOAT_OP(floor_f32, floorf(x))
FLOAT_OP(ceil_f32, ceilf(x))

/* Each of these rounds once. The product of two floats has 48 bits, so it is exact in a double.
 * Its sum with a float could be rounded twice in double, so the multiply-add is fmaf. */
static void fma_f32(void *r, const void *pa, const void *pb, const void *pc)
{
    const float *a = pa, *b = pb, *c = pc;
    float *out = r;
    EACH out[i] = fmaf(a[i], b[i], c[i]);
}

COMPARE_OP(eq_f32, float, float, x == y)
COMPARE_OP(ne_f32, float, float, x<y || x> y)
COMPARE_OP(lt_f32, float, float, x < y)
COMPARE_OP(le_f32, float, float, x <= y)
COMPARE_OP(gt_f32, float, float, x > y)
COMPARE_OP(ge_f32, float, float, x >= y)
COMPARE_OP(equ_f32, float, float, !(x < y || x > y))
COMPARE_OP(neu_f32, float, float, x != y)
COMPARE_OP(ltu_f32, float, float, !(x >= y))
COMPARE_OP(leu_f32, float, float, !(x > y))
COMPARE_OP(gtu_f32, float, float, !(x <= y))
COMPARE_OP(geu_f32, float, float, !(x < y))
COMPARE_OP(num_f32, float, float, x == x && y == y)
COMPARE_OP(nan_f32, float, float, x != x || y != y)

PREDICATE_OP(and_pred, x &y)
PREDICATE_OP(or_pred, x | y)
PREDICATE_OP(xor_pred, x ^ y)
PREDICATE_OP(not_pred, ~x)
PREDICATE_OP(copy_pred, x)

/* ---- conversions ---- */

LANE_OP(s64_of_s32, word, int32_t, uint64_t, ~(uint64_t)0, (int64_t)x)
LANE_OP(u64_of_u32, word, uint32_t, uint64_t, ~(uint64_t)0, x)
LANE_OP(u64_of_u16, word, uint16_t, uint64_t, ~(uint64_t)0, x)
LANE_OP(s64_of_s8, word, int8_t, uint64_t, ~(uint64_t)0, (int64_t)x)
LANE_OP(s64_of_s16, word, int16_t, uint64_t, ~(uint64_t)0, (int64_t)x)
LANE_OP(u32_of_u64, uint64_t, uint64_t, word, ~(word)0, x)
LANE_OP(u16_of_u64, uint64_t, uint64_t, word, 0xffff, x)
LANE_OP(u32_of_u16, word, uint16_t, word, ~(word)0, x)
LANE_OP(s32_of_s16, word, int16_t, word, ~(word)0, x)
LANE_OP(s32_of_s8, word, int8_t, word, ~(word)0, x)
LANE_OP(u32_of_u8, word, uint8_t, word, ~(word)0, x)
LANE_OP(s16_of_s8, word, int8_t, word, 0xffff, x)
LANE_OP(u16_of_u8, word, uint8_t, word, 0xffff, x)
LANE_OP(u16_of_u32, word, uint32_t, word, 0xffff, x)

static int32_t to_int(float x)
{
    return x != x ? 0 : x >= 0x1p31f ? INT32_MAX : x <= -0x1p31f ? INT32_MIN : (int32_t)x;
}

static uint32_t to_uint(float x)
{
    return !(x > 0) ? 0 : x >= 0x1p32f ? UINT32_MAX : (uint32_t)x;
}

#define CONVERT_OP(name, FROM, TO, value)                                                          \
    static void name(void *r, const void *pa, const void *pb, const void *pc)                      \
    {                                                                                              \
        const FROM *a = pa, *b = pb ? pb : pa;                                                     \
        TO *out = r;                                                                               \
        (void)pc;                                                                                  \
        EACH                                                                                       \
        {                                                                                          \
            FROM x = a[i], y = b[i];                                                               \
            (void)y;                                                                               \
            out[i] = value;                                                                        \
        }                                                                                          \
    }
CONVERT_OP(s32_of_f32, float, int32_t, to_int(truncf(x)))
CONVERT_OP(s32_near_f32, float, int32_t, to_int(rintf(x)))
CONVERT_OP(u32_of_f32, float, uint32_t, to_uint(truncf(x)))
CONVERT_OP(f32_of_s32, int32_t, float, (float)x)
CONVERT_OP(f32_of_u32, uint32_t, float, (float)x)
CONVERT_OP(f16_of_f32, float, word, float_to_fp16(x))
CONVERT_OP(f32_of_f16, word, float, fp16_to_float((uint16_t)x))
CONVERT_OP(bf16_of_f32, float, word, float_to_bf16(x))
/* the first source is the upper half */
CONVERT_OP(f16x2_of_f32, float, word, (word)float_to_fp16(x) << 16 | float_to_fp16(y))
CONVERT_OP(bf16x2_of_f32, float, word, (word)float_to_bf16(x) << 16 | float_to_bf16(y))

/* ---- names ---- */

#define INTEGER_NAMES(t, size)                                                                     \
    {"add.s" #t, add_##t, size, 2}, {"add.u" #t, add_##t, size, 2},                                \
        {"sub.s" #t, sub_##t, size, 2}, {"sub.u" #t, sub_##t, size, 2},                            \
        {"mul.lo.s" #t, mul_##t, size, 2}, {"mul.lo.u" #t, mul_##t, size, 2},                      \
        {"mad.lo.s" #t, mad_##t, size, 3}, {"mad.lo.u" #t, mad_##t, size, 3},                      \
        {"and.b" #t, and_##t, size, 2}, {"or.b" #t, or_##t, size, 2},                              \
        {"xor.b" #t, xor_##t, size, 2}, {"not.b" #t, not_##t, size, 1},                            \
        {"neg.s" #t, neg_##t, size, 1}, {"abs.s" #t, abs_##t, size, 1},                            \
        {"min.s" #t, min_s##t, size, 2}, {"max.s" #t, max_s##t, size, 2},                          \
        {"min.u" #t, min_u##t, size, 2}, {"max.u" #t, max_u##t, size, 2},                          \
        {"div.s" #t, div_s##t, size, 2}, {"div.u" #t, div_u##t, size, 2},                          \
        {"rem.s" #t, rem_s##t, size, 2}, {"rem.u" #t, rem_u##t, size, 2},                          \
        {"shl.b" #t, shl_##t, size, 2}, {"shr.u" #t, shr_u##t, size, 2},                           \
        {"shr.s" #t, shr_s##t, size, 2}, {"setp.eq.s" #t, eq_##t, 0, 2},                           \
        {"setp.eq.u" #t, eq_##t, 0, 2}, {"setp.eq.b" #t, eq_##t, 0, 2},                            \
        {"setp.ne.s" #t, ne_##t, 0, 2}, {"setp.ne.u" #t, ne_##t, 0, 2},                            \
        {"setp.ne.b" #t, ne_##t, 0, 2}, {"setp.lt.s" #t, lt_s##t, 0, 2},                           \
        {"setp.le.s" #t, le_s##t, 0, 2}, {"setp.gt.s" #t, gt_s##t, 0, 2},                          \
        {"setp.ge.s" #t, ge_s##t, 0, 2}, {"setp.lt.u" #t, lt_u##t, 0, 2},                          \
        {"setp.le.u" #t, le_u##t, 0, 2}, {"setp.gt.u" #t, gt_u##t, 0, 2},                          \
    {                                                                                              \
        "setp.ge.u" #t, ge_u##t, 0, 2                                                              \
    }

#define FLOAT_COMPARE(c)                                                                           \
    {                                                                                              \
        "setp." #c ".f32", c##_f32, 0, 2                                                           \
    }

static const lane_op all[] = {
    INTEGER_NAMES(16, 4),
    INTEGER_NAMES(32, 4),
    INTEGER_NAMES(64, 8),
    {"mul.hi.s32", mul_hi_s32, 4, 2},
    {"mul.hi.u32", mul_hi_u32, 4, 2},
    {"mul.hi.s16", mul_hi_s16, 4, 2},
    {"mul.hi.u16", mul_hi_u16, 4, 2},
    {"mul.wide.s32", mul_wide_s32, 8, 2},
    {"mul.wide.u32", mul_wide_u32, 8, 2},
    {"mul.wide.s16", mul_wide_s16, 4, 2},
    {"mul.wide.u16", mul_wide_u16, 4, 2},
    {"bfe.u32", bfe_u32, 4, 3},
    {"bfe.s32", bfe_s32, 4, 3},
    {"add.f32", add_f32, 4, 2},
    {"add.rn.f32", add_f32, 4, 2},
    {"sub.f32", sub_f32, 4, 2},
    {"sub.rn.f32", sub_f32, 4, 2},
    {"mul.f32", mul_f32, 4, 2},
    {"mul.rn.f32", mul_f32, 4, 2},
    {"div.rn.f32", div_f32, 4, 2},
    {"fma.rn.f32", fma_f32, 4, 3},
    {"neg.f32", neg_f32, 4, 1},
    {"abs.f32", abs_f32, 4, 1},
    {"min.f32", min_f32, 4, 2},
    {"max.f32", max_f32, 4, 2},
    {"min.NaN.f32", min_nan_f32, 4, 2},
    {"max.NaN.f32", max_nan_f32, 4, 2},
    {"rcp.rn.f32", rcp_f32, 4, 1},
    {"sqrt.rn.f32", sqrt_f32, 4, 1},
    {"rsqrt.approx.f32", rsqrt_f32, 4, 1},
    {"ex2.approx.f32", ex2_f32, 4, 1},
    {"ex2.approx.ftz.f32", ex2_f32, 4, 1},
    {"lg2.approx.f32", lg2_f32, 4, 1},
    {"cvt.rni.f32.f32", round_f32, 4, 1},
    {"cvt.rzi.f32.f32", trunc_f32, 4, 1},
    {"cvt.rmi.f32.f32", floor_f32, 4, 1},
    {"cvt.rpi.f32.f32", ceil_f32, 4, 1},
    FLOAT_COMPARE(eq),
    FLOAT_COMPARE(ne),
    FLOAT_COMPARE(lt),
    FLOAT_COMPARE(le),
    FLOAT_COMPARE(gt),
    FLOAT_COMPARE(ge),
    FLOAT_COMPARE(equ),
    FLOAT_COMPARE(neu),
    FLOAT_COMPARE(ltu),
    FLOAT_COMPARE(leu),
    FLOAT_COMPARE(gtu),
    FLOAT_COMPARE(geu),
    FLOAT_COMPARE(num),
    FLOAT_COMPARE(nan),
    {"and.pred", and_pred, 0, 2},
    {"or.pred", or_pred, 0, 2},
    {"xor.pred", xor_pred, 0, 2},
    {"not.pred", not_pred, 0, 1},
    {"mov.pred", copy_pred, 0, 1},
    {"cvt.s64.s32", s64_of_s32, 8, 1},
    {"cvt.u64.u32", u64_of_u32, 8, 1},
    {"cvt.u64.u16", u64_of_u16, 8, 1},
    {"cvt.s64.s8", s64_of_s8, 8, 1},
    {"cvt.s64.s16", s64_of_s16, 8, 1},
    {"cvt.u32.u64", u32_of_u64, 4, 1},
    {"cvt.u16.u64", u16_of_u64, 4, 1},
    {"cvt.u32.u16", u32_of_u16, 4, 1},
    {"cvt.s32.s16", s32_of_s16, 4, 1},
    {"cvt.s32.s8", s32_of_s8, 4, 1},
    {"cvt.u32.u8", u32_of_u8, 4, 1},
    {"cvt.s16.s8", s16_of_s8, 4, 1},
    {"cvt.u16.u8", u16_of_u8, 4, 1},
    {"cvt.u16.u32", u16_of_u32, 4, 1},
    {"cvt.rzi.s32.f32", s32_of_f32, 4, 1},
    {"cvt.rni.s32.f32", s32_near_f32, 4, 1},
    {"cvt.rzi.u32.f32", u32_of_f32, 4, 1},
    {"cvt.rn.f32.s32", f32_of_s32, 4, 1},
    {"cvt.rn.f32.u32", f32_of_u32, 4, 1},
    {"cvt.rn.f16.f32", f16_of_f32, 4, 1},
    {"cvt.f32.f16", f32_of_f16, 4, 1},
    {"cvt.rn.bf16.f32", bf16_of_f32, 4, 1},
    {"cvt.rn.f16x2.f32", f16x2_of_f32, 4, 2},
    {"cvt.rn.bf16x2.f32", bf16x2_of_f32, 4, 2},
};

const lane_op *lane_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, name)) return &all[i];
    return NULL;
}
