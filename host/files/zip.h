/* The directory of a zip archive as PyTorch writes it. Entries are stored without compression, so
 * each is a piece of the mapped file. Sizes, offsets, names and overlaps are checked before they
 * are used. Compressed and encrypted entries are refused by name. Zip64 is supported. */
#ifndef DITCL_FILES_ZIP_H
#define DITCL_FILES_ZIP_H

#include "base/file.h"
#include "base/status.h"

typedef struct {
    const char *name; /* inside the mapping, not NUL-terminated */
    size_t name_length;
    const unsigned char *data;
    size_t size;
} zip_entry;

typedef struct {
    zip_entry *entries; /* sorted by name */
    size_t n;
} zip;

/* path: for messages. */
status zip_read(zip *z, const file_map *map, const char *path);
void zip_free(zip *z);

/* Null if there is none. */
const zip_entry *zip_find(const zip *z, const char *name, size_t length);

#endif
