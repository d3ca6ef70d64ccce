/* Pictures from and for the VAE. See picture.h. */
#include "sample/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sample/grid.h"

/* ---- sizes ---- */

/* Resampling along one axis of `size` pixels: `n` results from `span` pixels, from `first` on. */
typedef struct {
    int size, n;
    double first, span;
} axis;

/* The pixels *begin..*end of result i, and their weights: a triangle filter as wide as the pixels
 * per result, and at least two pixels wide. */
static void filter_weights(const axis *a, int i, int *begin, int *end, double *shares)
{
    double scale = a->span / a->n, reach = scale > 1 ? scale : 1, sum = 0;
    double middle = a->first + (i + 0.5) * scale;
    *begin = (int)(middle - reach + 0.5);
    *end = (int)(middle + reach + 0.5);
    if (*begin < 0) *begin = 0;
    if (*end > a->size) *end = a->size;
    for (int j = *begin; j < *end; j++) {
        double off = fabs((j - middle + 0.5) / reach);
        sum += shares[j - *begin] = off < 1 ? 1 - off : 0;
    }
    for (int j = *begin; j < *end; j++) shares[j - *begin] /= sum;
}

/* out[lines][a.n][3]: result (line, i) from in + line * line_step + pixel * step. */
static void scale_axis(float *out, const float *in, const axis *a, int lines, size_t line_step,
                       size_t step, double *shares)
{
    for (int i = 0; i < a->n; i++) {
        int begin, end;
        filter_weights(a, i, &begin, &end, shares);
        for (int line = 0; line < lines; line++)
            for (int c = 0; c < 3; c++) {
                const float *from = in + (size_t)line * line_step + (size_t)begin * step + c;
                double sum = 0;
                for (int j = 0; j < end - begin; j++)
                    sum += shares[j] * (double)from[(size_t)j * step];
                out[((size_t)line * (size_t)a->n + (size_t)i) * 3 + (size_t)c] = (float)sum;
            }
    }
}

status picture_fit(png *p, int width, int height)
{
    size_t in = (size_t)p->width * (size_t)p->height * 3, out;
    double across = (double)p->width / width, down = (double)p->height / height;
    /* pixels of the picture per pixel of the result */
    double share = across < down ? across : down;
    axis x = {p->width, width, (p->width - share * width) / 2, share * width};
    axis y = {p->height, height, (p->height - share * height) / 2, share * height};
    float *pixels = NULL, *rows = NULL;
    double *shares = NULL;
    unsigned char *rgb = NULL;
    status st = OK;
    if (p->width == width && p->height == height) return OK;
    TRY(memory_alloc(&pixels, in, sizeof *pixels));
    TRY(memory_alloc(&rows, (size_t)width * (size_t)p->height, 3 * sizeof *rows));
    TRY(memory_alloc(&shares, (size_t)(p->width + p->height) + 4, sizeof *shares));
    TRY(memory_alloc(&rgb, (size_t)width * (size_t)height, 3));
    for (size_t i = 0; i < in; i++) pixels[i] = p->rgb[i];
    scale_axis(rows, pixels, &x, p->height, (size_t)p->width * 3, 3, shares);
    free(pixels);
    pixels = NULL;
    out = (size_t)width * (size_t)height * 3;
    TRY(memory_alloc(&pixels, out, sizeof *pixels)); /* [width][height][3] */
    scale_axis(pixels, rows, &y, width, 3, (size_t)width * 3, shares);
    for (size_t i = 0; i < out; i++) {
        size_t column = i / 3 % (size_t)width, row = i / 3 / (size_t)width;
        rgb[i] = (unsigned char)lrintf(pixels[(column * (size_t)height + row) * 3 + i % 3]);
    }
    free(p->rgb);
    *p = (png){width, height, rgb};
    rgb = NULL;
done:
    free(pixels);
    free(rows);
    free(shares);
    free(rgb);
    return st;
}

void picture_crop(png *p, int width, int height)
{
    size_t left = (size_t)(p->width - width) / 2, top = (size_t)(p->height - height) / 2;
    for (size_t y = 0; y < (size_t)height; y++)
        memmove(p->rgb + y * (size_t)width * 3, p->rgb + ((top + y) * (size_t)p->width + left) * 3,
                (size_t)width * 3);
    p->width = width;
    p->height = height;
}

/* ---- values ---- */

void picture_normalise(float *out, const png *p)
{
    size_t n = (size_t)p->width * (size_t)p->height * 3;
    for (size_t i = 0; i < n; i++) out[i] = 2.0f * ((float)p->rgb[i] / 255.0f) - 1.0f;
}

double picture_psnr(const unsigned char *a, const unsigned char *b, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (a[i] - b[i]) * (a[i] - b[i]);
    return squares > 0 ? 10 * log10(255.0 * 255.0 * (double)n / squares) : INFINITY;
}

status picture_encode(float *moments, device *d, model *m, const png *p)
{
    vae v = {0};
    float *pixels = NULL;
    int scale = vae_scale(&m->vae);
    status st = OK;
    TRY(memory_alloc(&pixels, (size_t)p->width * (size_t)p->height * 3, sizeof *pixels));
    picture_normalise(pixels, p);
    TRY(vae_load_encoder(&v, d, m));
    TRY(vae_prepare_encoder(&v, p->height / scale, p->width / scale));
    TRY(vae_encode(&v, moments, pixels));
done:
    vae_free(&v);
    free(pixels);
    return st;
}

status picture_decode(float *pixels, vae *v, buf latents, int i)
{
    int scale = vae_scale(&v->config), height = v->height * scale, width = v->width * scale;
    buf image;
    status st = OK;
    TRY(vae_decode(v, &image, latents, i));
    TRY(buffer_download(v->d, image, 0, pixels, (size_t)height * (size_t)width * 3));
    TRY(grid_check(pixels, height, width));
done:
    return st;
}

status picture_decode_all(const picture_sink *to, vae *v, buf latents, int n, compat arithmetic)
{
    int scale = vae_scale(&v->config), height = v->height * scale, width = v->width * scale;
    size_t count = (size_t)height * (size_t)width * 3;
    rounding rule = arithmetic == COMPAT_DIFFUSERS ? ROUND_DIFFUSERS : ROUND_ORIGINAL;
    float *pixels = NULL;
    unsigned char *rgb = NULL;
    status st = OK;
    TRY(memory_alloc(&pixels, count, sizeof *pixels));
    TRY(memory_alloc(&rgb, count, 1));
    for (int i = 0; i < n; i++) {
        if (to->progress) to->progress(to->progress_context, i, n);
        TRY(picture_decode(pixels, v, latents, i));
        grid_to_8bit(rgb, pixels, height, width, rule);
        TRY(to->picture(to->context, rgb));
    }
done:
    free(pixels);
    free(rgb);
    return st;
}
