/* Strings. See text.h. */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

status text_append(text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need < 0) return fail(ERR_MEMORY, "a message could not be formatted");
    status st = memory_grow(&t->data, &t->capacity, t->length + (size_t)need + 1, 1);
    if (st != OK) return st;
    va_start(args, fmt);
    vsnprintf(t->data + t->length, (size_t)need + 1, fmt, args);
    va_end(args);
    t->length += (size_t)need;
    return OK;
}

void text_free(text *t)
{
    free(t->data);
    *t = (text){0};
}

bool text_to_int(const char *s, int64_t *out)
{
    const char *digits = s + (*s == '-');
    if (!isdigit((unsigned char)*digits)) return false;
    char *end;
    errno = 0;
    long long value = strtoll(s, &end, 10);
    if (errno || *end) return false;
    *out = value;
    return true;
}

bool text_to_uint(const char *s, uint64_t *out)
{
    if (!isdigit((unsigned char)*s)) return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(s, &end, 10);
    if (errno || *end) return false;
    *out = value;
    return true;
}

bool text_to_double(const char *s, double *out)
{
    if (!*s || isspace((unsigned char)*s)) return false;
    for (const char *c = s; *c; c++) /* no hexadecimal, no "inf", no "nan" */
        if (!strchr("0123456789+-.eE", *c)) return false;
    char *end;
    errno = 0;
    double value = strtod(s, &end);
    if (*end || end == s || !isfinite(value)) return false;
    *out = value;
    return true;
}

bool text_equal_nocase(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

bool text_prefix_nocase(const char *s, const char *prefix)
{
    return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

bool text_contains_nocase(const char *s, const char *part)
{
    for (; *s; s++)
        if (text_prefix_nocase(s, part)) return true;
    return *part == 0;
}

int text_distance(const char *a, const char *b)
{
    enum { LONGEST = TEXT_FAR };
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST) return LONGEST;
    int row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            int best = diagonal + !same;
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

bool text_nearer(const char *typed, const char *name, int *distance)
{
    int apart = text_distance(typed, name);
    int most = 2 + (int)strlen(typed) / 4; /* farther is no typing error */
    if (apart >= most || apart >= (int)strlen(name) - 1 || apart >= *distance) return false;
    *distance = apart;
    return true;
}

const char *text_nearest(const char *typed, const char *const *names)
{
    const char *nearest = NULL;
    int distance = TEXT_FAR;
    for (; *names; names++)
        if (text_nearer(typed, *names, &distance)) nearest = *names;
    return nearest;
}

void text_copy(char *out, size_t size, const char *s)
{
    snprintf(out, size, "%s", s);
}

void text_shape(char *out, size_t size, const size_t *dims, int n_dims)
{
    size_t used = 0;
    if (size == 0) return;
    out[0] = 0;
    for (int i = 0; i < n_dims && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%zu", i ? "," : "[", dims[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used < size) snprintf(out + used, size - used, "%s", n_dims ? "]" : "[]");
}
