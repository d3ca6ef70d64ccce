/* ditcl bench: how fast a model's passes and operators are, and how near the device's peaks. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "model/dit.h"
#include "model/paper.h"
#include "model/vae.h"

typedef struct {
    text_list words, only;
    const char *vae, *html, *arch;
    int heads, image_size, repeat; /* image_size: -1, or an index of its choices */
    device_choice on;
    bool json, quiet, verbose;
} bench_options;

/* ---- what was asked for ---- */

/* Only a page replaces a file. */
static bool is_html(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && text_equal_nocase(path + n - 5, ".html");
}

static status check_options(const bench_options *q)
{
    status st = cli_check_subject("bench", &(subject){&q->words, q->arch, q->vae, q->image_size,
                                                     q->heads});
    if (st != OK) return st;
    if (q->html && !is_html(q->html))
        return fail(ERR_USAGE, "--html %s: expected a name that ends in .html", q->html);
    for (int i = 0; i < q->only.n; i++) {
        st = bench_known(q->only.items[i]);
        if (st != OK) return st;
    }
    return OK;
}

static status open_model(model *m, const bench_options *q)
{
    if (q->arch) return paper_model(m, q->arch, q->image_size == PAPER_512 ? 512 : 256);
    status st = model_open(m, &(model_request){.name = q->words.items[0], .vae = q->vae,
                                               .heads = q->heads, .forced = -1, .need_dit = true});
    if (st == OK) st = dit_check(m);
    if (st == OK) st = vae_check(m);
    return st;
}

/* ---- the command ---- */

static void show(void *context, const char *what)
{
    progress_say(context, what);
}

/* Measures, with a line on a terminal. */
static status measure_all(const bench_options *q, bench *b, device *d, model *m)
{
    const char **only = NULL;
    progress line;
    status st = OK;
    progress_start(&line, "measuring", q->quiet);
    TRY(memory_alloc(&only, (size_t)q->only.n + 1, sizeof *only));
    for (int i = 0; i < q->only.n; i++) only[i] = q->only.items[i];
    TRY(bench_run(b, d, &(bench_request){.m = m, .only = q->only.n ? only : NULL,
                                         .repeat = q->repeat, .progress = show,
                                         .progress_context = &line}));
done:
    progress_end(&line);
    free(only);
    return st;
}

static status run_bench(bench_options *q)
{
    model m = {0};
    device d = {0};
    bench b = {0};
    file_out page = {0};
    report r = {&b, &d, m.path};
    status st = OK;
    TRY(check_options(q));
    if (q->html) TRY(file_out_check(q->html));
    TRY(open_model(&m, q));
    q->on.verbose = q->verbose;
    q->on.measured = true;
    TRY(cli_open_device(&d, &q->on, q->quiet));
    TRY(measure_all(q, &b, &d, &m));
    if (q->html) {
        TRY(file_out_open(&page, q->html));
        TRY(report_html(&r, page.stream));
        TRY(file_out_finish(&page));
        TRY(file_out_commit(&page, 1));
    }
    if (q->json) TRY(report_json(&r));
    else report_table(&r, q->verbose);
done:
    file_out_discard(&page);
    bench_free(&b);
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_bench(int argc, char **argv)
{
    bench_options q = {.image_size = -1};
    const option options[] = {
        {"arch", 0, OPTION_TEXT, &q.arch, "NAME",
         "a network of the paper with generated weights, DiT-S/2 to DiT-XL/8 (adaLN-Zero; "
         "-in-context, -cross-attention or -adaLN behind it: the other designs), and Stable "
         "Diffusion's decoder, instead of a MODEL", 0, 0, NULL},
        {"image-size", 0, OPTION_CHOICE, &q.image_size, "N", "pictures of --arch: 256 or 512 [256]",
         0, 0, paper_image_sizes},
        {"only", 0, OPTION_LIST, &q.only, "NAME",
         "measure these: forward, modulation, step, vae_decode, or operators such as qkv; commas "
         "separate [everything]", 0, 0, NULL},
        {"repeat", 0, OPTION_INT, &q.repeat, "N", "repetitions of each [what time allows]", 1, 101,
         NULL},
        {"html", 0, OPTION_TEXT, &q.html, "FILE.html",
         "also write a page with a roofline plot and the table", 0, 0, NULL},
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
        .arguments = "[MODEL | --arch NAME] [--json] [--html FILE.html]",
        .summary = "Measures the device's own peaks, then every operator at the model's shapes, a "
                   "forward pass with guidance, the modulation of 50 steps, a sampling step, and "
                   "the decoding of one picture; says which fraction of the peaks each reaches.",
        .details = "Times are medians of repetitions, with quartiles. An operator is queued for "
                   "all of its layers in\nturn, each with its own weights. -v adds how the "
                   "kinds of operators\nshare the time of a pass. A rate in brackets is that of "
                   "the operations really done.\n",
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
