/* Measures a device's peaks, for tune/peak.c: multiply-adds without memory, a plain copy, an empty
 * kernel.
 *
 * VEC: floats of a vector. CHAINS: independent sums. PER: vectors that a work-item copies. */

/* out [items] = meaningless sums: n times CHAINS * VEC multiply-adds per work-item, in
 * registers. */
kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
peak_fma(global float *out, float factor, float term, int n)
{
    V sum[CHAINS], all = (V)(0.0f);
    /* differs between work-items: a compiler could compute a common value once */
    float mine = term * (float)get_global_id(0);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) sum[i] = (V)(mine + term * (float)(i + 1));
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++) sum[i] = mad(sum[i], (V)(factor), (V)(term));
#pragma unroll
    for (int i = 0; i < CHAINS; i++) all += sum[i];
    float lane[VEC], total = 0.0f;
    VSTORE(all, lane);
    for (int i = 0; i < VEC; i++) total += lane[i];
    out[get_global_id(0)] = total;
}

/* to = from, `vectors` vectors. A work-group copies WG * PER contiguous vectors. */
kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
peak_copy(global float *to, global const float *from, int vectors)
{
    int first = GROUP_ID(0, WG) * WG * PER + (int)get_local_id(0);
    int end = min(first + WG * PER, vectors);
    for (int i = first; i < end; i += WG) {
        size_t at = (size_t)i * VEC;
        VSTORE(VLOAD(from + at), to + at);
    }
}

#ifdef TILES
/* out [groups][16][16] = n times six MMAs of matrix tiles. A multiply-add counts as two operations.
 * from: one tile, used as both factors. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
peak_tiles(global float *out, global const float *from, int n)
{
    TILES_BEGIN();
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_ZERO(4);
    TILE_ZERO(5);
    TILE_LOAD(6, from, 0, 64);
    TILE_LOAD(7, from, 0, 64);
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
/* out [groups][256]: n times CHAINS dot products of 16 pairs. from: 16 pairs, used as both
 * factors. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
peak_pairs(global float *out, global const float *from, int n)
{
    int16 pairs = as_int16(vload16(0, from));
    float16 sum[CHAINS], all = 0.0f;
#pragma unroll
    for (int i = 0; i < CHAINS; i++) sum[i] = (float)i;
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++) sum[i] = dot_pairs(pairs, pairs, sum[i]);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) all += sum[i];
    vstore16(all, 0, out + GROUP_ID(0, 1) * 256);
}
#endif

#ifdef MATRIX_UNITS
#include "mma.clh"

/* out [groups][MMA_M][MMA_N], 256 apart: n times CHAINS MMAs. A multiply-add counts as two
 * operations. from: 16 rows of both factors. */
MMA_KERNEL
kernel __attribute__((reqd_work_group_size(MMA_LANES, 1, 1))) void
peak_unit(global float *out, global const uint *from, int n)
{
    local uint tile[16 * MMA_K / 2] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, MMA_LANES)
    int lane = (int)get_local_id(0);
    mma_a a;
    mma_b b;
    mma_c sum[CHAINS], all = (mma_c)(0.0f);
    float values[MMA_C];
    for (int i = lane; i < 16 * MMA_K / 2; i += MMA_LANES) tile[i] = from[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    mma_load_a(&a, tile, MMA_K / 2, lane);
    mma_load_b(&b, tile, MMA_K / 2, lane);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) sum[i] = (mma_c)((float)i);
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++) mma_multiply(&sum[i], a, b, exchange);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) all += sum[i];
    mma_values(values, all);
    out += GROUP_ID(0, MMA_LANES) * 256;
    for (int i = 0; i < MMA_C; i++) out[MMA_ROW(lane, i) * MMA_N + MMA_COLUMN(lane, i)] = values[i];
}
#endif

kernel void peak_nothing(global float *out)
{
}
