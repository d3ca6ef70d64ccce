/* What a run begins with. See given.h. */
#include "cli/given.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "sample/image.h"
#include "sample/interpolate.h"

static double strength_of(const given *g)
{
    return g->strength >= 0 ? g->strength : g->mask ? 1.0 : 0.6;
}

status given_check(const given *g)
{
    uint64_t seed;
    const char *alone = g->mask ? "--mask" : g->strength >= 0 ? "--strength" : "--fit";
    if (!g->image && (g->mask || g->strength >= 0 || g->fit)) {
        fail(ERR_USAGE, "%s needs --image", alone);
        fail_hint("--image IN.png names the picture to begin with");
        return ERR_USAGE;
    }
    if (g->seed_to && !g->frames)
        return fail(ERR_USAGE, "--seed-to: applies only with --interpolate");
    if (g->seed_to && !text_to_uint(g->seed_to, &seed))
        return fail(ERR_USAGE,
                    "--seed-to %.60s: expected an integer from 0 to "
                    "18446744073709551615",
                    g->seed_to);
    return OK;
}

/* ---- pictures ---- */

static status read_picture(png *p, const given *g, const char *path, int side)
{
    int width, height;
    status st = OK;
    TRY(png_sizes(&width, &height, path));
    if (!g->fit && (width != side || height != side)) {
        st = fail(ERR_USAGE, "%s: is %d x %d pixels, the model draws %d x %d", path, width, height,
                  side, side);
        fail_hint("--fit scales it and keeps the middle");
        goto done;
    }
    TRY(png_read(p, path));
    if (g->fit) TRY(picture_fit(p, side, side));
done:
    return st;
}

status given_read(given *g, model *m)
{
    int scale = vae_scale(&m->vae), size = m->dit.latent_size, side = size * scale;
    status st = OK;
    if (!g->image) return OK;
    TRY(vae_check_encoder(m));
    TRY(read_picture(&g->picture, g, g->image, side));
    if (!g->mask) goto done;
    TRY(read_picture(&g->white, g, g->mask, side));
    TRY(memory_alloc(&g->kept, (size_t)size * (size_t)size, sizeof *g->kept));
    if (image_reduce_mask(g->kept, g->white.rgb, side, side, scale) == 0)
        st = fail(ERR_USAGE, "%s: nothing in it is white, so there is nothing to draw", g->mask);
done:
    return st;
}

status given_encode(given *g, run_request *request, device *d, model *m)
{
    size_t area = (size_t)m->dit.latent_size * (size_t)m->dit.latent_size;
    size_t count = area * (size_t)m->vae.latent_channels;
    float *moments = NULL;
    status st = OK;
    if (!g->image) return OK;
    TRY(memory_alloc(&moments, 2 * count, sizeof *moments));
    TRY(memory_alloc(&g->latents, count, sizeof *g->latents));
    TRY(picture_encode(moments, d, m, &g->picture));
    vae_sample(g->latents, moments, NULL, &m->vae, area);
    request->image = g->latents;
    request->mask = g->kept;
done:
    free(moments);
    return st;
}

status given_note(text *note, const given *g)
{
    status st = OK;
    if (g->image)
        st = text_append(note, "; from a picture, strength %g%s", strength_of(g),
                         g->mask ? ", where a mask is white" : "");
    if (g->frames && st == OK) {
        st = text_append(note, "; %d pictures from the first to the last", g->frames);
        if (g->seed_to && st == OK) st = text_append(note, ", seed %s", g->seed_to);
    }
    return st;
}

/* ---- from one end to another ---- */

status given_labels(given *g, int **labels, int *n, const model *m)
{
    int from = (*labels)[0], to = (*labels)[*n - 1];
    status st = OK;
    if (!g->frames) return OK;
    if (*n > 2 || (from == to && !g->seed_to)) {
        fail(ERR_USAGE, "--interpolate: expected two classes, or one and two seeds");
        fail_hint("--class A,B, or one class and --seed-to S");
        return ERR_USAGE;
    }
    free(*labels);
    *n = 0;
    *labels = NULL;
    TRY(memory_alloc(labels, (size_t)g->frames, sizeof **labels));
    TRY(memory_alloc(&g->mixes, (size_t)g->frames, sizeof *g->mixes));
    *n = g->frames;
    g->n_mixes = interpolate_labels(*labels, g->mixes, *n, from, to, dit_label_rows(&m->dit));
done:
    return st;
}

/* Each end's noise is that of one picture; without --seed-to all frames have the same. */
static status draw_ends(given *g, const run_request *request, size_t values)
{
    float *ends = NULL;
    uint64_t seeds[2] = {request->seed, request->seed};
    rng generator;
    status st = OK;
    if (g->seed_to) text_to_uint(g->seed_to, &seeds[1]); /* see given_check */
    TRY(rng_source_check(&request->source, values));
    TRY(memory_alloc(&ends, 2 * values, sizeof *ends));
    TRY(memory_alloc(&g->noise, (size_t)g->frames * values, sizeof *g->noise));
    for (size_t i = 0; i < 2; i++) {
        rng_seed_source(&generator, &request->source, seeds[i]);
        rng_randn(&generator, ends + i * values, values);
    }
    interpolate_noise(g->noise, ends, ends + values, values, g->frames);
done:
    free(ends);
    return st;
}

status given_request(given *g, run_request *request, const model *m, const schedule *plan)
{
    size_t size = (size_t)m->dit.latent_size;
    status st = OK;
    if (g->image && request->invert)
        return fail(ERR_USAGE, "--invert starts from --latents-in; it takes no --image");
    if (g->image) {
        request->first_step = image_first_step(plan, strength_of(g));
        if (request->first_step == plan->n_rows)
            return fail(ERR_USAGE, "--strength %g: leaves none of the %d steps", strength_of(g),
                        schedule_steps(plan));
    }
    if (!g->frames) return OK;
    if (request->initial_latents)
        return fail(ERR_USAGE, "--interpolate draws its own noise; it takes no --latents-in");
    TRY(draw_ends(g, request, (size_t)m->dit.in_channels * size * size));
    request->initial_latents = g->noise;
    request->mixes = g->mixes;
    request->n_mixes = g->n_mixes;
done:
    return st;
}

void given_free(given *g)
{
    png_free(&g->picture);
    png_free(&g->white);
    free(g->latents);
    free(g->kept);
    free(g->mixes);
    free(g->noise);
    *g = (given){0};
}
