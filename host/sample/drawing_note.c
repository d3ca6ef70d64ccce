/* The note about how pictures were drawn: all that is needed to draw them again. See drawing.h. */
#include <string.h>

#include "base/file.h"
#include "ops/ops.h"
#include "sample/drawing.h"

/* The name of the folder; in a cache of a hub, the names of the model and the snapshot. */
static const char *model_name(const char *path)
{
    const char *name = strstr(path, "/snapshots/");
    if (!name) return file_last_part(path);
    while (name > path && name[-1] != '/') name--;
    return name;
}

/* The path of the transformer's file in the model's folder. */
static const char *file_within(const model *m)
{
    const char *file = m->dit_weights.file.path;
    size_t n = strlen(m->path);
    return !strncmp(file, m->path, n) && file[n] == '/' ? file + n + 1 : file_last_part(file);
}

/* Appends what the files do not say: another VAE, heads, the path of a SiT. */
static status note_model(text *note, const drawing *g)
{
    const model *m = g->m;
    const model_request *of = g->q->of;
    const state_taken *taken = &m->dit_weights.taken;
    status st = OK;
    TRY(text_append(note, "model %s, ", model_name(m->path)));
    if (of->vae) TRY(text_append(note, "VAE %s, ", file_last_part(m->vae_weights.file.path)));
    if (of->heads) TRY(text_append(note, "heads %d, ", of->heads));
    if (of->n_classes) TRY(text_append(note, "num-classes %d, ", of->n_classes));
    if (m->several_files) TRY(text_append(note, "file %s, ", file_within(m)));
    if (taken->chosen)
        TRY(text_append(note, "weights %s%s, ", taken->key, taken->averaged ? " (averaged)" : ""));
    if (!m->schedule.flow) goto done;
    TRY(text_append(note, "SiT, path %s, prediction %s, ", flow_path_names[m->schedule.path],
                    flow_prediction_name(m->schedule.predicts)));
done:
    return st;
}

enum { MOST_NUMBERS = 4096 };

/* Appends the seed, or the seeds of the pictures of a class, and which pictures were picked. */
static status note_seeds(text *note, const drawing *g)
{
    const drawing_request *q = g->q;
    status st = OK;
    TRY(q->seeds ? text_append(note, "seeds")
                 : text_append(note, "seed %llu", (unsigned long long)q->seed));
    for (int i = 0; q->seeds && i < q->per_class && i < MOST_NUMBERS; i++)
        TRY(text_append(note, " %llu", (unsigned long long)q->seeds[i]));
    if (q->picks) TRY(text_append(note, ", of %d pictures only", g->series));
    for (int i = 0; i < q->n_picks && i < MOST_NUMBERS; i++)
        TRY(text_append(note, " %d", q->picks[i]));
done:
    return st;
}

/* Appends the source of the noise, and the sampler. */
static status note_noise(text *note, const drawing *g)
{
    const drawing_request *q = g->q;
    const run_request *u = &g->request;
    unsigned traits = samplers[u->sampler].traits;
    status st = OK;
    TRY(note_seeds(note, g));
    if (u->source.kind != RNG_TORCH_CPU) TRY(text_append(note, " of %s", q->rng));
    if (q->latents_name)
        TRY(text_append(note, ", first noise %s", file_last_part(q->latents_name)));
    if (q->noise_name) TRY(text_append(note, ", steps' noise %s", file_last_part(q->noise_name)));
    TRY(text_append(note, ", steps %s, sampler %s", g->steps, sampler_names[u->sampler]));
    if (traits & USES_ETA) TRY(text_append(note, ", eta %.9g", q->eta));
    if (traits & USES_DIFFUSION)
        TRY(text_append(note, ", diffusion %s", diffusion_names[u->diffusion]));
done:
    return st;
}

static status note_guidance(text *note, const drawing *g)
{
    const run_request *u = &g->request;
    status st = OK;
    TRY(text_append(note, ", cfg %.9g", g->guidance));
    if (u->guided_channels < g->m->dit.in_channels)
        TRY(text_append(note, " of %d channels", u->guided_channels));
    if (u->guided_within)
        TRY(text_append(note, " from %.9g to %.9g", u->guided_from, u->guided_to));
done:
    return st;
}

static status note_device(text *note, const drawing *g)
{
    const device *d = g->r.d;
    const char *asked = precision_names[d->settings.precision];
    char ran[OP_RAN];
    status st = OK;
    op_ran(ran, d);
    TRY(text_append(note, ", %s arithmetic, precision %s", compat_names[g->m->arithmetic], asked));
    if (strcmp(ran, asked) != 0) TRY(text_append(note, " (%s)", ran));
    TRY(text_append(note, ", device %s", d->info.name));
done:
    return st;
}

static bool is_null_class(const model *m, int label)
{
    return m->dit.has_null && label == m->dit.n_classes;
}

static status note_classes(text *note, const drawing *g)
{
    int each = g->q->frames || g->q->picks ? 1 : g->q->per_class;
    int step = g->q->frames ? g->n - 1 : each;
    status st = OK;
    TRY(text_append(note, "; class"));
    for (int i = 0; i < g->n && i / step < MOST_NUMBERS; i += step)
        TRY(is_null_class(g->m, g->labels[i]) ? text_append(note, " null")
                                              : text_append(note, " %d", g->labels[i]));
    if (each > 1) TRY(text_append(note, ", %d pictures of each", each));
done:
    return st;
}

static status note_inputs(text *note, const drawing *g)
{
    const drawing_request *q = g->q;
    status st = OK;
    if (q->image)
        TRY(text_append(note, "; from a picture, strength %g%s", g->strength,
                        q->mask ? ", where a mask is white" : ""));
    if (q->frames) TRY(text_append(note, "; %d pictures from the first to the last", q->frames));
    if (q->frames && q->has_seed_to)
        TRY(text_append(note, ", seed %llu", (unsigned long long)q->seed_to));
done:
    return st;
}

status drawing_note(text *note, const drawing *g)
{
    status st = OK;
    TRY(note_model(note, g));
    TRY(note_noise(note, g));
    TRY(note_guidance(note, g));
    TRY(note_device(note, g));
    TRY(note_classes(note, g));
    TRY(note_inputs(note, g));
done:
    return st;
}
