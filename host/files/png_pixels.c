/* Reads the pixels of a PNG. See png_parts.h.
 *
 * zlib inflates row by row and verifies the Adler-32 at the end. Filters and Adam7 follow the PNG
 * specification, sections 8 and 9. Memory holds two rows at a time. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "files/png_parts.h"

typedef struct {
    const png_file *f;
    z_stream z;
    png_chunk c; /* the IDAT chunk that is being inflated */
    bool ended;  /* zlib reached the end of the stream and its checksum was right */
} reader;

/* Advances to the next IDAT chunk. False if there is none. */
static bool next_chunk(reader *r)
{
    png_chunk next = png_chunk_at(r->f, r->c.at + r->c.size + PNG_FRAME);
    if (!png_chunk_is(&next, "IDAT")) return false; /* the last chunk is IEND */
    r->c = next;
    r->z.next_in = (unsigned char *)next.data;
    r->z.avail_in = (uInt)next.size;
    return true;
}

/* Inflates up to n bytes. *got is less than n only at the end of the data. */
static status inflate_some(reader *r, unsigned char *out, size_t n, size_t *got)
{
    r->z.next_out = out;
    r->z.avail_out = (uInt)n;
    while (r->z.avail_out && !r->ended) {
        int code = inflate(&r->z, Z_NO_FLUSH);
        r->ended = code == Z_STREAM_END;
        if (code == Z_MEM_ERROR) return fail(ERR_MEMORY, "%s: out of memory", r->f->path);
        if (code == Z_NEED_DICT || code == Z_DATA_ERROR || code == Z_STREAM_ERROR)
            return png_damaged(r->f, "chunk IDAT at byte %zu: zlib: %s", r->c.at,
                               r->z.msg ? r->z.msg : "this is not zlib's format");
        if (!r->ended && r->z.avail_out && !r->z.avail_in && !next_chunk(r)) break;
    }
    *got = n - r->z.avail_out;
    return OK;
}

/* Reads to the end of the stream, where zlib verifies the checksum. A few extra bytes after the
 * last row are accepted. */
static status inflate_end(reader *r)
{
    enum { MOST = 1 << 16 };
    unsigned char more[4096];
    size_t got, all = 0;
    while (!r->ended) {
        status st = inflate_some(r, more, sizeof more, &got);
        if (st != OK) return st;
        all += got;
        if (all > MOST)
            return png_damaged(r->f, "holds more data than %d x %d pixels", r->f->width,
                               r->f->height);
        if (got < sizeof more && !r->ended)
            return png_damaged(r->f, "its pixels end without a checksum: it is cut short");
    }
    return OK;
}

/* ---- rows ---- */

static unsigned char paeth(int left, int above, int corner)
{
    int guess = left + above - corner;
    int l = abs(guess - left), a = abs(guess - above), c = abs(guess - corner);
    return (unsigned char)(l <= a && l <= c ? left : a <= c ? above : corner);
}

/* row += the filter's prediction. step: bytes between pixels. */
static void unfilter(unsigned char *row, const unsigned char *above, size_t n, size_t step,
                     int filter)
{
    for (size_t i = 0; i < n; i++) {
        int left = i >= step ? row[i - step] : 0, corner = i >= step ? above[i - step] : 0;
        int add = filter == 1   ? left
                  : filter == 2 ? above[i]
                  : filter == 3 ? (left + above[i]) / 2
                  : filter == 4 ? paeth(left, above[i], corner)
                                : 0;
        row[i] = (unsigned char)(row[i] + add);
    }
}

static const int channels_of[7] = {1, 0, 3, 1, 2, 0, 4};

/* Sample i of a row, as stored. */
static unsigned sample(const unsigned char *row, size_t i, int depth)
{
    if (depth == 16) return (unsigned)row[2 * i] << 8 | row[2 * i + 1];
    if (depth == 8) return row[i];
    size_t bit = i * (size_t)depth;
    return row[bit / 8] >> (8 - depth - (int)(bit % 8)) & ((1u << depth) - 1);
}

