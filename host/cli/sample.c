/* ditcl sample: weights, a class and a seed -> pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "check/checker.h"
#include "cli/arrays.h"
#include "cli/cli.h"
#include "cli/given.h"
#include "cli/method.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "sample/pipeline.h"

enum { ALL_BY_DEFAULT = 100 }; /* a model of more classes is not drawn whole unasked */

typedef struct {
    const char *model, *vae, *rng, *out;
    device_choice on;
    model_request of;
    text_list classes;
    int per_class, heads, n_classes, compat, batch;
    type_choice type;
    uint64_t seed;
    bool quiet, verbose, out_given;
    method how;
    arrays files;
    given begin;
    /* found out */
    int *labels;
    int n;
} sample_request;

static const char details[] =
    "Examples:\n"
    "  ditcl sample emoji --class cat,heart -n 4 --seed 7 --cfg 3 --out sheet.png\n"
    "  ditcl sample DiT-XL-2-256 --class 207 --steps 250 --sampler ddpm --device gpu\n"
    "  ditcl sample emoji --class heart --image cat.png --strength 0.6\n"
    "  ditcl sample model.safetensors --vae vae/ --class 3 -n 100 --out %03d.png\n";

static const char more[] =
    "MODEL is a folder in diffusers' layout, a name, or one DiT file with --vae. A name\n"
    "is looked up in $DITCL_MODELS, ./models, share/ditcl/models beside the program's\n"
    "bin, and a hub's cache.\n"
    "\n"
    "  ditcl sample emoji --class all --out sheet.png\n"
    "  ditcl sample emoji --class cat,heart --interpolate 8 --out between.png\n";

static status add_label(sample_request *q, size_t *capacity, int label)
{
    for (int i = 0; i < q->per_class; i++) {
        status st = memory_grow(&q->labels, capacity, (size_t)q->n + 1, sizeof *q->labels);
        if (st != OK) return st;
        if (q->n >= 1000000) return fail(ERR_USAGE, "more than 1000000 pictures are too many");
        q->labels[q->n++] = label;
    }
    return OK;
}

/* Labels of all pictures, class-major. */
static status choose_labels(sample_request *q, const model *m)
{
    size_t capacity = 0;
    int classes = m->dit.n_classes, label;
    const class_choice among = {&m->classes, classes, m->dit.has_null,
                                m->labels_by == LABELS_ASSUMED};
    status st = OK;
    bool all = q->classes.n == 0;
    if (all && classes > ALL_BY_DEFAULT) {
        fail(ERR_USAGE, "no --class: the model has %d classes, more than are drawn unasked",
             classes);
        fail_hint("--class NUMBER or NAME; ditcl info MODEL lists the names");
        return ERR_USAGE;
    }
    for (int i = 0; i < q->classes.n; i++)
        for (const char *at = q->classes.items[i]; at;) {
            TRY(config_next_class(&label, &at, &among));
            for (int c = 0; label == CLASS_ALL && c < classes; c++) TRY(add_label(q, &capacity, c));
            if (label != CLASS_ALL) TRY(add_label(q, &capacity, label));
        }
    for (int c = 0; all && c < classes; c++) TRY(add_label(q, &capacity, c));
    TRY(given_labels(&q->begin, &q->labels, &q->n, m));
done:
    return st;
}

/* What is drawn and how, and what does not go together. */
static status settle(sample_request *q, const model *m, run_request *out)
{
    const arrays *files = &q->files;
    *out = (run_request){
        .labels = q->labels,
        .n = q->n,
        .seed = q->seed,
        .initial_latents = files->initial.data,
        .batch = q->batch,
    };
    status st = method_request(&q->how, out, m);
    if (st != OK) return st;
    if (q->how.invert && (!files->latents_in || !files->latents_out))
        return fail(ERR_USAGE, "--invert: needs --latents-in and --latents-out");
    if (q->how.invert && q->out_given)
        return fail(ERR_USAGE, "--invert: makes no picture, so it takes no --out");
    if (q->how.invert && (q->begin.image || q->begin.frames))
        return fail(ERR_USAGE, "--invert: starts from --latents-in, so it takes no --image and no "
                               "--interpolate");
    return rng_source_parse(&out->source, q->rng);
}

