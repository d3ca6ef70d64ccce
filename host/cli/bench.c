/* ditcl bench: how fast a model's passes and operators are, and how near the device's peaks. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "model/dit.h"
#include "model/paper.h"
#include "model/vae.h"

typedef struct {
    text_list words, only;
    const char *vae;
    int heads, arch, image_size, repeat; /* arch, image_size: -1, or an index of their choices */
    device_choice on;
    bool json, quiet, verbose;
} bench_options;

static const char *const image_sizes[] = {"256", "512", NULL};

/* ---- what was asked for ---- */

static status check_options(const bench_options *q)
{
    if (q->words.n > 1)
        return fail(ERR_USAGE, "%s: ditcl bench takes one MODEL", q->words.items[1]);
    if (q->words.n == 0 && q->arch < 0) {
        fail(ERR_USAGE, "ditcl bench: no MODEL and no --arch");
        fail_hint("for example: ditcl bench --arch DiT-XL/2 --image-size 256");
        return ERR_USAGE;
    }
    if (q->words.n == 1 && q->arch >= 0)
        return fail(ERR_USAGE, "--arch %s: there is a MODEL already: %s", paper_names[q->arch],
                    q->words.items[0]);
    if (q->arch < 0 && q->image_size >= 0)
        return fail(ERR_USAGE, "--image-size: only --arch needs it");
    if (q->arch >= 0 && (q->vae || q->heads))
        return fail(ERR_USAGE, "--%s: only a MODEL needs it", q->vae ? "vae" : "heads");
    for (int i = 0; i < q->only.n; i++) {
        status st = bench_known(q->only.items[i]);
        if (st != OK) return st;
    }
    return OK;
}

static status open_model(model *m, const bench_options *q)
{
    if (q->arch >= 0) return paper_model(m, q->arch, q->image_size == 1 ? 512 : 256);
    status st = model_open(m, &(model_request){.name = q->words.items[0], .vae = q->vae,
                                               .heads = q->heads, .forced = -1, .need_dit = true});
    if (st == OK) st = dit_check(m);
    if (st == OK) st = vae_check(m);
    return st;
}

/* ---- telling ---- */

static json_t *row_json(const bench *b, const bench_row *r)
{
    return json_pack(
        "{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:b, s:i, s:i, s:f, s:f}", "name", r->name,
        "shape", r->shape, "ms", r->t.median * 1e3, "gflops", bench_gflops(r), "fraction_of_peak",
        bench_fraction(b, r), "executed_gflops", bench_executed_gflops(r), "gbs", bench_gbs(r),
        "ms_best", r->t.best * 1e3, "part", bench_part_names[r->part], "whole", r->whole, "calls",
        r->calls, "repetitions", r->t.n, "ms_low", r->t.low * 1e3, "ms_high", r->t.high * 1e3);
}

static status print_json(const bench *b, const device *d, const model *m)
{
    const peaks *p = &b->peak;
    json_t *rows = json_array();
    for (int i = 0; i < b->n; i++) json_array_append_new(rows, row_json(b, &b->rows[i]));
    json_t *path = json_string(m->path);
    if (!path) path = json_string("(a name that is not UTF-8)");
    json_t *peak = json_pack("{s:f, s:f, s:f, s:f}", "fp32_gflops", p->fp32_gflops, "copy_gbs",
                             p->copy_gbs, "launch_us", p->launch_us, "finish_us", p->finish_us);
    if (peak && p->bf16_gflops > 0)
        json_object_set_new(peak, "bf16_gflops", json_real(p->bf16_gflops));
    json_t *all = json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:s, s:o, s:o}", "device", d->info.name,
                            "platform", d->info.platform, "driver", d->info.driver, "class",
                            cli_classes[d->class], "compute_units", (int)d->info.compute_units,
                            "model", path, "precision", cli_precisions[d->settings.precision],
                            "peak", peak, "results", rows);
    if (!all) return fail(ERR_MEMORY, "out of memory");
    int bad = json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(all);
    printf("\n");
    return bad ? fail(ERR_FILE, "cannot write to standard output") : OK;
}

static void print_row(const bench *b, const bench_row *r)
{
    char rate[40];
    double executed = bench_executed_gflops(r), nominal = bench_gflops(r);
    if (r->flops <= 0) snprintf(rate, sizeof rate, "%.1f GB/s", bench_gbs(r));
    else if (executed > 1.001 * nominal || executed < 0.999 * nominal)
        snprintf(rate, sizeof rate, "%.1f (%.1f) GFLOP/s", nominal, executed);
    else snprintf(rate, sizeof rate, "%.1f GFLOP/s", nominal);
    printf("%-26s %-34s %10.3f  %9.3f..%-9.3f %24s  %5.1f %%\n", r->name, r->shape,
           r->t.median * 1e3, r->t.low * 1e3, r->t.high * 1e3, rate, 100 * bench_fraction(b, r));
}

