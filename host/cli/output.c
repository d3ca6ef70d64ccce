/* Where pictures go. See output.h. */
#include "cli/output.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/progress.h"
#include "files/png.h"
#include "sample/grid.h"
#include "sample/image.h"

enum { PATH_BYTES = 4096 };

/* Digits of the one %d or %0Nd in path, or -1 when there is anything else behind a %. */
static int series_digits(const char *path)
{
    const char *percent = strchr(path, '%');
    int digits = 1;
    const char *at = percent + 1;
    if (*at == '0') {
        at++;
        if (!isdigit((unsigned char)*at) || *at == '0') return -1;
        digits = *at++ - '0';
    }
    if (*at != 'd' || strchr(at, '%')) return -1;
    return digits;
}

static status picture_path(const output *o, char *out, int i)
{
    char name[32];
    if (o->kind == OUTPUT_FOLDER) {
        snprintf(name, sizeof name, "%06d.png", i);
        return file_join(out, PATH_BYTES, o->path, name);
    }
    if (o->kind != OUTPUT_SERIES) {
        if (strlen(o->path) >= PATH_BYTES) return fail(ERR_USAGE, "--out: the name is too long");
        text_copy(out, PATH_BYTES, o->path);
        return OK;
    }
    const char *percent = strchr(o->path, '%'), *d = strchr(percent, 'd');
    int used = snprintf(out, PATH_BYTES, "%.*s%0*d%s", (int)(percent - o->path), o->path,
                        series_digits(o->path), i, d + 1);
    return used < PATH_BYTES ? OK : fail(ERR_USAGE, "--out: the name is too long");
}

/* Only a name that says it is a picture may replace a file; one without an extension may be new. */
static status check_format(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    if (dot ? text_equal_nocase(dot, ".png") : !file_exists(path) && strcmp(path, "-")) return OK;
    return fail(ERR_USAGE, "--out %s: pictures are written as PNG, name them .png", path);
}

status output_check_array(const char *path)
{
    size_t n = strlen(path);
    status st = file_out_check(path);
    if (st != OK || !file_exists(path) || (n > 4 && text_equal_nocase(path + n - 4, ".npy")))
        return st;
    return fail(ERR_USAGE, "%s: is there already; only a .npy file is replaced by an array", path);
}

/* The pictures of one class stay together in a row, where a row can hold them. */
static int columns(const output *o)
{
    int near = grid_columns(o->n);
    if (o->unit <= 1 || o->unit > 2 * near) return near;
    int units = (near + o->unit / 2) / o->unit;
    return (units ? units : 1) * o->unit;
}

/* A sheet must be one that a PNG writer takes; that is known before any work. */
static status make_sheet(output *o)
{
    enum { LARGEST = 1 << 29 }; /* bytes of one picture that png_write takes */
    double across = columns(o), down = ceil(o->n / across);
    double bytes = (across * (o->width + 2) + 2) * (down * (o->height + 2) + 2) * 3;
    if (o->kind != OUTPUT_SHEET) return OK;
    if (bytes > LARGEST) {
        fail(ERR_LIMIT, "a sheet of %d pictures of %d x %d is too large", o->n, o->width,
             o->height);
        fail_hint("write them one by one: --out FOLDER/ or --out NAME-%%03d.png");
        return ERR_LIMIT;
    }
    return memory_alloc(&o->sheet, (size_t)o->n * (size_t)o->width * (size_t)o->height, 3);
}

status output_open(output *o, const char *path, int n, int unit, int width, int height)
{
    *o = (output){.path = path, .n = n, .unit = unit, .width = width, .height = height};
    char name[PATH_BYTES];
    status st = OK;
    size_t length = strlen(path);
    if (strchr(path, '%')) {
        o->kind = OUTPUT_SERIES;
        if (series_digits(path) < 0)
            return fail(ERR_USAGE, "--out %s: expected one %%d or %%0Nd and no other %%", path);
    } else if (file_is_folder(path) || (length && path[length - 1] == '/')) {
        o->kind = OUTPUT_FOLDER;
    } else {
        o->kind = n > 1 ? OUTPUT_SHEET : OUTPUT_FILE;
    }
    for (int i = 0; i < (o->kind == OUTPUT_SHEET ? 1 : n); i++) {
        TRY(picture_path(o, name, i));
        TRY(file_out_check(name));
    }
    if (o->kind != OUTPUT_FOLDER) TRY(check_format(path));
    TRY(make_sheet(o));
    /* more: see output_extra */
    TRY(memory_alloc(&o->files, (size_t)n + OUTPUT_EXTRAS, sizeof *o->files));
done:
    return st;
}

