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

/* dims = steps, n, C, h, w: the shape of the noise of all steps; dims + 1: that of the latents. */
static void noise_shape(size_t dims[5], const model *m, int n, int steps)
{
    dims[0] = (size_t)steps;
    dims[1] = (size_t)n;
    dims[2] = (size_t)m->dit.in_channels;
    dims[3] = dims[4] = (size_t)m->dit.latent_size;
}

status arrays_read(arrays *a, const model *m, int n)
{
    size_t dims[5];
    noise_shape(dims, m, n, 0);
    return a->latents_in ? read_array(&a->initial, a->latents_in, 4, dims + 1) : OK;
}

status arrays_request(arrays *a, run_request *request, const model *m, const schedule *plan)
{
    size_t dims[5], count = 1;
    noise_shape(dims, m, request->n, plan->n_rows);
    if (a->noise_in) {
        status st = read_array(&a->noise, a->noise_in, 5, dims);
        if (st != OK) return st;
        request->given_noise = a->noise.data;
    }
    if (a->noise_out) {
        for (int i = 0; i < 5; i++)
            if (!size_mul(count, dims[i], &count))
                return fail(ERR_LIMIT,
                            "--noise-out: the noise of %d pictures and %d steps is more "
                            "than memory can address",
                            request->n, plan->n_rows);
        status st = memory_alloc(&a->kept_noise, count, sizeof *a->kept_noise);
        if (st != OK) return st;
        request->kept_noise = a->kept_noise;
    }
    return OK;
}

static status write_array(output *o, const char *path, const float *values, int n_dims,
                          const size_t *dims)
{
    file_out *file = output_extra(o);
    status st = file_out_open(file, path);
    if (st == OK) st = npy_write(file, values, n_dims, dims);
    return st == OK ? file_out_finish(file) : st;
}

status arrays_write(const arrays *a, run *r, output *o)
{
    size_t dims[5];
    float *latents = NULL;
    status st = OK;
    noise_shape(dims, r->m, r->request.n, r->plan.n_rows);
    if (a->latents_out) {
        size_t count = dims[1] * dims[2] * dims[3] * dims[4];
        TRY(memory_alloc(&latents, count, sizeof *latents));
        TRY(buffer_download(r->d, r->latents, 0, latents, count));
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
