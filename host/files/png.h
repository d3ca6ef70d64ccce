/* PNG pictures. stb_image_write writes 8-bit RGB, with text chunks that say how the picture was
 * made. png_*.c reads any kind, with zlib. */
#ifndef DITCL_FILES_PNG_H
#define DITCL_FILES_PNG_H

#include "base/file.h"
#include "base/status.h"

/* Before a keyword: the text becomes an iTXt chunk in any case. */
#define PNG_AS_UTF8 "\1"

/* rgb: [height][width][3]. notes: pairs of keyword and UTF-8 text, ended by a null pointer, or
 * null. A text becomes a tEXt chunk if Latin-1 can hold it, else iTXt, which is not compressed.
 * Bytes that are not UTF-8, and control characters except line ends, are replaced. */
status png_write(file_out *out, const unsigned char *rgb, int width, int height,
                 const char *const *notes);
/* The same on any stream, which remembers a failed write. name: for messages. */
status png_print(FILE *to, const char *name, const unsigned char *rgb, int width, int height,
                 const char *const *notes);

typedef struct {
    int width, height;
    unsigned char *rgb; /* [height][width][3] */
} png;

/* Reads any PNG of at most 16384 pixels per side and 64 million in all: grey or colour, 1 to 16
 * bits, interlaced or not. Transparent pixels are blended with white. The picture is turned by its
 * EXIF orientation. The checksums of all chunks and of the pixels must be right. */
status png_read(png *p, const char *path);
/* Reads only the sizes, from the start of the file, before the EXIF orientation is applied. */
status png_sizes(int *width, int *height, const char *path);
/* *words = the text with this keyword, or null if the file has none. Free it with free(). */
status png_read_note(char **words, const char *path, const char *keyword);
void png_free(png *p);

#endif