static status write_one(output *o, const char *path, const unsigned char *rgb, int width,
                        int height)
{
    file_out *file = &o->files[o->n_files];
    status st = file_out_open(file, path);
    if (st != OK) return st;
    o->n_files++;
    st = png_write(file, rgb, width, height, o->notes);
    return st == OK ? file_out_finish(file) : st;
}

/* The next picture, [height][width][3]. */
static status output_add(output *o, const unsigned char *rgb)
{
    char path[PATH_BYTES];
    size_t bytes = (size_t)o->width * (size_t)o->height * 3;
    int i = o->done++;
    if (o->kind == OUTPUT_SHEET) {
        memcpy(o->sheet + (size_t)i * bytes, rgb, bytes);
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

/* What a mask keeps is kept to the bit, whatever the VAE makes of it. */
static void keep_known(const output *o, unsigned char *rgb)
{
    size_t pixels = (size_t)o->width * (size_t)o->height;
    for (size_t i = 0; o->known && i < pixels; i++)
        if (!image_is_white(o->white + 3 * i)) memcpy(rgb + 3 * i, o->known + 3 * i, 3);
}

status output_planes(float *planes, float *pixels, vae *v, buf latents, int picture)
{
    int scale = vae_scale(&v->config), height = v->height * scale, width = v->width * scale;
    buf image;
    status st = vae_decode(v, &image, latents, picture);
    if (st == OK)
        st = buffer_download(v->d, image, 0, pixels, (size_t)height * (size_t)width * 3);
    return st == OK ? grid_planes(planes, pixels, height, width) : st;
}

status output_decode(output *o, vae *v, buf latents, compat arithmetic, bool quiet)
{
    int scale = vae_scale(&v->config), height = v->height * scale, width = v->width * scale;
    size_t count = (size_t)height * (size_t)width * 3;
    rounding rule = arithmetic == COMPAT_DIFFUSERS ? ROUND_DIFFUSERS : ROUND_ORIGINAL;
    float *pixels = NULL, *planes = NULL;
    unsigned char *rgb = NULL;
    progress bar = {0};
    status st = OK;
    progress_start(&bar, "decoding", quiet);
    TRY(memory_alloc(&pixels, count, sizeof *pixels));
    TRY(memory_alloc(&planes, count, sizeof *planes));
    TRY(memory_alloc(&rgb, count, 1));
    for (int i = 0; i < o->n; i++) {
        progress_update(&bar, i, o->n);
        TRY(output_planes(planes, pixels, v, latents, i));
        grid_to_8bit(rgb, planes, height, width, rule);
        keep_known(o, rgb);
        TRY(output_add(o, rgb));
    }
done:
    progress_end(&bar);
    free(pixels);
    free(planes);
    free(rgb);
    return st;
}

file_out *output_extra(output *o)
{
    assert(o->extras < OUTPUT_EXTRAS);
    o->extras++;
    return &o->files[o->n_files++];
}

status output_commit(output *o, bool quiet)
{
    unsigned char *sheet = NULL;
    int width, height;
    status st = OK;
    if (o->kind == OUTPUT_SHEET && o->sheet) {
        TRY(grid_make(&sheet, &width, &height, o->sheet, o->n, columns(o), o->width,
                      o->height));
        TRY(write_one(o, o->path, sheet, width, height));
    }
    TRY(file_out_commit(o->files, (size_t)o->n_files));
    if (!quiet && o->n > 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "wrote %s (%d picture%s)\n", o->path, o->n, o->n > 1 ? "s" : "");
done:
    free(sheet);
    return st;
}

void output_close(output *o)
{
    for (int i = o->n_files; i-- > 0;) file_out_discard(&o->files[i]);
    free(o->files);
    free(o->sheet);
    *o = (output){0};
}
