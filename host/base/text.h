/* Strings: a growing one, strict number parsing, case-insensitive search, edit distance. */
#ifndef DITCL_BASE_TEXT_H
#define DITCL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

/* The bytes of the first character of s, at least 1, and its code point; TEXT_NO_UTF8 for a byte
 * that begins no UTF-8. s is not empty. */
enum { TEXT_NO_UTF8 = -1 };
size_t text_decode(const char *s, int32_t *code_point);
bool text_is_utf8(const char *s);

/* Whether a terminal shows the character and nothing more: no control character (C0, DEL, C1), none
 * that turns the direction of text, ends a line or is invisible, no TEXT_NO_UTF8. */
bool text_is_shown(int32_t code_point);

/* out = s with '?' for each character that is not shown; cut before the first that does not fit.
 * out may be s itself. Returns out. Text from files, drivers and the command line passes through
 * here on its way to a terminal. */
char *text_printable(char *out, size_t size, const char *s);

/* The same in storage of the enclosing block, for an argument of printf. */
enum { TEXT_SHOWN_BYTES = 4200 };
#define TEXT_SHOWN(s) text_printable((char[TEXT_SHOWN_BYTES]){0}, TEXT_SHOWN_BYTES, s)

/* Prints lines that way: their ends and tabs stay. */
void text_print(FILE *to, const char *lines);

/* Copies at most size - 1 bytes and terminates; cuts silently. */
void text_copy(char *out, size_t size, const char *s);

#endif
