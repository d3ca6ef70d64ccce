/* ditcl tune: finds and stores the fastest kernels for a device at the shapes of a model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "base/worker.h"
#include "bench/tuning.h"
#include "cli/cli.h"
#include "cli/events.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "check/verdicts.h"
#include "bench/peak.h"
#include "tune/store.h"

typedef struct {
    model_args of;
    text_list only;
    const char *budget, *export, *import;
    device_choice on;
    bool show, forget, quiet, verbose, json;
    double seconds; /* of the budget */
    int argc;       /* as typed, for the children */
    char **argv;
} tune_options;

/* What a child does: it tries candidates, or makes forward passes with or without the stored
 * configurations. Its arguments are one of these words and the arguments of its parent. */
enum { MODE_CANDIDATES, MODE_TUNED, MODE_UNTUNED };
static const char *const modes[] = {"candidates", "tuned", "untuned", NULL};
enum { CHILD_WORDS = WORKER_ARGS + 1 };

static void make_words(const char *words[CHILD_WORDS], const tune_options *q, int mode)
{
    int n = 0;
    words[n++] = "tune-worker";
    words[n++] = modes[mode];
    for (int i = 0; i < q->argc && n < WORKER_ARGS; i++) words[n++] = q->argv[i];
    words[n] = NULL;
}

/* ---- options ---- */

/* "90", "90s", "2m", "1.5h"; "full": until a better configuration is unlikely */
static status parse_budget(tune_options *q)
{
    char number[32];
    double value, scale = 1.0;
    q->seconds = INFINITY;
    if (!strcmp(q->budget, "full")) return OK;
    text_copy(number, sizeof number, q->budget);
    size_t n = strlen(number);
    char last = n ? number[n - 1] : 0;
    if (last == 's' || last == 'm' || last == 'h') {
        scale = last == 'h' ? 3600.0 : last == 'm' ? 60.0 : 1.0;
        number[n - 1] = 0;
    }
    if (!text_to_double(number, &value) || value * scale < 1.0 || value * scale > 1e6)
        return fail(ERR_USAGE, "--budget %s: expected a time such as 90s, 2m or 1h, or full",
                    q->budget);
    q->seconds = value * scale;
    return OK;
}

static bool with_store(const tune_options *q)
{
    return q->show || q->forget || q->export || q->import;
}

/* A file is replaced only if its name ends in .conf. A new file may have no extension. */
static status check_export(const char *path, bool quiet)
{
    const char *dot = strrchr(file_last_part(path), '.');
    if (dot ? !text_equal_nocase(dot, ".conf") : file_exists(path) && !file_is_folder(path))
        return fail(ERR_USAGE, "--export %s: expected a name that ends in .conf", path);
    return output_check_one(path, quiet);
}

static status check_options(tune_options *q)
{
    if (q->show + q->forget + (q->export != NULL) + (q->import != NULL) > 1)
        return fail(ERR_USAGE, "tune: expected only one of --show, --export, --import, --forget");
    if (with_store(q) && (q->of.words.n || q->of.arch))
        return fail(ERR_USAGE, "tune: --show, --export, --import and --forget measure nothing, so "
                               "they take no MODEL");
    if (with_store(q) && q->json)
        return fail(ERR_USAGE, "tune: --show, --export, --import and --forget have no --json");
    status st = with_store(q) ? OK : cli_check_model_args("tune", &q->of);
    if (st == OK && q->export) st = check_export(q->export, q->quiet);
    if (st != OK) return st;
    for (int i = 0; i < q->only.n; i++)
        if (!operator_find(q->only.items[i]))
            return fail(ERR_USAGE, "--only %s: expected gemm, attention or conv", q->only.items[i]);
    if (q->argc > WORKER_ARGS - 3)
        return fail(ERR_USAGE, "tune: found %d arguments, expected at most %d", q->argc,
                    WORKER_ARGS - 3);
    return parse_budget(q);
}

/* ---- the search ---- */

static void name_of(char *out, size_t size, const tune_shape *r)
{
    char sizes[SHAPE_TEXT];
    shape_text(sizes, r->shape);
    snprintf(out, size, "%s %s", r->op, sizes);
}

/* "[####....] 31 of 120 s", or "31 s" with --budget full */
static void show_spent(char *out, size_t size, const tune_search *s)
{
    enum { CELLS = 20 };
    char bar[CELLS + 1];
    double spent = clock_seconds() - s->start;
    if (isinf(s->budget)) {
        snprintf(out, size, "%.0f s", spent);
        return;
    }
    for (int i = 0; i < CELLS; i++) bar[i] = i < spent / s->budget * CELLS ? '#' : '.';
    bar[CELLS] = 0;
    snprintf(out, size, "[%s] %.0f of %.0f s", bar, spent, s->budget);
}