static unsigned in_8_bits(unsigned value, int depth)
{
    return depth == 16 ? value >> 8 : value * 255 / ((1u << depth) - 1);
}

/* Writes pixel i of a row, blended with white. */
static void put_pixel(unsigned char *rgb, const png_file *f, const unsigned char *row, size_t i)
{
    enum { PALETTE = 3, HAS_COLOUR = 2, HAS_ALPHA = 4 };
    int channels = channels_of[f->colour];
    unsigned raw[4] = {0}, value[4] = {0}, alpha = 255;
    bool is_key = f->has_key;
    for (int c = 0; c < channels; c++) {
        raw[c] = sample(row, i * (size_t)channels + (size_t)c, f->depth);
        value[c] = in_8_bits(raw[c], f->depth);
        if (is_key && raw[c] != f->key[c]) is_key = false;
    }
    if (f->colour == PALETTE) {
        for (int c = 0; c < 4; c++) value[c] = f->palette[raw[0]][c];
        alpha = value[3];
    } else if (f->colour & HAS_ALPHA) {
        alpha = value[channels - 1];
    } else if (is_key) {
        alpha = 0;
    }
    for (int c = 0; c < 3; c++) {
        unsigned v = value[f->colour & HAS_COLOUR ? c : 0];
        rgb[c] = (unsigned char)((v * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

/* ---- passes ---- */

typedef struct {
    int x, y, dx, dy; /* the first pixel, and the distances between pixels */
} pass;

static const pass whole[] = {{0, 0, 1, 1}, {0}};
static const pass adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                             {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}, {0}};

/* rows: two rows of the full width, each with its filter byte in front. */
static status read_pass(unsigned char *rgb, reader *r, const pass *p, unsigned char *rows[2])
{
    const png_file *f = r->f;
    int width = (f->width - p->x + p->dx - 1) / p->dx;
    size_t bits = (size_t)f->depth * (size_t)channels_of[f->colour], got;
    size_t n = ((size_t)width * bits + 7) / 8, step = bits < 8 ? 1 : bits / 8;
    if (f->width <= p->x) return OK;
    memset(rows[1], 0, n + 1);
    for (int y = p->y, turn = 0; y < f->height; y += p->dy, turn ^= 1) {
        unsigned char *row = rows[turn], *above = rows[turn ^ 1];
        status st = inflate_some(r, row, n + 1, &got);
        if (st != OK) return st;
        if (got < n + 1)
            return png_damaged(f, "holds %d of %d rows%s: it is cut short", y / p->dy,
                               (f->height - p->y + p->dy - 1) / p->dy,
                               f->interlaced ? " of an interlaced pass" : "");
        if (row[0] > 4) return png_damaged(f, "row %d has filter %d, expected 0 to 4", y, row[0]);
        unfilter(row + 1, above + 1, n, step, row[0]);
        for (int i = 0; i < width; i++)
            put_pixel(rgb + 3 * ((size_t)y * (size_t)f->width + (size_t)(p->x + i * p->dx)), f,
                      row + 1, (size_t)i);
    }
    return OK;
}

status png_pixels(unsigned char *rgb, const png_file *f)
{
    enum { LARGEST_PIXEL = 8 };
    reader r = {.f = f, .c = png_chunk_at(f, f->data_at)};
    unsigned char *rows[2] = {NULL, NULL};
    bool open = false;
    status st = OK;
    for (int i = 0; i < 2; i++)
        TRY(memory_alloc(&rows[i], (size_t)f->width * LARGEST_PIXEL + 1, 1));
    r.z.next_in = (unsigned char *)r.c.data;
    r.z.avail_in = (uInt)r.c.size;
    open = inflateInit(&r.z) == Z_OK;
    if (!open) TRY(fail(ERR_MEMORY, "%s: out of memory", f->path));
    for (const pass *p = f->interlaced ? adam7 : whole; p->dx; p++)
        TRY(read_pass(rgb, &r, p, rows));
    TRY(inflate_end(&r));
done:
    if (open) inflateEnd(&r.z);
    free(rows[0]);
    free(rows[1]);
    return st;
}
