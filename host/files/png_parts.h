/* Shared by the files that read PNG: a file's chunks, after their checksums were verified. */
#ifndef DITCL_FILES_PNG_PARTS_H
#define DITCL_FILES_PNG_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
    const unsigned char *name, *data; /* name: 4 letters; data: size bytes */
    size_t size;
    size_t at; /* offset of the chunk in the file */
} png_chunk;

typedef struct {
    const char *path; /* for messages */
    const unsigned char *bytes;
    size_t size;
    int width, height;
    int depth, colour; /* bits of a sample; colour type of IHDR */
    bool interlaced;
    unsigned char palette[256][4]; /* RGBA; undefined entries are black */
    bool has_key;                  /* one colour is transparent: */
    unsigned key[3];
    size_t data_at; /* offset of the first IDAT chunk; the other IDAT chunks follow it */
} png_file;

static inline uint32_t png_read_32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The chunk at this offset of a verified file. The next one begins at c.at + c.size + PNG_FRAME. */
enum { PNG_SIGNATURE = 8, PNG_FRAME = 12 }; /* bytes of a chunk's length, name and checksum */
png_chunk png_chunk_at(const png_file *f, size_t at);
bool png_chunk_is(const png_chunk *c, const char *name);

/* Stores "PATH: damaged PNG picture: ..." and returns ERR_FORMAT. */
status png_damaged(const png_file *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* rgb = the decoded pixels, [height][width][3]. Transparent pixels are blended with white. */
status png_pixels(unsigned char *rgb, const png_file *f);

typedef struct {
    unsigned char *data; /* freed with free() */
    size_t size;
    bool there;
} png_text;

/* *out = the chunk's text if it is a text chunk with this keyword; else unchanged. A broken zlib
 * stream gives an empty text. */
status png_take_text(png_text *out, const png_file *f, const png_chunk *c, const char *keyword);

/* *orientation = the EXIF orientation, 1 to 8, as Pillow's exif_transpose finds it: in eXIf, in a
 * text chunk "Raw profile type exif", or in XMP. 1 if there is none or its value is invalid. */
status png_orientation(int *orientation, const png_file *f);

#endif
