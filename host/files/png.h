/* PNG pictures: 8-bit RGB, read with stb_image and written with stb_image_write, with text chunks
 * that say how the picture was made. */
#ifndef DITCL_FILES_PNG_H
#define DITCL_FILES_PNG_H

#include "base/file.h"
#include "base/status.h"

/* rgb: [height][width][3]. notes: pairs of keyword and Latin-1 text ending with a null pointer
 * (tEXt chunks), or null. */
status png_write(file_out *out, const unsigned char *rgb, int width, int height,
                 const char *const *notes);

typedef struct {
    int width, height;
    unsigned char *rgb; /* [height][width][3] */
} png;

/* Any PNG of at most 16384 pixels a side, 64 million in all: grey or colour, 1 to 16 bits,
 * interlaced or not. What is transparent is laid over white. */
status png_read(png *p, const char *path);
/* Its sizes, as they are stored, from the first bytes of the file. */
status png_sizes(int *width, int *height, const char *path);
void png_free(png *p);

#endif
