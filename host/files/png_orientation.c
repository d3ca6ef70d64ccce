/* The orientation of a PNG. See png_parts.h.
 *
 * Cameras store pixels as the sensor reads them, and EXIF tells how to turn the picture. This file
 * searches for EXIF where Pillow does (Image.getexif), in the same order. It does not read rational
 * numbers and BigTIFF. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "files/png_parts.h"

enum { MOST_TEXT = 1 << 20 };

typedef struct {
    unsigned char *data; /* freed with free() */
    size_t size;
    bool there;
} bytes;

/* ---- TIFF, the format of EXIF ---- */

static uint32_t number(const unsigned char *p, int n, bool big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++) value = value << 8 | p[big_endian ? i : n - 1 - i];
    return value;
}

/* *value = the first number of the entry, of 2 or 4 bytes. False if it lies outside the data. */
static bool entry_value(uint32_t *value, const unsigned char *p, size_t n,
                        const unsigned char *entry, bool big_endian)
{
    enum { SHORT = 3, LONG = 4, SIGNED_SHORT = 8, SIGNED_LONG = 9 };
    uint32_t type = number(entry + 2, 2, big_endian), count = number(entry + 4, 4, big_endian);
    int size = type == SHORT || type == SIGNED_SHORT ? 2
               : type == LONG || type == SIGNED_LONG ? 4
                                                     : 0;
    uint64_t all = (uint64_t)count * (unsigned)size, at = number(entry + 8, 4, big_endian);
    if (all == 0) return false;
    if (all > 4 && (at > n || all > n - at)) return false;
    *value = number(all > 4 ? p + at : entry + 8, size, big_endian);
    return true;
}

/* *orientation = the tag in the first directory, or 0 if it has none. False if this is not TIFF. */
static bool read_tiff(uint32_t *orientation, const unsigned char *p, size_t n)
{
    enum { HEAD = 8, ENTRY = 12, ORIENTATION = 0x112 };
    *orientation = 0;
    for (int i = 0; i < 2 && n >= 6 && !memcmp(p, "Exif\0", 6); i++) p += 6, n -= 6;
    if (n == 0) return true;
    if (n < HEAD || (memcmp(p, "MM\0*", 4) && memcmp(p, "II*", 4))) return false;
    bool big_endian = *p == 'M';
    size_t at = number(p + 4, 4, big_endian);
    if (at > n || n - at < 2) return true;
    uint32_t count = number(p + at, 2, big_endian);
    for (at += 2; count-- > 0 && n - at >= ENTRY; at += ENTRY)
        if (number(p + at, 2, big_endian) == ORIENTATION &&
            entry_value(orientation, p, n, p + at, big_endian))
            return true;
    return true;
}

/* ---- text chunks ---- */

/* Inflates a text of at most MOST_TEXT bytes. A broken zlib stream gives an empty text. */
static status inflate_text(bytes *out, const png_file *f, const png_chunk *c,
                           const unsigned char *data, size_t n)
{
    z_stream z = {.next_in = (unsigned char *)data, .avail_in = (uInt)n};
    if (inflateInit(&z) != Z_OK) return fail(ERR_MEMORY, "%s: out of memory", f->path);
    z.next_out = out->data;
    z.avail_out = MOST_TEXT;
    int code = inflate(&z, Z_FINISH);
    out->size = code == Z_STREAM_END ? MOST_TEXT - z.avail_out : 0;
    bool large = code != Z_STREAM_END && z.avail_out == 0;
    inflateEnd(&z);
    if (code == Z_MEM_ERROR) return fail(ERR_MEMORY, "%s: out of memory", f->path);
    if (large)
        return png_damaged(f, "chunk %.4s at byte %zu: a text of more than %d bytes", c->name,
                           c->at, MOST_TEXT);
    return OK;
}

