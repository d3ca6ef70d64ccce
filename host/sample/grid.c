/* Picture sheets and rounding. See grid.h. */
#include "sample/grid.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"

enum { BORDER = 2, WHITE = 255 };

/* NaN becomes low. */
static float clamp(float x, float low, float high)
{
    return x > low ? (x < high ? x : high) : low;
}

/* torchvision's save_image(normalize=True, value_range=(-1, 1)). Each statement rounds once. */
static unsigned char round_original(float x)
{
    x = clamp(x, -1.0f, 1.0f);
    x = x + 1.0f;
    x = x / 2.0f;
    x = x * 255.0f;
    x = x + 0.5f;
    return (unsigned char)clamp(x, 0.0f, 255.0f);
}

/* diffusers' pipeline and numpy_to_pil. numpy rounds half to even, as rintf does. */
static unsigned char round_diffusers(float x)
{
    x = x / 2.0f;
    x = x + 0.5f;
    x = clamp(x, 0.0f, 1.0f);
    x = x * 255.0f;
    return (unsigned char)rintf(x);
}

void grid_to_8bit(unsigned char *rgb, const float *pixels, int height, int width, rounding rule)
{
    size_t n = 3 * (size_t)height * (size_t)width;
    for (size_t i = 0; i < n; i++)
        rgb[i] = rule == ROUND_ORIGINAL ? round_original(pixels[i]) : round_diffusers(pixels[i]);
}

status grid_check(const float *pixels, int height, int width)
{
    size_t line = 3 * (size_t)width, n = line * (size_t)height;
    for (size_t i = 0; i < n; i++)
        if (!float_is_finite(pixels[i]))
            return fail(ERR_DEVICE, "the decoder's picture is not finite at row %zu, column %zu",
                        i / line, i % line / 3);
    return OK;
}

void grid_planes(float *planes, const float *pixels, int height, int width)
{
    size_t n = (size_t)height * (size_t)width;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) planes[c * n + i] = pixels[3 * i + c];
}

int grid_columns(int n)
{
    int64_t first = 1;
    while (first * first < n) first++;
    /* the fewest empty places of all sheets that are at most about twice as wide as high */
    int64_t best = first, fewest = INT64_MAX;
    for (int64_t columns = first; columns <= n; columns++) {
        int64_t rows = (n + columns - 1) / columns, empty = rows * columns - n;
        if (columns > 2 * rows + 1) break;
        if (empty < fewest) {
            fewest = empty;
            best = columns;
        }
    }
    return (int)best;
}

status grid_make(unsigned char **sheet, int *sheet_width, int *sheet_height,
                 const unsigned char *pictures, int n, int columns, int width, int height)
{
    int64_t rows = (n + (int64_t)columns - 1) / columns;
    int64_t across = columns * (int64_t)(width + BORDER) + BORDER;
    int64_t down = rows * (height + BORDER) + BORDER;
    size_t line = 3 * (size_t)width, bytes;
    *sheet = NULL;
    if (across > INT32_MAX || down > INT32_MAX ||
        !size_mul(3 * (size_t)across, (size_t)down, &bytes) || bytes > INT32_MAX)
        return fail(ERR_LIMIT, "a sheet of %d pictures of %d x %d is too large", n, width, height);
    status st = memory_alloc(sheet, bytes, 1);
    if (st != OK) return st;
    memset(*sheet, WHITE, bytes);
    for (int i = 0; i < n; i++) {
        size_t left = BORDER + (size_t)(i % columns) * (size_t)(width + BORDER);
        size_t top = BORDER + (size_t)(i / columns) * (size_t)(height + BORDER);
        for (int y = 0; y < height; y++)
            memcpy(*sheet + 3 * ((top + (size_t)y) * (size_t)across + left),
                   pictures + ((size_t)i * (size_t)height + (size_t)y) * line, line);
    }
    *sheet_width = (int)across;
    *sheet_height = (int)down;
    return OK;
}
