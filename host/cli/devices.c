/* ditcl devices: lists the OpenCL devices. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "check/checker.h"
#include "cli/cli.h"
#include "cli/colour.h"
#include "cli/environment.h"
#include "cli/events.h"
#include "cli/progress.h"
#include "files/json_build.h"
#include "ops/ops.h"
#include "ops/choices.h"
#include "tune/tune.h"
#include "tune/store.h"

static const char *const kind_names[] = {"cpu", "gpu", "accelerator"};

void cli_warn(const char *fmt, ...)
{
    char line[TEXT_SHOWN_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    progress_make_room();
    fprintf(stderr, "%sditcl: warning:%s %s\n", colour_on(stderr, COLOUR_WARNING),
            colour_off(stderr), text_printable(line, sizeof line, line));
}

static void print_note(const char *line)
{
    progress_make_room();
    fprintf(stderr, "  %s\n", TEXT_SHOWN(line));
}

static void print_warning(const char *line)
{
    cli_warn("%s", line);
}

static void print_line(const char *line)
{
    progress_make_room();
    fprintf(stderr, "ditcl: %s\n", TEXT_SHOWN(line));
}

/* A precision that the user names is an error if no GEMM has it: there is no silent fallback. */
static status check_precision(const device *d)
{
    static const precision others[] = {PRECISION_BF16, PRECISION_FP16};
    precision asked = d->settings.precision;
    char has[64] = "fp32";
    if (asked == PRECISION_AUTO || gemm_offers(d, asked)) return OK;
    for (int i = 0; i < 2; i++)
        if (gemm_offers(d, others[i]))
            snprintf(has + strlen(has), sizeof has - strlen(has), ", %s",
                     precision_names[others[i]]);
    fail(ERR_USAGE, "--precision %s: device %d (%s) has no %s kernels in the %s family; it has %s",
         precision_names[asked], d->info.index, d->info.name, precision_names[asked],
         kernel_family_names[d->family], has);
    fail_hint("--precision auto takes the fastest of fp32's accuracy");
    return ERR_USAGE;
}

void cli_note_wide(const device *d, bool quiet)
{
    char more[48] = "";
    const choices *c = choices_of(d);
    if (quiet || !c || !c->wide.n) return;
    if (c->wide.n > 1)
        snprintf(more, sizeof more, ", as %d other%s do%s", c->wide.n - 1, c->wide.n > 2 ? "s" : "",
                 c->wide.n > 2 ? "" : "es");
    cli_warn("%s: weights up to %.3g do not fit fp16: this layer stays in fp32%s", c->wide.first,
             (double)c->wide.largest, more);
}

static checker_level level_of(const device_choice *choice)
{
    return choice->measured || choice->checked ? CHECK_ALL
           : choice->remembered                ? CHECK_REMEMBERED
                                               : CHECK_FEATURES;
}

/* *ms = the limit in milliseconds; 0: the default of the device; negative: no limit. */
static status launch_limit(int *ms, const char *given)
{
    enum { MOST = 600000 };
    int64_t n = 0;
    if (given && (!text_to_int(given, &n) || n < 0 || n > MOST))
        return fail(ERR_USAGE, "--max-launch-ms %.200s: expected a whole number from 0 to %d",
                    given, MOST);
    *ms = !given ? 0 : n == 0 ? -1 : (int)n;
    return OK;
}

status cli_open_device(device *d, const device_choice *choice, bool quiet)
{
    const char *selector = choice->selector;
    device_settings settings = {.family = (kernel_family)choice->kernels,
                                .precision = (precision)choice->precision,
                                .no_cache = choice->no_cache,
                                .profiled = choice->profiled,
                                .note = choice->verbose ? print_note : NULL,
                                .warn = quiet ? NULL : print_warning,
                                .building = quiet && !events_on() ? NULL : progress_building};
    device_list list = {0};
    int index = 0;
    status st = OK;
    TRY(launch_limit(&settings.max_launch_ms, choice->max_launch_ms));
    TRY(environment_check());
    TRY(device_list_init(&list));
    if (!selector) selector = getenv("DITCL_DEVICE");
    st = device_choose(&index, &list, selector);
    if (st == ERR_USAGE)
        fail_in(st, choice->selector ? "--device %.200s" : "DITCL_DEVICE=%.200s", selector);
    if (st != OK) goto done;
    if (settings.note && *list.note) settings.note(list.note);
    for (int i = 0; i < list.n_empty && settings.warn; i++)
        if (list.empty[i].failed)
            cli_warn("platform %s: not all of its devices can be used: %s", list.empty[i].name,
                     list.empty[i].advice);
    const char *wanted = getenv("DITCL_FIRST_USE");
    bool checks = !choice->unprobed && !(wanted && !strcmp(wanted, "off"));
    settings.unprobed = choice->unprobed || checks;
    TRY(device_open(d, &list.items[index], &settings));
    if (checks) TRY(checker_open(d, level_of(choice), quiet ? NULL : print_line));
    TRY(check_precision(d));
    if (!quiet && (!selector || !*selector))
        fprintf(stderr, "device %d: %s (%s)\n", index, TEXT_SHOWN(d->info.name),
                TEXT_SHOWN(d->info.platform));
    if (choice->bare)
        TRY(store_apply_shipped(d));
    else
        TRY(tune_fit(d, choice->measured, quiet ? NULL : print_line));
    environment_warn(d);
done:
    device_list_free(&list);
    return st;
}