/* What is known of a shape: of one that is being tried, or at the end. */
static event begin_shape(const char *kind, const tune_shape *r)
{
    char sizes[SHAPE_TEXT], words[CONFIG_OPTIONS] = "";
    event e = event_begin(kind);
    shape_text(sizes, r->shape);
    json_put_text(&e.b, e.root, "operator", r->op);
    json_put_text(&e.b, e.root, "shape", sizes);
    json_put_int(&e.b, e.root, "tried", r->tried);
    json_put_int(&e.b, e.root, "refused", r->refused);
    json_put_int(&e.b, e.root, "failed", r->failed);
    json_put_int(&e.b, e.root, "wrong", r->wrong);
    if (!r->best.is.impl) return e;
    configuration_words(words, r->best.is.impl, r->best.is.config);
    json_put_text(&e.b, e.root, "implementation", r->best.is.impl->name);
    json_put_text(&e.b, e.root, "configuration", words + (*words == ' '));
    json_put_real(&e.b, e.root, "ms", r->best.seconds * 1e3);
    if (r->default_seconds > 0.0)
        json_put_real(&e.b, e.root, "gain", r->default_seconds / r->best.seconds);
    return e;
}

static void tell_try(const tune_search *s, const tune_shape *now)
{
    event e = begin_shape("try", now);
    double spent = clock_seconds() - s->start;
    json_put_real(&e.b, e.root, "seconds", spent);
    json_put_real(&e.b, e.root, "seconds_left", fmax(s->budget - spent, 0));
    event_end(&e);
}

static status tell_results(const tune_search *s, const peaks *p)
{
    status st = OK;
    for (int i = 0; i < s->n; i++) {
        const tune_shape *r = &s->shapes[i];
        event e = begin_shape("result", r);
        json_put_real(&e.b, e.root, "calls", r->calls);
        if (r->best.is.impl)
            json_put_real(&e.b, e.root, "of_peak",
                          peak_fraction(p, r->best.executed, r->best.seconds));
        TRY(event_end(&e));
    }
    event e = event_begin("searched");
    json_put_bool(&e.b, e.root, "complete", s->complete);
    st = event_end(&e);
done:
    return st;
}

static void show(void *context, const tune_search *s, const tune_shape *now)
{
    if (events_on()) tell_try(s, now);
    char line[200], spent[60], name[80], best[60] = "";
    int n = 0;
    show_spent(spent, sizeof spent, s);
    name_of(name, sizeof name, now);
    for (int i = 0; i < s->n; i++) n += s->shapes[i].tried;
    if (now->best.is.impl && now->default_seconds > 0.0)
        snprintf(best, sizeof best, ": %.3g ms, x%.2f", now->best.seconds * 1e3,
                 now->default_seconds / now->best.seconds);
    snprintf(line, sizeof line, "%s, %d tried; %s%s", spent, n, name, best);
    progress_say(context, line);
}

static void print_table(const tune_search *s, const peaks *p)
{
    printf("%-28s %6s %10s %7s %6s %5s %7s %6s %5s  %s\n", "operator", "calls", "ms", "of peak",
           "gain", "tried", "refused", "failed", "wrong", "winner");
    for (int i = 0; i < s->n; i++) {
        const tune_shape *r = &s->shapes[i];
        char name[80];
        name_of(name, sizeof name, r);
        printf("%-28s %6.0f ", name, r->calls);
        if (r->best.is.impl) {
            double part = peak_fraction(p, r->best.executed, r->best.seconds);
            printf("%10.3f %6.1f%% ", r->best.seconds * 1e3, 100.0 * part);
        } else {
            printf("%10s %7s ", "-", "-");
        }
        if (r->best.is.impl && r->default_seconds > 0.0)
            printf("x%-5.2f ", r->default_seconds / r->best.seconds);
        else
            printf("%6s ", "-");
        printf("%5d %7d %6d %5d  ", r->tried, r->refused, r->failed, r->wrong);
        char words[CONFIG_OPTIONS] = "";
        if (r->best.is.impl) configuration_words(words, r->best.is.impl, r->best.is.config);
        printf("%s%s\n", r->best.is.impl ? r->best.is.impl->name : "not measured", words);
    }
}

/* Prints how many candidates of each shape bucket were tried. */
static void print_buckets(const tune_search *s)
{
    printf("\n%-22s %6s %6s %6s %9s\n", "shapes", "number", "trials", "right", "of");
    for (int i = 0; i < s->n_buckets; i++) {
        const tune_bucket *c = &s->buckets[i];
        printf("%-22s %6d %6d %6d %9ld\n", c->name, c->shapes, c->trials, c->right, c->candidates);
    }
    printf("right: different candidates with right results; of: candidates that fit the heaviest "
           "of the shapes\n%s\n",
           s->complete ? "nothing better is likely: the search is complete"
                       : "the budget is spent; repeat the command to continue the search");
}

