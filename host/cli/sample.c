/* ditcl sample: draws pictures from weights, classes and a seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/arrays.h"
#include "cli/cli.h"
#include "cli/events.h"
#include "cli/initial.h"
#include "cli/labels.h"
#include "cli/sampler_args.h"
#include "cli/output.h"
#include "cli/previews.h"
#include "cli/progress.h"
#include "cli/recipe.h"
#include "cli/series.h"
#include "sample/drawing.h"

typedef struct {
    const command *c;
    int argc;
    char **argv;
    const char *out, *again;
    device_choice on;
    model_request of;
    text_list classes;
    type_choice type;
    drawing_request draw;
    bool quiet, verbose, json, out_given;
    arrays files;
    initial_args initial;
    series_args series;
    bool labelled;
    text_list labels; /* of the sheet */
    previews previews;
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

/* The bars and lines that people see while a drawing runs. */
typedef struct {
    sample_request *q;
    output *o;
    progress bar;
    drawing_phase phase;
    double loading, sampling, decoding; /* when they began, in seconds */
    const char *notes[7];               /* PNG text */
    const drawing *g;
    text recipe, of_series;
    bool no_recipe;
} showing;

/* The options of --invert, which begins with latents and ends with latents. */
static status check_invert(const sample_request *q)
{
    if (!q->draw.invert) return OK;
    if (!q->files.latents_in || !q->files.latents_out)
        return fail(ERR_USAGE, "--invert: needs --latents-in and --latents-out");
    if (q->out_given) return fail(ERR_USAGE, "--invert: makes no picture, so it takes no --out");
    return OK;
}

/* An interval without any guided step is probably a mistake. */
static void warn_unguided(const sample_request *q, const drawing *g)
{
    if (q->quiet || !g->request.guided_within || drawing_guided_steps(g)) return;
    if (!run_is_guided(g->m->arithmetic, g->guidance))
        cli_warn("--guidance-interval: --cfg %g guides nothing", g->guidance);
    else
        cli_warn("--guidance-interval %s: no step's timestep is in it, so nothing is guided",
                 g->interval);
}

static void describe(const drawing *g)
{
    const run *r = &g->r;
    int width = r->m->dit.width;
    fprintf(stderr,
            "to draw: %d picture%s, %d at once, %d steps (%s, %s arithmetic), guidance %g%s\n",
            g->n, g->n > 1 ? "s" : "", r->batch, r->plan.n_rows - r->request.first_step,
            sampler_names[r->request.sampler], compat_names[r->m->arithmetic], g->guidance,
            r->guided ? "" : " (off)");
    fprintf(stderr, "  products by %s, modulation %s%d steps%s, %.0f MB on the device\n",
            gemm_name(r->d, r->network.batch * r->network.tokens, 3 * width, width),
            r->network.keep_adaln ? "of " : "of all ", r->chunk_steps,
            r->network.keep_adaln ? " at a time (its weights stay)" : "",
            (double)r->d->allocated_bytes / 1e6);
}

static void begin_loading(showing *x, const drawing *g)
{
    x->loading = clock_seconds();
    progress_start(&x->bar, "loading", x->q->quiet);
    progress_say(&x->bar, g->m->path);
}

static void begin_sampling(showing *x, const drawing *g)
{
    x->sampling = clock_seconds();
    progress_end(&x->bar);
    if (g->v.unknown && !x->q->quiet)
        cli_warn("%s: unknown tensor %s is ignored", g->m->vae_weights.file.path, g->v.unknown);
    if (x->q->verbose) describe(g);
    progress_start(&x->bar, "sampling", x->q->quiet);
}

static void begin_decoding(showing *x, const drawing *g)
{
    const char *const notes[] = {"Software", "ditcl " DITCL_VERSION, "Comment", g->note.data, NULL};
    x->decoding = clock_seconds();
    progress_end(&x->bar);
    cli_note_wide(g->r.d, x->q->quiet);
    memcpy(x->notes, notes, sizeof notes);
    x->o->notes = x->notes;
    progress_start(&x->bar, "decoding", x->q->quiet || g->q->invert);
}

