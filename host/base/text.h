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

/* Appends as printf prints. */
status text_append(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_free(text *t);

/* Whole-string parsing. False for blanks, trailing characters and overflow. */
bool text_to_int(const char *s, int64_t *out);   /* decimal, optional '-' */
bool text_to_uint(const char *s, uint64_t *out); /* decimal digits only */
bool text_to_double(const char *s, double *out); /* finite */

/* Only ASCII letters match in both cases. */
bool text_equal_nocase(const char *a, const char *b);
bool text_prefix_nocase(const char *s, const char *prefix);
bool text_contains_nocase(const char *s, const char *part);

/* Levenshtein distance without regard to ASCII case. Strings of more than 64 bytes have distance
 * TEXT_FAR. */
int text_distance(const char *a, const char *b);

/* True if `typed` may be a misspelling of `name` and is nearer than *distance. *distance then
 * becomes its distance. Begin with *distance = TEXT_FAR. */
enum { TEXT_FAR = 64 };
bool text_nearer(const char *typed, const char *name, int *distance);
/* The nearest of `names`, a list that ends with null, or null if none is near. */
const char *text_nearest(const char *typed, const char *const *names);

/* out = "[3456,1152]", cut if it does not fit. */
void text_shape(char *out, size_t size, const size_t *dims, int n_dims);

/* Returns the number of bytes of the first character of s, at least 1. *code_point = the character,
 * or TEXT_NO_UTF8 for a byte that begins no UTF-8. s must not be empty. */
enum { TEXT_NO_UTF8 = -1 };
size_t text_decode(const char *s, int32_t *code_point);
bool text_is_utf8(const char *s);

/* True if a terminal shows the character as it is. False for control characters (C0, DEL, C1), for
 * characters that turn the direction of text, end a line or are invisible, and for TEXT_NO_UTF8. */
bool text_is_shown(int32_t code_point);

/* out = s with '?' in place of each character that is not shown, cut before the first character
 * that does not fit. out may be s. Returns out. Text from files, drivers and the command line
 * passes through this function before it is printed. */
char *text_printable(char *out, size_t size, const char *s);

/* The same for an argument of printf: the storage is in the enclosing block. */
enum { TEXT_SHOWN_BYTES = 4200 };
#define TEXT_SHOWN(s) text_printable((char[TEXT_SHOWN_BYTES]){0}, TEXT_SHOWN_BYTES, s)

/* Prints text in the same way, but keeps line ends and tabs. */
void text_print(FILE *to, const char *lines);

/* Copies at most size - 1 bytes and terminates them. Cuts silently. */
void text_copy(char *out, size_t size, const char *s);

#endif
