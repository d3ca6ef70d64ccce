/* numpy arrays. See npy.h.
 *
 * The header is one Python dictionary with exactly the keys descr, fortran_order and shape. Only
 * the part of Python's grammar that numpy writes is accepted. */
#include "files/npy.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"

enum { MAGIC_BYTES = 6, ALIGNMENT = 64, WORD_BYTES = 32 };

static const unsigned char magic[MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* The unread part of the header. */
typedef struct {
    const char *at, *end;
} cursor;

typedef enum { FLOAT_2, FLOAT_4, FLOAT_8 } value_type;

typedef struct {
    bool has_type, has_order, has_shape;
    value_type type;
    int n_dims;
    size_t dims[NPY_MAX_DIMS];
} header;

/* ---- the header's grammar ---- */

static void skip_blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n')) c->at++;
}

/* Takes one punctuation mark and the blanks before it. */
static bool take_mark(cursor *c, char mark)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != mark) return false;
    c->at++;
    return true;
}

/* A quoted string without escapes. A string that is too long is cut; it then matches no known
 * word. */
static bool take_string(cursor *c, char word[WORD_BYTES])
{
    char quote = '\'';
    if (!take_mark(c, '\'')) {
        if (!take_mark(c, '"')) return false;
        quote = '"';
    }
    size_t n = 0;
    for (; c->at < c->end && *c->at != quote; c->at++) {
        if (*c->at == '\\' || *c->at == '\n' || *c->at == 0) return false;
        if (n < WORD_BYTES - 1) word[n++] = *c->at;
    }
    word[n] = 0;
    return take_mark(c, quote);
}

static bool take_keyword(cursor *c, const char *keyword)
{
    size_t n = strlen(keyword);
    skip_blanks(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, keyword, n) != 0) return false;
    c->at += n;
    return true;
}

/* Decimal digits. *fits becomes false if the number does not fit size_t. */
static bool take_number(cursor *c, size_t *number, bool *fits)
{
    skip_blanks(c);
    const char *first = c->at;
    *number = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        *fits = size_mul(*number, 10, number) &&
                size_add(*number, (size_t)(*c->at - '0'), number) && *fits;
    return c->at > first;
}

/* "()", "(3,)", "(3, 4)", "(3, 4,)". */
static status read_shape(header *h, cursor *c, const char *path)
{
    bool fits = true, comma = true;
    if (!take_mark(c, '(')) return fail(ERR_FORMAT, "%s: header: shape is not a tuple", path);
    while (!take_mark(c, ')')) {
        size_t number;
        if (!comma || !take_number(c, &number, &fits))
            return fail(ERR_FORMAT, "%s: header: shape has elements that are not integers", path);
        if (h->n_dims == NPY_MAX_DIMS)
            return fail(ERR_FORMAT, "%s: has more than %d dimensions", path, NPY_MAX_DIMS);
        h->dims[h->n_dims++] = number;
        comma = take_mark(c, ',');
    }
    if (!fits) return fail(ERR_FORMAT, "%s: header: shape exceeds 64 bits", path);
    if (h->n_dims == 1 && !comma)
        return fail(ERR_FORMAT, "%s: header: shape is a number, expected a tuple", path);
    h->has_shape = true;
    return OK;
}

static status read_type(header *h, cursor *c, const char *path)
{
    static const char *const names[] = {"<f2", "<f4", "<f8"};
    char word[WORD_BYTES];
    if (!take_string(c, word))
        return fail(ERR_FORMAT, "%s: header: descr is not a string, expected '<f4'", path);
    for (int i = 0; i < 3; i++) {
        if (strcmp(word, names[i]) != 0) continue;
        h->type = (value_type)i;
        h->has_type = true;
        return OK;
    }
    return fail(ERR_FORMAT, "%s: values are '%s', expected '<f4' (or '<f2', '<f8')", path, word);
}

static status read_order(header *h, cursor *c, const char *path)
{
    if (take_keyword(c, "True"))
        return fail(ERR_FORMAT, "%s: is in Fortran order, expected C order", path);
    if (!take_keyword(c, "False"))
        return fail(ERR_FORMAT, "%s: header: fortran_order is not False", path);
    h->has_order = true;
    return OK;
}

static status read_item(header *h, cursor *c, const char *path)
{
    char key[WORD_BYTES];
    if (!take_string(c, key) || !take_mark(c, ':'))
        return fail(ERR_FORMAT, "%s: header is not a dictionary as numpy writes it", path);
    bool type = strcmp(key, "descr") == 0, order = strcmp(key, "fortran_order") == 0;
    bool shape = strcmp(key, "shape") == 0;
    if ((type && h->has_type) || (order && h->has_order) || (shape && h->has_shape))
        return fail(ERR_FORMAT, "%s: header: %s occurs twice", path, key);
    if (type) return read_type(h, c, path);
    if (order) return read_order(h, c, path);
    if (shape) return read_shape(h, c, path);
    return fail(ERR_FORMAT, "%s: header: unknown key '%s'", path, key);
}

static status read_header(header *h, cursor c, const char *path)
{
    bool comma = true;
    if (!take_mark(&c, '{'))
        return fail(ERR_FORMAT, "%s: header is not a dictionary as numpy writes it", path);
    while (!take_mark(&c, '}')) {
        if (!comma) return fail(ERR_FORMAT, "%s: header: expected ',' or '}'", path);
        status st = read_item(h, &c, path);
        if (st != OK) return st;
        comma = take_mark(&c, ',');
    }
    skip_blanks(&c);
    if (c.at != c.end) return fail(ERR_FORMAT, "%s: header: text follows the dictionary", path);
    if (!h->has_type || !h->has_order || !h->has_shape)
        return fail(ERR_FORMAT, "%s: header: %s is missing", path,
                    !h->has_type    ? "descr"
                    : !h->has_order ? "fortran_order"
                                    : "shape");
    return OK;
}

