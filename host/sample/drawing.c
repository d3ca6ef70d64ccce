/* Drawings. See drawing.h. */
#include "sample/drawing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/first_use.h"
#include "sample/image.h"
#include "sample/interpolate.h"

enum { ALL_BY_DEFAULT = 100 }; /* without --class, a model with more classes is an error */

const char *const guided_channels_names[] = {"3", "all", NULL};

/* ---- labels ---- */

static status add_label(drawing *g, size_t *capacity, int label)
{
    for (int i = 0; i < g->q->per_class; i++) {
        status st = memory_grow(&g->labels, capacity, (size_t)g->n + 1, sizeof *g->labels);
        if (st != OK) return st;
        if (g->n >= 1000000) return fail(ERR_USAGE, "more than 1000000 pictures are too many");
        g->labels[g->n++] = label;
    }
    return OK;
}

/* Labels of all pictures; the pictures of a class are neighbours. */
static status plan_labels(drawing *g)
{
    const drawing_request *q = g->q;
    const model *m = g->m;
    size_t capacity = 0;
    int classes = m->dit.n_classes, label;
    const class_choice among = {&m->classes, classes, m->dit.has_null,
                                m->labels_by == LABELS_ASSUMED};
    status st = OK;
    bool all = q->n_classes == 0;
    if (all && classes > ALL_BY_DEFAULT) {
        fail(ERR_USAGE, "no --class: the model has %d classes, too many to draw all of them",
             classes);
        fail_hint("--class NUMBER or NAME; ditcl info MODEL lists the names");
        return ERR_USAGE;
    }
    for (int i = 0; i < q->n_classes; i++)
        for (const char *at = q->classes[i]; at;) {
            TRY(config_next_class(&label, &at, &among));
            for (int c = 0; label == CLASS_ALL && c < classes; c++) TRY(add_label(g, &capacity, c));
            if (label != CLASS_ALL) TRY(add_label(g, &capacity, label));
        }
    for (int c = 0; all && c < classes; c++) TRY(add_label(g, &capacity, c));
done:
    return st;
}

/* Replaces the labels of one or two classes by those of the frames of an interpolation. */
static status plan_frames(drawing *g)
{
    int frames = g->q->frames, from = g->labels[0], to = g->labels[g->n - 1];
    status st = OK;
    if (!frames) return OK;
    if (g->n > 2 || (from == to && !g->q->has_seed_to)) {
        fail(ERR_USAGE, "--interpolate: expected two classes, or one and two seeds");
        fail_hint("--class A,B, or one class and --seed-to S");
        return ERR_USAGE;
    }
    free(g->labels);
    g->labels = NULL;
    g->n = 0;
    TRY(memory_alloc(&g->labels, (size_t)frames, sizeof *g->labels));
    TRY(memory_alloc(&g->mixes, (size_t)frames, sizeof *g->mixes));
    g->n = frames;
    g->request.n_mixes =
        interpolate_labels(g->labels, g->mixes, frames, from, to, dit_label_rows(&g->m->dit));
done:
    return st;
}

/* Gives each picture its seed, and leaves the pictures that were picked. */
static status plan_series(drawing *g)
{
    const drawing_request *q = g->q;
    const char *option = q->seeds ? "--seeds" : "--pick";
    status st = OK;
    g->series = g->n;
    if ((q->seeds || q->picks) && q->frames)
        return fail(ERR_USAGE, "%s: does not go with --interpolate", option);
    if (q->seeds) TRY(memory_alloc(&g->seeds, (size_t)g->n, sizeof *g->seeds));
    for (int i = 0; q->seeds && i < g->n; i++) g->seeds[i] = q->seeds[i % q->per_class];
    if (!q->picks) goto done;
    int *labels = g->labels;
    uint64_t *seeds = g->seeds;
    g->labels = NULL;
    g->seeds = NULL;
    g->n = q->n_picks;
    st = memory_alloc(&g->labels, (size_t)g->n, sizeof *g->labels);
    if (st == OK && seeds) st = memory_alloc(&g->seeds, (size_t)g->n, sizeof *g->seeds);
    for (int i = 0; i < g->n && st == OK; i++) {
        int from = q->picks[i];
        if (from >= g->series)
            st =
                fail(ERR_USAGE, "--pick %d: expected 0 to %d, the index of a picture in the series",
                     from, g->series - 1);
        if (st == OK) g->labels[i] = labels[from];
        if (st == OK && seeds) g->seeds[i] = seeds[from];
    }
    free(labels);
    free(seeds);
done:
    return st;
}