static void print_table(const bench *b, const device *d, const model *m)
{
    const peaks *p = &b->peak;
    printf("%s on %s (%s %s), %s kernels, precision %s\n\n", m->path, d->info.name,
           d->info.platform, d->info.driver, cli_classes[d->class],
           cli_precisions[d->settings.precision]);
    printf("peaks: fp32 %.1f GFLOP/s", p->fp32_gflops);
    if (p->bf16_gflops > 0) printf(", bf16 %.1f GFLOP/s", p->bf16_gflops);
    printf(", copy %.1f GB/s, launch %.1f us queued, %.1f us waited for\n\n", p->copy_gbs,
           p->launch_us, p->finish_us);
    printf("%-26s %-34s %10s  %20s %24s  %7s\n", "", "shape", "ms", "quartiles", "rate", "of peak");
    for (int i = 0; i < b->n; i++) print_row(b, &b->rows[i]);
}

/* How the operators share the time of their part. */
static void print_profile(const bench *b, const bench_row *whole)
{
    double sum = 0;
    printf("\n%s, %.2f ms:\n", whole->name, whole->t.median * 1e3);
    for (int i = 0; i < b->n; i++) {
        const bench_row *r = &b->rows[i];
        if (r->whole || r->part != whole->part) continue;
        double share = r->calls * r->t.median;
        sum += share;
        printf("  %-26s %-34s %4d x %9.3f ms  %9.2f ms  %5.1f %%\n", r->name, r->shape, r->calls,
               r->t.median * 1e3, share * 1e3, 100 * share / whole->t.median);
    }
    printf("  %-26s %-34s %18s  %9.2f ms  %5.1f %%\n", "all of them", "", "", sum * 1e3,
           100 * sum / whole->t.median);
}

static bool has_operators(const bench *b, bench_part part)
{
    for (int i = 0; i < b->n; i++)
        if (b->rows[i].part == part && !b->rows[i].whole) return true;
    return false;
}

/* ---- the command ---- */

static void show(void *context, const char *what)
{
    progress_say(context, what);
}

static status run_bench(const bench_options *q)
{
    model m = {0};
    device d = {0};
    bench b = {0};
    progress line = {0};
    const char **only = NULL;
    status st = OK;
    TRY(check_options(q));
    TRY(open_model(&m, q));
    TRY(cli_open_device(&d, &q->on, q->quiet));
    if (q->only.n) only = calloc((size_t)q->only.n + 1, sizeof *only);
    if (q->only.n && !only) st = fail(ERR_MEMORY, "out of memory");
    for (int i = 0; only && i < q->only.n; i++) only[i] = q->only.items[i];
    progress_start(&line, "measuring", q->quiet);
    if (st == OK)
        st = bench_run(&b, &d, &(bench_request){.m = &m, .only = only, .repeat = q->repeat,
                                                .progress = show, .progress_context = &line});
    progress_end(&line);
    if (st != OK) goto done;
    if (q->json) {
        TRY(print_json(&b, &d, &m));
    } else {
        print_table(&b, &d, &m);
        for (int i = 0; q->verbose && i < b.n; i++)
            if (b.rows[i].whole && has_operators(&b, b.rows[i].part))
                print_profile(&b, &b.rows[i]);
    }
done:
    free(only);
    bench_free(&b);
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_bench(int argc, char **argv)
{
    bench_options q = {.arch = -1, .image_size = -1};
    const option options[] = {
        {"arch", 0, OPTION_CHOICE, &q.arch, "NAME",
         "a size of the paper with generated weights, DiT-S/2 to DiT-XL/8, and Stable Diffusion's "
         "decoder, instead of a MODEL", 0, 0, paper_names},
        {"image-size", 0, OPTION_CHOICE, &q.image_size, "N", "pictures of --arch: 256 or 512 [256]",
         0, 0, image_sizes},
        {"only", 0, OPTION_LIST, &q.only, "NAME",
         "measure these: forward, modulation, step, vae_decode, or operators such as qkv; commas "
         "separate [everything]", 0, 0, NULL},
        {"repeat", 0, OPTION_INT, &q.repeat, "N", "repetitions of each [what time allows]", 1, 101,
         NULL},
        {"vae", 0, OPTION_TEXT, &q.vae, "PATH", "the VAE of a single DiT file", 0, 0, NULL},
        {"heads", 0, OPTION_INT, &q.heads, "H", "attention heads of a single DiT file", 1, 1024,
         NULL},
        OPTIONS_DEVICE(&q.on),
        OPTION_JSON(&q.json),
        OPTION_QUIET(&q.quiet),
        OPTION_VERBOSE(&q.verbose),
        {0},
    };
    const command c = {
        .name = "bench",
        .arguments = "[MODEL | --arch NAME] [--json]",
        .summary = "Measures the device's own peaks, then every operator at the model's shapes, a "
                   "forward pass with guidance, the modulation of 50 steps, a sampling step, and "
                   "the decoding of one picture; says which fraction of the peaks each reaches.",
        .details = "Times are medians of repetitions, with quartiles. An operator is queued for "
                   "all of its layers in\nturn, each with its own weights. -v adds how the "
                   "operators share the time of a pass.\n",
        .options = options,
        .rest = true,
        .extra = &q.words,
    };
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st == OK && !helped) st = run_bench(&q);
    text_list_free(&q.words);
    text_list_free(&q.only);
    return st;
}
