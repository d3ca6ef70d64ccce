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
    for (const char *c = s; *c; c++) /* strtod alone also takes hexadecimal, "inf" and "nan" */
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
    int most = 2 + (int)strlen(typed) / 4; /* a larger distance is not a typing error */
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

/* ---- characters that terminals show ---- */

/* The Unicode Standard, table 3-7: no overlong form, no surrogate, nothing above U+10FFFF. */
size_t text_decode(const char *s, int32_t *code_point)
{
    const unsigned char *c = (const unsigned char *)s;
    size_t n = c[0] < 0x80   ? 1
               : c[0] < 0xC2 ? 0
               : c[0] < 0xE0 ? 2
               : c[0] < 0xF0 ? 3
               : c[0] < 0xF5 ? 4
                             : 0;
    int32_t code = n < 2 ? c[0] : c[0] & (0x7F >> n);
    for (size_t i = 1; i < n; i++) { /* also ends at the NUL */
        if ((c[i] & 0xC0) != 0x80)
            n = 0;
        else
            code = code << 6 | (c[i] & 0x3F);
    }
    bool overlong = (n == 3 && code < 0x800) || (n == 4 && code < 0x10000);
    bool surrogate = n == 3 && code >= 0xD800 && code <= 0xDFFF;
    if (n == 0 || overlong || surrogate || code > 0x10FFFF) {
        *code_point = TEXT_NO_UTF8;
        return 1;
    }
    *code_point = code;
    return n;
}

bool text_is_utf8(const char *s)
{
    int32_t code = 0;
    while (*s && code != TEXT_NO_UTF8) s += text_decode(s, &code);
    return code != TEXT_NO_UTF8;
}

bool text_is_shown(int32_t code_point)
{
    static const struct {
        int32_t first, last;
    } hidden[] = {
        {TEXT_NO_UTF8, 0x1F}, /* bytes that are no UTF-8; C0 */
        {0x7F, 0x9F},         /* DEL, C1 */
        {0xAD, 0xAD},         /* soft hyphen */
        {0x61C, 0x61C},       /* Arabic letter mark */
        {0x180E, 0x180E},     /* Mongolian vowel separator */
        {0x200B, 0x200B},     /* zero width space; the joiners after it are parts of words */
        {0x200E, 0x200F},     /* direction marks */
        {0x2028, 0x202E},     /* separators; embeddings and overrides of direction */
        {0x2060, 0x206F},     /* word joiner, isolates, deprecated controls */
        {0xFEFF, 0xFEFF},     /* byte order mark */
        {0xFFF9, 0xFFFB},     /* interlinear annotation */
        {0xFFFE, 0xFFFF},     /* not characters */
        {0xE0000, 0xE0FFF},   /* tags and variation selectors */
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (code_point >= hidden[i].first && code_point <= hidden[i].last) return false;
    return true;
}

char *text_printable(char *out, size_t size, const char *s)
{
    size_t used = 0;
    if (size == 0) return out;
    while (*s) {
        int32_t code;
        size_t n = text_decode(s, &code), room = size - 1 - used;
        bool shown = text_is_shown(code);
        if ((shown ? n : 1) > room) break;
        if (shown)
            memmove(out + used, s, n);
        else
            out[used] = '?';
        used += shown ? n : 1;
        s += n;
    }
    out[used] = 0;
    return out;
}

void text_print(FILE *to, const char *lines)
{
    char last = '\n';
    for (size_t n; *lines; lines += n) {
        int32_t code;
        n = text_decode(lines, &code);
        last = *lines;
        if (text_is_shown(code) || last == '\n' || last == '\t')
            fwrite(lines, 1, n, to);
        else
            fputc('?', to);
    }
    if (last != '\n') fputc('\n', to);
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
