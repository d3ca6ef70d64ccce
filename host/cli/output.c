/* Output of pictures. See output.h. */
#include "cli/output.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/labels.h"
#include "cli/events.h"
#include "files/picture_file.h"
#include "sample/grid.h"

enum { PATH_BYTES = 4096 };

/* A % in a file name: %% is one %, %d and %0Nd are the number, as in printf. */
typedef struct {
    size_t length;
    int digits; /* 0: %% */
} percent;

static bool parse_percent(percent *p, const char *at)
{
    bool wide = at[1] == '0' && at[2] >= '1' && at[2] <= '9';
    *p = (percent){2, at[1] == '%' ? 0 : 1};
    if (wide) *p = (percent){4, at[2] - '0'};
    return at[1] == '%' || at[wide ? 3 : 1] == 'd';
}

/* *numbers = how many numbers path has. false: another character follows a %. Names of folders are
 * not parsed. */
static bool count_numbers(int *numbers, const char *path)
{
    percent p;
    *numbers = 0;
    for (const char *at = file_last_part(path); (at = strchr(at, '%')); at += p.length) {
        if (!parse_percent(&p, at)) return false;
        *numbers += p.digits > 0;
    }
    return true;
}

/* out = path with number i in it. */
static status put_number(char *out, const char *path, int i)
{
    const char *name = file_last_part(path), *at = path;
    size_t used = 0;
    while (*at && used < PATH_BYTES) {
        percent p = {1, 0};
        if (at >= name && *at == '%') parse_percent(&p, at);
        if (!p.digits)
            out[used++] = *at;
        else
            used += (size_t)snprintf(out + used, PATH_BYTES - used, "%0*d", p.digits, i);
        at += p.length;
    }
    if (used >= PATH_BYTES) return fail(ERR_USAGE, "--out: the name is too long");
    out[used] = 0;
    return OK;
}

static status picture_path(const output *o, char *out, int i)
{
    char name[32];
    if (o->numbers && o->kind != OUTPUT_SHEET) i = o->numbers[i];
    if (o->kind == OUTPUT_FOLDER) {
        snprintf(name, sizeof name, "%06d.png", i);
        return file_join(out, PATH_BYTES, o->path, name);
    }
    return put_number(out, o->path, i);
}

/* A file is replaced only if its name ends in .png. A new file may have no extension. */
static status check_format(const char *asked_by, const char *path)
{
    const char *dot = strrchr(file_last_part(path), '.');
    if (dot ? text_equal_nocase(dot, ".png") : !file_exists(path) && strcmp(path, "-")) return OK;
    return fail(ERR_USAGE, "%s %s: pictures are PNG files; expected a name that ends in .png",
                asked_by, path);
}

/* The same for pictures of every kind. */
static status check_ending(const char *path)
{
    const char *dot = strrchr(file_last_part(path), '.');
    if (dot ? picture_file_has_ending(path) : !file_exists(path)) return OK;
    return fail(ERR_USAGE,
                "--out %s: pictures are PNG, JPEG or WebP files; expected a name that ends in "
                ".png, .jpg, .jpeg or .webp",
                path);
}

/* A file is replaced only if its name ends in .npy. */
static status check_array(const char *path)
{
    size_t n = strlen(path);
    if (!file_exists(path)) return OK;
    if (n > 4 && text_equal_nocase(path + n - 4, ".npy")) return OK;
    return fail(ERR_USAGE, "%s: exists already; an array replaces only .npy files", path);
}

/* Formats one of the names: "--out p-3.png". */
static void name_output(char *out, size_t size, const output *o, size_t i)
{
    size_t pictures = o->names.n - (size_t)o->extras;
    snprintf(out, size, "%s %.400s", i < pictures ? "--out" : o->options[i - pictures],
             file_names_path(&o->names, i));
}

static void announce(const file_names *names, size_t i)
{
    if (file_names_in_place(names, i))
        cli_warn("%s: is a mount point, so it is written in place: an interruption can leave it "
                 "incomplete",
                 file_names_path(names, i));
}

