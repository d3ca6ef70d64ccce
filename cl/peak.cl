/* Measures a device's peaks, for bench/peak.c: multiply-adds without memory, a plain copy, an empty
 * kernel. Results are stored only so that the compiler keeps the loops.
 *
 * VEC: floats of a vector. CHAINS: independent sums. PER: vectors that a work-item copies. */

/* out [work-items]: n times CHAINS * VEC multiply-adds per work-item, in registers. */
kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
peak_fma(global float *out, float factor, float term, int n)
{
    V acc[CHAINS], total_acc = (V)(0.0f);
    /* differs between work-items; a compiler could compute a common value once */
    float start = term * (float)get_global_id(0);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) acc[i] = (V)(start + term * (float)(i + 1));
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++) acc[i] = mad(acc[i], (V)(factor), (V)(term));
#pragma unroll
    for (int i = 0; i < CHAINS; i++) total_acc += acc[i];
    float lanes[VEC], total = 0.0f;
    VSTORE(total_acc, lanes);
    for (int i = 0; i < VEC; i++) total += lanes[i];
    out[get_global_id(0)] = total;
}

/* dst = src, `vectors` vectors. One work-group = WG * PER contiguous vectors. */
kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
peak_copy(global float *dst, global const float *src, int vectors)
{
    int first = GROUP_ID(0, WG) * WG * PER + (int)get_local_id(0);
    int end = min(first + WG * PER, vectors);
    for (int i = first; i < end; i += WG) {
        size_t index = (size_t)i * VEC;
        VSTORE(VLOAD(src + index), dst + index);
    }
}

#ifdef TILES
/* out [groups][16][16]: n times six MMAs of AMX tiles per work-group. src: one tile, used as both
 * factors. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
peak_tiles(global float *out, global const float *src, int n)
{
    TILES_BEGIN();
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_ZERO(4);
    TILE_ZERO(5);
    TILE_LOAD(6, src, 0, 64);
    TILE_LOAD(7, src, 0, 64);
    for (int i = 0; i < n; i++) {
        TILE_MMA(0, 6, 7);
        TILE_MMA(1, 6, 7);
        TILE_MMA(2, 6, 7);
        TILE_MMA(3, 6, 7);
        TILE_MMA(4, 6, 7);
        TILE_MMA(5, 6, 7);
    }
    TILE_STORE(0, out + GROUP_ID(0, 1) * 256, 64);
    TILES_END();
}
#endif

#if defined BF16 && VECTOR_ASSEMBLY
/* out [groups][256]: n times CHAINS dot products of 16 pairs per work-group. src: 16 pairs, used as
 * both factors. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
peak_pairs(global float *out, global const float *src, int n)
{
    int16 pairs = as_int16(vload16(0, src));
    float16 acc[CHAINS], total_acc = 0.0f;
#pragma unroll
    for (int i = 0; i < CHAINS; i++) acc[i] = (float)i;
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++) acc[i] = dot_pairs(pairs, pairs, acc[i]);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) total_acc += acc[i];
    vstore16(total_acc, 0, out + GROUP_ID(0, 1) * 256);
}
#endif

#ifdef MATRIX_UNITS
#include "mma.clh"

/* out [groups][MMA_M][MMA_N], 256 apart: n times CHAINS MMAs per work-group, which is one
 * sub-group. src: 16 rows of both factors. */
MMA_KERNEL
kernel __attribute__((reqd_work_group_size(MMA_LANES, 1, 1))) void
peak_mma(global float *out, global const uint *src, int n)
{
    local uint tile[16 * MMA_K / 2] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, MMA_LANES)
    int lane = (int)get_local_id(0);
    mma_a a;
    mma_b b;
    mma_c acc[CHAINS], total = (mma_c)(0.0f);
    float values[MMA_C];
    for (int i = lane; i < 16 * MMA_K / 2; i += MMA_LANES) tile[i] = src[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    mma_load_a(&a, tile, MMA_K / 2, lane);
    mma_load_b(&b, tile, MMA_K / 2, lane);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) acc[i] = (mma_c)((float)i);
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++) mma_multiply(&acc[i], a, b, exchange);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) total += acc[i];
    mma_values(values, total);
    out += GROUP_ID(0, MMA_LANES) * 256;
    for (int i = 0; i < MMA_C; i++) out[MMA_ROW(lane, i) * MMA_N + MMA_COLUMN(lane, i)] = values[i];
}
#endif

kernel void peak_nothing(global float *out)
{
}