/* ---- sampling ---- */

/* The default guidance scale is the recommended one, else 4, or 1 if the model has no null
 * class. */
static status plan_guidance(drawing *g)
{
    const model *m = g->m;
    const preset *best = &m->recommended;
    double own = best->there && best->guidance >= 0 ? best->guidance : m->dit.has_null ? 4 : 1;
    g->guidance = g->q->guidance >= 0 ? g->q->guidance : own;
    if (m->dit.has_null || !run_is_guided(m->arithmetic, g->guidance)) return OK;
    fail(ERR_USAGE, "--cfg %g: %s has no null class to guide away from, as %s says", g->guidance,
         m->path, labels_sources[m->labels_by]);
    fail_hint("--cfg 1 draws without guidance");
    return ERR_USAGE;
}

/* LO,HI or all */
static status read_interval(const char *typed, run_request *out)
{
    if (!strcmp(typed, "all")) return OK;
    if (!preset_interval(&out->guided_from, &out->guided_to, typed))
        return fail(ERR_USAGE, "--guidance-interval %.60s: expected two timesteps, LO,HI", typed);
    out->guided_within = true;
    return OK;
}

static status plan_sampler(drawing *g)
{
    const drawing_request *q = g->q;
    const model *m = g->m;
    run_request *out = &g->request;
    const preset *own = &m->recommended;
    int channels = m->dit.in_channels;
    status st = OK;
    g->steps = q->steps ? q->steps : *own->steps ? own->steps : "50";
    g->interval = q->interval ? q->interval : *own->interval ? own->interval : "all";
    out->sampler = SAMPLER_DDIM; /* the default of --invert */
    if (q->sampler >= 0)
        out->sampler = (sampler_kind)q->sampler;
    else if (!q->invert && own->there && own->sampler >= 0)
        out->sampler = (sampler_kind)own->sampler;
    else if (!q->invert || m->schedule.flow)
        TRY(model_sampler(&out->sampler, m));
    unsigned traits = samplers[out->sampler].traits;
    if (q->diffusion >= 0 && !(traits & USES_DIFFUSION))
        return fail(ERR_USAGE, "--diffusion: only the %s sampler uses it",
                    SAMPLERS_LISTED(samplers_with(USES_DIFFUSION)));
    if (q->eta != 0 && !(traits & USES_ETA))
        return fail(ERR_USAGE, "--eta: only the %s sampler uses it",
                    SAMPLERS_LISTED(samplers_with(USES_ETA)));
    bool three =
        q->guided_channels < 0 ? m->arithmetic == COMPAT_ORIGINAL : q->guided_channels == 0;
    out->steps = g->steps;
    out->eta = q->eta;
    out->guidance = g->guidance;
    out->guided_channels = three && channels > 3 ? 3 : channels;
    out->invert = q->invert;
    out->diffusion = (diffusion_form)(q->diffusion < 0 ? 0 : q->diffusion);
    TRY(read_interval(g->interval, out));
done:
    return st;
}

