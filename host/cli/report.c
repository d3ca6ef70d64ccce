/* The table and the JSON of ditcl bench. See report.h. */
#include "cli/report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* The row of the part itself, or null. */
static const bench_row *whole_of(const bench *b, bench_part part)
{
    for (int i = 0; i < b->n; i++)
        if (b->rows[i].whole && b->rows[i].part == part) return &b->rows[i];
    return NULL;
}

double report_share(const report *r, const bench_row *row)
{
    const bench_row *whole = whole_of(r->b, row->part);
    return whole ? row->calls * row->t.median / whole->t.median : -1;
}

void report_rate(char *out, size_t size, const bench_row *row)
{
    double executed = bench_executed_gflops(row), nominal = bench_gflops(row);
    if (row->flops <= 0) snprintf(out, size, "%.1f GB/s", bench_gbs(row));
    else if (executed > 1.001 * nominal || executed < 0.999 * nominal)
        snprintf(out, size, "%.1f (%.1f) GFLOP/s", nominal, executed);
    else snprintf(out, size, "%.1f GFLOP/s", nominal);
}

/* ---- the table ---- */

static void print_row(const report *r, const bench_row *row)
{
    char rate[40], share[16] = "", name[40], calls[16] = "";
    report_rate(rate, sizeof rate, row);
    snprintf(name, sizeof name, "%s%s", row->whole ? "" : "  ", row->name);
    if (!row->whole) snprintf(calls, sizeof calls, "%d x", row->calls);
    if (!row->whole && report_share(r, row) >= 0)
        snprintf(share, sizeof share, "%.1f %%", 100 * report_share(r, row));
    printf("%-27s %-34s %5s %10.3f %10.3f ..%10.3f %24s %7.1f %% %8s\n", name, row->shape, calls,
           row->t.median * 1e3, row->t.low * 1e3, row->t.high * 1e3, rate,
           100 * bench_fraction(r->b, row), share);
}

/* Sums of a part's operators of one name, the longest first. */
static void print_profile(const report *r, const bench_row *whole)
{
    enum { MOST = 32 };
    const bench *b = r->b;
    struct {
        const char *name;
        double seconds;
    } kinds[MOST];
    int n = 0;
    double sum = 0;
    for (int i = 0; i < b->n; i++) {
        const bench_row *row = &b->rows[i];
        int k = 0;
        if (row->whole || row->part != whole->part) continue;
        while (k < n && strcmp(kinds[k].name, row->name)) k++;
        if (k == MOST) continue;
        if (k == n) kinds[n].name = row->name, kinds[n++].seconds = 0;
        kinds[k].seconds += row->calls * row->t.median;
        sum += row->calls * row->t.median;
    }
    if (n == 0 || sum < 0.5 * whole->t.median) return; /* only some were measured */
    printf("\n%s, %.3f ms; its operators one by one take %.1f %% of that:\n", whole->name,
           whole->t.median * 1e3, 100 * sum / whole->t.median);
    for (int shown = 0; shown < n; shown++) {
        int longest = 0;
        for (int k = 1; k < n; k++)
            if (kinds[k].seconds > kinds[longest].seconds) longest = k;
        double share = kinds[longest].seconds / whole->t.median;
        printf("  %-27s %10.3f ms %6.1f %%  %.*s\n", kinds[longest].name,
               kinds[longest].seconds * 1e3, 100 * share, share < 1 ? (int)(share * 50) : 50,
               "##################################################");
        kinds[longest].seconds = -1;
    }
}

void report_table(const report *r, bool profile)
{
    const device *d = r->d;
    const peaks *p = &r->b->peak;
    printf("%s on %s (%s %s), %s kernels, precision %s\n", r->model, d->info.name,
           d->info.platform, d->info.driver, kernel_class_names[d->class],
           precision_names[d->settings.precision]);
    printf("peaks: fp32 %.1f GFLOP/s", p->fp32_gflops);
    if (p->gflops_16bit > 0) printf(", 16-bit %.1f GFLOP/s", p->gflops_16bit);
    printf(", copy %.1f GB/s, launch %.1f us queued, %.1f us waited for\n\n", p->copy_gbs,
           p->launch_us, p->finish_us);
    printf("%-27s %-34s %5s %10s %22s %24s %9s %8s\n", "", "shape", "calls", "ms", "quartiles",
           "rate", "of peak", "of time");
    for (int i = 0; i < r->b->n; i++) print_row(r, &r->b->rows[i]);
    for (int i = 0; profile && i < r->b->n; i++)
        if (r->b->rows[i].whole) print_profile(r, &r->b->rows[i]);
}

/* ---- JSON ---- */

static json_t *row_json(const report *r, const bench_row *row)
{
    const timing *t = &row->t;
    json_t *all = json_pack(
        "{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:s, s:b, s:i}", "name",
        row->name, "shape", row->shape, "ms", t->median * 1e3, "gflops", bench_gflops(row),
        "fraction_of_peak", bench_fraction(r->b, row), "executed_gflops",
        bench_executed_gflops(row), "gbs", bench_gbs(row), "ms_low", t->low * 1e3, "ms_high",
        t->high * 1e3, "ms_best", t->best * 1e3, "repetitions", t->n, "part",
        bench_part_names[row->part], "whole", row->whole, "calls", row->calls);
    double share = row->whole ? -1 : report_share(r, row);
    if (all && share >= 0) json_object_set_new(all, "share_of_part", json_real(share));
    return all;
}

static json_t *peak_json(const peaks *p)
{
    json_t *all = json_pack("{s:f, s:f, s:f, s:f}", "fp32_gflops", p->fp32_gflops, "copy_gbs",
                            p->copy_gbs, "launch_us", p->launch_us, "finish_us", p->finish_us);
    if (all && p->gflops_16bit > 0)
        json_object_set_new(all, "gflops_16bit", json_real(p->gflops_16bit));
    return all;
}

status report_json(const report *r)
{
    const device *d = r->d;
    json_t *rows = json_array(), *path = json_string(r->model);
    for (int i = 0; i < r->b->n; i++) json_array_append_new(rows, row_json(r, &r->b->rows[i]));
    if (!path) path = json_string("(a name that is not UTF-8)");
    json_t *all = json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:s, s:o, s:o}", "device",
                            d->info.name, "platform", d->info.platform, "driver", d->info.driver,
                            "class", kernel_class_names[d->class], "threads",
                            (int)d->info.compute_units, "model", path, "precision",
                            precision_names[d->settings.precision], "peak",
                            peak_json(&r->b->peak), "results", rows);
    if (!all) return fail(ERR_MEMORY, "out of memory");
    int bad = json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(all);
    printf("\n");
    return bad ? fail(ERR_FILE, "cannot write to standard output") : OK;
}
