/* PNG pictures: 8-bit RGB, written with stb_image_write, with text chunks that say how the picture
 * was made; read here, where zlib inflates. */
#ifndef DITCL_FILES_PNG_H
#define DITCL_FILES_PNG_H

#include "base/file.h"
#include "base/status.h"

/* rgb: [height][width][3]. notes: pairs of keyword and UTF-8 text ending with a null pointer, or
 * null. A text becomes a chunk tEXt where Latin-1 can hold it, else iTXt; what is no UTF-8 or a
 * control character other than a line's end is replaced. */
status png_write(file_out *out, const unsigned char *rgb, int width, int height,
                 const char *const *notes);

typedef struct {
    int width, height;
    unsigned char *rgb; /* [height][width][3] */
} png;

/* Any PNG of at most 16384 pixels a side, 64 million in all: grey or colour, 1 to 16 bits,
 * interlaced or not. What is transparent is laid over white, and the picture is turned as its EXIF
 * orientation says. Every chunk's checksum and the pixels' own must be right. */
status png_read(png *p, const char *path);
/* Its sizes, as they are stored, from the first bytes of the file. */
status png_sizes(int *width, int *height, const char *path);
void png_free(png *p);

#endif