/* *out = the chunk's text if it is a text chunk with this keyword; else unchanged. */
static status take_text(bytes *out, const png_file *f, const png_chunk *c, const char *keyword)
{
    bool plain = png_chunk_is(c, "tEXt"), packed = png_chunk_is(c, "zTXt");
    bool international = png_chunk_is(c, "iTXt");
    const unsigned char *p = c->data, *end = p + c->size;
    size_t n = strlen(keyword) + 1;
    status st = OK;
    if (!(plain || packed || international) || c->size < n || memcmp(p, keyword, n)) return OK;
    p += n;
    /* compression flag, compression method, then language and translated keyword */
    if (international) {
        if (end - p < 2) return OK;
        packed = p[0];
        p += packed ? 1 : 2;
    }
    if (packed && (p == end || *p++)) return OK; /* an unknown method */
    for (int i = 0; international && i < 2; i++) {
        const unsigned char *nul = memchr(p, 0, (size_t)(end - p));
        if (!nul) return OK;
        p = nul + 1;
    }
    free(out->data);
    *out = (bytes){.there = true};
    TRY(memory_alloc(&out->data, packed ? MOST_TEXT : (size_t)(end - p) + 1, 1));
    if (packed) return inflate_text(out, f, c, p, (size_t)(end - p));
    out->size = (size_t)(end - p);
    memcpy(out->data, p, out->size);
done:
    return st;
}

static int hex_digit(int c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Replaces "\nexif\n   LENGTH\nHEX..." by the bytes that HEX encodes. False if the text has another
 * form. */
static bool unpack_profile(bytes *b)
{
    size_t i = 0, n = 0;
    int high = -1;
    for (int lines = 0; lines < 3 && i < b->size; i++) lines += b->data[i] == '\n';
    for (; i < b->size; i++) {
        int digit = hex_digit(b->data[i]);
        if (strchr(" \n\r\t", b->data[i]) && b->data[i]) continue;
        if (digit < 0) return false;
        if (high >= 0) b->data[n++] = (unsigned char)(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    b->size = n;
    return high < 0;
}

/* The value in tiff:Orientation="6", or in an element of that name; 0 if there is none. */
static uint32_t find_in_xmp(const bytes *b)
{
    static const char name[] = "tiff:Orientation";
    const unsigned char *p = b->data, *end = b->data + b->size;
    size_t n = sizeof name - 1;
    while (p && (p = memmem(p, (size_t)(end - p), name, n))) {
        p += n;
        if (end - p >= 2 && *p == '>')
            p += 1;
        else if (end - p >= 3 && !memcmp(p, "=\"", 2))
            p += 2;
        else
            continue;
        if (p < end && *p >= '0' && *p <= '9') return *p - (uint32_t)'0';
    }
    return 0;
}

status png_orientation(int *orientation, const png_file *f)
{
    bytes profile = {0}, xmp = {0};
    png_chunk exif = {0};
    uint32_t value = 0;
    bool good = true;
    status st = OK;
    *orientation = 1;
    for (size_t at = PNG_SIGNATURE;;) {
        png_chunk c = png_chunk_at(f, at);
        if (png_chunk_is(&c, "IEND")) break;
        if (png_chunk_is(&c, "eXIf")) exif = c;
        TRY(take_text(&profile, f, &c, "Raw profile type exif"));
        TRY(take_text(&xmp, f, &c, "XML:com.adobe.xmp"));
        at += c.size + PNG_FRAME;
    }
    if (exif.data)
        good = read_tiff(&value, exif.data, exif.size);
    else if (profile.there)
        good = unpack_profile(&profile) && read_tiff(&value, profile.data, profile.size);
    if (!good) TRY(png_damaged(f, "its EXIF data does not begin with TIFF's header"));
    if (!value && xmp.there) value = find_in_xmp(&xmp);
    if (value >= 1 && value <= 8) *orientation = (int)value;
done:
    free(profile.data);
    free(xmp.data);
    return st;
}
