/* The page of ditcl bench: a roofline plot (Williams, Waterman & Patterson 2009) and the table, in
 * a self-contained file. Text from outside is escaped. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/page.h"
#include "cli/results.h"

static const char script[] =
    "const tip=document.getElementById('tip');"
    "function show(e){const b=e.target.getBoundingClientRect();tip.textContent="
    "e.target.dataset.tip;tip.style.display='block';"
    "const w=tip.offsetWidth,x=Math.min(innerWidth-w-8,Math.max(8,b.left+b.width/2-w/2));"
    "tip.style.left=x+'px';const y=b.top-tip.offsetHeight-8;"
    "tip.style.top=(y<4?b.bottom+8:y)+'px'}"
    "function hide(){tip.style.display='none'}"
    "for(const p of document.querySelectorAll('[data-tip]')){p.onpointerenter=show;"
    "p.onpointerleave=hide;p.onfocus=show;p.onblur=hide}\n";

/* ---- the plot ---- */

enum { WIDTH = 1040, HEIGHT = 560, LEFT = 72, RIGHT = 20, TOP = 18, BOTTOM = 56 };
enum { MOST_LABELS = 256 };

/* The ranges of both axes, as decimal logarithms. */
typedef struct {
    FILE *out;
    const results *r;
    double x0, x1, y0, y1;
    struct {
        double left, top, right, bottom;
    } taken[MOST_LABELS]; /* the places of labels */
    int n_taken;
} plot;

static double at_x(const plot *p, double intensity)
{
    return LEFT + (log10(intensity) - p->x0) / (p->x1 - p->x0) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const plot *p, double gflops)
{
    return HEIGHT - BOTTOM - (log10(gflops) - p->y0) / (p->y1 - p->y0) * (HEIGHT - TOP - BOTTOM);
}

static double intensity(const bench_row *row)
{
    return bench_executed_gflops(row) * row->t.median * 1e9 / row->bytes;
}

static bool plotted(const bench_row *row)
{
    return row->flops > 0 && row->bytes > 0 && row->t.median > 0;
}

static void choose_ranges(plot *p)
{
    const peaks *k = &p->r->b->peak;
    double top = fmax(k->fp32_gflops, k->gflops_16bit), ridge = k->fp32_gflops / k->copy_gbs;
    double low_x = ridge / 4, high_x = ridge * 8, low_y = k->fp32_gflops / 20;
    if (k->gflops_16bit > 0) high_x = fmax(high_x, 4 * k->gflops_16bit / k->copy_gbs);
    for (int i = 0; i < p->r->b->n; i++) {
        const bench_row *row = &p->r->b->rows[i];
        if (!plotted(row)) continue;
        low_x = fmin(low_x, intensity(row) / 1.6);
        high_x = fmax(high_x, intensity(row) * 1.6);
        low_y = fmin(low_y, bench_executed_gflops(row) / 1.6);
        top = fmax(top, bench_executed_gflops(row));
    }
    p->x0 = log10(low_x), p->x1 = log10(high_x);
    p->y0 = log10(low_y), p->y1 = log10(top * 1.6);
}

static void draw_grid(const plot *p)
{
    static const int steps[] = {1, 2, 5};
    for (int e = -6; e < 9; e++)
        for (int i = 0; i < 3; i++) {
            double value = steps[i] * pow(10, e), l = log10(value);
            if (l >= p->x0 && l <= p->x1) {
                fprintf(p->out, "<path class=grid d='M%.1f %dV%d'/>", at_x(p, value), TOP,
                        HEIGHT - BOTTOM);
                fprintf(p->out, "<text x=%.1f y=%d text-anchor=middle>%g</text>\n", at_x(p, value),
                        HEIGHT - BOTTOM + 20, value);
            }
            if (l >= p->y0 && l <= p->y1) {
                fprintf(p->out, "<path class=grid d='M%d %.1fH%d'/>", LEFT, at_y(p, value),
                        WIDTH - RIGHT);
                fprintf(p->out, "<text x=%d y=%.1f text-anchor=end>%g</text>\n", LEFT - 10,
                        at_y(p, value) + 4, value);
            }
        }
    fprintf(p->out,
            "<text x=%d y=%d text-anchor=middle>operations done per byte read or written"
            "</text>",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10);
    fprintf(p->out,
            "<text transform='translate(18 %d)rotate(-90)' text-anchor=middle>GFLOP/s"
            "</text>\n",
            (TOP + HEIGHT - BOTTOM) / 2);
}

