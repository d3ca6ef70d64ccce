/* Picture sheets, and the rounding to 8 bits of the two programs that ditcl agrees with. */
#ifndef DITCL_SAMPLE_GRID_H
#define DITCL_SAMPLE_GRID_H

#include <stddef.h>

#include "base/status.h"

typedef enum {
    ROUND_ORIGINAL, /* floor(clamp((x + 1) / 2, 0, 1) * 255 + 0.5): torchvision's save_image */
    ROUND_DIFFUSERS /* round half to even of clamp(x / 2 + 0.5, 0, 1) * 255 */
} rounding;

/* rgb[height][width][3] from pixels[height][width][3] in [-1, 1], in the float32 arithmetic of the
 * named program. */
void grid_to_8bit(unsigned char *rgb, const float *pixels, int height, int width, rounding rule);

/* ERR_DEVICE if a value of pixels[height][width][3] is not finite. */
status grid_check(const float *pixels, int height, int width);

/* planes [3][height][width] from pixels [height][width][3]. */
void grid_planes(float *planes, const float *pixels, int height, int width);

/* Columns of a sheet of n pictures: nearly square, wider than high. */
int grid_columns(int n);

/* *sheet = n pictures [n][height][width][3] in rows of `columns`, with 2 white pixels around each.
 * Returns the sheet's sizes. Freed with free(). */
status grid_make(unsigned char **sheet, int *sheet_width, int *sheet_height,
                 const unsigned char *pictures, int n, int columns, int width, int height);

#endif
