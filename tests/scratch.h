/* A temporary folder for one test: made before the test, removed with all its files afterwards. */
#ifndef DITCL_TESTS_SCRATCH_H
#define DITCL_TESTS_SCRATCH_H

#include <stddef.h>

/* Fixtures: tcase_add_checked_fixture(tc, scratch_open, scratch_close). */
void scratch_open(void);
void scratch_close(void); /* also unsets DITCL_CL_DIR */

/* The folder itself, and a file in it; the text is valid until the next call. */
const char *scratch_folder(void);
const char *scratch_path(const char *name);

/* Writes a file into the folder and returns its path. */
const char *scratch_write(const char *name, const void *bytes, size_t n);

/* Copies all kernels of cl/ into the folder, where the first `marker` of cl/name is replaced by
 * `spoilt`. Sets DITCL_CL_DIR to the folder. */
void scratch_kernels(const char *name, const char *marker, const char *spoilt);

/* The content of a file, with room for one byte more. The caller frees it. */
unsigned char *scratch_read(const char *name, size_t *size);

/* Checks that the stored failure is one line that begins with name and contains part. */
void scratch_expect_message(const char *name, const char *part);

/* The number of files in the folder, including hidden ones. */
int scratch_count(void);

#endif