static bool is_free(const plot *p, double left, double top, double right, double bottom)
{
    if (left < LEFT || right > WIDTH || top < TOP || bottom > HEIGHT - BOTTOM) return false;
    for (int i = 0; i < p->n_taken; i++)
        if (left < p->taken[i].right && right > p->taken[i].left && top < p->taken[i].bottom &&
            bottom > p->taken[i].top)
            return false;
    return true;
}

static void take(plot *p, double left, double top, double right, double bottom)
{
    if (p->n_taken == MOST_LABELS) return;
    p->taken[p->n_taken].left = left, p->taken[p->n_taken].right = right;
    p->taken[p->n_taken].top = top, p->taken[p->n_taken++].bottom = bottom;
}

/* A flat roof. It begins where the slope of the memory reaches it. */
static void draw_roof(plot *p, const char *name, double gflops)
{
    double ridge = gflops / p->r->b->peak.copy_gbs;
    double from = fmax(at_x(p, ridge), LEFT);
    fprintf(p->out, "<path class=roof d='M%.1f %.1fH%d'/>", from, at_y(p, gflops), WIDTH - RIGHT);
    fprintf(p->out, "<text x=%d y=%.1f text-anchor=end>%s %.0f GFLOP/s</text>\n", WIDTH - RIGHT - 4,
            at_y(p, gflops) - 8, name, gflops);
    take(p, from, at_y(p, gflops) - 2, WIDTH, at_y(p, gflops) + 2);
    take(p, WIDTH - 180, at_y(p, gflops) - 22, WIDTH, at_y(p, gflops));
}

static void draw_slope(const plot *p)
{
    const peaks *k = &p->r->b->peak;
    double top = fmax(k->fp32_gflops, k->gflops_16bit), gbs = k->copy_gbs;
    double x = fmax(pow(10, p->x0), pow(10, p->y0) / gbs), end = top / gbs;
    fprintf(p->out, "<path class='roof slope' d='M%.1f %.1fL%.1f %.1f'/>", at_x(p, x),
            at_y(p, x * gbs), at_x(p, end), at_y(p, top));
    double x1 = at_x(p, x), y1 = at_y(p, x * gbs), x2 = at_x(p, end), y2 = at_y(p, top);
    double middle_x = x1 + 0.45 * (x2 - x1), middle_y = y1 + 0.45 * (y2 - y1);
    fprintf(p->out,
            "<text transform='translate(%.1f %.1f)rotate(%.1f)' text-anchor=middle>copy "
            "%.1f GB/s</text>\n",
            middle_x - 8, middle_y - 8, atan2(y2 - y1, x2 - x1) * 180 / 3.14159265358979, gbs);
}

static double radius(const plot *p, const bench_row *row)
{
    double share = row->whole ? 1 : results_share(p->r, row);
    return row->whole ? 9 : share < 0 ? 6 : 4 + 10 * sqrt(fmin(share, 1));
}

static void draw_point(const plot *p, const bench_row *row)
{
    char rate[40];
    double x = at_x(p, intensity(row)), y = at_y(p, bench_executed_gflops(row)), s = radius(p, row),
           share = row->whole ? -1 : results_share(p->r, row);
    results_rate(rate, sizeof rate, row);
    if (row->whole)
        fprintf(p->out, "<path d='M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz'", x, y - s, s, s, -s,
                s, -s, -s);
    else
        fprintf(p->out, "<circle cx=%.1f cy=%.1f r=%.1f", x, y, s);
    fprintf(p->out, " class=point tabindex=0 style='fill:var(--%s)' data-tip=\"",
            bench_part_names[row->part]);
    page_text(p->out, row->name);
    fputc(' ', p->out);
    page_text(p->out, row->shape);
    fprintf(p->out, "\n%.3f ms, %s\n%.1f %% of peak", row->t.median * 1e3, rate,
            100 * bench_fraction(p->r->b, row));
    if (share >= 0)
        fprintf(p->out, "\n%d calls, %.1f %% of %s", row->calls, 100 * share,
                bench_part_names[row->part]);
    fprintf(p->out, "\"/>\n");
}

