/* ditcl sample: draws pictures from weights, classes and a seed. */
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
#include "cli/initial.h"
#include "cli/sampler_args.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "sample/pipeline.h"

enum { ALL_BY_DEFAULT = 100 }; /* without --class, a model of more classes is an error */

typedef struct {
    const char *model, *vae, *rng, *out;
    device_choice on;
    model_request of;
    text_list classes;
    int per_class, heads, n_classes, compat, batch;
    type_choice type;
    uint64_t seed;
    bool quiet, verbose, out_given;
    sampler_args sampling;
    arrays files;
    initial_args initial;
    /* results */
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

/* Labels of all pictures; the pictures of a class are neighbours. */
static status choose_labels(sample_request *q, const model *m)
{
    size_t capacity = 0;
    int classes = m->dit.n_classes, label;
    const class_choice among = {&m->classes, classes, m->dit.has_null,
                                m->labels_by == LABELS_ASSUMED};
    status st = OK;
    bool all = q->classes.n == 0;
    if (all && classes > ALL_BY_DEFAULT) {
        fail(ERR_USAGE, "no --class: the model has %d classes, too many to draw all of them",
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
    TRY(initial_labels(&q->initial, &q->labels, &q->n, m));
done:
    return st;
}

/* Fills in the request, and finds options that exclude each other. */
static status fill_request(sample_request *q, const model *m, run_request *out)
{
    const arrays *files = &q->files;
    *out = (run_request){
        .labels = q->labels,
        .n = q->n,
        .seed = q->seed,
        .initial_latents = files->initial.data,
        .batch = q->batch,
    };
    status st = sampler_args_request(&q->sampling, out, m);
    if (st != OK) return st;
    if (q->sampling.invert && (!files->latents_in || !files->latents_out))
        return fail(ERR_USAGE, "--invert: needs --latents-in and --latents-out");
    if (q->sampling.invert && q->out_given)
        return fail(ERR_USAGE, "--invert: makes no picture, so it takes no --out");
    if (q->sampling.invert && (q->initial.image || q->initial.frames))
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
            sampler_names[r->request.sampler], compat_names[r->m->arithmetic], q->sampling.guidance,
            r->guided ? "" : " (off)");
    fprintf(stderr, "  products by %s, modulation of %d steps at a time, %.0f MB on the device\n",
            gemm_name(r->d, r->network.batch * r->network.tokens, 3 * width, width), r->chunk_steps,
            (double)r->d->allocated_bytes / 1e6);
}

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
static status note_model(text *note, const sample_request *q, const model *m)
{
    status st = OK;
    TRY(text_append(note, "model %s, ", model_name(m->path)));
    if (q->vae) TRY(text_append(note, "VAE %s, ", file_last_part(m->vae_weights.file.path)));
    if (q->heads) TRY(text_append(note, "heads %d, ", q->heads));
    if (q->n_classes) TRY(text_append(note, "num-classes %d, ", q->n_classes));
    const state_taken *taken = &m->dit_weights.taken;
    if (m->several_files) TRY(text_append(note, "file %s, ", file_within(m)));
    if (taken->chosen)
        TRY(text_append(note, "weights %s%s, ", taken->key, taken->averaged ? " (averaged)" : ""));
    if (!m->schedule.flow) goto done;
    TRY(text_append(note, "SiT, path %s, prediction %s, ", flow_path_names[m->schedule.path],
                    flow_prediction_name(m->schedule.predicts)));
done:
    return st;
}

/* Appends the source of the noise, and the sampler. */
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
    TRY(text_append(note, ", steps %s, sampler %s", q->sampling.steps,
                    sampler_names[r->request.sampler]));
    unsigned traits = samplers[r->request.sampler].traits;
    if (traits & USES_ETA) TRY(text_append(note, ", eta %.9g", q->sampling.eta));
    if (traits & USES_DIFFUSION)
        TRY(text_append(note, ", diffusion %s", diffusion_names[r->request.diffusion]));
done:
    return st;
}

static bool is_null_class(const model *m, int label)
{
    return m->dit.has_null && label == m->dit.n_classes;
}

/* The PNG text of the pictures: all that is needed to draw them again. */
static status make_note(text *note, const sample_request *q, const run *r)
{
    enum { MOST_CLASSES = 4096 };
    const run_request *u = &r->request;
    int each = q->initial.frames ? 1 : q->per_class, last = q->n - 1;
    int step = q->initial.frames ? last : each;
    char ran[OP_RAN];
    status st = OK;
    TRY(note_model(note, q, r->m));
    TRY(note_noise(note, q, r));
    TRY(text_append(note, ", cfg %.9g", q->sampling.guidance));
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
    TRY(initial_note(note, &q->initial));
done:
    return st;
}

/* An interval without any guided step is probably a mistake. */
static void warn_unguided(const sample_request *q, const model *m, const run_request *u,
                          const schedule *s)
{
    bool any = false;
    for (int i = 0; i < s->n_rows; i++) any |= run_guides_at(u, (double)s->rows[i].timestep);
    if (q->quiet || !u->guided_within) return;
    if (!run_is_guided(m->arithmetic, q->sampling.guidance))
        cli_warn("--guidance-interval: --cfg %g guides nothing", q->sampling.guidance);
    else if (!any)
        cli_warn("--guidance-interval %s: no step's timestep is in it, so nothing is guided",
                 q->sampling.interval);
}

/* Completes the request and checks its schedule, before any device is opened. */
static status check_request(sample_request *q, const model *m, run_request *out)
{
    schedule s = {0};
    status st = fill_request(q, m, out);
    if (st == OK) st = run_schedule(&s, m, out);
    if (st == OK) warn_unguided(q, m, out, &s);
    if (st == OK) st = initial_request(&q->initial, out, m, &s);
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
    TRY(initial_encode(&q->initial, request, d, m));
    TRY(run_open(&r, d, m, request));
    TRY(vae_load(&v, d, m));
    if (v.unknown && !q->quiet)
        cli_warn("%s: unknown tensor %s is ignored", m->vae_weights.file.path, v.unknown);
    TRY(vae_prepare(&v, m->dit.latent_size, m->dit.latent_size));
    TRY(checker_finish(d));
    describe(q, &r, "to draw");
    double loaded = clock_seconds();
    bar.started = loaded;
    TRY(run_sample(&r));
    progress_end(&bar);
    cli_note_wide(d, q->quiet);
    double sampled = clock_seconds(), rows = r.plan.n_rows - r.request.first_step;
    TRY(make_note(&note, q, &r));
    o->known = q->initial.mask ? q->initial.picture.rgb : NULL;
    o->white = q->initial.white.rgb;
    o->notes =
        (const char *const[]){"Software", "ditcl " DITCL_VERSION, "Comment", note.data, NULL};
    if (!q->sampling.invert) TRY(output_decode(o, &v, r.latents, m->arithmetic, q->quiet));
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
    TRY(initial_check(&q->initial));
    if (q->initial.frames && q->per_class > 1)
        return fail(ERR_USAGE, "-n %d: --interpolate says how many pictures there are",
                    q->per_class);
    TRY(cli_apply_type(&of, &q->type));
    TRY(model_open(&m, &of));
    bool chosen = q->sampling.guidance != GUIDANCE_UNSET;
    TRY(sampler_args_guidance(&q->sampling, &m));
    TRY(choose_labels(q, &m));
    int side = m.dit.latent_size * vae_scale(&m.vae);
    TRY(q->sampling.invert
            ? output_open_arrays(&o)
            : output_open(&o, q->out, q->n, q->initial.frames ? q->n : q->per_class, side, side));
    TRY(arrays_add(&q->files, &o));
    TRY(output_check(&o, q->quiet));
    TRY(arrays_read(&q->files, &m, q->n));
    TRY(initial_read(&q->initial, &m));
    TRY(check_request(q, &m, &request));
    cli_note_weights(&m, q->quiet);
    cli_note_labels(&m, q->quiet);
    if (!m.dit.has_null && !chosen && !q->quiet)
        fprintf(stderr, "%s: has no null class, so it is drawn without guidance (--cfg 1)\n",
                TEXT_SHOWN(m.path));
    cli_note_vae(&m, q->verbose);
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
                        .sampling = SAMPLER_ARGS_DEFAULT,
                        .initial.strength = -1};
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
        OPTIONS_INITIAL(&q.initial),
        OPTION_HEADING("Sampling"),
        OPTIONS_SAMPLER(&q.sampling),
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
    initial_free(&q.initial);
    free(q.labels);
    return st;
}
