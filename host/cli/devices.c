/* ditcl devices: what there is to compute on. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "trials/fit.h"
#include "trials/stored.h"

static const char *const kind_names[] = {"cpu", "gpu", "accelerator"};

void cli_warn(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "ditcl: warning: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
}

static void print_note(const char *line)
{
    fprintf(stderr, "  %s\n", line);
}

static void print_warning(const char *line)
{
    cli_warn("%s", line);
}

static void print_line(const char *line)
{
    fprintf(stderr, "ditcl: %s\n", line);
}

status cli_open_device(device *d, const device_choice *choice, bool quiet)
{
    const char *selector = choice->selector;
    device_settings settings = {.class = (kernel_class)choice->class,
                                .precision = (precision)choice->precision,
                                .no_cache = choice->no_cache,
                                .profiled = choice->profiled,
                                .note = choice->verbose ? print_note : NULL,
                                .warn = quiet ? NULL : print_warning};
    device_list list;
    int index = 0;
    status st = device_list_init(&list);
    if (st != OK) return st;
    if (!selector) selector = getenv("DITCL_DEVICE");
    TRY(device_choose(&index, &list, selector));
    if (settings.note && *list.note) settings.note(list.note);
    TRY(device_open(d, &list.items[index], &settings));
    if (!quiet && (!selector || !*selector))
        fprintf(stderr, "device %d: %s (%s)\n", index, d->info.name, d->info.platform);
    if (choice->bare) stored_use_shipped(d);
    else fit_device(d, choice->measured, quiet ? NULL : print_line);
done:
    device_list_free(&list);
    return st;
}

static status print_json(const device_list *list)
{
    json_t *all = json_array();
    for (int i = 0; i < list->n; i++) {
        const device_info *d = &list->items[i];
        json_array_append_new(
            all, json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:b, s:b, s:s, s:s, s:s}",
                           "index", d->index, "id", d->id, "platform", d->platform, "name",
                           d->name, "type", kind_names[d->kind], "compute_units",
                           (int)d->compute_units, "memory_bytes", (json_int_t)d->memory_bytes,
                           "max_alloc_bytes", (json_int_t)d->max_alloc_bytes, "fp16", d->fp16,
                           "subgroups", d->subgroups, "driver", d->driver, "vendor", d->vendor,
                           "version", d->version));
    }
    int bad = json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    printf("\n");
    return bad ? fail(ERR_FILE, "cannot write to standard output") : OK;
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
               width, d->name, kind_names[d->kind], d->compute_units, (double)d->memory_bytes / 1e9,
               (double)d->max_alloc_bytes / 1e9, d->fp16 ? "yes" : "no",
               d->subgroups ? "yes" : "no", d->platform, d->driver);
        for (int q = 0; verbose && q < N_QUIRKS; q++)
            if (d->quirk.has[q])
                printf("    %s (%s): %s\n", quirk_name(q), d->quirk.from[q], quirk_meaning(q));
    }
    for (int i = 0; i < list->n_empty; i++)
        printf("%-28s%s%s%s\n", i ? "" : "platforms without a device:", list->empty[i].name,
               *list->empty[i].advice ? ": " : "", list->empty[i].advice);
    if (verbose && *list->note) printf("%s\n", list->note);
}

status cli_devices(int argc, char **argv)
{
    bool json = false, verbose = false, helped;
    device_list list = {0};
    const option options[] = {
        OPTION_JSON(&json),
        OPTION_VERBOSE(&verbose),
        {0},
    };
    const command c = {
        .name = "devices",
        .arguments = "[--json]",
        .summary = "Lists the OpenCL devices of this machine, as --device takes them.",
        .options = options,
    };
    status st = OK;
    TRY(options_parse(&c, argc, argv, &helped));
    if (helped) goto done;
    TRY(device_list_init(&list));
    if (json) TRY(print_json(&list));
    int any;
    TRY(device_choose(&any, &list, NULL)); /* says what to install when there is none */
    if (!json) print_table(&list, verbose);
done:
    device_list_free(&list);
    return st;
}