static void describe(const sample_request *q, const run *r, const char *note)
{
    int width = r->m->dit.width;
    if (!q->verbose) return;
    fprintf(stderr, "%s: %d picture%s, %d at once, %d steps (%s, %s arithmetic), guidance %g%s\n",
            note, q->n, q->n > 1 ? "s" : "", r->batch, r->plan.n_rows - r->request.first_step,
            sampler_names[r->request.sampler], compat_names[r->m->arithmetic], q->how.guidance,
            r->guided ? "" : " (off)");
    fprintf(stderr, "  products by %s, modulation of %d steps at a time, %.0f MB on the device\n",
            gemm_name(r->d, r->network.batch * r->network.tokens, 3 * width, width), r->chunk_steps,
            (double)r->d->allocated_bytes / 1e6);
}

/* The folder's name; in a hub's cache the hub's and the snapshot's. */
static const char *model_name(const char *path)
{
    const char *name = strstr(path, "/snapshots/");
    if (!name) return file_last_part(path);
    while (name > path && name[-1] != '/') name--;
    return name;
}

/* The transformer's file, as the model's folder has it. */
static const char *file_within(const model *m)
{
    const char *file = m->dit_weights.file.path;
    size_t n = strlen(m->path);
    return !strncmp(file, m->path, n) && file[n] == '/' ? file + n + 1 : file_last_part(file);
}

/* What the files do not say themselves: another VAE, heads, a SiT's path. */
static status note_model(text *note, const sample_request *q, const model *m)
{
    status st = OK;
    int predicts = 0;
    TRY(text_append(note, "model %s, ", model_name(m->path)));
    if (q->vae) TRY(text_append(note, "VAE %s, ", file_last_part(m->vae_weights.file.path)));
    if (q->heads) TRY(text_append(note, "heads %d, ", q->heads));
    if (q->n_classes) TRY(text_append(note, "num-classes %d, ", q->n_classes));
    const state_taken *taken = &m->dit_weights.taken;
    if (m->several_files) TRY(text_append(note, "file %s, ", file_within(m)));
    if (taken->chosen)
        TRY(text_append(note, "weights %s%s, ", taken->key, taken->averaged ? " (averaged)" : ""));
    if (!m->schedule.flow) goto done;
    while (flow_predictions[predicts] != m->schedule.predicts) predicts++;
    TRY(text_append(note, "SiT, path %s, prediction %s, ", flow_path_names[m->schedule.path],
                    flow_prediction_names[predicts]));
done:
    return st;
}

/* Where noise comes from, and how much of it there is in a step. */
static status note_noise(text *note, const sample_request *q, const run *r)
{
    const arrays *files = &q->files;
    status st = OK;
    TRY(text_append(note, "seed %llu", (unsigned long long)q->seed));
    if (r->request.source.kind != RNG_TORCH_CPU) TRY(text_append(note, " of %s", q->rng));
    if (files->latents_in)
        TRY(text_append(note, ", first noise %s", file_last_part(files->latents_in)));
    if (files->noise_in)
        TRY(text_append(note, ", steps' noise %s", file_last_part(files->noise_in)));
    TRY(text_append(note, ", steps %s, sampler %s", q->how.steps,
                    sampler_names[r->request.sampler]));
    if (r->request.sampler == SAMPLER_DDIM) TRY(text_append(note, ", eta %.9g", q->how.eta));
    if (r->request.sampler == SAMPLER_SDE)
        TRY(text_append(note, ", diffusion %s", diffusion_names[r->request.diffusion]));
done:
    return st;
}

static bool is_null_class(const model *m, int label)
{
    return m->dit.has_null && label == m->dit.n_classes;
}

/* How the pictures were made, for their PNG text: enough to draw them again. */
static status make_note(text *note, const sample_request *q, const run *r)
{
    enum { MOST_CLASSES = 4096 };
    const run_request *u = &r->request;
    int each = q->begin.frames ? 1 : q->per_class, last = q->n - 1;
    int step = q->begin.frames ? last : each;
    char ran[OP_RAN];
    status st = OK;
    TRY(note_model(note, q, r->m));
    TRY(note_noise(note, q, r));
    TRY(text_append(note, ", cfg %.9g", q->how.guidance));
    if (u->guided_channels < r->m->dit.in_channels)
        TRY(text_append(note, " of %d channels", u->guided_channels));
    if (u->guided_within)
        TRY(text_append(note, " from %.9g to %.9g", u->guided_from, u->guided_to));
    op_ran(ran, r->d);
    TRY(text_append(note, ", %s arithmetic, precision %s", compat_names[r->m->arithmetic],
                    precision_names[q->on.precision]));
    if (strcmp(ran, precision_names[q->on.precision]) != 0) TRY(text_append(note, " (%s)", ran));
    TRY(text_append(note, ", device %s; class", r->d->info.name));
    for (int i = 0; i < q->n && i / step < MOST_CLASSES; i += step)
        TRY(is_null_class(r->m, q->labels[i]) ? text_append(note, " null")
                                              : text_append(note, " %d", q->labels[i]));
    if (each > 1) TRY(text_append(note, ", %d pictures of each", each));
    TRY(given_note(note, &q->begin));
done:
    return st;
}

