/* Text chunks of a PNG. See png.h and png_parts.h. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "files/png_parts.h"

enum { MOST_TEXT = 1 << 20 };

/* Inflates a text of at most MOST_TEXT bytes. A broken zlib stream gives an empty text. */
static status inflate_text(png_text *out, const png_file *f, const png_chunk *c,
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

status png_take_text(png_text *out, const png_file *f, const png_chunk *c, const char *keyword)
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
    *out = (png_text){.there = true};
    TRY(memory_alloc(&out->data, packed ? MOST_TEXT : (size_t)(end - p) + 1, 1));
    if (packed) return inflate_text(out, f, c, p, (size_t)(end - p));
    out->size = (size_t)(end - p);
    memcpy(out->data, p, out->size);
done:
    return st;
}
