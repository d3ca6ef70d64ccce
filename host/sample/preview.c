/* Previews. See preview.h. */
#include "sample/preview.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sample/grid.h"
#include "sample/picture.h"
#include "sample/rng.h"

/* Sides of the random patches, in latents. */
enum { PATCH = 2 };

static size_t area_of(const preview *p)
{
    return (size_t)p->height * (size_t)p->width;
}

static size_t picture_bytes(const preview *p)
{
    return area_of(p) * (size_t)p->scale * (size_t)p->scale * 3;
}

/* ---- the linear map ---- */

/* latents [C][h][w] = patches of standard normal values, the same in every run. */
static void fill_patches(float *latents, int channels, int height, int width)
{
    rng generator;
    rng_seed(&generator, 0);
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                float *at = latents + ((size_t)c * (size_t)height + (size_t)y) * (size_t)width + x;
                if (y % PATCH)
                    *at = at[-width];
                else if (x % PATCH)
                    *at = at[-1];
                else
                    rng_randn(&generator, at, 1);
            }
}

/* colour [3] = the mean of the pixels [H][W][3] of latent (y, x). */
static void mean_colour(double *colour, const preview *p, const float *pixels, int y, int x)
{
    int scale = p->scale, width = p->width * scale;
    memset(colour, 0, 3 * sizeof *colour);
    for (int row = y * scale; row < (y + 1) * scale; row++)
        for (int column = x * scale; column < (x + 1) * scale; column++)
            for (int c = 0; c < 3; c++)
                colour[c] +=
                    (double)pixels[((size_t)row * (size_t)width + (size_t)column) * 3 + (size_t)c] /
                    (scale * scale);
}

/* Solves the n normal equations of rows [n][n + 3] by elimination. The matrix is positive definite,
 * since a ridge was added. The last 3 columns become the solution. */
static void solve(double *rows, int n)
{
    int width = n + 3;
    for (int k = 0; k < n; k++) {
        double *pivot = rows + k * width, factor = 1 / pivot[k];
        for (int j = k; j < width; j++) pivot[j] *= factor;
        for (int i = 0; i < n; i++) {
            double *row = rows + i * width, times = row[k];
            for (int j = k; i != k && j < width; j++) row[j] -= times * pivot[j];
        }
    }
}

/* Adds the latent (y, x) to the normal equations. */
static void add_equation(preview *p, const float *latents, const double *colour, size_t at)
{
    int n = p->channels + 1, width = n + 3;
    size_t area = area_of(p);
    for (int i = 0; i < n; i++) {
        double *row = p->equations + i * width;
        double a = i + 1 < n ? (double)latents[(size_t)i * area + at] : 1;
        for (int j = 0; j < n; j++)
            row[j] += a * (j + 1 < n ? (double)latents[(size_t)j * area + at] : 1);
        for (int c = 0; c < 3; c++) row[n + c] += a * colour[c];
    }
}

/* Least squares: the map from latents [C][h][w] to the colours of pixels [H][W][3]. */
static status fit(preview *p, const float *latents, const float *pixels)
{
    const double ridge = 1e-3;
    int n = p->channels + 1, width = n + 3;
    double colour[3];
    status st = memory_alloc(&p->equations, (size_t)n * (size_t)width, sizeof *p->equations);
    if (st != OK) return st;
    for (int i = 0; i < n; i++) p->equations[i * width + i] = ridge;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            mean_colour(colour, p, pixels, y, x);
            add_equation(p, latents, colour, (size_t)(y * p->width + x));
        }
    solve(p->equations, n);
    return OK;
}

/* Patches of random colours, the same in every run. */
static void paint_patches(const preview *p, png *out)
{
    rng generator;
    int side = PATCH * p->scale;
    size_t row = (size_t)out->width * 3;
    rng_seed(&generator, 0);
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (size_t c = 0; c < 3; c++) {
                unsigned char *at = out->rgb + (size_t)y * row + (size_t)x * 3 + c;
                float value;
                if (y % side) {
                    *at = *(at - row);
                } else if (x % side) {
                    *at = at[-3];
                } else {
                    rng_randn(&generator, &value, 1);
                    *at = (unsigned char)lrintf(fminf(fmaxf(128 + 96 * value, 0), 255));
                }
            }
}

