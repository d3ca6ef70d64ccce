/* Devices: the list, and opening one as commands do. See ditcl.h. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "check/checker.h"
#include "library/inside.h"
#include "ops/ops.h"
#include "tune/tune.h"

static const char *const kind_names[] = {"cpu", "gpu", "accelerator"};

/* ---- the list ---- */

void ditcl_device_info_init(ditcl_device_info *info, size_t size)
{
    const ditcl_device_info defaults = {.size = sizeof defaults};
    library_init(info, size, &defaults, sizeof defaults);
}

status library_list_devices(ditcl *c)
{
    char line[FAIL_BYTES];
    if (c->listed) return OK;
    status st = device_list_read(&c->devices);
    if (st != OK) {
        device_list_free(&c->devices);
        return st;
    }
    c->listed = true;
    for (int i = 0; i < c->devices.n_empty; i++) {
        const empty_platform *p = &c->devices.empty[i];
        if (!p->failed) continue;
        snprintf(line, sizeof line, "platform %s: not all of its devices can be used: %s", p->name,
                 p->advice);
        library_warn(line);
    }
    return OK;
}

ditcl_code ditcl_device_count(ditcl *c, int *n)
{
    library_enter(c);
    status st = library_list_devices(c);
    *n = st == OK ? c->devices.n : 0;
    return library_leave(c, st);
}

ditcl_code ditcl_device_describe(ditcl *c, int i, ditcl_device_info *info)
{
    status st = OK;
    library_enter(c);
    TRY(library_list_devices(c));
    if (i < 0 || i >= c->devices.n)
        TRY(fail(ERR_USAGE, "device %d: there are %d devices", i, c->devices.n));
    const device_info *d = &c->devices.items[i];
    const ditcl_device_info answer = {.index = d->index,
                                      .name = d->name,
                                      .platform = d->platform,
                                      .driver = d->driver,
                                      .type = kind_names[d->kind],
                                      .compute_units = d->compute_units,
                                      .memory_bytes = d->memory_bytes};
    TRY(library_give(info, &answer, sizeof answer, "ditcl_device_info"));
done:
    return library_leave(c, st);
}

/* ---- the program of first-use checks ---- */

/* out = the program ditcl that belongs to this library, or "". */
static void find_program(char out[LIBRARY_PATH])
{
    static const char here;
    static const char *const beside[] = {DITCL_PROGRAM_FROM_LIBRARY, "ditcl"};
    char folder[LIBRARY_PATH] = "";
    Dl_info library;
    if (dladdr(&here, &library) && library.dli_fname)
        text_copy(folder, sizeof folder, library.dli_fname);
    char *slash = strrchr(folder, '/');
    for (int i = 0; i < 2 && slash; i++) {
        *slash = 0;
        if (file_join(out, LIBRARY_PATH, folder, beside[i]) == OK && !file_is_folder(out) &&
            access(out, X_OK) == 0)
            return;
    }
    text_copy(out, LIBRARY_PATH, DITCL_PROGRAM);
    if (access(out, X_OK) != 0) *out = 0;
}

static status name_program(ditcl_device *the_device, const ditcl_device_options *o)
{
    if (!o->check) return OK;
    if (o->program && strlen(o->program) >= sizeof the_device->program)
        return fail(ERR_LIMIT, "program: its path is too long");
    if (o->program)
        text_copy(the_device->program, sizeof the_device->program, o->program);
    else
        find_program(the_device->program);
    if (*the_device->program) return OK;
    fail(ERR_FILE, "the program ditcl, which checks devices, is not where it was installed: %s",
         DITCL_PROGRAM);
    fail_hint("name it in ditcl_device_options.program, or set check to 0");
    return ERR_FILE;
}

/* ---- opening ---- */

static const ditcl_device_options device_defaults = {
    .size = sizeof device_defaults, .measure = 1, .check = 1};

void ditcl_device_options_init(ditcl_device_options *options, size_t size)
{
    library_init(options, size, &device_defaults, sizeof device_defaults);
}

static void note_building(const char *file)
{
    char line[300];
    snprintf(line, sizeof line, "building cl/%s", file);
    library_note(line);
}

static status read_settings(device_settings *out, const ditcl_device_options *o)
{
    int family, arithmetic;
    status st = OK;
    TRY(library_word(&family, FAMILY_AUTO, o->kernels, kernel_family_names, "kernels"));
    TRY(library_word(&arithmetic, PRECISION_AUTO, o->precision, precision_names, "precision"));
    *out = (device_settings){.family = (kernel_family)family,
                             .precision = (precision)arithmetic,
                             .no_cache = o->no_cache != 0,
                             .note = library_note,
                             .warn = library_warn,
                             .building = note_building,
                             .silent = true,
                             .unprobed = o->check != 0};
done:
    return st;
}

static status choose(int *index, const ditcl *c, const char *selector)
{
    if (!selector) selector = getenv("DITCL_DEVICE");
    status st = device_choose(index, &c->devices, selector);
    return st == ERR_USAGE ? fail_in(st, "device \"%.200s\"", selector) : st;
}

static status open_chosen(ditcl_device *the_device, const ditcl_device_options *o)
{
    ditcl *c = the_device->of;
    device_settings settings;
    int index = 0;
    status st = OK;
    TRY(read_settings(&settings, o));
    TRY(name_program(the_device, o));
    library_enter_device(the_device);
    TRY(library_list_devices(c));
    TRY(choose(&index, c, o->device));
    TRY(device_open(&the_device->d, &c->devices.items[index], &settings));
    if (o->check) TRY(checker_open(&the_device->d, CHECK_ALL, library_note));
    if (settings.precision != PRECISION_AUTO && !gemm_offers(&the_device->d, settings.precision))
        TRY(fail(ERR_USAGE, "precision %s: device %d (%s) has no such kernels in the %s family",
                 precision_names[settings.precision], index, the_device->d.info.name,
                 kernel_family_names[the_device->d.family]));
    TRY(tune_fit(&the_device->d, o->measure != 0, library_note));
done:
    return st;
}

ditcl_code ditcl_device_open(ditcl *c, ditcl_device **the_device,
                             const ditcl_device_options *options)
{
    ditcl_device_options o = device_defaults;
    ditcl_device *new = NULL;
    status st = OK;
    *the_device = NULL;
    library_enter(c);
    if (options) TRY(library_take(&o, sizeof o, options, "ditcl_device_options"));
    const char *wanted = getenv("DITCL_FIRST_USE");
    if (wanted && !strcmp(wanted, "off")) o.check = 0;
    TRY(memory_alloc(&new, 1, sizeof *new));
    new->of = c;
    TRY(open_chosen(new, &o));
    c->users++;
    *the_device = new;
    new = NULL;
done:
    if (new) device_close(&new->d);
    free(new);
    return library_leave(c, st);
}

void ditcl_device_close(ditcl_device *the_device)
{
    if (!the_device) return;
    ditcl *c = the_device->of;
    failure kept = c->last;
    library_enter_device(the_device);
    device_close(&the_device->d);
    library_leave(c, OK);
    c->last = kept; /* programs close what is open, then print the error */
    free(the_device);
    library_release(c);
}
