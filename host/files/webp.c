/* Reads and writes WebP by libwebp. See picture_file.h. */
#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/encode.h>

#include "base/memory.h"
#include "files/exif.h"
#include "files/picture_file.h"

enum { HEAD = 12, CHUNK = 8 };

static status damaged(const picture_source *s, const char *what)
{
    return fail(ERR_FORMAT, "%s: damaged WebP picture: %s", s->path, what);
}

static size_t read_32(const unsigned char *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

/* The orientation that a chunk EXIF or XMP tells, or 1. */
static int find_orientation(const picture_source *s)
{
    uint32_t exif = 0, xmp = 0;
    size_t at = HEAD;
    while (s->size - at >= CHUNK) {
        const unsigned char *name = s->bytes + at, *data = name + CHUNK;
        size_t n = read_32(name + 4);
        at += CHUNK;
        if (n > s->size - at) break;
        if (!memcmp(name, "EXIF", 4)) exif_read(&exif, data, n);
        if (!memcmp(name, "XMP ", 4)) xmp = exif_find_in_xmp(data, n);
        at += n;
        if (n % 2 && at < s->size) at++; /* chunks begin at even offsets */
    }
    uint32_t found = exif ? exif : xmp;
    return found >= 1 && found <= 8 ? (int)found : 1;
}

static status decode(png *p, const picture_source *s)
{
    size_t pixels = (size_t)p->width * (size_t)p->height;
    unsigned char *rgba = NULL;
    status st = memory_alloc(&rgba, pixels, 4);
    if (st != OK)
        return fail(ERR_MEMORY, "%s: out of memory for a picture of %d x %d", s->path, p->width,
                    p->height);
    if (!WebPDecodeRGBAInto(s->bytes, s->size, rgba, 4 * pixels, 4 * p->width))
        st = damaged(s, "its pixels cannot be decoded, or are cut short");
    for (size_t i = 0; i < pixels && st == OK; i++)
        for (size_t c = 0; c < 3; c++)
            p->rgb[3 * i + c] = picture_on_white(rgba[4 * i + c], rgba[4 * i + 3]);
    free(rgba);
    return st;
}

status webp_read(png *p, const picture_source *s)
{
    WebPBitstreamFeatures features;
    status st = OK;
    if (WebPGetFeatures(s->bytes, s->size, &features) != VP8_STATUS_OK)
        return damaged(s, "its header is wrong, or cut short");
    if (features.has_animation)
        return fail(ERR_FORMAT, "%s: an animated WebP, expected one picture", s->path);
    TRY(picture_take_size(p, s, features.width, features.height));
    if (s->sizes_only) goto done;
    TRY(decode(p, s));
    TRY(exif_turn(p, find_orientation(s)));
done:
    return st;
}

status webp_write(file_out *out, const unsigned char *rgb, int width, int height)
{
    uint8_t *bytes = NULL;
    if (width > WEBP_MAX_DIMENSION || height > WEBP_MAX_DIMENSION)
        return fail(ERR_LIMIT, "%s: a picture of %d x %d, but WebP holds %d per side", out->shown,
                    width, height, WEBP_MAX_DIMENSION);
    size_t n = WebPEncodeLosslessRGB(rgb, width, height, 3 * width, &bytes);
    if (!n)
        return fail(ERR_MEMORY, "%s: out of memory for a picture of %d x %d", out->shown, width,
                    height);
    fwrite(bytes, 1, n, out->stream); /* file_out_finish reports a failed write */
    WebPFree(bytes);
    return OK;
}
