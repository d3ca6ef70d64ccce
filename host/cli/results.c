/* The table and the JSON of ditcl bench. See results.h. */
#include "cli/results.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "files/json_build.h"

/* The row of the part itself, or null. */
static const bench_row *whole_of(const bench *b, bench_part part)
{
    for (int i = 0; i < b->n; i++)
        if (b->rows[i].whole && b->rows[i].part == part) return &b->rows[i];
    return NULL;
}

double results_share(const results *r, const bench_row *row)
{
    const bench_row *whole = whole_of(r->b, row->part);
    return whole ? row->calls * row->t.median / whole->t.median : -1;
}

void results_rate(char *out, size_t size, const bench_row *row)
{
    double executed = bench_executed_gflops(row), nominal = bench_gflops(row);
    if (row->flops <= 0)
        snprintf(out, size, "%.1f GB/s", bench_gbs(row));
    else if (executed > 1.001 * nominal || executed < 0.999 * nominal)
        snprintf(out, size, "%.1f (%.1f) GFLOP/s", nominal, executed);
    else
        snprintf(out, size, "%.1f GFLOP/s", nominal);
}

/* ---- the table ---- */

static void print_row(const results *r, const bench_row *row)
{
    char rate[40], share[16] = "", name[40], calls[16] = "";
    results_rate(rate, sizeof rate, row);
    snprintf(name, sizeof name, "%s%s", row->whole ? "" : "  ", row->name);
    if (!row->whole) snprintf(calls, sizeof calls, "%d x", row->calls);
    if (!row->whole && results_share(r, row) >= 0)
        snprintf(share, sizeof share, "%.1f %%", 100 * results_share(r, row));
    printf("%-27s %-34s %5s %10.3f %10.3f ..%10.3f %24s %7.1f %% %8s\n", name, row->shape, calls,
           row->t.median * 1e3, row->t.low * 1e3, row->t.high * 1e3, rate,
           100 * bench_fraction(r->b, row), share);
}

/* The total times of operators of the same name in a part, longest first. */
static void print_profile(const results *r, const bench_row *whole)
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
    if (n == 0 || sum < 0.5 * whole->t.median) return; /* only some operators were measured */
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

void results_table(const results *r, bool profile)
{
    const device *d = r->d;
    const peaks *p = &r->b->peak;
    printf("%s on %s (%s %s), %s kernels, precision %s\n", TEXT_SHOWN(r->model),
           TEXT_SHOWN(d->info.name), TEXT_SHOWN(d->info.platform), TEXT_SHOWN(d->info.driver),
           kernel_family_names[d->family], precision_names[d->settings.precision]);
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

static void put_row(json_build *b, json_t *to, const results *r, const bench_row *row)
{
    const timing *t = &row->t;
    json_t *all = json_put_object(b, to, NULL);
    json_put_text(b, all, "name", row->name);
    json_put_text(b, all, "shape", row->shape);
    json_put_real(b, all, "ms", t->median * 1e3);
    json_put_real(b, all, "gflops", bench_gflops(row));
    json_put_real(b, all, "fraction_of_peak", bench_fraction(r->b, row));
    json_put_real(b, all, "executed_gflops", bench_executed_gflops(row));
    json_put_real(b, all, "gbs", bench_gbs(row));
    json_put_real(b, all, "ms_low", t->low * 1e3);
    json_put_real(b, all, "ms_high", t->high * 1e3);
    json_put_real(b, all, "ms_best", t->best * 1e3);
    json_put_int(b, all, "repetitions", t->n);
    json_put_text(b, all, "part", bench_part_names[row->part]);
    json_put_bool(b, all, "whole", row->whole);
    json_put_int(b, all, "calls", row->calls);
    double share = row->whole ? -1 : results_share(r, row);
    if (share >= 0) json_put_real(b, all, "share_of_part", share);
}

static void put_peak(json_build *b, json_t *to, const peaks *p)
{
    json_t *all = json_put_object(b, to, "peak");
    json_put_real(b, all, "fp32_gflops", p->fp32_gflops);
    json_put_real(b, all, "copy_gbs", p->copy_gbs);
    json_put_real(b, all, "launch_us", p->launch_us);
    json_put_real(b, all, "finish_us", p->finish_us);
    if (p->gflops_16bit > 0) json_put_real(b, all, "gflops_16bit", p->gflops_16bit);
}

status results_json(const results *r)
{
    const device *d = r->d;
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_name(&b, all, "device", d->info.name);
    json_put_name(&b, all, "platform", d->info.platform);
    json_put_name(&b, all, "driver", d->info.driver);
    json_put_text(&b, all, "class", kernel_family_names[d->family]);
    json_put_int(&b, all, "threads", (json_int_t)d->info.compute_units);
    json_put_name(&b, all, "model", r->model);
    json_put_text(&b, all, "precision", precision_names[d->settings.precision]);
    put_peak(&b, all, &r->b->peak);
    json_t *rows = json_put_array(&b, all, "results");
    for (int i = 0; i < r->b->n; i++) put_row(&b, rows, r, &r->b->rows[i]);
    status st = json_build_print(&b, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_build_free(&b);
    return st;
}
