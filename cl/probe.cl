/* What a processor's feature must show before kernels rely on it. */

#ifdef TILES
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