/* ---- the file ---- */

/* Checks magic, version and header length. *c = the header; the values begin where it ends. */
static status find_header(cursor *c, const file_map *map, const char *path)
{
    const unsigned char *p = map->data;
    if (map->size < MAGIC_BYTES + 4 || memcmp(p, magic, MAGIC_BYTES) != 0)
        return fail(ERR_FORMAT, "%s: is not a .npy file", path);
    int major = p[MAGIC_BYTES], minor = p[MAGIC_BYTES + 1];
    if (major < 1 || major > 3 || minor != 0)
        return fail(ERR_FORMAT, "%s: .npy version is %d.%d, expected 1.0 to 3.0", path, major,
                    minor);
    size_t start = major == 1 ? 10 : 12, length = (size_t)(p[8] | p[9] << 8);
    if (map->size < start) return fail(ERR_FORMAT, "%s: ends inside its header", path);
    if (major > 1) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > map->size - start)
        return fail(ERR_FORMAT, "%s: header length is %zu, expected at most %zu; cut short?", path,
                    length, map->size - start);
    c->at = (const char *)p + start;
    c->end = c->at + length;
    return OK;
}

/* Value i of the file; a double holds the values of every type exactly. */
static double value_at(const unsigned char *p, value_type type, size_t i)
{
    int width = 2 << (int)type;
    uint64_t bits = 0;
    double value;
    for (int b = width - 1; b >= 0; b--) bits = bits << 8 | p[i * (size_t)width + (size_t)b];
    if (type == FLOAT_2) return (double)fp16_to_float((uint16_t)bits);
    if (type == FLOAT_4) return (double)float_from_bits((uint32_t)bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static status read_values(npy *array, const unsigned char *p, value_type type, const char *path)
{
    status st = memory_alloc(&array->data, array->count, sizeof *array->data);
    for (size_t i = 0; i < array->count && st == OK; i++) {
        double value = value_at(p, type, i);
        if (fabs(value) <= (double)FLT_MAX) /* false for NaN */
            array->data[i] = (float)value;
        else
            st = fail(ERR_FORMAT, "%s: value %zu is %g, expected finite float32 values", path, i,
                      value);
    }
    return st;
}

status npy_read(npy *array, const char *path)
{
    return npy_read_judged(array, path, NULL, NULL);
}

status npy_read_judged(npy *array, const char *path, npy_judge *judge, const void *context)
{
    enum { HEAD = 1 << 16 }; /* numpy itself refuses headers above 10000 bytes by default */
    status st = OK;
    file_map map;
    header h = {0};
    cursor text;
    *array = (npy){0};
    TRY(file_map_begin(&map, path, HEAD));
    TRY(find_header(&text, &map, path));
    if ((size_t)((const unsigned char *)text.end - map.data) > map.held)
        TRY(file_map_rest(&map, path));
    TRY(read_header(&h, text, path));
    array->n_dims = h.n_dims;
    array->count = 1;
    bool fits = true;
    for (int i = 0; i < h.n_dims; i++) {
        array->dims[i] = h.dims[i];
        fits = fits && size_mul(array->count, h.dims[i], &array->count);
    }
    size_t bytes = 0, width = (size_t)2 << (int)h.type;
    size_t found = map.size - (size_t)((const unsigned char *)text.end - map.data);
    if (!fits || !size_mul(array->count, width, &bytes))
        TRY(fail(ERR_FORMAT, "%s: shape is more than memory can address", path));
    if (found != bytes)
        TRY(fail(ERR_FORMAT, "%s: has %zu bytes of values, expected %zu for %zu of %zu bytes", path,
                 found, bytes, array->count, width));
    if (judge) TRY(judge(array, path, context));
    TRY(file_map_rest(&map, path));
    TRY(read_values(array, (const unsigned char *)text.end, h.type, path));
done:
    file_map_close(&map);
    if (st != OK) npy_free(array);
    return st;
}

void npy_free(npy *array)
{
    free(array->data);
    *array = (npy){0};
}

/* ---- writing ---- */

/* The stream remembers a failed write; file_out_finish reports it. */
static void write_values(FILE *stream, const float *data, size_t count)
{
    unsigned char bytes[4096];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = float_bits(data[i]);
        for (int b = 0; b < 4; b++) bytes[used++] = (unsigned char)(bits >> 8 * b);
        if (used == sizeof bytes || i + 1 == count) {
            fwrite(bytes, 1, used, stream);
            used = 0;
        }
    }
}

status npy_write(file_out *out, const float *data, int n_dims, const size_t *dims)
{
    char text[512];
    size_t used = 10, count = 1;
    assert(n_dims >= 0 && n_dims <= NPY_MAX_DIMS);
    memcpy(text, magic, MAGIC_BYTES);
    used += (size_t)snprintf(text + used, sizeof text - used,
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < n_dims; i++) {
        const char *after = i + 1 < n_dims ? ", " : n_dims == 1 ? "," : "";
        used += (size_t)snprintf(text + used, sizeof text - used, "%zu%s", dims[i], after);
        if (!size_mul(count, dims[i], &count))
            return fail(ERR_LIMIT, "%s: the array is more than memory can address", out->shown);
    }
    used += (size_t)snprintf(text + used, sizeof text - used, "), }");
    while ((used + 1) % ALIGNMENT) text[used++] = ' ';
    text[used++] = '\n';
    text[6] = 1;
    text[7] = 0;
    text[8] = (char)((used - 10) & 0xff);
    text[9] = (char)((used - 10) >> 8);
    fwrite(text, 1, used, out->stream);
    write_values(out->stream, data, count);
    return OK;
}
