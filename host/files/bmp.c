/* Reads BMP. See picture_file.h.
 *
 * A file header, a header of one of several sizes, perhaps masks and a palette, then rows of whole
 * 32-bit words, the lowest row first unless the height is negative. Compressed ones (RLE) are
 * refused. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "files/picture_file.h"

enum { FILE_HEAD = 14, OLD_HEAD = 12, PLAIN_HEAD = 40, MASKS_END = 56, RGB = 0, BITFIELDS = 3 };

typedef struct {
    uint32_t head; /* bytes of the header behind the file header */
    uint32_t bits, compression, colours, pixels_at;
    bool downward;
    uint32_t masks[4]; /* red, green, blue, alpha */
    const unsigned char *palette;
    int palette_step; /* bytes of an entry */
} bmp;

static status damaged(const picture_source *s, const char *what)
{
    return fail(ERR_FORMAT, "%s: damaged BMP picture: %s", s->path, what);
}

static uint32_t number(const unsigned char *p, int n)
{
    uint32_t value = 0;
    while (n-- > 0) value = value << 8 | p[n];
    return value;
}

static status take_masks(bmp *b, const picture_source *s)
{
    static const uint32_t five[4] = {0x7c00, 0x3e0, 0x1f, 0}, eight[4] = {0xff0000, 0xff00, 0xff};
    bool has_alpha = b->head >= MASKS_END;
    memcpy(b->masks, b->bits == 16 ? five : eight, sizeof b->masks);
    if (b->compression != BITFIELDS) return OK;
    if (s->size < FILE_HEAD + PLAIN_HEAD + 16) return damaged(s, "it is cut short in its masks");
    for (int i = 0; i < 4; i++)
        b->masks[i] = i < 3 || has_alpha ? number(s->bytes + FILE_HEAD + PLAIN_HEAD + 4 * i, 4) : 0;
    for (int i = 0; i < 4; i++) {
        uint32_t low = b->masks[i] & (0u - b->masks[i]), ones = low ? b->masks[i] / low : 0;
        if (ones > 255 || (ones & (ones + 1)) || (i < 3 && !ones))
            return damaged(s, "a mask of a colour is not 1 to 8 adjacent bits");
    }
    return OK;
}

static status take_palette(bmp *b, const picture_source *s)
{
    size_t at = FILE_HEAD + (size_t)b->head;
    if (b->bits > 8) return OK;
    b->palette_step = b->head == OLD_HEAD ? 3 : 4;
    if (!b->colours) b->colours = 1u << b->bits;
    if (b->colours > 1u << b->bits)
        return damaged(s, "its palette has more colours than it can use");
    if (at > s->size || (s->size - at) / (size_t)b->palette_step < b->colours)
        return damaged(s, "it is cut short in its palette");
    b->palette = s->bytes + at;
    return OK;
}

static bool known(const bmp *b)
{
    static const unsigned char depths[] = {1, 4, 8, 16, 24, 32};
    bool depth = false;
    for (size_t i = 0; i < sizeof depths; i++) depth |= b->bits == depths[i];
    bool fields = b->compression == BITFIELDS && (b->bits == 16 || b->bits == 32);
    return depth && (fields || b->compression == RGB);
}

static status take_head(png *p, bmp *b, const picture_source *s)
{
    const unsigned char *h = s->bytes + FILE_HEAD;
    if (s->size < FILE_HEAD + OLD_HEAD) return damaged(s, "it is cut short in its header");
    b->pixels_at = number(s->bytes + 10, 4);
    b->head = number(h, 4);
    bool old = b->head == OLD_HEAD;
    if (!old && (b->head < PLAIN_HEAD || b->head > 124))
        return damaged(s, "a header of unknown size");
    if (s->size - FILE_HEAD < b->head) return damaged(s, "it is cut short in its header");
    int64_t width = old ? (int64_t)number(h + 4, 2) : (int64_t)(int32_t)number(h + 4, 4);
    int64_t height = old ? (int64_t)number(h + 6, 2) : (int64_t)(int32_t)number(h + 8, 4);
    b->bits = number(h + (old ? 10 : 14), 2);
    b->compression = old ? RGB : number(h + 16, 4);
    b->colours = old ? 0 : number(h + 32, 4);
    b->downward = height < 0;
    if (!known(b))
        return fail(ERR_FORMAT,
                    "%s: a BMP picture of %lu bits with compression %lu; expected 1, 4, 8, 16, 24 "
                    "or 32 bits without compression",
                    s->path, (unsigned long)b->bits, (unsigned long)b->compression);
    return picture_take_size(p, s, width, height < 0 ? -height : height);
}

/* The bits of a mask as a value of 8 bits. */
static unsigned masked(uint32_t pixel, uint32_t mask)
{
    uint32_t low = mask & (0u - mask);
    return (pixel & mask) / low * 255 / (mask / low);
}

static void take_pixel(unsigned char *rgb, const bmp *b, const unsigned char *row, int x)
{
    uint32_t bits = b->bits, pixel, alpha = 255;
    if (bits <= 8) {
        uint32_t place = (uint32_t)x * bits, shift = 8 - bits - place % 8;
        uint32_t index = row[place / 8] >> shift & ((1u << bits) - 1);
        const unsigned char *entry = b->palette + (size_t)b->palette_step * index;
        for (int c = 0; c < 3; c++) rgb[c] = index < b->colours ? entry[2 - c] : 0;
        return;
    }
    pixel = number(row + (size_t)x * bits / 8, (int)bits / 8);
    if (b->masks[3]) alpha = masked(pixel, b->masks[3]);
    for (int c = 0; c < 3; c++) rgb[c] = picture_on_white(masked(pixel, b->masks[c]), alpha);
}

status bmp_read(png *p, const picture_source *s)
{
    bmp b = {0};
    status st = OK;
    TRY(take_head(p, &b, s));
    if (s->sizes_only) goto done;
    TRY(take_masks(&b, s));
    TRY(take_palette(&b, s));
    size_t line = ((size_t)p->width * b.bits + 31) / 32 * 4;
    if (b.pixels_at > s->size || (s->size - b.pixels_at) / line < (size_t)p->height)
        TRY(damaged(s, "it is cut short in its pixels"));
    for (int y = 0; y < p->height; y++) {
        size_t from = (size_t)(b.downward ? y : p->height - 1 - y);
        const unsigned char *row = s->bytes + b.pixels_at + from * line;
        for (int x = 0; x < p->width; x++)
            take_pixel(p->rgb + 3 * ((size_t)y * (size_t)p->width + (size_t)x), &b, row, x);
    }
done:
    return st;
}
