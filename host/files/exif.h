/* The orientation of a picture: cameras store pixels as the sensor reads them, and EXIF or XMP
 * tells how to turn the picture. Rational numbers and BigTIFF are not read. */
#ifndef DITCL_FILES_EXIF_H
#define DITCL_FILES_EXIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files/png.h"

/* *orientation = the tag in the first directory of EXIF's TIFF data, or 0 if it has none. False if
 * this is not TIFF. */
bool exif_read(uint32_t *orientation, const unsigned char *p, size_t n);

/* The value in tiff:Orientation="6", or in an element of that name; 0 if there is none. */
uint32_t exif_find_in_xmp(const unsigned char *p, size_t size);

/* Turns and mirrors the pixels by an EXIF orientation of 1 to 8. */
status exif_turn(png *p, int orientation);

#endif