status drawing_plan(drawing *g, const drawing_request *q, model *m)
{
    *g = (drawing){.q = q, .m = m, .strength = q->strength};
    status st = OK;
    if (q->invert && (q->preview_every || q->states))
        return fail(ERR_USAGE, "--invert: ends in noise, so it takes no --preview and no --strip");
    TRY(plan_guidance(g));
    TRY(plan_labels(g));
    TRY(plan_frames(g));
    TRY(plan_series(g));
    TRY(plan_sampler(g));
    TRY(rng_source_parse(&g->request.source, q->rng));
    g->request.labels = g->labels;
    g->request.n = g->n;
    g->request.seed = q->seed;
    g->request.seeds = g->seeds;
    g->request.picks = g->seeds ? NULL : q->picks;
    g->request.series = g->series;
    g->request.batch = q->batch;
    TRY(run_schedule(&g->plan, m, &g->request));
done:
    return st;
}

int drawing_guided_steps(const drawing *g)
{
    int n = 0;
    for (int i = 0; i < g->plan.n_rows; i++)
        n += run_guides_at(&g->request, (double)g->plan.rows[i].timestep);
    return run_is_guided(g->m->arithmetic, g->guidance) ? n : 0;
}

/* ---- inputs ---- */

/* The noise of each end is that of one picture. Without a second seed all frames have the same
 * noise. */
static status draw_frames(drawing *g)
{
    const drawing_request *q = g->q;
    const rng_source *source = &g->request.source;
    size_t size = (size_t)g->m->dit.latent_size;
    size_t values = (size_t)g->m->dit.in_channels * size * size;
    float *ends = NULL;
    const uint64_t seeds[2] = {q->seed, q->has_seed_to ? q->seed_to : q->seed};
    rng generator;
    status st = OK;
    TRY(rng_source_check(source, values));
    TRY(memory_alloc(&ends, 2 * values, sizeof *ends));
    TRY(memory_alloc(&g->frame_noise, (size_t)q->frames * values, sizeof *g->frame_noise));
    for (size_t i = 0; i < 2; i++) {
        rng_seed_source(&generator, source, seeds[i]);
        rng_randn(&generator, ends + i * values, values);
    }
    interpolate_noise(g->frame_noise, ends, ends + values, values, q->frames);
done:
    free(ends);
    return st;
}

static status check_frames(drawing *g)
{
    if (!g->q->frames) return OK;
    if (g->q->latents)
        return fail(ERR_USAGE, "--interpolate draws its own noise; it takes no --latents-in");
    status st = draw_frames(g);
    g->request.initial_latents = g->frame_noise;
    g->request.mixes = g->mixes;
    return st;
}

static status check_image(drawing *g)
{
    const drawing_request *q = g->q;
    int scale = vae_scale(&g->m->vae), size = g->m->dit.latent_size, side = size * scale;
    status st = OK;
    if (!q->image) return OK;
    if (g->strength < 0) g->strength = q->mask ? 1.0 : 0.6;
    g->request.first_step = image_first_step(&g->plan, g->strength);
    if (g->request.first_step == g->plan.n_rows)
        return fail(ERR_USAGE, "--strength %g: leaves none of the %d steps", g->strength,
                    schedule_steps(&g->plan));
    if (!q->mask) return OK;
    TRY(memory_alloc(&g->mask, (size_t)size * (size_t)size, sizeof *g->mask));
    if (image_reduce_mask(g->mask, q->mask->rgb, side, side, scale) == 0)
        st = fail(ERR_USAGE, "--mask: nothing in it is white, so there is nothing to draw");
done:
    return st;
}

status drawing_check(drawing *g)
{
    const drawing_request *q = g->q;
    status st = OK;
    if (q->invert && (q->image || q->frames))
        return fail(ERR_USAGE, "--invert: starts from --latents-in, so it takes no --image and no "
                               "--interpolate");
    if (q->picks && (q->latents || q->noise))
        return fail(ERR_USAGE, "--pick: does not go with --latents-in and --noise-in");
    g->request.initial_latents = q->latents;
    g->request.given_noise = q->noise;
    g->request.kept_noise = q->kept_noise;
    TRY(check_image(g));
    TRY(check_frames(g));
    TRY(run_check_source(g->m, &g->request, &g->plan));
done:
    return st;
}

/* ---- running ---- */