status output_check(output *o, bool quiet)
{
    char one[450], other[450];
    size_t a, b;
    status st = OK;
    TRY(file_names_clash(&o->names, &a, &b));
    if (a != b) {
        name_output(one, sizeof one, o, a < b ? a : b);
        name_output(other, sizeof other, o, a < b ? b : a);
        TRY(fail(ERR_USAGE, "%s and %s are one file", one, other));
    }
    for (size_t i = 0; i < o->names.n && !quiet; i++) announce(&o->names, i);
done:
    file_names_free(&o->names);
    return st;
}

static status check_alone(const char *path, bool array, bool quiet)
{
    file_names names = {0};
    status st = file_names_add(&names, path);
    if (st == OK && array) st = check_array(path);
    if (st == OK && !quiet) announce(&names, 0);
    file_names_free(&names);
    return st;
}

status output_check_one(const char *path, bool quiet)
{
    return check_alone(path, false, quiet);
}

status output_check_array(const char *path, bool quiet)
{
    return check_alone(path, true, quiet);
}

status output_add_array(output *o, const char *asked_by, const char *path)
{
    status st = file_names_add(&o->names, path);
    assert(o->extras < OUTPUT_EXTRAS);
    if (st == OK) st = check_array(path);
    if (st == OK) o->options[o->extras++] = asked_by;
    return st;
}

status output_add_picture(output *o, const char *asked_by, const char *path)
{
    status st = check_format(asked_by, path);
    assert(o->extras < OUTPUT_EXTRAS);
    if (st == OK) st = file_names_add(&o->names, path);
    if (st == OK) o->options[o->extras++] = asked_by;
    return st;
}

/* The pictures of a class stay in one row if a row has room for them. */
static int columns(const output *o)
{
    int near = grid_columns(o->n);
    if (o->unit <= 1 || o->unit > 2 * near) return near;
    int units = (near + o->unit / 2) / o->unit;
    return (units ? units : 1) * o->unit;
}

/* Rows of a picture on a sheet, with its label. */
static int sheet_height(const output *o)
{
    return o->height + (o->labels ? labels_height(o->width) : 0);
}

/* Checks, before any work, that the PNG writer accepts the size of the sheet. */
static status make_sheet(output *o)
{
    enum { LARGEST = 1 << 29 }; /* bytes; the limit of png_write */
    double across = columns(o), down = ceil(o->n / across);
    double bytes = (across * (o->width + 2) + 2) * (down * (sheet_height(o) + 2) + 2) * 3;
    if (o->kind != OUTPUT_SHEET && o->labels)
        return fail(ERR_USAGE, "--labels: needs a sheet, which is one file of several pictures");
    if (o->kind != OUTPUT_SHEET) return OK;
    if (bytes > LARGEST) {
        fail(ERR_LIMIT, "a sheet of %d pictures of %d x %d is too large", o->n, o->width,
             o->height);
        fail_hint("write them one by one: --out FOLDER/ or --out NAME-%%03d.png");
        return ERR_LIMIT;
    }
    return memory_alloc(&o->sheet, (size_t)o->n * (size_t)o->width * (size_t)sheet_height(o), 3);
}

static bool is_piped(const output *o)
{
    return o->path && !strcmp(o->path, "-");
}

static status check_pipe(void)
{
    if (events_on())
        return fail(ERR_USAGE, "--out -: --json prints on standard output, too; give a file");
    if (!isatty(STDOUT_FILENO)) return OK;
    fail(ERR_USAGE, "--out -: standard output is a terminal, which shows no PNG");
    fail_hint("write it to a file or a pipe: --out - >cat.png; --out ./- names a file");
    return ERR_USAGE;
}

status output_open(output *o, const char *path, int n, int unit, int width, int height)
{
    *o = (output){.path = path,
                  .n = n,
                  .numbers = o->numbers,
                  .labels = o->labels,
                  .unit = unit,
                  .width = width,
                  .height = height};
    char name[PATH_BYTES];
    status st = OK;
    int numbers;
    size_t length = strlen(path);
    if (file_is_folder(path) || (length && path[length - 1] == '/'))
        o->kind = OUTPUT_FOLDER;
    else if (!count_numbers(&numbers, path) || numbers > 1)
        return fail(ERR_USAGE, "--out %s: expected one %%d or %%0Nd, and %%%% for a %%", path);
    else
        o->kind = numbers ? OUTPUT_SERIES : n > 1 ? OUTPUT_SHEET : OUTPUT_FILE;
    if (is_piped(o)) TRY(check_pipe());
    for (int i = 0; i < (is_piped(o) ? 0 : o->kind == OUTPUT_SHEET ? 1 : n); i++) {
        TRY(picture_path(o, name, i));
        TRY(file_names_add(&o->names, name));
    }
    if (o->kind != OUTPUT_FOLDER && !is_piped(o)) TRY(check_ending(path));
    TRY(make_sheet(o));
    /* more: see output_extra */
    TRY(memory_alloc(&o->files, (size_t)n + OUTPUT_EXTRAS, sizeof *o->files));
done:
    return st;
}

