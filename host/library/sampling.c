/* Sampling: requests of ditcl.h become drawings (sample/drawing.h). */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "library/inside.h"
#include "sample/drawing.h"
#include "sample/memory.h"

enum { PREVIEW_EVERY = 10 };

static const ditcl_request request_defaults = {.size = sizeof request_defaults,
                                               .per_class = 1,
                                               .guidance = -1,
                                               .strength = -1,
                                               .preview_every = PREVIEW_EVERY};

void ditcl_request_init(ditcl_request *request, size_t size)
{
    library_init(request, size, &request_defaults, sizeof request_defaults);
}

typedef struct {
    ditcl_model *model;
    ditcl_request q;
    drawing_request draw;
    drawing g;
    png image, mask; /* point to the caller's bytes */
    drawing_phase phase;
    ditcl_pictures *pictures;
    int done; /* pictures that are decoded */
} sampling;

static status check_request(const ditcl_request *q)
{
    if (q->n_classes < 0 || (q->n_classes && !q->classes))
        return fail(ERR_USAGE, "n_classes: found %d with %s, expected names", q->n_classes,
                    q->classes ? "classes" : "no classes");
    for (int i = 0; i < q->n_classes; i++)
        if (!q->classes[i]) return fail(ERR_USAGE, "classes[%d] is null", i);
    if (q->per_class < 1)
        return fail(ERR_USAGE, "per_class: found %d, expected 1 or more", q->per_class);
    if (q->frames < 0 || q->frames == 1)
        return fail(ERR_USAGE, "frames: found %d, expected 0, or 2 or more", q->frames);
    if (q->frames && (q->per_class > 1 || q->seeds))
        return fail(ERR_USAGE, "frames: say how many pictures there are, so per_class is 1");
    if (q->seed_to && !q->frames) return fail(ERR_USAGE, "seed_to: needs frames");
    if (q->batch < 0) return fail(ERR_USAGE, "batch: found %d, expected 0 or more", q->batch);
    if (q->preview_every < 1)
        return fail(ERR_USAGE, "preview_every: found %d, expected 1 or more", q->preview_every);
    if (q->mask && !q->image) return fail(ERR_USAGE, "mask: needs an image");
    if (!(q->strength <= 1))
        return fail(ERR_USAGE, "strength: found %g, expected 0 to 1", q->strength);
    if (!(q->eta >= 0 && q->eta <= 1))
        return fail(ERR_USAGE, "eta: found %g, expected 0 to 1", q->eta);
    return OK;
}

static status read_request(sampling *x, const ditcl_request *given)
{
    ditcl_request *q = &x->q;
    drawing_request *draw = &x->draw;
    status st = OK;
    *q = request_defaults;
    TRY(library_take(q, sizeof *q, given, "ditcl_request"));
    TRY(check_request(q));
    *draw = (drawing_request){DRAWING_DEFAULTS};
    draw->of = &x->model->request;
    draw->classes = (char *const *)(const void *)q->classes;
    draw->n_classes = q->n_classes;
    draw->per_class = q->per_class;
    if (q->steps) draw->steps = q->steps;
    if (q->rng) draw->rng = q->rng;
    draw->seed = q->seed;
    draw->seeds = q->seeds;
    draw->preview_every = q->preview ? q->preview_every : 0;
    draw->preview_exact = q->preview_exact != 0;
    draw->guidance = q->guidance;
    draw->interval = q->interval;
    draw->eta = q->eta;
    draw->frames = q->frames;
    draw->has_seed_to = q->seed_to != NULL;
    if (q->seed_to) draw->seed_to = *q->seed_to;
    draw->batch = q->batch;
    draw->strength = q->strength;
    draw->latents = q->latents;
    TRY(library_word(&draw->sampler, -1, q->sampler, sampler_names, "sampler"));
    TRY(library_word(&draw->diffusion, -1, q->diffusion, diffusion_names, "diffusion"));
    TRY(library_word(&draw->guided_channels, -1, q->guided_channels, guided_channels_names,
                     "guided_channels"));
done:
    return st;
}

/* The pictures of the request have the model's size. */
static status read_pictures(sampling *x)
{
    model *m = &x->model->m;
    int side = m->dit.latent_size * vae_scale(&m->vae);
    status st = OK;
    if (x->q.image) TRY(vae_check_encoder(m));
    x->image = (png){side, side, (unsigned char *)(uintptr_t)x->q.image};
    x->mask = (png){side, side, (unsigned char *)(uintptr_t)x->q.mask};
    if (x->q.image) x->draw.image = &x->image;
    if (x->q.mask) x->draw.mask = &x->mask;
done:
    return st;
}

