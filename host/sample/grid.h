/* Picture sheets and the two float -> 8-bit rules of the programs we agree with. */
#ifndef DITCL_SAMPLE_GRID_H
#define DITCL_SAMPLE_GRID_H

#include <stddef.h>

#include "base/status.h"

typedef enum {
    ROUND_ORIGINAL, /* floor(clamp((x + 1) / 2, 0, 1) * 255 + 0.5): torchvision's save_image */
    ROUND_DIFFUSERS /* round half to even of clamp(x / 2 + 0.5, 0, 1) * 255 */
} rounding;

/* rgb[height][width][3] from image[3][height][width] in [-1, 1], float32 arithmetic as the named
 * program's. */
void grid_to_8bit(unsigned char *rgb, const float *image, int height, int width, rounding rule);

/* planes [3][height][width] from pixels [height][width][3]; a value that is not finite is an error:
 * no picture is made of it. */
status grid_planes(float *planes, const float *pixels, int height, int width);

/* Columns of a sheet of n pictures: near square, wider than high. */
int grid_columns(int n);

/* *sheet = n pictures [n][height][width][3] in rows of columns, with 2 white pixels around each;
 * sizes are returned; freed with free(). */
status grid_make(unsigned char **sheet, int *sheet_width, int *sheet_height,
                 const unsigned char *pictures, int n, int columns, int width, int height);

#endif