/* Adds the recipe to the notes. It is made once; each picture of a series has its index. */
static status add_recipe(showing *x, const drawing *g)
{
    enum { AT = 4 };
    const int *numbers = x->o->numbers;
    bool series = x->o->kind == OUTPUT_SERIES || x->o->kind == OUTPUT_FOLDER ||
                  (x->o->kind == OUTPUT_FILE && numbers);
    int index = numbers ? numbers[x->o->done] : x->o->done;
    status st = OK;
    if (x->no_recipe) return OK;
    if (!x->recipe.data) st = recipe_make(&x->recipe, x->q->c, x->q->argc, x->q->argv, g, series);
    if (st == ERR_LIMIT) {
        x->no_recipe = true;
        if (!x->q->quiet) cli_warn("the pictures have no recipe for --again: %s", fail_line());
        fail_clear();
        return OK;
    }
    if (st == OK && series) {
        text_free(&x->of_series);
        st = recipe_of_series(&x->of_series, x->recipe.data, index);
    }
    if (st != OK) return st;
    x->notes[AT] = PNG_AS_UTF8 RECIPE_KEYWORD;
    x->notes[AT + 1] = series ? x->of_series.data : x->recipe.data;
    return OK;
}

static void tell_phase(const drawing *g, drawing_phase phase)
{
    static const char *const kinds[] = {"loading", "sampling", "decoding"};
    event e = event_begin(kinds[phase]);
    json_put_name(&e.b, e.root, "model", g->m->path);
    json_put_int(&e.b, e.root, "pictures", g->n);
    if (phase != DRAWING_LOADS) json_put_name(&e.b, e.root, "device", g->r.d->info.name);
    event_end(&e);
}

/* Seconds since the phase began, and what is left of it if all steps take as long. */
static void tell_progress(const showing *x, int done, int total)
{
    bool samples = x->phase == DRAWING_SAMPLES;
    double spent = clock_seconds() - (samples ? x->sampling : x->decoding);
    event e = event_begin(samples ? "step" : "decoded");
    json_put_int(&e.b, e.root, samples ? "step" : "picture", done);
    json_put_int(&e.b, e.root, "of", total);
    json_put_real(&e.b, e.root, "seconds", spent);
    json_put_real(&e.b, e.root, "seconds_left", spent / done * (total - done));
    event_end(&e);
}

static void begins(void *context, const drawing *g, drawing_phase phase)
{
    showing *x = context;
    x->phase = phase;
    if (events_on()) tell_phase(g, phase);
    if (phase == DRAWING_LOADS) begin_loading(x, g);
    if (phase == DRAWING_SAMPLES) begin_sampling(x, g);
    if (phase == DRAWING_DECODES) begin_decoding(x, g);
}

static void advance(void *context, int done, int total)
{
    showing *x = context;
    progress_update(&x->bar, done, total);
    if (events_on() && done) tell_progress(x, done, total);
}

static status add_picture(void *context, const unsigned char *rgb)
{
    showing *x = context;
    status st = add_recipe(x, x->g);
    return st == OK ? output_add(x->o, rgb) : st;
}

static status show_preview(void *context, const unsigned char *rgb, int n, int step, int n_steps)
{
    showing *x = context;
    const char *path = x->q->previews.path;
    status st = previews_show(&x->q->previews, rgb, n);
    if (st != OK || !events_on()) return st;
    event e = event_begin("preview");
    json_put_name(&e.b, e.root, "path", path);
    json_put_int(&e.b, e.root, "step", step);
    json_put_int(&e.b, e.root, "of", n_steps);
    return event_end(&e);
}

static status keep_state(void *context, const unsigned char *rgb, int state)
{
    showing *x = context;
    previews_keep(&x->q->previews, rgb, state);
    return OK;
}

static status sample_on(sample_request *q, drawing *g, device *d, output *o)
{
    showing x = {.q = q, .o = o, .g = g};
    const drawing_listener listener = {.context = &x,
                                       .begins = begins,
                                       .progress = advance,
                                       .picture = add_picture,
                                       .preview = show_preview,
                                       .state = keep_state};
    status st = OK;
    TRY(drawing_run(g, d, &listener));
    progress_end(&x.bar);
    TRY(arrays_write(&q->files, g, o));
    TRY(previews_write(&q->previews, o));
    TRY(output_commit(o, q->quiet));
    double sampled = x.decoding - x.sampling, rows = g->r.plan.n_rows - g->r.request.first_step;
    if (q->verbose)
        fprintf(stderr, "  loading %.2f s, sampling %.2f s (%.3f s a step), decoding %.2f s\n",
                x.sampling - x.loading, sampled, sampled / rows, clock_seconds() - x.decoding);
done:
    progress_end(&x.bar);
    o->notes = NULL;
    text_free(&x.recipe);
    text_free(&x.of_series);
    return st;
}

