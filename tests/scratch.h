/* A temporary folder for one test: made before it, removed with everything inside after it. */
#ifndef DITCL_TESTS_SCRATCH_H
#define DITCL_TESTS_SCRATCH_H

#include <stddef.h>

/* Fixtures: tcase_add_checked_fixture(tc, scratch_open, scratch_close). */
void scratch_open(void);
void scratch_close(void); /* kernels are no longer read from it */

/* The folder itself, and a file in it; the text is valid until the next call. */
const char *scratch_folder(void);
const char *scratch_path(const char *name);

/* Writes a file into the folder and returns its path. */
const char *scratch_write(const char *name, const void *bytes, size_t n);

/* Copies cl/name into the folder, its first `marker` (unless null) replaced by `spoilt`. */
void scratch_kernel(const char *name, const char *marker, const char *spoilt);

/* A whole file, freed with free(), with room for one byte more. */
unsigned char *scratch_read(const char *name, size_t *size);

/* The stored failure is one line that begins with name and says part. */
void scratch_expect_message(const char *name, const char *part);

/* How many files the folder holds, hidden ones too. */
int scratch_count(void);

#endif
