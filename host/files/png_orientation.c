/* The orientation of a PNG. See png_parts.h.
 *
 * Cameras store pixels as the sensor reads them, and EXIF tells how to turn the picture. This file
 * searches for EXIF where Pillow does (Image.getexif), in the same order. */
#include <stdlib.h>
#include <string.h>

#include "files/exif.h"
#include "files/png_parts.h"

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
        good = exif_read(&value, exif.data, exif.size);
    else if (profile.there)
        good = unpack_profile(&profile) && exif_read(&value, profile.data, profile.size);
    if (!good) TRY(png_damaged(f, "its EXIF data does not begin with TIFF's header"));
    if (!value && xmp.there) value = exif_find_in_xmp(xmp.data, xmp.size);
    if (value >= 1 && value <= 8) *orientation = (int)value;
done:
    free(profile.data);
    free(xmp.data);
    return st;
}
