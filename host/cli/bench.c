/* ditcl bench: times of a model's passes and operators, and the fraction of the peak they reach. */
#include <string.h>

#include "base/text.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/results.h"
#include "ops/first_use.h"

typedef struct {
    model_args of;
    text_list only;
    const char *html;
    int repeat;
    device_choice on;
    bool json, quiet, verbose;
} bench_options;

/* ---- options ---- */

/* An existing file is replaced only if it is a page. */
static bool is_html(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && text_equal_nocase(path + n - 5, ".html");
}

static status check_options(const bench_options *q)
{
    status st = cli_check_model_args("bench", &q->of);
    if (st != OK) return st;
    if (q->html && !is_html(q->html))
        return fail(ERR_USAGE, "--html %s: expected a name that ends in .html", q->html);
    for (int i = 0; i < q->only.n; i++) {
        st = bench_known(q->only.items[i]);
        if (st != OK) return st;
    }
    return OK;
}

/* ---- the command ---- */

static void show(void *context, const char *what)
{
    progress_say(context, what);
}

/* Measures, with a progress line on a terminal. */
static status measure_all(const bench_options *q, bench *b, device *d, model *m)
{
    progress line;
    progress_start(&line, "measuring", q->quiet);
    status st = bench_run(b, d,
                          &(bench_request){.m = m,
                                           .only = (const char *const *)q->only.items,
                                           .repeat = q->repeat,
                                           .progress = show,
                                           .progress_context = &line});
    progress_end(&line);
    return st;
}

static status run_bench(bench_options *q)
{
    model m = {0};
    device d = {0};
    bench b = {0};
    file_out page = {0};
    results r = {&b, &d, m.path};
    status st = OK;
    TRY(check_options(q));
    if (q->html) TRY(output_check_one(q->html, q->quiet));
    TRY(cli_open_model(&m, &q->of, VAE_NEEDED));
    cli_note_weights(&m, q->quiet);
    cli_note_labels(&m, q->quiet);
    q->on.verbose = q->verbose && !q->quiet;
    q->on.measured = true;
    TRY(cli_open_device(&d, &q->on, q->quiet));
    TRY(first_use_finish(&d));
    TRY(measure_all(q, &b, &d, &m));
    cli_note_wide(&d, q->quiet);
    if (q->html) {
        TRY(file_out_open(&page, q->html));
        TRY(results_html(&r, page.stream));
        TRY(file_out_finish(&page));
        TRY(file_out_commit(&page, 1));
    }
    if (q->json)
        TRY(results_json(&r));
    else
        results_table(&r, q->verbose);
done:
    file_out_discard(&page);
    bench_free(&b);
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_bench(int argc, char **argv)
{
    bench_options q = {.of.image_size = -1};
    const option options[] = {
        OPTION_HEADING("Measurements"),
        {"only", 0, OPTION_LIST, &q.only, "NAME",
         "only these parts or operators; commas separate [all]\n"
         "The parts are forward, modulation, step and vae_decode. -v prints the operators, such as "
         "qkv.",
         0, 0, NULL},
        {"repeat", 0, OPTION_INT, &q.repeat, "N",
         "repetitions of each measurement [by its duration]", 1, 101, NULL},
        OPTION_HEADING("Model"),
        OPTIONS_MODEL(&q.of),
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q.on),
        OPTION_HEADING("Output"),
        OPTION_JSON(&q.json),
        {"html", 0, OPTION_TEXT, &q.html, "FILE",
         "also write a page with a roofline plot and the table", 0, 0, NULL},
        OPTION_QUIET_RESULTS(&q.quiet),
        OPTION_VERBOSE(&q.verbose),
        {0},
    };
    const command c = {
        .name = "bench",
        .arguments = "[MODEL | --arch NAME] [--json] [--html FILE.html]",
        .summary =
            "Measures the peaks of the device, every operator at the model's shapes, a "
            "forward pass with guidance, the modulation of 50 steps, a sampling step, and "
            "the decoding of one picture. Prints the fraction of the peak that each reaches.",
        .details = "Examples:\n"
                   "  ditcl bench --arch DiT-XL/2 --device gpu\n"
                   "  ditcl bench emoji --only forward --precision fp32 --json\n",
        .more =
            "Times are medians of repetitions, with quartiles. An operator is queued for all\n"
            "of its layers in turn, each with its own weights. -v adds how much of a pass each\n"
            "kind of operator takes. A rate in brackets counts the operations really executed,\n"
            "such as those of Winograd.\n",
        .options = options,
        .rest = true,
        .extra = &q.of.words,
    };
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st == OK && !helped) st = run_bench(&q);
    text_list_free(&q.of.words);
    text_list_free(&q.only);
    return st;
}