static status print_json(const device_list *list)
{
    json_build b;
    json_t *all = json_build_begin_array(&b);
    for (int i = 0; i < list->n; i++) {
        const device_info *d = &list->items[i];
        json_t *row = json_put_object(&b, all, NULL);
        json_put_int(&b, row, "index", d->index);
        json_put_text(&b, row, "id", d->id);
        json_put_name(&b, row, "platform", d->platform);
        json_put_name(&b, row, "name", d->name);
        json_put_text(&b, row, "type", kind_names[d->kind]);
        json_put_int(&b, row, "compute_units", (json_int_t)d->compute_units);
        json_put_int(&b, row, "memory_bytes", (json_int_t)d->memory_bytes);
        json_put_int(&b, row, "max_alloc_bytes", (json_int_t)d->max_alloc_bytes);
        json_put_int(&b, row, "max_work_group", (json_int_t)d->max_work_group);
        json_put_text(&b, row, "local_memory", local_names[d->local]);
        json_put_int(&b, row, "local_bytes", (json_int_t)d->local_bytes);
        json_put_bool(&b, row, "fp16", d->fp16);
        json_put_bool(&b, row, "subgroups", d->subgroups);
        json_put_name(&b, row, "driver", d->driver);
        json_put_name(&b, row, "vendor", d->vendor);
        json_put_name(&b, row, "version", d->version);
    }
    status st = json_build_print(&b, stdout, JSON_INDENT(2));
    json_build_free(&b);
    return st;
}

/* Prints the limits of work-groups and local memory, and what cl/devices says of the device. */
static void print_more(const device_info *d)
{
    printf("    work-groups of %zu, local memory: %s", d->max_work_group, local_names[d->local]);
    if (d->local_bytes) printf(", %.0f KB", (double)d->local_bytes / 1024);
    printf("\n");
    if (*d->quirk.files) printf("    known to %s\n", d->quirk.files);
    for (int q = 0; q < N_QUIRKS; q++) {
        char value[24] = "";
        if (!d->quirk.has[q]) continue;
        if (quirk_has_value(q)) snprintf(value, sizeof value, "=%d", d->quirk.value[q]);
        printf("    %s%s (%s): %s\n", quirk_name(q), value, d->quirk.from[q], quirk_meaning(q));
    }
    for (int f = 0; f < N_FEATURES; f++)
        if (d->quirk.feature[f]) printf("    may have %s\n", feature_name(f));
}

static void print_table(const device_list *list, bool verbose)
{
    int width = 8;
    for (int i = 0; i < list->n; i++) {
        int n = snprintf(NULL, 0, "%s", list->items[i].name);
        if (n > width) width = n;
    }
    printf("%-3s %-5s %-*s  %-11s %5s %10s %10s  %-4s %-9s  %s\n", "", "P:D", width, "device",
           "type", "units", "memory", "largest", "fp16", "subgroups", "platform, driver");
    for (int i = 0; i < list->n; i++) {
        const device_info *d = &list->items[i];
        printf("%-3d %-5s %-*s  %-11s %5u %7.1f GB %7.1f GB  %-4s %-9s  %s, %s\n", d->index, d->id,
               width, TEXT_SHOWN(d->name), kind_names[d->kind], d->compute_units,
               (double)d->memory_bytes / 1e9, (double)d->max_alloc_bytes / 1e9,
               d->fp16 ? "yes" : "no", d->subgroups ? "yes" : "no", TEXT_SHOWN(d->platform),
               TEXT_SHOWN(d->driver));
        if (verbose) print_more(d);
    }
    for (int i = 0; i < list->n_empty; i++)
        printf("%-28s%s%s%s\n",
               i ? "" : "platforms without a device:", TEXT_SHOWN(list->empty[i].name),
               *list->empty[i].advice ? ": " : "", TEXT_SHOWN(list->empty[i].advice));
    if (verbose && *list->note) printf("%s\n", TEXT_SHOWN(list->note));
}

status cli_devices(int argc, char **argv)
{
    bool json = false, verbose = false, helped;
    device_list list = {0};
    const option options[] = {
        OPTION_JSON(&json),
        {"verbose", 'v', OPTION_FLAG, &verbose, NULL,
         "also print limits, device files, quirks and features", 0, 0, NULL},
        {0},
    };
    const command c = {
        .name = "devices",
        .arguments = "[--json]",
        .summary = "Lists the OpenCL devices of this machine with the indices that --device takes.",
        .details = "Example:\n"
                   "  ditcl devices -v\n",
        .options = options,
    };
    status st = OK;
    TRY(options_parse(&c, argc, argv, &helped));
    if (helped) goto done;
    TRY(device_list_init(&list));
    if (json) TRY(print_json(&list));
    for (int i = 0; json && list.n && i < list.n_empty; i++)
        cli_warn("platform without a device: %s%s%s", list.empty[i].name,
                 *list.empty[i].advice ? ": " : "", list.empty[i].advice);
    int any;
    if (!list.n) TRY(device_choose(&any, &list, NULL)); /* the error says what to install */
    if (!json) print_table(&list, verbose);
done:
    device_list_free(&list);
    return st;
}