/* Keeps the picture for the end, when it is complete. */
static status write_piped(output *o, const unsigned char *rgb, int width, int height)
{
    char shown[] = "standard output";
    file_out file = {.shown = shown, .stream = open_memstream(&o->piped, &o->piped_bytes)};
    if (!file.stream) return fail(ERR_MEMORY, "out of memory for a picture");
    status st = png_write(&file, rgb, width, height, o->notes);
    bool written = fclose(file.stream) == 0;
    return st == OK && !written ? fail(ERR_MEMORY, "out of memory for a picture") : st;
}

static status flush_piped(const output *o)
{
    if (!o->piped) return OK;
    if (fwrite(o->piped, 1, o->piped_bytes, stdout) == o->piped_bytes && fflush(stdout) == 0)
        return OK;
    return fail(ERR_FILE, "standard output: %s", strerror(errno));
}

static status write_one(output *o, const char *path, const unsigned char *rgb, int width,
                        int height)
{
    if (is_piped(o)) return write_piped(o, rgb, width, height);
    file_out *file = &o->files[o->n_files];
    status st = file_out_open(file, path);
    if (st != OK) return st;
    o->n_files++;
    st = picture_file_write(file, path, rgb, width, height, o->notes);
    return st == OK ? file_out_finish(file) : st;
}

status output_add(output *o, const unsigned char *rgb)
{
    char path[PATH_BYTES];
    size_t bytes = (size_t)o->width * (size_t)o->height * 3;
    int i = o->done++;
    if (o->kind == OUTPUT_SHEET) {
        unsigned char *to = o->sheet + (size_t)i * 3 * (size_t)o->width * (size_t)sheet_height(o);
        memcpy(to, rgb, bytes);
        if (o->labels) labels_draw(to + bytes, o->width, o->labels[i]);
        return OK;
    }
    status st = picture_path(o, path, i);
    return st == OK ? write_one(o, path, rgb, o->width, o->height) : st;
}

status output_open_arrays(output *o)
{
    *o = (output){0};
    return memory_alloc(&o->files, OUTPUT_EXTRAS, sizeof *o->files);
}

file_out *output_extra(output *o)
{
    return &o->files[o->n_files++];
}

status output_commit(output *o, bool quiet)
{
    unsigned char *sheet = NULL;
    char path[PATH_BYTES];
    int width, height;
    status st = OK;
    bool several = o->kind == OUTPUT_SERIES || o->kind == OUTPUT_FOLDER;
    if (o->n > 0) TRY(picture_path(o, path, 0));
    if (o->kind == OUTPUT_SHEET && o->sheet) {
        TRY(grid_make(&sheet, &width, &height, o->sheet, o->n, columns(o), o->width,
                      sheet_height(o)));
        TRY(write_one(o, path, sheet, width, height));
    }
    TRY(file_out_commit(o->files, (size_t)o->n_files));
    TRY(flush_piped(o));
    for (int i = 0; events_on() && i < o->n_files; i++)
        event_name("wrote", "path", o->files[i].shown);
    if (!quiet && o->n > 0 && !is_piped(o) && isatty(STDERR_FILENO))
        fprintf(stderr, "wrote %s (%d picture%s)\n", TEXT_SHOWN(several ? o->path : path), o->n,
                o->n > 1 ? "s" : "");
done:
    free(sheet);
    return st;
}

void output_close(output *o)
{
    for (int i = o->n_files; i-- > 0;) file_out_discard(&o->files[i]);
    file_names_free(&o->names);
    free(o->files);
    free(o->sheet);
    free(o->piped);
    *o = (output){0};
}
