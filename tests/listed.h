/* For tests that run the commands of a list: the words of a command, and the errors of the
 * arrays that it writes. */
#ifndef DITCL_TESTS_LISTED_H
#define DITCL_TESTS_LISTED_H

#include <stddef.h>

/* The tolerance of --precision auto over that of fp32, if GEMM is not fp32. */
enum { AUTO_FACTOR = 5 };

/* A command's words; zero-initialise. */
typedef struct {
    char *word[48];
    int n;
} words;

void words_add(words *w, const char *value);
void words_free(words *w);

/* Relative L2 error of got [count], or of the array in a file, against the array in `expected`. */
double listed_error(const float *got, size_t count, const char *expected);
double listed_file_error(const char *got, const char *expected);

#endif
