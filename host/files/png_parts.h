/* Shared by the files that read PNG: the chunks of a file whose checksums are right. */
#ifndef DITCL_FILES_PNG_PARTS_H
#define DITCL_FILES_PNG_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
    const unsigned char *name, *data; /* 4 letters; size bytes */
    size_t size;
    size_t at; /* where the chunk begins in the file */
} png_chunk;

typedef struct {
    const char *path; /* for messages */
    const unsigned char *bytes;
    size_t size;
    int width, height;
    int depth, colour; /* bits of a sample; IHDR's colour type */
    bool interlaced;
    unsigned char palette[256][4]; /* RGBA; entries that the file does not define are black */
    bool has_key;                  /* one colour is transparent: */
    unsigned key[3];
    size_t data_at; /* the first IDAT chunk; the others follow it */
} png_file;

static inline uint32_t png_read_32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The chunk at this offset of a checked file; the next begins at c.at + c.size + PNG_FRAME. */
enum { PNG_SIGNATURE = 8, PNG_FRAME = 12 }; /* bytes: length, name and checksum of a chunk */
png_chunk png_chunk_at(const png_file *f, size_t at);
bool png_chunk_is(const png_chunk *c, const char *name);

/* Stores "PATH: damaged PNG picture: ..." and returns ERR_FORMAT. */
status png_damaged(const png_file *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* rgb = the decoded pixels, [height][width][3]; transparent ones are laid over white. */
status png_pixels(unsigned char *rgb, const png_file *f);

/* *orientation = EXIF's, 1 to 8, as Pillow's exif_transpose finds it: in eXIf, in a text chunk "Raw
 * profile type exif", or in XMP. Anything else: 1. */
status png_orientation(int *orientation, const png_file *f);

#endif
