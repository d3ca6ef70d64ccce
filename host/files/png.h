/* PNG pictures: 8-bit RGB, written with stb_image_write, with text chunks that say how the picture
 * was made. */
#ifndef DITCL_FILES_PNG_H
#define DITCL_FILES_PNG_H

#include "base/file.h"
#include "base/status.h"

/* rgb: [height][width][3]. notes: pairs of keyword and Latin-1 text ending with a null pointer
 * (tEXt chunks), or null. */
status png_write(file_out *out, const unsigned char *rgb, int width, int height,
                 const char *const *notes);

#endif
