/* See listed.h. */
#include "listed.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "files/npy.h"
#include "suites.h"

void words_add(words *w, const char *value)
{
    ck_assert_int_lt(w->n, (int)(sizeof w->word / sizeof *w->word));
    ck_assert_int_eq(memory_strdup(&w->word[w->n++], value), OK);
}

void words_free(words *w)
{
    for (int i = 0; i < w->n; i++) free(w->word[i]);
    w->n = 0;
}

double listed_error(const float *got, size_t count, const char *expected)
{
    npy want;
    double squares = 0, scale = 0;
    ck_assert_msg(npy_read(&want, expected) == OK, "%s", fail_line());
    ck_assert_uint_eq(count, want.count);
    for (size_t i = 0; i < count; i++) {
        double off = (double)got[i] - (double)want.data[i];
        squares += off * off;
        scale += (double)want.data[i] * (double)want.data[i];
    }
    npy_free(&want);
    return sqrt(squares / scale);
}

double listed_file_error(const char *got, const char *expected)
{
    npy array;
    ck_assert_msg(npy_read(&array, got) == OK, "%s", fail_line());
    double error = listed_error(array.data, array.count, expected);
    npy_free(&array);
    return error;
}
