/* Initial picture, mask and interpolation. See initial.h. */
#include "cli/initial.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "sample/image.h"
#include "sample/interpolate.h"

static double strength_of(const initial_args *args)
{
    return args->strength >= 0 ? args->strength : args->mask ? 1.0 : 0.6;
}

status initial_check(const initial_args *args)
{
    uint64_t seed;
    const char *alone = args->mask ? "--mask" : args->strength >= 0 ? "--strength" : "--fit";
    if (!args->image && (args->mask || args->strength >= 0 || args->fit)) {
        fail(ERR_USAGE, "%s needs --image", alone);
        fail_hint("--image IN.png names the picture to begin with");
        return ERR_USAGE;
    }
    if (args->seed_to && !args->frames)
        return fail(ERR_USAGE, "--seed-to: applies only with --interpolate");
    if (args->seed_to && !text_to_uint(args->seed_to, &seed))
        return fail(ERR_USAGE,
                    "--seed-to %.60s: expected an integer from 0 to "
                    "18446744073709551615",
                    args->seed_to);
    return OK;
}

/* ---- pictures ---- */

static status read_picture(png *p, const initial_args *args, const char *path, int side)
{
    int width, height;
    status st = OK;
    TRY(png_sizes(&width, &height, path));
    if (!args->fit && (width != side || height != side)) {
        st = fail(ERR_USAGE, "%s: is %d x %d pixels, the model draws %d x %d", path, width, height,
                  side, side);
        fail_hint("--fit scales it and keeps the middle");
        goto done;
    }
    TRY(png_read(p, path));
    if (args->fit) TRY(picture_fit(p, side, side));
done:
    return st;
}

status initial_read(initial_args *args, model *m)
{
    int scale = vae_scale(&m->vae), size = m->dit.latent_size, side = size * scale;
    status st = OK;
    if (!args->image) return OK;
    TRY(vae_check_encoder(m));
    TRY(read_picture(&args->picture, args, args->image, side));
    if (!args->mask) goto done;
    TRY(read_picture(&args->white, args, args->mask, side));
    TRY(memory_alloc(&args->kept, (size_t)size * (size_t)size, sizeof *args->kept));
    if (image_reduce_mask(args->kept, args->white.rgb, side, side, scale) == 0)
        st = fail(ERR_USAGE, "%s: nothing in it is white, so there is nothing to draw", args->mask);
done:
    return st;
}

status initial_encode(initial_args *args, run_request *request, device *d, model *m)
{
    size_t area = (size_t)m->dit.latent_size * (size_t)m->dit.latent_size;
    size_t count = area * (size_t)m->vae.latent_channels;
    float *moments = NULL;
    status st = OK;
    if (!args->image) return OK;
    TRY(memory_alloc(&moments, 2 * count, sizeof *moments));
    TRY(memory_alloc(&args->latents, count, sizeof *args->latents));
    TRY(picture_encode(moments, d, m, &args->picture));
    vae_sample(args->latents, moments, NULL, &m->vae, area);
    request->image = args->latents;
    request->mask = args->kept;
done:
    free(moments);
    return st;
}

status initial_note(text *note, const initial_args *args)
{
    status st = OK;
    if (args->image)
        st = text_append(note, "; from a picture, strength %g%s", strength_of(args),
                         args->mask ? ", where a mask is white" : "");
    if (args->frames && st == OK) {
        st = text_append(note, "; %d pictures from the first to the last", args->frames);
        if (args->seed_to && st == OK) st = text_append(note, ", seed %s", args->seed_to);
    }
    return st;
}

/* ---- from one end to another ---- */

status initial_labels(initial_args *args, int **labels, int *n, const model *m)
{
    int from = (*labels)[0], to = (*labels)[*n - 1];
    status st = OK;
    if (!args->frames) return OK;
    if (*n > 2 || (from == to && !args->seed_to)) {
        fail(ERR_USAGE, "--interpolate: expected two classes, or one and two seeds");
        fail_hint("--class A,B, or one class and --seed-to S");
        return ERR_USAGE;
    }
    free(*labels);
    *n = 0;
    *labels = NULL;
    TRY(memory_alloc(labels, (size_t)args->frames, sizeof **labels));
    TRY(memory_alloc(&args->mixes, (size_t)args->frames, sizeof *args->mixes));
    *n = args->frames;
    args->n_mixes = interpolate_labels(*labels, args->mixes, *n, from, to, dit_label_rows(&m->dit));
done:
    return st;
}

/* The noise of each end is that of one picture. Without --seed-to all frames have the same noise.
 */
static status draw_ends(initial_args *args, const run_request *request, size_t values)
{
    float *ends = NULL;
    uint64_t seeds[2] = {request->seed, request->seed};
    rng generator;
    status st = OK;
    if (args->seed_to) text_to_uint(args->seed_to, &seeds[1]); /* see initial_check */
    TRY(rng_source_check(&request->source, values));
    TRY(memory_alloc(&ends, 2 * values, sizeof *ends));
    TRY(memory_alloc(&args->noise, (size_t)args->frames * values, sizeof *args->noise));
    for (size_t i = 0; i < 2; i++) {
        rng_seed_source(&generator, &request->source, seeds[i]);
        rng_randn(&generator, ends + i * values, values);
    }
    interpolate_noise(args->noise, ends, ends + values, values, args->frames);
done:
    free(ends);
    return st;
}

status initial_request(initial_args *args, run_request *request, const model *m,
                       const schedule *plan)
{
    size_t size = (size_t)m->dit.latent_size;
    status st = OK;
    if (args->image && request->invert)
        return fail(ERR_USAGE, "--invert starts from --latents-in; it takes no --image");
    if (args->image) {
        request->first_step = image_first_step(plan, strength_of(args));
        if (request->first_step == plan->n_rows)
            return fail(ERR_USAGE, "--strength %g: leaves none of the %d steps", strength_of(args),
                        schedule_steps(plan));
    }
    if (!args->frames) return OK;
    if (request->initial_latents)
        return fail(ERR_USAGE, "--interpolate draws its own noise; it takes no --latents-in");
    TRY(draw_ends(args, request, (size_t)m->dit.in_channels * size * size));
    request->initial_latents = args->noise;
    request->mixes = args->mixes;
    request->n_mixes = args->n_mixes;
done:
    return st;
}

void initial_free(initial_args *args)
{
    png_free(&args->picture);
    png_free(&args->white);
    free(args->latents);
    free(args->kept);
    free(args->mixes);
    free(args->noise);
    *args = (initial_args){0};
}
