/* The page of a device report. See check_page.h. */
#include "cli/check_page.h"

#include <math.h>
#include <string.h>

#include "cli/page.h"

/* ---- reading the report ---- */

static const char *words_of(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static double number_of(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool is_true(json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* ---- values ---- */

static void write_value(FILE *out, json_t *value)
{
    if (json_is_string(value))
        page_text(out, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        fprintf(out, "%.4g", json_real_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", out);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i) fputc(' ', out);
        write_value(out, json_array_get(value, i));
    }
}

/* Writes a row for each member; a member may be an object itself. */
static void write_members(FILE *out, const char *prefix, json_t *object)
{
    void *at = json_object_iter(object);
    for (; at; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        json_t *value = json_object_iter_value(at);
        if (json_is_object(value)) {
            write_members(out, key, value);
            continue;
        }
        fputs("<tr><td>", out);
        page_text(out, prefix);
        fputs(*prefix ? " " : "", out);
        page_text(out, key);
        fputs("</td><td>", out);
        write_value(out, value);
        fputs("</td></tr>\n", out);
    }
}

static void write_table(FILE *out, const char *title, json_t *object)
{
    if (json_object_size(object) == 0) return;
    fprintf(out, "<section><h2>%s</h2><div class=wide><table class=facts><tbody>\n", title);
    write_members(out, "", object);
    fputs("</tbody></table></div></section>\n", out);
}

/* ---- the parts of a device ---- */

static void write_head(FILE *out, json_t *d)
{
    json_t *ended = json_object_get(d, "ended");
    fputs("<h1>", out);
    page_text(out, words_of(d, "name"));
    fputs("</h1>\n<p>", out);
    page_text(out, words_of(d, "platform"));
    fputs(" &middot; ", out);
    page_text(out, words_of(d, "version"));
    fputs(" &middot; driver ", out);
    page_text(out, words_of(d, "driver"));
    fprintf(out, "</p>\n<p class=%s>%s", is_true(d, "passed") ? "good" : "bad",
            is_true(d, "passed") ? "All checks passed." : "Not all is well.");
    if (json_is_object(ended)) {
        fputs(" While ", out);
        page_text(out, words_of(ended, "during"));
        fputs(" it ", out);
        page_text(out, words_of(ended, "how"));
        fputs(*words_of(ended, "message") ? ": " : ".", out);
        page_text(out, words_of(ended, "message"));
    }
    fputs("</p>\n", out);
}

static void write_card(FILE *out, const char *name, double value, const char *unit)
{
    if (!isfinite(value)) return;
    fputs("<div><span>", out);
    page_text(out, name);
    fprintf(out, "</span><b>%.*f %s</b></div>\n", value < 100 ? 1 : 0, value, unit);
}

static void write_cards(FILE *out, json_t *d)
{
    json_t *peaks = json_object_get(d, "peaks"), *models = json_object_get(d, "models");
    json_t *network = json_object_get(d, "network");
    if (!json_is_object(peaks) && json_array_size(models) == 0) return;
    fputs("<div class=cards>\n", out);
    write_card(out, "fp32 peak", number_of(peaks, "fp32_gflops"), "GFLOP/s");
    write_card(out, "16-bit peak", number_of(peaks, "gflops_16bit"), "GFLOP/s");
    write_card(out, "copy", number_of(peaks, "copy_gbs"), "GB/s");
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *m = json_array_get(models, i);
        write_card(out, words_of(m, "model"), number_of(m, "pass_ms"), "ms");
    }
    if (json_is_object(network))
        fprintf(out, "<div><span>two runs of a network</span><b>%s bits</b></div>\n",
                is_true(network, "two_runs_same_bits") ? "the same" : "other");
    fputs("</div>\n", out);
}

static void write_checks(FILE *out, json_t *checks)
{
    fputs("<section><h2>Operators</h2><div class=wide><table><thead><tr><th>operator<th>worst case"
          "<th>cases<th>failed<th>error / tolerance<th>seconds</tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < json_array_size(checks); i++) {
        json_t *row = json_array_get(checks, i);
        double failed = number_of(row, "failed");
        fprintf(out, "<tr%s><td>", failed > 0 ? " class=bad" : "");
        page_text(out, words_of(row, "operator"));
        fputs("</td><td>", out);
        page_text(out, failed > 0 ? words_of(row, "first_failure") : words_of(row, "worst_case"));
        fprintf(out, "</td><td>%.0f</td><td>%.0f</td><td>%.3f</td><td>%.1f</td></tr>\n",
                number_of(row, "cases"), failed, number_of(row, "worst_error_over_tolerance"),
                number_of(row, "seconds"));
    }
    fputs("</tbody></table></div></section>\n", out);
}

static void write_kernels(FILE *out, json_t *checks)
{
    fputs("<section><h2>Kernels</h2><div class=wide><table><thead><tr><th>kernel<th>configuration"
          "<th>variants<th>seconds to build</tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < json_array_size(checks); i++) {
        json_t *list = json_object_get(json_array_get(checks, i), "kernels");
        for (size_t k = 0; k < json_array_size(list); k++) {
            json_t *row = json_array_get(list, k);
            fputs("<tr><td>", out);
            page_text(out, words_of(row, "name"));
            fputs("</td><td>", out);
            page_text(out, words_of(row, "configuration"));
            fprintf(out, "</td><td>%.0f</td><td>%.2f</td></tr>\n", number_of(row, "variants"),
                    number_of(row, "build_seconds"));
        }
    }
    fputs("</tbody></table></div></section>\n", out);
}

static void write_features(FILE *out, json_t *features)
{
    void *at = json_object_iter(features);
    if (!at) return;
    fputs("<section><h2>Features</h2><div class=wide><table><thead><tr><th>feature<th>why not"
          "<th>claimed<th>compiled<th>right</tr></thead><tbody>\n",
          out);
    for (; at; at = json_object_iter_next(features, at)) {
        json_t *row = json_object_iter_value(at);
        bool tried = is_true(row, "tried");
        fputs("<tr><td>", out);
        page_text(out, json_object_iter_key(at));
        fputs("</td><td>", out);
        page_text(out, words_of(row, "why"));
        fprintf(out, "</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
                is_true(row, "claimed") ? "yes" : "no",
                !tried                     ? "not tried"
                : is_true(row, "compiled") ? "yes"
                                           : "no",
                !tried                  ? ""
                : is_true(row, "right") ? "yes"
                                        : "no");
    }
    fputs("</tbody></table></div></section>\n", out);
}

/* The implementations that serve the models' operators and the convolutions. */
static void write_choices(FILE *out, json_t *d)
{
    json_t *models = json_object_get(d, "models"), *rows = json_object_get(d, "convolutions");
    if (json_array_size(models) + json_array_size(rows) == 0) return;
    fputs("<section><h2>What serves</h2><div class=wide><table class=facts><tbody>\n", out);
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *m = json_array_get(models, i), *list = json_object_get(m, "operators");
        for (size_t k = 0; k < json_array_size(list); k++) {
            json_t *row = json_array_get(list, k);
            fputs("<tr><td>", out);
            page_text(out, words_of(m, "model"));
            fputc(' ', out);
            page_text(out, words_of(row, "name"));
            fputc(' ', out);
            page_text(out, words_of(row, "shape"));
            fputs("</td><td>", out);
            write_value(out, json_object_get(row, "kernels"));
            fputs("</td></tr>\n", out);
        }
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        fputs("<tr><td>conv ", out);
        page_text(out, words_of(row, "shape"));
        fputs("</td><td>", out);
        page_text(out, words_of(row, "implementation"));
        fputc(' ', out);
        page_text(out, words_of(row, "configuration"));
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div></section>\n", out);
}

static void write_skipped(FILE *out, json_t *skipped)
{
    if (json_array_size(skipped) == 0) return;
    fputs("<section><h2>Not done</h2>\n", out);
    for (size_t i = 0; i < json_array_size(skipped); i++) {
        json_t *row = json_array_get(skipped, i);
        fputs("<p>", out);
        page_text(out, words_of(row, "what"));
        fputs(": ", out);
        page_text(out, words_of(row, "why"));
        fputs("</p>\n", out);
    }
    fputs("</section>\n", out);
}

void check_page(const report *r, FILE *out)
{
    json_t *devices = json_object_get(r->root, "devices");
    page_begin(out, "ditcl check",
               ".facts td{white-space:normal;text-align:left;overflow-wrap:anywhere}"
               ".bad,.bad td{color:#c0392b}.good{color:#1e8449}.device{margin-top:48px}\n");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        json_t *d = json_array_get(devices, i), *checks = json_object_get(d, "checks");
        fputs(i ? "<div class=device></div>\n" : "", out);
        write_head(out, d);
        write_cards(out, d);
        write_checks(out, checks);
        write_skipped(out, json_object_get(d, "skipped"));
        write_features(out, json_object_get(d, "features"));
        write_table(out, "Largest buffer", json_object_get(d, "largest_buffer"));
        write_choices(out, d);
        write_kernels(out, checks);
        write_table(out, "What the driver says", json_object_get(d, "properties"));
    }
    write_table(out, "System", json_object_get(r->root, "system"));
    fputs("<p style='margin-top:20px'>", out);
    page_text(out, words_of(r->root, "date"));
    fputs(" &middot; ditcl ", out);
    page_text(out, words_of(r->root, "version"));
    fputc(' ', out);
    page_text(out, words_of(r->root, "commit"));
    fputs(" &middot; hash ", out);
    page_text(out, words_of(r->root, "hash"));
    fputs("</p>\n</main></body></html>\n", out);
}