/* Encodes the image before the run takes its memory. */
static status load_image(drawing *g, device *d)
{
    const vae_config *c = &g->m->vae;
    size_t area = (size_t)g->m->dit.latent_size * (size_t)g->m->dit.latent_size;
    size_t count = area * (size_t)c->latent_channels;
    float *moments = NULL;
    status st = OK;
    if (!g->q->image) return OK;
    TRY(memory_alloc(&moments, 2 * count, sizeof *moments));
    TRY(memory_alloc(&g->image_latents, count, sizeof *g->image_latents));
    TRY(picture_encode(moments, d, g->m, g->q->image));
    vae_sample(g->image_latents, moments, NULL, c, area);
    g->request.image = g->image_latents;
    g->request.mask = g->mask;
done:
    free(moments);
    return st;
}

static status go_on(const drawing_listener *to)
{
    return to->goes_on ? to->goes_on(to->context) : OK;
}

static status load(drawing *g, device *d, const drawing_listener *to)
{
    int size = g->m->dit.latent_size;
    status st = OK;
    TRY(load_image(g, d));
    TRY(go_on(to));
    TRY(run_open(&g->r, d, g->m, &g->request));
    TRY(go_on(to));
    if (!g->q->invert) {
        TRY(vae_load(&g->v, d, g->m));
        TRY(vae_prepare(&g->v, size, size));
    }
    TRY(first_use_finish(d));
done:
    return st;
}

typedef struct {
    const drawing *g;
    const drawing_listener *to;
    bool first; /* the next picture is the first one */
} decoding;

/* Hands a decoded picture on, with the pixels that the mask keeps, since the VAE would change them
 * slightly. */
static status hand_on(void *context, unsigned char *rgb)
{
    decoding *x = context;
    status st = go_on(x->to);
    const png *image = x->g->q->image, *mask = x->g->q->mask;
    size_t pixels = mask ? (size_t)mask->width * (size_t)mask->height : 0;
    for (size_t i = 0; i < pixels; i++)
        if (!image_is_white(mask->rgb + 3 * i)) memcpy(rgb + 3 * i, image->rgb + 3 * i, 3);
    if (st == OK && x->first && x->g->q->states && x->to->state)
        st = x->to->state(x->to->context, rgb, drawing_states(x->g) - 1);
    x->first = false;
    return st == OK && x->to->picture ? x->to->picture(x->to->context, rgb) : st;
}

static void begin(const drawing *g, const drawing_listener *to, drawing_phase phase)
{
    if (to->begins) to->begins(to->context, g, phase);
}

status drawing_run(drawing *g, device *d, const drawing_listener *to)
{
    decoding pictures = {g, to, true};
    const picture_sink sink = {&pictures, hand_on, to->context, to->progress};
    status st = OK;
    g->request.progress = to->progress;
    g->request.goes_on = to->goes_on;
    g->request.progress_context = to->context;
    begin(g, to, DRAWING_LOADS);
    TRY(drawing_want_previews(g, d, to));
    TRY(load(g, d, to));
    TRY(drawing_prepare_previews(g));
    begin(g, to, DRAWING_SAMPLES);
    TRY(run_sample(&g->r));
    TRY(drawing_note(&g->note, g));
    begin(g, to, DRAWING_DECODES);
    if (!g->q->invert) TRY(picture_decode_all(&sink, &g->v, g->r.latents, g->n, g->m->arithmetic));
done:
    return st;
}

status drawing_latents(const drawing *g, float *out)
{
    return buffer_download(g->r.d, g->r.latents, 0, out, g->r.latents.count);
}

void drawing_close(drawing *g)
{
    preview_free(&g->shown);
    vae_free(&g->v);
    run_close(&g->r);
    schedule_free(&g->plan);
    text_free(&g->note);
    free(g->labels);
    free(g->seeds);
    free(g->mixes);
    free(g->frame_noise);
    free(g->image_latents);
    free(g->mask);
    *g = (drawing){0};
}
