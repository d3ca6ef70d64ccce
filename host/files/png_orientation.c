/* The orientation of a PNG. See png_parts.h.
 *
 * Cameras store pixels as the sensor reads them, and EXIF tells how to turn the picture. This file
 * searches for EXIF where Pillow does (Image.getexif), in the same order. It does not read rational
 * numbers and BigTIFF. */
#include <stdlib.h>
#include <string.h>

#include "files/png_parts.h"

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

/* ---- EXIF in a text ---- */

static int hex_digit(int c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Replaces "\nexif\n   LENGTH\nHEX..." by the bytes that HEX encodes. False if the text has another
 * form. */
static bool unpack_profile(png_text *b)
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
static uint32_t find_in_xmp(const png_text *b)
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
    png_text profile = {0}, xmp = {0};
    png_chunk exif = {0};
    uint32_t value = 0;
    bool good = true;
    status st = OK;
    *orientation = 1;
    for (size_t at = PNG_SIGNATURE;;) {
        png_chunk c = png_chunk_at(f, at);
        if (png_chunk_is(&c, "IEND")) break;
        if (png_chunk_is(&c, "eXIf")) exif = c;
        TRY(png_take_text(&profile, f, &c, "Raw profile type exif"));
        TRY(png_take_text(&xmp, f, &c, "XML:com.adobe.xmp"));
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