/* Measures whole forward passes, in two children in turns. */
static void print_gain(const tune_options *q, const tune_search *s)
{
    forward_gain g;
    const double least = 3.0, most = 30.0, share = 0.1; /* in seconds; share: of the budget */
    double seconds = fmin(fmax(s->budget * share, least), most);
    const char *untuned[CHILD_WORDS], *tuned[CHILD_WORDS];
    make_words(untuned, q, MODE_UNTUNED);
    make_words(tuned, q, MODE_TUNED);
    if (tuning_compare(&g, untuned, tuned, seconds) != OK) {
        if (!q->quiet) cli_warn("the gain of a forward pass is not known: %s", fail_line());
        fail_clear();
        return;
    }
    if (q->json) {
        event e = event_begin("forward");
        json_put_real(&e.b, e.root, "untuned_ms", g.untuned * 1e3);
        json_put_real(&e.b, e.root, "tuned_ms", g.tuned * 1e3);
        json_put_int(&e.b, e.root, "passes", g.passes);
        event_end(&e);
        return;
    }
    printf("\nforward pass: %.1f ms untuned, %.1f ms tuned (x%.2f; medians of %d in turns)\n",
           g.untuned * 1e3, g.tuned * 1e3, g.untuned / g.tuned, g.passes);
}

static status search_on(const tune_options *q, device *d, model *m)
{
    const char *words[CHILD_WORDS];
    progress line;
    tune_search s = {
        .d = d, .budget = q->seconds, .worker = words, .progress = show, .progress_context = &line};
    peaks p = {0};
    status st = OK;
    progress_start(&line, "tuning", q->quiet);
    make_words(words, q, MODE_CANDIDATES);
    TRY(tuning_shapes(m, (const char *const *)q->only.items, &s.shapes, &s.n));
    progress_say(&line, "the device's peak");
    TRY(peak_raise(d, &p));
    TRY(tune_run(&s));
    progress_say(&line, "the device's peak");
    TRY(peak_raise(d, &p)); /* the clock frequency may have changed */
    progress_end(&line);
    if (q->json) {
        TRY(tell_results(&s, &p));
    } else {
        print_table(&s, &p);
        print_buckets(&s);
    }
    if (q->verbose && !q->json)
        printf("\nof %d times, %d are by the device's clock, the others by the wall clock: the "
               "device has no clock, or the two disagree\n",
               s.by_device + s.by_wall, s.by_device);
    fflush(stdout);
    progress_start(&line, "tuning", q->quiet);
    progress_say(&line, "whole forward passes, untuned and tuned");
    print_gain(q, &s);
done:
    progress_end(&line);
    free(s.shapes);
    return st;
}

/* ---- the store ---- */

static status import_lines(const tune_options *q, device *d, store *s)
{
    store new = {0};
    status st = OK;
    TRY(store_read(&new, d, q->import));
    if (new.n == 0)
        TRY(fail(ERR_FORMAT, "%s: no line can be used on device %d (%s)", q->import, d->info.index,
                 d->info.name));
    for (size_t i = 0; i < new.n; i++) TRY(store_put_line(s, &new.lines[i]));
    TRY(store_save(s, &d->info));
    if (!q->quiet) fprintf(stderr, "%zu line%s imported\n", new.n, new.n == 1 ? "" : "s");
done:
    store_free(&new);
    return st;
}

static status use_store(const tune_options *q, device *d)
{
    store s = {0};
    text all = {0};
    status st = OK;
    TRY(store_load(&s, d));
    TRY(store_text(&s, &d->info, &all));
    if (q->forget) {
        tune_forget(&d->info);
        verdicts_forget();
        TRY(store_forget(&d->info));
    } else if (q->import) {
        TRY(import_lines(q, d, &s));
    } else if (q->export) {
        TRY(file_out_text(q->export, all.data));
    } else {
        text_print(stdout, all.data);
    }
done:
    text_free(&all);
    store_free(&s);
    return st;
}

/* ---- the command ---- */

static status run_tune(tune_options *q)
{
    model m = {0};
    device d = {0};
    status st = OK;
    TRY(check_options(q));
    q->on.bare = q->on.remembered = true;
    q->on.verbose = q->verbose && !q->quiet;
    if (!with_store(q)) TRY(cli_open_model(&m, &q->of, VAE_NEEDED));
    cli_note_weights(&m, q->quiet);
    TRY(cli_open_device(&d, &q->on, q->quiet));
    if (with_store(q))
        TRY(use_store(q, &d));
    else if (d.info.quirk.has[QUIRK_POISON_BUFFERS])
        st = fail(ERR_DEVICE, "device %d (%s) is an emulator: its times say nothing", d.info.index,
                  d.info.name);
    else
        TRY(search_on(q, &d, &m));
done:
    device_close(&d);
    model_close(&m);
    return st;
}