/* Puts a label beside its point if the place is free. Other points show their name under the
 * pointer. */
static void draw_label(plot *p, const bench_row *row)
{
    enum { LINE = 15 };
    double x = at_x(p, intensity(row)), y = at_y(p, bench_executed_gflops(row));
    double s = radius(p, row) + 3, wide = (row->whole ? 8.4 : 7.4) * (double)strlen(row->name);
    const double places[][2] = {
        {x + s, y - 7}, {x - s - wide, y - 7}, {x - wide / 2, y + s}, {x - wide / 2, y - s - LINE},
        {x + s, y + 5}, {x - s - wide, y + 5}, {x + s, y - 20},       {x - s - wide, y - 20}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        double left = places[i][0], top = places[i][1];
        if (!is_free(p, left, top, left + wide, top + LINE)) continue;
        take(p, left, top, left + wide, top + LINE);
        fprintf(p->out, "<text class='name%s' x=%.1f y=%.1f>", row->whole ? " big" : "", left,
                top + 12);
        page_text(p->out, row->name);
        fprintf(p->out, "</text>\n");
        return;
    }
}

/* Whether this row takes longest of the rows with its name; of equal rows, the first. */
static bool stands_for_its_name(const bench *b, int i)
{
    const bench_row *row = &b->rows[i];
    for (int j = 0; j < b->n; j++) {
        const bench_row *other = &b->rows[j];
        double mine = row->calls * row->t.median, its = other->calls * other->t.median;
        if (j != i && plotted(other) && !strcmp(other->name, row->name) &&
            (its > mine || (its == mine && j < i)))
            return false;
    }
    return true;
}

static void write_plot(FILE *out, const results *r)
{
    const bench *b = r->b;
    plot p = {.out = out, .r = r};
    choose_ranges(&p);
    fprintf(out, "<svg viewBox='0 0 %d %d' role=img aria-label='roofline plot'>\n", WIDTH, HEIGHT);
    draw_grid(&p);
    draw_slope(&p);
    draw_roof(&p, "fp32", b->peak.fp32_gflops);
    if (b->peak.gflops_16bit > 0) draw_roof(&p, "16-bit", b->peak.gflops_16bit);
    for (int whole = 0; whole < 2; whole++) /* passes are drawn over their operators */
        for (int i = 0; i < b->n; i++) {
            const bench_row *row = &b->rows[i];
            if (row->whole != (whole == 1) || !plotted(row)) continue;
            double x = at_x(&p, intensity(row)), y = at_y(&p, bench_executed_gflops(row));
            draw_point(&p, row);
            double s = 0.8 * radius(&p, row);
            take(&p, x - s, y - s, x + s, y + s);
        }
    for (int whole = 1; whole >= 0; whole--)
        for (int i = 0; i < b->n; i++)
            if (b->rows[i].whole == (whole == 1) && plotted(&b->rows[i]) &&
                stands_for_its_name(b, i))
                draw_label(&p, &b->rows[i]);
    fprintf(out, "</svg>\n<div class=legend>");
    for (int i = 0; i < N_PARTS; i++)
        fprintf(out, "<span><i style='background:var(--%s)'></i>%s</span>", bench_part_names[i],
                bench_part_names[i]);
    fprintf(out, "<span>&#9670; a whole pass</span><span>&#9679; an operator; the larger, the more "
                 "of its pass's time</span></div>\n");
}

/* ---- the rest of the page ---- */

static void card(FILE *out, const char *name, double value, const char *mma_name, const char *below)
{
    fprintf(out, "<div><span>%s</span><b>%.*f %s</b><i>%s</i></div>\n", name, value < 100 ? 1 : 0,
            value, mma_name, below);
}