/* Without an encoder: random latents, decoded. */
static status fit_decoded(preview *p)
{
    float *latents = NULL;
    size_t values = (size_t)p->channels * area_of(p);
    status st = OK;
    TRY(memory_alloc(&latents, values, sizeof *latents));
    fill_patches(latents, p->channels, p->height, p->width);
    TRY(buffer_upload(p->v->d, p->latents, 0, latents, values));
    TRY(picture_decode(p->pixels, p->v, p->latents, 0));
    TRY(fit(p, latents, p->pixels));
done:
    free(latents);
    return st;
}

status preview_learn(preview *p, device *d, model *m)
{
    png patches = {0};
    float *moments = NULL, *pixels = NULL;
    size_t values = (size_t)p->channels * area_of(p);
    status st = OK;
    if (!vae_has_encoder(m)) return OK;
    patches.width = p->width * p->scale;
    patches.height = p->height * p->scale;
    TRY(memory_alloc(&patches.rgb, picture_bytes(p), 1));
    TRY(memory_alloc(&pixels, picture_bytes(p), sizeof *pixels));
    TRY(memory_alloc(&moments, 2 * values, sizeof *moments));
    paint_patches(p, &patches);
    picture_normalise(pixels, &patches);
    TRY(picture_encode(moments, d, m, &patches));
    vae_sample(moments, moments, NULL, &m->vae, area_of(p));
    TRY(fit(p, moments, pixels));
done:
    png_free(&patches);
    free(moments);
    free(pixels);
    return st;
}

/* One picture [H][W][3], from the colours of its latents [C][h][w], interpolated. */
static status map_picture(const preview *p, unsigned char *rgb, const float *latents)
{
    int channels = p->channels, width = channels + 4;
    const double *map = p->equations + channels + 1; /* the last 3 columns */
    size_t area = area_of(p);
    png small = {.width = p->width, .height = p->height};
    status st = memory_alloc(&small.rgb, area, 3);
    if (st != OK) return st;
    for (size_t i = 0; i < area * 3; i++) {
        double value = map[channels * width + (int)(i % 3)];
        for (int c = 0; c < channels; c++)
            value += map[c * width + (int)(i % 3)] * (double)latents[(size_t)c * area + i / 3];
        small.rgb[i] = (unsigned char)lrint(fmin(fmax(value / 2 + 0.5, 0), 1) * 255);
    }
    st = picture_fit(&small, p->width * p->scale, p->height * p->scale);
    if (st == OK) memcpy(rgb, small.rgb, picture_bytes(p));
    png_free(&small);
    return st;
}

status preview_map(preview *p, const float *latents, int n)
{
    size_t values = (size_t)p->channels * area_of(p);
    status st = p->equations ? OK : fit_decoded(p);
    for (size_t i = 0; i < (size_t)n && st == OK; i++)
        st = map_picture(p, p->rgb + i * picture_bytes(p), latents + i * values);
    return st;
}

/* ---- by the VAE ---- */

status preview_decode(preview *p, const float *latents, int n)
{
    int height = p->height * p->scale, width = p->width * p->scale;
    rounding rule = p->arithmetic == COMPAT_DIFFUSERS ? ROUND_DIFFUSERS : ROUND_ORIGINAL;
    size_t values = (size_t)p->channels * area_of(p);
    status st = buffer_upload(p->v->d, p->latents, 0, latents, (size_t)n * values);
    for (int i = 0; i < n && st == OK; i++) {
        st = picture_decode(p->pixels, p->v, p->latents, i);
        if (st == OK)
            grid_to_8bit(p->rgb + (size_t)i * picture_bytes(p), p->pixels, height, width, rule);
    }
    return st;
}

/* ---- both ---- */

void preview_init(preview *p, const model *m)
{
    *p = (preview){.channels = m->vae.latent_channels,
                   .height = m->dit.latent_size,
                   .width = m->dit.latent_size,
                   .scale = vae_scale(&m->vae),
                   .arithmetic = m->arithmetic};
}

status preview_prepare(preview *p, vae *v, int n)
{
    size_t values = (size_t)p->channels * area_of(p);
    status st = OK;
    p->v = v;
    TRY(buffer_create(v->d, &p->latents, (size_t)n * values, "the latents of previews"));
    TRY(memory_alloc(&p->pixels, picture_bytes(p), sizeof *p->pixels));
    TRY(memory_alloc(&p->rgb, (size_t)n * picture_bytes(p), 1));
done:
    return st;
}

void preview_free(preview *p)
{
    if (p->v) buffer_release(p->v->d, &p->latents);
    free(p->equations);
    free(p->pixels);
    free(p->rgb);
    *p = (preview){0};
}
