/* Strings: a growing one, strict number parsing, case-insensitive search, edit distance. */
#ifndef DITCL_BASE_TEXT_H
#define DITCL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A growing string; zero-initialise, free with text_free. data is never null after an append. */
typedef struct {
    char *data;
    size_t length, capacity;
} text;

/* As printf, behind what is there. */
status text_append(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_free(text *t);

/* Whole-string parsing: no blanks, no trailing characters, no overflow; false otherwise. */
bool text_to_int(const char *s, int64_t *out);   /* decimal, optional '-' */
bool text_to_uint(const char *s, uint64_t *out); /* decimal digits only */
bool text_to_double(const char *s, double *out); /* finite */

/* Case is ASCII's. */
bool text_equal_nocase(const char *a, const char *b);
bool text_prefix_nocase(const char *s, const char *prefix);
bool text_contains_nocase(const char *s, const char *part);

/* Levenshtein distance, ASCII case ignored; strings beyond 64 bytes are TEXT_FAR apart. */
int text_distance(const char *a, const char *b);

/* Whether name may be what was meant by typed, and is nearer to it than *distance, which then
 * becomes name's. Begin with *distance = TEXT_FAR. */
enum { TEXT_FAR = 64 };
bool text_nearer(const char *typed, const char *name, int *distance);
/* The nearest of names, which end with a null; null when none is near. */
const char *text_nearest(const char *typed, const char *const *names);

/* "[3456,1152]" into out; cut where it does not fit. */
void text_shape(char *out, size_t size, const size_t *dims, int n_dims);

/* Copies at most size - 1 bytes and terminates; cuts silently. */
void text_copy(char *out, size_t size, const char *s);

#endif
