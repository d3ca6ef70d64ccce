/* Arrays of a run. See arrays.h. */
#include "cli/arrays.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"

typedef struct {
    int n_dims;
    const size_t *dims;
} expected_shape;

static status check_shape(const npy *a, const char *path, const void *context)
{
    const expected_shape *s = context;
    char found[256], expected[256];
    bool same = a->n_dims == s->n_dims;
    for (int i = 0; i < s->n_dims && same; i++) same = a->dims[i] == s->dims[i];
    if (same) return OK;
    text_shape(found, sizeof found, a->dims, a->n_dims);
    text_shape(expected, sizeof expected, s->dims, s->n_dims);
    return fail(ERR_FORMAT, "%s: has shape %s, expected %s", path, found, expected);
}

/* Reads an array and checks its shape. */
static status read_array(npy *a, const char *path, int n_dims, const size_t *dims)
{
    return npy_read_judged(a, path, check_shape, &(expected_shape){n_dims, dims});
}

/* dims = rows of the schedule, n, C, h, w: the shape of the noise of all steps; dims + 1: that of
 * the latents. */
static void noise_shape(size_t dims[5], const drawing *g)
{
    dims[0] = (size_t)g->plan.n_rows;
    dims[1] = (size_t)g->n;
    dims[2] = (size_t)g->m->dit.in_channels;
    dims[3] = dims[4] = (size_t)g->m->dit.latent_size;
}

status arrays_read(arrays *a, drawing_request *q, const drawing *g)
{
    size_t dims[5], count = 1;
    status st = OK;
    noise_shape(dims, g);
    if (a->latents_in) TRY(read_array(&a->initial, a->latents_in, 4, dims + 1));
    if (a->noise_in) TRY(read_array(&a->noise, a->noise_in, 5, dims));
    for (int i = 0; a->noise_out && i < 5; i++)
        if (!size_mul(count, dims[i], &count))
            return fail(ERR_LIMIT,
                        "--noise-out: the noise of %d pictures and %d steps is more than memory "
                        "can address",
                        g->n, g->plan.n_rows);
    if (a->noise_out) TRY(memory_alloc(&a->kept_noise, count, sizeof *a->kept_noise));
    q->latents = a->initial.data;
    q->latents_name = a->latents_in;
    q->noise = a->noise.data;
    q->noise_name = a->noise_in;
    q->kept_noise = a->kept_noise;
done:
    return st;
}

static status write_array(output *o, const char *path, const float *values, int n_dims,
                          const size_t *dims)
{
    file_out *file = output_extra(o);
    status st = file_out_open(file, path);
    if (st == OK) st = npy_write(file, values, n_dims, dims);
    return st == OK ? file_out_finish(file) : st;
}

status arrays_write(const arrays *a, const drawing *g, output *o)
{
    size_t dims[5];
    float *latents = NULL;
    status st = OK;
    noise_shape(dims, g);
    if (a->latents_out) {
        size_t count = dims[1] * dims[2] * dims[3] * dims[4];
        TRY(memory_alloc(&latents, count, sizeof *latents));
        TRY(drawing_latents(g, latents));
        TRY(write_array(o, a->latents_out, latents, 4, dims + 1));
    }
    if (a->noise_out) TRY(write_array(o, a->noise_out, a->kept_noise, 5, dims));
done:
    free(latents);
    return st;
}

status arrays_add(const arrays *a, output *o)
{
    status st = OK;
    if (a->latents_out) TRY(output_add_array(o, "--latents-out", a->latents_out));
    if (a->noise_out) TRY(output_add_array(o, "--noise-out", a->noise_out));
done:
    return st;
}

void arrays_free(arrays *a)
{
    npy_free(&a->initial);
    npy_free(&a->noise);
    free(a->kept_noise);
    a->kept_noise = NULL;
}