/* Opens the outputs, then reads the inputs: both follow from the plan. */
static status open_files(sample_request *q, output *o, const drawing *g)
{
    int side = g->m->dit.latent_size * vae_scale(&g->m->vae);
    int unit = q->draw.frames || q->draw.picks ? g->n : q->draw.per_class;
    status st = OK;
    o->numbers = q->draw.picks;
    if (q->labelled) TRY(labels_of(&q->labels, g));
    o->labels = q->labels.items;
    TRY(q->draw.invert ? output_open_arrays(o) : output_open(o, q->out, g->n, unit, side, side));
    TRY(arrays_add(&q->files, o));
    TRY(previews_add(&q->previews, o, g));
    TRY(output_check(o, q->quiet));
    TRY(arrays_read(&q->files, &q->draw, g));
    TRY(initial_read(&q->initial, &q->draw, g->m));
done:
    return st;
}

static void note_model(const sample_request *q, const model *m)
{
    cli_note_weights(m, q->quiet);
    cli_note_labels(m, q->quiet);
    if (!m->dit.has_null && q->draw.guidance < 0 && !q->quiet)
        fprintf(stderr, "%s: has no null class, so it is drawn without guidance (--cfg 1)\n",
                TEXT_SHOWN(m->path));
    cli_note_vae(m, q->verbose);
}

static status sample(sample_request *q)
{
    model m = {0};
    device d = {0};
    output o = {0};
    drawing g = {0};
    status st = OK;
    q->verbose &= !q->quiet;
    q->out_given = q->out != NULL;
    if (!q->out_given) q->out = "ditcl.png";
    q->draw.of = &q->of;
    q->draw.classes = q->classes.items;
    q->draw.n_classes = q->classes.n;
    TRY(initial_check(&q->initial, &q->draw));
    TRY(series_apply(&q->series, &q->draw));
    TRY(check_invert(q));
    TRY(previews_check(&q->previews, &q->draw));
    TRY(cli_apply_type(&q->of, &q->type));
    TRY(model_open(&m, &q->of));
    TRY(drawing_plan(&g, &q->draw, &m));
    TRY(open_files(q, &o, &g));
    warn_unguided(q, &g);
    TRY(drawing_check(&g));
    note_model(q, &m);
    series_announce(&q->series, &q->draw, q->quiet);
    q->on.verbose = q->verbose;
    q->on.measured = true;
    TRY(cli_open_device(&d, &q->on, q->quiet));
    TRY(sample_on(q, &g, &d, &o));
done:
    drawing_close(&g);
    output_close(&o);
    device_close(&d);
    model_close(&m);
    return st;
}

static status take_again(void *context, const option *o, const char *value)
{
    if (o && !strcmp(o->name, "again")) *(const char **)context = value;
    return OK;
}

/* Sets the arguments of the run: argc and argv; with --again, those of the picture, changed by
 * argv. words: their storage. */
static status find_again(sample_request *q, text_list *words, const command *c, int argc,
                         char **argv)
{
    const char *path = NULL;
    q->c = c;
    q->argc = argc;
    q->argv = argv;
    bool asked = argc && !strcmp(argv[0], "--complete");
    if (!asked) options_walk(c, argc, argv, take_again, &path);
    if (!path) return OK;
    status st = recipe_again(words, c, path, argc, argv);
    q->argc = words->n;
    q->argv = words->items;
    return st;
}