/* An interval that guides nothing is no mistake for certain, but most likely one. */
static void warn_unguided(const sample_request *q, const model *m, const run_request *u,
                          const schedule *s)
{
    bool any = false;
    for (int i = 0; i < s->n_rows; i++) any |= run_guides_at(u, (double)s->rows[i].timestep);
    if (q->quiet || !u->guided_within) return;
    if (!run_is_guided(m->arithmetic, q->how.guidance))
        cli_warn("--guidance-interval: --cfg %g guides nothing", q->how.guidance);
    else if (!any)
        cli_warn("--guidance-interval %s: no step's timestep is in it, so nothing is guided",
                 q->how.interval);
}

/* Settles the request and sees that its schedule can be, before any device is opened. */
static status check_request(sample_request *q, const model *m, run_request *out)
{
    schedule s = {0};
    status st = settle(q, m, out);
    if (st == OK) st = run_schedule(&s, m, out);
    if (st == OK) warn_unguided(q, m, out, &s);
    if (st == OK) st = given_request(&q->begin, out, m, &s);
    if (st == OK) st = arrays_request(&q->files, out, m, &s);
    if (st == OK) st = run_check_source(m, out, &s);
    schedule_free(&s);
    return st;
}

static status sample_on(sample_request *q, run_request *request, model *m, device *d, output *o)
{
    run r = {0};
    vae v = {0};
    text note = {0};
    progress bar = {0};
    double started = clock_seconds();
    status st = OK;
    progress_start(&bar, "sampling", q->quiet);
    request->progress = progress_update;
    request->progress_context = &bar;
    TRY(given_encode(&q->begin, request, d, m));
    TRY(run_open(&r, d, m, request));
    TRY(vae_load(&v, d, m));
    if (v.unknown && !q->quiet)
        cli_warn("%s: unknown tensor %s is ignored", m->vae_weights.file.path, v.unknown);
    TRY(vae_prepare(&v, m->dit.latent_size, m->dit.latent_size));
    TRY(checker_settle(d));
    describe(q, &r, "to draw");
    double loaded = clock_seconds();
    bar.started = loaded;
    TRY(run_sample(&r));
    progress_end(&bar);
    cli_tell_wide(d, q->quiet);
    double sampled = clock_seconds(), rows = r.plan.n_rows - r.request.first_step;
    TRY(make_note(&note, q, &r));
    o->known = q->begin.mask ? q->begin.picture.rgb : NULL;
    o->white = q->begin.white.rgb;
    o->notes =
        (const char *const[]){"Software", "ditcl " DITCL_VERSION, "Comment", note.data, NULL};
    if (!q->how.invert) TRY(output_decode(o, &v, r.latents, m->arithmetic, q->quiet));
    TRY(arrays_write(&q->files, &r, o));
    TRY(output_commit(o, q->quiet));
    if (q->verbose)
        fprintf(stderr, "  loading %.2f s, sampling %.2f s (%.3f s a step), decoding %.2f s\n",
                loaded - started, sampled - loaded, (sampled - loaded) / rows,
                clock_seconds() - sampled);
done:
    progress_end(&bar);
    o->notes = NULL;
    text_free(&note);
    vae_free(&v);
    run_close(&r);
    return st;
}

