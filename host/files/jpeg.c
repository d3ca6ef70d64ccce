/* Reads and writes JPEG by libjpeg-turbo. See picture_file.h. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* jpeglib.h needs stdio.h before it */
#include <jerror.h>
#include <jpeglib.h>

#include "base/memory.h"
#include "files/exif.h"
#include "files/picture_file.h"

enum { MOST_SCANS = 200 }; /* a small file could ask for thousands, each of a whole picture */

typedef struct {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    char what[JMSG_LENGTH_MAX]; /* why it was left */
    unsigned char *row;         /* of CMYK */
} decoder;

static decoder *decoder_of(j_common_ptr info)
{
    return (decoder *)((char *)info - offsetof(decoder, d));
}

/* libjpeg calls these instead of printing and exiting. */
static void leave(j_common_ptr info)
{
    decoder *x = decoder_of(info);
    info->err->format_message(info, x->what);
    longjmp(x->leave, 1);
}

/* level < 0: a warning. Data that lacks or contradicts something ends the reading; bytes too many,
 * and a colour transform that is not known, do not. */
static void warn(j_common_ptr info, int level)
{
    int code = info->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM &&
        code != JWRN_JFIF_MAJOR && code != JWRN_NOT_SEQUENTIAL)
        leave(info);
}

static void print_nothing(j_common_ptr info)
{
    (void)info;
}

static void count_scans(j_common_ptr info)
{
    decoder *x = decoder_of(info);
    if (x->d.input_scan_number <= MOST_SCANS) return;
    snprintf(x->what, sizeof x->what, "more than %d scans", MOST_SCANS);
    longjmp(x->leave, 1);
}

/* The orientation that a marker APP1 tells, or 1. */
static int find_orientation(const struct jpeg_decompress_struct *d)
{
    static const char xmp_name[] = "http://ns.adobe.com/xap/1.0/";
    uint32_t exif = 0, xmp = 0;
    for (jpeg_saved_marker_ptr m = d->marker_list; m; m = m->next) {
        size_t n = m->data_length, name = sizeof xmp_name;
        if (n >= 6 && !memcmp(m->data, "Exif\0", 6) && !exif) exif_read(&exif, m->data, n);
        if (n >= name && !memcmp(m->data, xmp_name, name))
            xmp = exif_find_in_xmp(m->data + name, n - name);
    }
    uint32_t found = exif ? exif : xmp;
    return found >= 1 && found <= 8 ? (int)found : 1;
}

