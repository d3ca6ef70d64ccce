/* Built programs on disk, <the user's cache folder>/ditcl/<key>.bin.
 *
 * A file is a header (magic, format, length, key, hash of what follows) and the driver's binary. It
 * is not trusted: what is not a regular file of this user that nobody else may write, or does not
 * agree with its header to the last byte, is refused. Files appear whole, so that processes need no
 * lock; those unused for longest leave first. Knows nothing of OpenCL. */
#ifndef DITCL_DEVICE_CACHE_H
#define DITCL_DEVICE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"

#define CACHE_BYTES ((uint64_t)256 << 20)     /* that all files may have */
#define CACHE_FILE_BYTES ((uint64_t)64 << 20) /* that one file may have */

/* *binary = what was stored under key, freed with free(). ERR_FILE when there is no such file,
 * ERR_FORMAT when it is not to be trusted; the line says why. */
status cache_read(unsigned char **binary, size_t *size, hash128 key);

/* Stores n bytes under key, then trims to CACHE_BYTES. Waits for no disk. */
status cache_write(hash128 key, const unsigned char *binary, size_t n);

/* Removes what is stored under key, whatever it is, unless a folder. */
void cache_forget(hash128 key);

/* Removes those unused for longest until at most `limit` bytes are left, and what interrupted
 * writers left an hour ago. Touches nothing that is not named like a file of the cache. */
void cache_trim(uint64_t limit);

#endif