static status plan(sampling *x, const ditcl_request *given)
{
    status st = OK;
    if (!x->model->request.need_dit)
        TRY(fail(ERR_USAGE, "the model was opened with vae_only, so it cannot be sampled"));
    if (!given) TRY(fail(ERR_USAGE, "the request is null"));
    TRY(read_request(x, given));
    TRY(read_pictures(x));
    TRY(drawing_plan(&x->g, &x->draw, &x->model->m));
    TRY(drawing_check(&x->g));
done:
    return st;
}

ditcl_code ditcl_memory(ditcl_model *the_model, ditcl_device *the_device,
                        const ditcl_request *request, uint64_t *bytes)
{
    sampling x = {.model = the_model};
    device plain = device_dry_plain(FAMILY_GPU);
    const device *d = the_device ? &the_device->d : &plain;
    status st = OK;
    *bytes = 0;
    library_enter(the_model->of);
    TRY(plan(&x, request));
    TRY(memory_plan(&x.g.request.batch, d, &the_model->m, &x.g.request));
    TRY(memory_of_run(bytes, d, &the_model->m, &x.g.request));
done:
    drawing_close(&x.g);
    return library_leave(the_model->of, st);
}

/* ---- callbacks ---- */

static status show_preview(void *context, const unsigned char *rgb, int n, int step, int n_steps)
{
    sampling *x = context;
    int width = x->pictures->width, height = x->pictures->height;
    size_t size = (size_t)width * (size_t)height * 3;
    (void)n_steps;
    for (int i = 0; i < n; i++)
        x->q.preview(x->q.context, step, i, rgb + (size_t)i * size, width, height);
    return OK;
}

static void begins(void *context, const drawing *g, drawing_phase phase)
{
    sampling *x = context;
    (void)g;
    if (x->q.progress && phase == DRAWING_SAMPLES) x->q.progress(x->q.context, DITCL_LOADING, 1, 1);
    if (x->q.progress && phase == DRAWING_LOADS) x->q.progress(x->q.context, DITCL_LOADING, 0, 1);
    x->phase = phase;
}

static void advance(void *context, int done, int total)
{
    sampling *x = context;
    if (x->q.progress) x->q.progress(x->q.context, (ditcl_phase)x->phase, done, total);
}

static status take_picture(void *context, const unsigned char *rgb)
{
    sampling *x = context;
    size_t size = (size_t)x->pictures->width * (size_t)x->pictures->height * 3;
    memcpy(x->pictures->rgb + (size_t)x->done++ * size, rgb, size);
    return OK;
}

static status goes_on(void *context)
{
    sampling *x = context;
    return library_goes_on(x->model->of);
}

/* ---- sampling ---- */

static status sample(sampling *x, ditcl_device *the_device)
{
    const drawing_listener listener = {.context = x,
                                       .begins = begins,
                                       .progress = advance,
                                       .picture = take_picture,
                                       .preview = x->q.preview ? show_preview : NULL,
                                       .goes_on = goes_on};
    drawing *g = &x->g;
    size_t size = (size_t)g->m->dit.latent_size;
    int side = (int)size * vae_scale(&g->m->vae);
    status st = OK;
    TRY(library_pictures(&x->pictures, g->n, side, side,
                         (size_t)g->m->dit.in_channels * size * size));
    TRY(library_goes_on(x->model->of));
    TRY(drawing_run(g, &the_device->d, &listener));
    TRY(drawing_latents(g, x->pictures->latents));
    TRY(memory_strdup(&x->pictures->note, g->note.data));
    if (x->q.progress) x->q.progress(x->q.context, DITCL_DECODING, g->n, g->n);
done:
    return st;
}

_Static_assert((int)DRAWING_LOADS == DITCL_LOADING && (int)DRAWING_SAMPLES == DITCL_SAMPLING &&
                   (int)DRAWING_DECODES == DITCL_DECODING,
               "the phases of drawing.h are those of ditcl.h");

ditcl_code ditcl_sample(ditcl_model *the_model, ditcl_device *the_device,
                        const ditcl_request *request, ditcl_pictures **pictures)
{
    sampling x = {.model = the_model};
    status st = OK;
    *pictures = NULL;
    library_enter_device(the_device);
    if (the_model->of != the_device->of)
        TRY(fail(ERR_USAGE, "the model and the device belong to two contexts"));
    TRY(plan(&x, request));
    TRY(sample(&x, the_device));
    *pictures = x.pictures;
    x.pictures = NULL;
done:
    drawing_close(&x.g);
    ditcl_pictures_free(x.pictures);
    return library_leave(the_device->of, st);
}