/* a b / 255, rounded, as Pillow computes it. */
static unsigned times(unsigned a, unsigned b)
{
    unsigned product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/* rgb [width][3] from an inverted row [width][4] of CMYK, as Adobe's programs write it, and as
 * Pillow takes every CMYK. */
static void take_cmyk(unsigned char *rgb, const unsigned char *row, int width)
{
    for (int i = 0; i < width; i++)
        for (int c = 0; c < 3; c++) {
            unsigned ink = 255u - row[4 * i + c], white = row[4 * i + 3];
            rgb[3 * i + c] = (unsigned char)(white - times(ink, white));
        }
}

static status read_rows(decoder *x, png *p)
{
    struct jpeg_decompress_struct *d = &x->d;
    bool cmyk = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
    status st = OK;
    if (cmyk) TRY(memory_alloc(&x->row, (size_t)p->width, 4));
    d->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(d);
    for (int y = 0; y < p->height; y++) {
        unsigned char *rgb = p->rgb + 3 * (size_t)y * (size_t)p->width;
        JSAMPROW row = cmyk ? x->row : rgb;
        jpeg_read_scanlines(d, &row, 1);
        if (cmyk) take_cmyk(rgb, x->row, p->width);
    }
    jpeg_finish_decompress(d);
done:
    return st;
}

/* Not inlined, so that the frame that longjmp returns to has no local variable that changes. */
__attribute__((noinline)) static status decode(decoder *x, png *p, const picture_source *s)
{
    enum { APP1 = JPEG_APP0 + 1, MARKER_BYTES = 0xffff };
    status st = OK;
    jpeg_create_decompress(&x->d);
    x->d.progress = &x->progress;
    jpeg_save_markers(&x->d, APP1, MARKER_BYTES);
    jpeg_mem_src(&x->d, s->bytes, (unsigned long)s->size);
    jpeg_read_header(&x->d, TRUE);
    TRY(picture_take_size(p, s, x->d.image_width, x->d.image_height));
    if (s->sizes_only) goto done;
    int orientation = find_orientation(&x->d); /* the markers are freed at the end */
    TRY(read_rows(x, p));
    TRY(exif_turn(p, orientation));
done:
    return st;
}

status jpeg_read(png *p, const picture_source *s)
{
    decoder *x;
    status st = memory_alloc(&x, 1, sizeof *x);
    if (st != OK) return st;
    x->d.err = jpeg_std_error(&x->errors);
    x->errors.error_exit = leave;
    x->errors.emit_message = warn;
    x->errors.output_message = print_nothing;
    x->progress.progress_monitor = count_scans;
    if (setjmp(x->leave))
        st = x->errors.msg_code == JERR_OUT_OF_MEMORY
                 ? fail(ERR_MEMORY, "%s: out of memory", s->path)
                 : fail(ERR_FORMAT, "%s: damaged JPEG picture: %s", s->path, x->what);
    else
        st = decode(x, p, s);
    jpeg_destroy_decompress(&x->d);
    free(x->row);
    free(x);
    return st;
}

/* ---- writing ---- */

typedef struct {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    jmp_buf leave;
    char what[JMSG_LENGTH_MAX];
} encoder;

static void leave_encoder(j_common_ptr info)
{
    encoder *x = (encoder *)((char *)info - offsetof(encoder, c));
    info->err->format_message(info, x->what);
    longjmp(x->leave, 1);
}

static void ignore_warning(j_common_ptr info, int level)
{
    (void)info;
    (void)level;
}

/* Quality 95 with colours in full resolution. Not inlined, for the same reason as decode. */
__attribute__((noinline)) static void encode(encoder *x, FILE *stream, const unsigned char *rgb)
{
    enum { QUALITY = 95 };
    size_t line = 3 * (size_t)x->c.image_width;
    jpeg_stdio_dest(&x->c, stream);
    x->c.input_components = 3;
    x->c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&x->c);
    jpeg_set_quality(&x->c, QUALITY, TRUE);
    x->c.comp_info[0].h_samp_factor = x->c.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&x->c, TRUE);
    for (size_t y = 0; y < x->c.image_height; y++) {
        JSAMPROW row = (JSAMPROW)(rgb + y * line);
        jpeg_write_scanlines(&x->c, &row, 1);
    }
    jpeg_finish_compress(&x->c);
}

status jpeg_write(file_out *out, const unsigned char *rgb, int width, int height)
{
    encoder *x;
    if (width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION)
        return fail(ERR_LIMIT, "%s: a picture of %d x %d, but JPEG holds %ld per side", out->shown,
                    width, height, (long)JPEG_MAX_DIMENSION);
    status st = memory_alloc(&x, 1, sizeof *x);
    if (st != OK) return st;
    x->c.err = jpeg_std_error(&x->errors);
    x->errors.error_exit = leave_encoder;
    x->errors.emit_message = ignore_warning;
    x->errors.output_message = print_nothing;
    if (setjmp(x->leave)) {
        /* a failed write is reported with its reason by file_out_finish */
        if (x->errors.msg_code != JERR_FILE_WRITE)
            st = fail(ERR_MEMORY, "%s: cannot be written as JPEG: %s", out->shown, x->what);
    } else {
        jpeg_create_compress(&x->c);
        x->c.image_width = (JDIMENSION)width;
        x->c.image_height = (JDIMENSION)height;
        encode(x, out->stream, rgb);
    }
    jpeg_destroy_compress(&x->c);
    free(x);
    return st;
}
