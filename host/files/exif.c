/* The orientation of a picture. See exif.h. */
#include "files/exif.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

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

bool exif_read(uint32_t *orientation, const unsigned char *p, size_t n)
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

/* ---- XMP ---- */

uint32_t exif_find_in_xmp(const unsigned char *p, size_t size)
{
    static const char name[] = "tiff:Orientation";
    const unsigned char *end = p + size;
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

/* ---- pixels ---- */

status exif_turn(png *p, int orientation)
{
    if (orientation < 2) return OK;
    bool swap = orientation >= 5,
         flip_y = (orientation >= 3 && orientation <= 4) || (orientation >= 6 && orientation <= 7);
    bool flip_x = orientation == 2 || orientation == 3 || orientation >= 7;
    int width = swap ? p->height : p->width, height = swap ? p->width : p->height;
    unsigned char *turned = NULL;
    status st = memory_alloc(&turned, (size_t)width * (size_t)height, 3);
    if (st != OK) return st;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int from_x = swap ? y : x, from_y = swap ? x : y;
            if (flip_x) from_x = p->width - 1 - from_x;
            if (flip_y) from_y = p->height - 1 - from_y;
            memcpy(turned + 3 * ((size_t)y * (size_t)width + (size_t)x),
                   p->rgb + 3 * ((size_t)from_y * (size_t)p->width + (size_t)from_x), 3);
        }
    free(p->rgb);
    *p = (png){.width = width, .height = height, .rgb = turned};
    return OK;
}
