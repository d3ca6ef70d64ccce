/* What a feature must show before kernels rely on it. */

#ifdef SUBGROUPS
/* Of one work-group of 64: each item's place in its sub-group, the sub-group's size, and the sum of
 * (u + 1) * x over its sub-group's items u. x [64] */
SUBGROUP_SIZE(SG_SIZE)
kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void probe_subgroups(global int *places, global int *sizes, global float *sums,
                     global const float *x)
{
    int me = (int)get_local_id(0), size = (int)get_max_sub_group_size();
    float mine = x[me], sum = 0.0f;
    for (int u = 0; u < size; u++) sum += (float)(u + 1) * sub_group_broadcast(mine, (uint)u);
    places[me] = (int)get_sub_group_local_id();
    sizes[me] = size;
    sums[me] = sum;
}
#elif defined MMA_UNITS
/* c [16][8] = a [16][16] x b [16][8], integers. One work-group of 32. */
kernel __attribute__((reqd_work_group_size(32, 1, 1)))
void probe_mma(global float *c, global const float *a, global const float *b)
{
    MMA_DECLARE(exchange, 32)
    int lane = (int)get_local_id(0), g = lane / 4, t = lane % 4 * 2;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint x[4], y[2];
    for (int i = 0; i < 4; i++) {
        global const float *from = a + (g + i % 2 * 8) * 16 + t + i / 2 * 8;
        x[i] = mma_pack(from[0], from[1]);
    }
    for (int i = 0; i < 2; i++)
        y[i] = mma_pack(b[(t + i * 8) * 8 + g], b[(t + i * 8 + 1) * 8 + g]);
    MMA(sum, x, y, exchange);
    for (int i = 0; i < 4; i++) c[(g + i / 2 * 8) * 8 + t + i % 2] = sum[i];
}
#elif defined TILES
/* sums [16][16] = a x b of bf16 [16 rows][32] and [16 pairs][16 columns][2]; rounded [16] = values
 * [16] as bf16. One item. */
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void probe_tiles(global float *sums, global ushort *rounded, global const ushort *a,
                 global const ushort *b, global const float *values)
{
    TILES_BEGIN();
    TILE_ZERO(0);
    TILE_LOAD(1, a, 0, 64);
    TILE_LOAD(2, b, 0, 64);
    TILE_PRODUCT(0, 1, 2);
    TILE_STORE(0, sums, 64);
    TILES_END();
    *(global ushort16_any *)rounded = to_bf16(*(global const float16_any *)values);
}
#else
/* The same by vectors of pairs. */
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void probe_pairs(global float *sums, global ushort *rounded, global const int *a,
                 global const int *b, global const float *values)
{
    for (int m = 0; m < 16; m++) {
        float16 sum = 0.0f;
        for (int p = 0; p < 16; p++)
            sum = dot_pairs((int16)(a[m * 16 + p]), vload16(p, b), sum);
        vstore16(sum, m, sums);
    }
    *(global ushort16_any *)rounded = to_bf16(*(global const float16_any *)values);
}
#endif
