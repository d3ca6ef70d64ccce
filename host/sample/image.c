/* Runs that begin with a picture. See image.h. */
#include "sample/image.h"

#include <stdlib.h>

#include "base/memory.h"
#include "ops/first_use.h"

int image_first_step(const schedule *s, double strength)
{
    int steps = schedule_steps(s), row = 0;
    int left = (int)(steps * strength);
    if (left < 1) return s->n_rows;
    for (int skipped = 0; skipped < steps - left || s->rows[row].between; row++)
        skipped += !s->rows[row].between;
    return row;
}

static size_t area_of(const run *r)
{
    return (size_t)r->m->dit.latent_size * (size_t)r->m->dit.latent_size;
}

static size_t picture_values(const run *r)
{
    return (size_t)r->m->dit.in_channels * area_of(r);
}

status image_allocate(run *r)
{
    static const int any[SHAPE_SIZES] = {1, 1};
    const run_request *q = &r->request;
    status st = OK;
    if (!q->mask) return OK;
    TRY(first_use_plain(r->d, "blend", any, 0));
    TRY(blend_plan(r->d, &r->keep_image, q->n, r->m->dit.in_channels, r->m->dit.latent_size));
    TRY(buffer_create(r->d, &r->image, picture_values(r), "the picture's latents"));
    TRY(buffer_upload(r->d, r->image, 0, q->image, picture_values(r)));
    TRY(buffer_create(r->d, &r->image_noise, picture_values(r) * (size_t)q->n, "noise"));
    TRY(buffer_create(r->d, &r->mask, area_of(r), "the mask"));
    TRY(buffer_upload(r->d, r->mask, 0, q->mask, area_of(r)));
done:
    return st;
}

status image_begin(run *r, const float *noise)
{
    const run_request *q = &r->request;
    const schedule_row *first = &r->plan.rows[q->first_step];
    size_t picture = picture_values(r), values = picture * (size_t)q->n;
    float *latents = NULL;
    status st = OK;
    if (r->image_noise.memory) TRY(buffer_upload(r->d, r->image_noise, 0, noise, values));
    TRY(memory_alloc(&latents, values, sizeof *latents));
    for (size_t i = 0; i < values; i++)
        latents[i] = first->signal * q->image[i % picture] + first->spread * noise[i];
    TRY(buffer_upload(r->d, r->latents, 0, latents, values));
done:
    free(latents);
    return st;
}

status image_keep(run *r, int step)
{
    const schedule_row *next = step + 1 < r->plan.n_rows ? &r->plan.rows[step + 1] : NULL;
    const blend_buffers buffers = {r->latents, r->image, r->image_noise, r->mask};
    if (!r->mask.memory || (next && next->between)) return OK;
    return op_blend(r->d, &r->keep_image, &buffers, next ? next->signal : 1,
                    next ? next->spread : 0);
}

void image_release(run *r)
{
    buffer_release(r->d, &r->image);
    buffer_release(r->d, &r->image_noise);
    buffer_release(r->d, &r->mask);
}

bool image_is_white(const unsigned char *rgb)
{
    return rgb[0] + rgb[1] + rgb[2] >= 3 * 128;
}

size_t image_reduce_mask(float *mask, const unsigned char *rgb, int width, int height, int scale)
{
    size_t columns = (size_t)(width / scale), n = 0;
    for (size_t i = 0; i < columns * (size_t)(height / scale); i++) mask[i] = 0;
    for (size_t p = 0; p < (size_t)width * (size_t)height; p++)
        if (image_is_white(rgb + 3 * p))
            mask[p / (size_t)width / (size_t)scale * columns + p % (size_t)width / (size_t)scale] =
                1;
    for (size_t i = 0; i < columns * (size_t)(height / scale); i++) n += mask[i] > 0;
    return n;
}
