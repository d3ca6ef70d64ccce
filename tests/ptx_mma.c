/* mma.sync.m16n8k16 and m16n8k8 with 16-bit factors and fp32 sums: PTX 9.7.13.4.8, figures 60 to
 * 65, and 9.7.13.4.7. m16n8k8 has the first half of the registers and of the steps. */
#include "base/fp16.h"
#include "ptx_program.h"

enum { ROWS = 16, COLUMNS = 8, MOST_DEPTH = 16 };

/* One of the two 16-bit values in a register. */
static float half_of(uint32_t pair, int which, bool bf16)
{
    uint16_t h = (uint16_t)(which ? pair >> 16 : pair);
    return bf16 ? bf16_to_float(h) : fp16_to_float(h);
}

/* A lane is in group lane / 4, and number lane % 4 in it. */
void ptx_mma(float *const d[4], const uint32_t *const a[4], const uint32_t *const b[2],
             const float *const c[4], int depth, bool bf16)
{
    double left[ROWS][MOST_DEPTH], right[MOST_DEPTH][COLUMNS], sums[ROWS][COLUMNS];
    for (int lane = 0; lane < PTX_LANES; lane++) {
        int group = lane / 4, number = lane % 4;
        for (int e = 0; e < 2; e++) {
            for (int i = 0; i < depth / 4; i++)
                left[group + 8 * (i % 2)][2 * number + e + 8 * (i / 2)] =
                    (double)half_of(a[i][lane], e, bf16);
            for (int i = 0; i < depth / 8; i++)
                right[2 * number + e + 8 * i][group] = (double)half_of(b[i][lane], e, bf16);
        }
        for (int i = 0; i < 4; i++)
            sums[group + 8 * (i / 2)][2 * number + i % 2] = (double)c[i][lane];
    }
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < depth; k++)
            for (int column = 0; column < COLUMNS; column++)
                sums[row][column] += left[row][k] * right[k][column];
    for (int lane = 0; lane < PTX_LANES; lane++)
        for (int i = 0; i < 4; i++)
            d[i][lane] = (float)sums[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
}