static status sample(sample_request *q)
{
    model m = {0};
    device d = {0};
    output o = {0};
    run_request request;
    status st = OK;
    model_request of = {.name = q->model,
                        .vae = q->vae,
                        .heads = q->heads,
                        .n_classes = q->n_classes,
                        .forced = q->compat,
                        .weights = q->of.weights,
                        .variant = q->of.variant,
                        .need_dit = true};
    q->verbose &= !q->quiet;
    q->out_given = q->out != NULL;
    if (!q->out_given) q->out = "ditcl.png";
    TRY(given_check(&q->begin));
    if (q->begin.frames && q->per_class > 1)
        return fail(ERR_USAGE, "-n %d: --interpolate says how many pictures there are",
                    q->per_class);
    TRY(cli_settle_type(&of, &q->type));
    TRY(model_open(&m, &of));
    bool chosen = q->how.guidance != METHOD_UNGIVEN;
    TRY(method_guidance(&q->how, &m));
    TRY(choose_labels(q, &m));
    int side = m.dit.latent_size * vae_scale(&m.vae);
    TRY(q->how.invert
            ? output_open_arrays(&o)
            : output_open(&o, q->out, q->n, q->begin.frames ? q->n : q->per_class, side, side));
    TRY(arrays_add(&q->files, &o));
    TRY(output_check(&o, q->quiet));
    TRY(arrays_read(&q->files, &m, q->n));
    TRY(given_read(&q->begin, &m));
    TRY(check_request(q, &m, &request));
    cli_tell_weights(&m, q->quiet);
    cli_tell_labels(&m, q->quiet);
    if (!m.dit.has_null && !chosen && !q->quiet)
        fprintf(stderr, "%s: has no null class, so it is drawn without guidance (--cfg 1)\n",
                TEXT_SHOWN(m.path));
    cli_tell_vae(&m, q->verbose);
    q->on.verbose = q->verbose;
    q->on.measured = true;
    TRY(cli_open_device(&d, &q->on, q->quiet));
    TRY(sample_on(q, &request, &m, &d, &o));
done:
    output_close(&o);
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_sample(int argc, char **argv)
{
    sample_request q = {.rng = "torch-cpu",
                        .per_class = 1,
                        .compat = -1,
                        .how = METHOD_DEFAULT,
                        .begin.strength = -1};
    const option options[] = {
        OPTION_HEADING("Model"),
        OPTION_VAE(&q.vae),
        OPTION_HEADS(&q.heads),
        OPTION_CLASSES(&q.n_classes),
        OPTIONS_TYPE(&q.type),
        OPTIONS_WEIGHTS(&q.of),
        {"compat", 0, OPTION_CHOICE, &q.compat, "NAME",
         "compute as original or diffusers [by the files]\n"
         "original: as the authors' sample.py. diffusers: as DiTPipeline with a torch generator on "
         "the CPU. Both include the noise.",
         0, 0, compat_names},
        OPTION_HEADING("What to draw"),
        {"class", 'c', OPTION_TEXTS, &q.classes, "C",
         "number, name, all or null; commas separate [all]\n"
         "The beginning of a name is enough. The option can be repeated. null is the null class. "
         "The default is an error if the model has more than 100 classes.",
         0, 0, NULL},
        {"n", 0, OPTION_INT, &q.per_class, "N", "pictures of each class [1]", 1, 1000000, NULL},
        OPTIONS_GIVEN(&q.begin),
        OPTION_HEADING("Sampling"),
        OPTIONS_METHOD(&q.how),
        {"batch", 0, OPTION_INT, &q.batch, "B", "pictures computed at once [as many as fit]", 1,
         4096, NULL},
        OPTION_HEADING("Noise"),
        {"seed", 's', OPTION_UINT64, &q.seed, "S", "random seed [0]", 0, 0, NULL},
        {"rng", 0, OPTION_TEXT, &q.rng, "NAME",
         "same noise as this generator of torch [torch-cpu]\n"
         "torch-cpu-scalar: a CPU without AVX2. torch-cuda:SMs or torch-cuda:SMsxTHREADS: a GPU "
         "with SMs multiprocessors of THREADS threads each (2048 unless given).",
         0, 0, NULL},
        OPTIONS_NOISE(&q.files),
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q.on),
        OPTION_HEADING("Output"),
        {"out", 'o', OPTION_TEXT, &q.out, "PATH",
         "PNG file, series (%03d.png) or folder [ditcl.png]\n"
         "A file receives the picture, or one sheet of several pictures. One %d or %0Nd in the "
         "name numbers a series; %% is one %. An existing folder receives 000000.png, 000001.png, "
         "... An existing file is replaced and keeps its mode; links are followed.",
         0, 0, NULL},
        OPTIONS_ARRAYS_OUT(&q.files),
        OPTION_QUIET(&q.quiet),
        OPTION_VERBOSE(&q.verbose),
        {0},
    };
    const char *const positional[] = {"MODEL", NULL};
    const command c = {.name = "sample",
                       .arguments = "MODEL [--class C] [-n N] [--out PATH] ...",
                       .summary = "Draws pictures of classes. MODEL: a name such as emoji, a "
                                  "diffusers folder, or a DiT file.",
                       .positional = positional,
                       .values = &q.model,
                       .details = details,
                       .more = more,
                       .options = options};
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st == OK && !helped) st = sample(&q);
    text_list_free(&q.classes);
    arrays_free(&q.files);
    given_free(&q.begin);
    free(q.labels);
    return st;
}
