/* Built programs on disk: ditcl/KEY.bin in the user's cache folder.
 *
 * A file is a header (magic, format, length, key, hash of the binary) and the driver's binary.
 * Files are not trusted: a file is refused unless it is a regular file of this user, nobody else
 * may write it, and it agrees with its header to the last byte. Files appear whole, so processes
 * need no lock. The files that were unused for longest are removed first. This file knows nothing
 * of OpenCL. */
#ifndef DITCL_DEVICE_CACHE_H
#define DITCL_DEVICE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"

#define CACHE_BYTES ((uint64_t)256 << 20)     /* the most bytes of all files together */
#define CACHE_FILE_BYTES ((uint64_t)64 << 20) /* the most bytes of one file */

/* *binary = what is stored under key, freed with free(). ERR_FILE if there is no such file,
 * ERR_FORMAT if the file is refused; the stored line says why. */
status cache_read(unsigned char **binary, size_t *size, hash128 key);

/* Stores n bytes under key, then trims the cache to CACHE_BYTES. Does not wait for the disk. */
status cache_write(hash128 key, const unsigned char *binary, size_t n);

/* Removes what is stored under key, unless it is a folder. */
void cache_forget(hash128 key);

/* Removes the files that were unused for longest until at most `limit` bytes are left, and files
 * that interrupted writers left an hour ago. Touches only files whose names are those of the cache.
 */
void cache_trim(uint64_t limit);

#endif
