/* Kernels whose exact results a device must give before a feature is used. */

#ifdef SUBGROUPS
/* For each work-item of one work-group of 64: its lane, its sub-group's size, and sum((u + 1) x_u)
 * + 1024 sum(x_u) + 65536 max(x_u) over the lanes u of the sub-group. x [64] */
SUBGROUP_SIZE(SG_SIZE)
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
probe_subgroups(global int *places, global int *sizes, global float *sums, global const float *x)
{
    int local_id = (int)get_local_id(0), size = (int)get_max_sub_group_size();
    float value = x[local_id], sum = 0.0f;
    for (int lane = 0; lane < size; lane++)
        sum += (float)(lane + 1) * sub_group_broadcast(value, (uint)lane);
    sum += 1024.0f * sub_group_reduce_add(value) + 65536.0f * sub_group_reduce_max(value);
    places[local_id] = (int)get_sub_group_local_id();
    sizes[local_id] = size;
    sums[local_id] = sum;
}
#elif defined IMAGES
/* out [n][4] = the image's n texels in reverse order. */
kernel void probe_image(global float *out, read_only image1d_buffer_t texels, int n)
{
    int i = (int)get_global_id(0);
    vstore4(read_imagef(texels, n - 1 - i), i, out);
}
#elif defined MATRIX_UNITS
#include "mma.clh"

/* c [MMA_M][MMA_N] = a [MMA_M][STEPS] x b [MMA_N][STEPS]^T, integers, by two MMAs. One work-group =
 * one sub-group. */
#define STEPS (2 * MMA_K)
#define PITCH MMA_PITCH(STEPS)

MMA_KERNEL
kernel __attribute__((reqd_work_group_size(MMA_LANES, 1, 1))) void
probe_mma(global float *c, global const float *a, global const float *b)
{
    local ushort a_tile[MMA_TILE(MMA_M, STEPS)] __attribute__((aligned(16)));
    local ushort b_tile[MMA_TILE(MMA_N, STEPS)] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, MMA_LANES)
    int lane = (int)get_local_id(0);
    mma_c acc = (mma_c)(0.0f);
    float values[MMA_C];
    for (int i = lane; i < MMA_M * STEPS; i += MMA_LANES)
        mma_round(a_tile + i / STEPS * PITCH + MMA_STEP(i % STEPS, MMA_M), a[i]);
    for (int i = lane; i < MMA_N * STEPS / 4; i += MMA_LANES)
        mma_round4(b_tile + i / (STEPS / 4) * PITCH + MMA_STEP(i % (STEPS / 4) * 4, MMA_N),
                   vload4(i, b));
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < STEPS; k += MMA_K) {
        mma_a a_fragment;
        mma_b b_fragment;
        mma_load_a(&a_fragment, (local const uint *)(a_tile + MMA_STEP(k, MMA_M)), PITCH / 2, lane);
        mma_load_b(&b_fragment, (local const uint *)(b_tile + MMA_STEP(k, MMA_N)), PITCH / 2, lane);
        mma_multiply(&acc, a_fragment, b_fragment, exchange);
    }
    mma_values(values, acc);
    for (int i = 0; i < MMA_C; i++) c[MMA_ROW(lane, i) * MMA_N + MMA_COLUMN(lane, i)] = values[i];
}
#elif defined TILES
/* sums [16][16] = a x b of bf16 [16 rows][32] and [16 pairs][16 columns][2]. rounded [16] = values
 * [16] in bf16. One work-item. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
probe_tiles(global float *sums, global ushort *rounded, global const ushort *a,
            global const ushort *b, global const float *values)
{
    TILES_BEGIN();
    TILE_ZERO(0);
    TILE_LOAD(1, a, 0, 64);
    TILE_LOAD(2, b, 0, 64);
    TILE_MMA(0, 1, 2);
    TILE_STORE(0, sums, 64);
    TILES_END();
    *(global ushort16_unaligned *)rounded = to_bf16(*(global const float16_unaligned *)values);
}
#else
/* The same with vectors of pairs. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
probe_pairs(global float *sums, global ushort *rounded, global const int *a, global const int *b,
            global const float *values)
{
    for (int m = 0; m < 16; m++) {
        float16 sum = 0.0f;
        for (int p = 0; p < 16; p++) sum = dot_pairs((int16)(a[m * 16 + p]), vload16(p, b), sum);
        vstore16(sum, m, sums);
    }
    *(global ushort16_unaligned *)rounded = to_bf16(*(global const float16_unaligned *)values);
}
#endif