static void write_cards(FILE *out, const results *r)
{
    const peaks *p = &r->b->peak;
    char below[64];
    fprintf(out, "<div class=cards>\n");
    for (int i = 0; i < r->b->n; i++) {
        const bench_row *row = &r->b->rows[i];
        if (!row->whole) continue;
        snprintf(below, sizeof below, "%.1f %% of peak", 100 * bench_fraction(r->b, row));
        card(out, row->name, row->t.median * 1e3, "ms", below);
    }
    fprintf(out, "</div>\n<div class=cards>\n");
    card(out, "fp32 peak", p->fp32_gflops, "GFLOP/s", "multiply-adds in registers");
    if (p->gflops_16bit > 0)
        card(out, "16-bit peak", p->gflops_16bit, "GFLOP/s", "matrix products in registers");
    card(out, "copy", p->copy_gbs, "GB/s", "read and written, far from caches");
    snprintf(below, sizeof below, "%.1f &micro;s when waited for", p->finish_us);
    card(out, "empty kernel", p->launch_us, "&micro;s", below);
    fprintf(out, "</div>\n");
}

static void bar(FILE *out, double share, const char *color)
{
    if (share < 0) {
        fprintf(out, "<td></td>");
        return;
    }
    fprintf(out, "<td class=bar>%.1f %%<i style='width:%.1f%%;background:var(--%s)'></i></td>",
            100 * share, 100 * fmin(share, 1), color);
}

static void write_row(FILE *out, const results *r, const bench_row *row)
{
    char rate[40];
    results_rate(rate, sizeof rate, row);
    fprintf(out, "<tr%s><td>", row->whole ? " class=whole" : "");
    page_text(out, row->name);
    fprintf(out, "</td><td>");
    page_text(out, row->shape);
    fprintf(out, "</td><td>%d</td><td>%.3f</td><td>%.3f &ndash; %.3f</td><td>%s</td>", row->calls,
            row->t.median * 1e3, row->t.low * 1e3, row->t.high * 1e3, rate);
    bar(out, bench_fraction(r->b, row), bench_part_names[row->part]);
    bar(out, row->whole ? -1 : results_share(r, row), bench_part_names[row->part]);
    fprintf(out, "</tr>\n");
}

status results_html(const results *r, FILE *out)
{
    const device_info *i = &r->d->info;
    page_begin(out, "ditcl bench", "");
    fprintf(out, "<h1>");
    page_text(out, r->model);
    fprintf(out, "</h1>\n<p>");
    page_text(out, i->name);
    fprintf(out, " &middot; ");
    page_text(out, i->platform);
    fputc(' ', out);
    page_text(out, i->driver);
    fprintf(out, " &middot; %u compute units &middot; %s kernels &middot; precision %s</p>\n",
            i->compute_units, kernel_family_names[r->d->family],
            precision_names[r->d->settings.precision]);
    write_cards(out, r);
    fprintf(out, "<section><h2>Roofline</h2>\n");
    write_plot(out, r);
    fprintf(out, "</section>\n<section><h2>Measurements</h2><div class=wide><table><thead><tr><th>"
                 "<th>shape<th>calls<th>ms<th>quartiles<th>rate<th>of peak<th>of time</tr></thead>"
                 "<tbody>\n");
    for (int k = 0; k < r->b->n; k++) write_row(out, r, &r->b->rows[k]);
    fprintf(out,
            "</tbody></table></div>\n<p style='margin-top:12px'>Medians of wall-clock time, "
            "from queueing to the end. An operator is queued for its layers in turn, each "
            "with its own weights. The fraction of peak counts the arithmetic really done, "
            "each kind at its unit's measured peak; operators without arithmetic are held "
            "against a copy of as many bytes. A rate in brackets is that of the operations "
            "really done.</p></section>\n</main><div id=tip></div>\n<script>%s</script>"
            "</body></html>\n",
            script);
    return OK; /* file_out_finish reports write errors */
}