status cli_sample(int argc, char **argv)
{
    sample_request q = {.of = {.forced = -1, .need_dit = true},
                        .draw = {DRAWING_DEFAULTS},
                        .previews = {PREVIEWS_DEFAULTS}};
    const option options[] = {
        OPTION_HEADING("Model"),
        OPTION_VAE(&q.of.vae),
        OPTION_HEADS(&q.of.heads),
        OPTION_CLASSES(&q.of.n_classes),
        OPTIONS_TYPE(&q.type),
        OPTIONS_WEIGHTS(&q.of),
        {"compat", 0, OPTION_CHOICE, &q.of.forced, "NAME",
         "compute as original or diffusers [by the files]\n"
         "original: as the authors' sample.py. diffusers: as DiTPipeline with a torch generator on "
         "the CPU. NAME also decides which noise is drawn.",
         0, 0, compat_names},
        OPTION_HEADING("What to draw"),
        {"again", 0, OPTION_TEXT, &q.again, "PICTURE.png",
         "draw this picture again; other options change it\n"
         "The PNG has the command line that made it, which ditcl info PICTURE.png prints. Options "
         "and a MODEL beside --again replace those of the picture.",
         0, 0, NULL},
        {"class", 'c', OPTION_TEXTS, &q.classes, "C",
         "number, name, all or null; commas separate [all]\n"
         "The beginning of a name is enough. The option can be repeated. null is the null class. "
         "The default is an error if the model has more than 100 classes.",
         0, 0, NULL},
        {"n", 0, OPTION_INT, &q.draw.per_class, "N", "pictures of each class [1]", 1, 1000000,
         NULL},
        OPTIONS_INITIAL(&q.initial, &q.draw),
        OPTION_HEADING("Sampling"),
        OPTIONS_SAMPLER(&q.draw),
        {"batch", 0, OPTION_INT, &q.draw.batch, "B", "pictures computed at once [as many as fit]",
         1, 4096, NULL},
        OPTION_HEADING("Noise"),
        OPTIONS_SERIES(&q.series),
        {"rng", 0, OPTION_TEXT, &q.draw.rng, "NAME",
         "same noise as this generator of torch [torch-cpu]\n"
         "torch-cpu-scalar: a CPU without AVX2. torch-cuda:SMs or torch-cuda:SMsxTHREADS: a GPU "
         "with SMs multiprocessors of THREADS threads each (2048 unless given).",
         0, 0, NULL},
        OPTIONS_NOISE(&q.files),
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q.on),
        OPTION_HEADING("Output"),
        {"out", 'o', OPTION_TEXT, &q.out, "PATH",
         "picture, series (%03d.png) or folder [ditcl.png]\n"
         "The ending tells the format: .png, .jpg, .jpeg, or .webp, which is lossless. Only PNG "
         "has a recipe. - is standard output. A file receives the picture, or one sheet of several "
         "pictures. One %d or %0Nd in the name numbers a series; %% is one %. An existing folder "
         "receives 000000.png, 000001.png, ... An existing file is replaced and keeps its mode; "
         "links are followed.",
         0, 0, NULL},
        {"labels", 0, OPTION_FLAG, &q.labelled, NULL,
         "write the class below each picture of a sheet", 0, 0, NULL},
        OPTIONS_ARRAYS_OUT(&q.files),
        OPTION_QUIET(&q.quiet),
        OPTION_VERBOSE(&q.verbose),
        OPTION_HEADING("Watching"),
        OPTION_EVENTS(&q.json),
        OPTIONS_PREVIEWS(&q.previews),
        {0},
    };
    const char *const positional[] = {"MODEL", NULL};
    const command c = {.name = "sample",
                       .arguments = "MODEL [--class C] [-n N] [--out PATH] ...",
                       .summary = "Draws pictures of classes. MODEL: a name such as emoji, a "
                                  "diffusers folder, or a DiT file.",
                       .positional = positional,
                       .values = &q.of.name,
                       .details = details,
                       .more = more,
                       .options = options};
    bool helped;
    text_list again = {0};
    status st = find_again(&q, &again, &c, argc, argv);
    if (st == OK) st = options_parse(&c, q.argc, q.argv, &helped);
    if (st == OK && !helped && q.json) events_start();
    if (st == OK && !helped) st = sample(&q);
    st = events_finish(st);
    text_list_free(&again);
    text_list_free(&q.classes);
    arrays_free(&q.files);
    initial_free(&q.initial);
    series_free(&q.series);
    text_list_free(&q.labels);
    previews_free(&q.previews);
    return st;
}