/* Parses the arguments of ditcl tune, which its children have as well. */
static status parse(tune_options *q, int argc, char **argv, bool *helped)
{
    *q = (tune_options){.of.image_size = -1, .budget = "2m", .argc = argc, .argv = argv};
    const option options[] = {
        OPTION_HEADING("Search"),
        {"budget", 0, OPTION_TEXT, &q->budget, "TIME",
         "how long to search: 90s, 2m, 1h, or full [2m]\n"
         "full: until a better configuration is unlikely.",
         0, 0, NULL},
        {"only", 0, OPTION_LIST, &q->only, "NAME", "gemm, attention, conv; commas separate [all]",
         0, 0, NULL},
        OPTION_HEADING("Stored configurations"),
        {"show", 0, OPTION_FLAG, &q->show, NULL, "print the configurations of the device", 0, 0,
         NULL},
        {"export", 0, OPTION_TEXT, &q->export, "FILE",
         "write the configurations of the device to FILE", 0, 0, NULL},
        {"import", 0, OPTION_TEXT, &q->import, "FILE",
         "store the lines of FILE that the device can use", 0, 0, NULL},
        {"forget", 0, OPTION_FLAG, &q->forget, NULL,
         "remove the device's configurations, and all first-use checks\n"
         "The results of first-use checks are removed for all devices.",
         0, 0, NULL},
        OPTION_HEADING("Model"),
        OPTIONS_MODEL(&q->of),
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q->on),
        OPTION_HEADING("Output"),
        OPTION_EVENTS(&q->json),
        OPTION_QUIET_RESULTS(&q->quiet),
        OPTION_VERBOSE(&q->verbose),
        {0},
    };
    const command c = {
        .name = "tune",
        .arguments = "[MODEL | --arch NAME] [--budget TIME]",
        .summary = "Benchmarks kernels and their configurations at a model's shapes on one device. "
                   "Stores the fastest correct ones, which later runs on this device use. A "
                   "search that is stopped continues with the next call.",
        .details = "Examples:\n"
                   "  ditcl tune --arch DiT-XL/2 --device gpu --budget 30m\n"
                   "  ditcl tune emoji --export my-device.conf\n",
        .more =
            "Each candidate runs in a child process. Its result is compared with a "
            "reference in\ndouble precision before its time counts. A stored result holds for the "
            "kernel family and\nprecision of the command, and for the shapes of one picture "
            "with guidance.\ngain: speed relative to the untuned configuration.\n\n"
            "--budget full searches every bucket of shapes, such as GEMM of few rows or 3x3\n"
            "convolutions. A bucket is done after 100 different correct candidates, or all "
            "that\nexist, and 60 trials without an improvement. The last table counts the "
            "candidates\nof each bucket.\n",
        .options = options,
        .rest = true,
        .extra = &q->of.words,
    };
    return options_parse(&c, argc, argv, helped);
}

static void free_options(tune_options *q)
{
    text_list_free(&q->of.words);
    text_list_free(&q->only);
}

status cli_tune(int argc, char **argv)
{
    tune_options q;
    bool helped;
    status st = parse(&q, argc, argv, &helped);
    if (st == OK && !helped && q.json) events_start();
    if (st == OK && !helped) st = run_tune(&q);
    free_options(&q);
    return events_finish(st);
}

status cli_tune_worker(int argc, char **argv)
{
    tune_options q = {0};
    bool helped = false;
    int mode = 0;
    device d = {0};
    model m = {0};
    FILE *replies = NULL;
    status st = OK;
    while (argc > 0 && modes[mode] && strcmp(modes[mode], argv[0]) != 0) mode++;
    if (argc > 0 && modes[mode]) {
        TRY(parse(&q, argc - 1, argv + 1, &helped));
        replies = helped ? NULL : fdopen(WORKER_REPLIES, "w");
    }
    if (!replies) TRY(fail(ERR_USAGE, "tune-worker: only ditcl tune starts it"));
    q.on.bare = mode != MODE_TUNED;
    q.on.remembered = mode != MODE_CANDIDATES;
    q.on.no_cache = q.on.profiled =
        mode == MODE_CANDIDATES; /* most candidates are not needed again */
    TRY(cli_open_device(&d, &q.on, true));
    if (mode == MODE_CANDIDATES) {
        TRY(tune_serve(&d, stdin, replies));
    } else {
        TRY(cli_open_model(&m, &q.of, VAE_NEEDED));
        TRY(tuning_serve_forward(&d, &m, stdin, replies));
    }
done:
    if (replies) fclose(replies);
    device_close(&d);
    model_close(&m);
    free_options(&q);
    return st;
}
