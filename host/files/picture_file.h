/* Picture files of any kind that ditcl reads: PNG, JPEG, WebP and BMP, told apart by their first
 * bytes; and writing all but BMP. Pixels are those of Pillow's convert("RGB"), except that
 * transparent ones are blended with white; EXIF's orientation is applied. Nothing in a file is
 * trusted. */
#ifndef DITCL_FILES_PICTURE_FILE_H
#define DITCL_FILES_PICTURE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "files/png.h"

/* Reads a picture of at most 16384 pixels per side and 64 million in all. Free it with png_free. */
status picture_file_read(png *p, const char *path);

/* Reads only the sizes, before the orientation is applied. */
status picture_file_sizes(int *width, int *height, const char *path);

/* If *path is "-", replaces it by the name of a file that has all of standard input. A pipe is read
 * to its end the first time. */
status picture_file_input(const char **path);

/* Writes rgb [height][width][3] in the format that the ending of `name` tells: .jpg or .jpeg, .webp
 * (lossless), else PNG. Only PNG has the notes: see png_write. ERR_LIMIT if the format does not
 * hold a picture of this size. */
status picture_file_write(file_out *out, const char *name, const unsigned char *rgb, int width,
                          int height, const char *const *notes);
/* Whether a name has the ending of a format that picture_file_write knows. */
bool picture_file_has_ending(const char *name);

/* ---- for the readers and writers of each format ---- */

typedef struct {
    const char *path; /* for messages */
    const unsigned char *bytes;
    size_t size;
    bool sizes_only; /* only width and height of the picture are read */
} picture_source;

/* Sets the sizes if they are within the limits. ERR_LIMIT otherwise. */
status picture_take_size(png *p, const picture_source *s, int64_t width, int64_t height);

/* A value of 8 bits blended with white. */
static inline unsigned char picture_on_white(unsigned value, unsigned alpha)
{
    return (unsigned char)((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

/* Allocates the pixels unless only sizes are read. *p is freed by the caller, also on failure. */
status jpeg_read(png *p, const picture_source *s);
status webp_read(png *p, const picture_source *s);
status bmp_read(png *p, const picture_source *s);
status jpeg_write(file_out *out, const unsigned char *rgb, int width, int height);
status webp_write(file_out *out, const unsigned char *rgb, int width, int height);

#endif
