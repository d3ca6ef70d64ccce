/* Checked host memory: products of sizes must not overflow. */
#ifndef DITCL_BASE_MEMORY_H
#define DITCL_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* *out = a * b. False if the product overflows. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* *(void **)p = zeroed memory for count elements of item_size bytes, never null on success, even
 * for count 0. ERR_MEMORY names the size. Freed with free(). */
status memory_alloc(void *p, size_t count, size_t item_size);

/* Grows *(void **)p, an array with room for *capacity elements, to at least `need` elements. */
status memory_grow(void *p, size_t *capacity, size_t need, size_t item_size);

/* *out = a copy of s, freed with free(). */
status memory_strdup(char **out, const char *s);

/* Bytes that this process may still allocate under RLIMIT_AS and RLIMIT_DATA (ulimit -v and -d);
 * UINT64_MAX if it has no such limit. */
uint64_t memory_left(void);

#endif
