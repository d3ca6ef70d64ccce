/* The noise stream against torch.randn, bit by bit. The vectors are torch's own: data/rng.inc. */
#include "suites.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "sample/rng.h"

enum { MAX_DRAWS = 9, HEAD = 8 };

static const struct {
    uint64_t seed;
    int n_draws;
    size_t draws[MAX_DRAWS];
    uint64_t hash;
    uint32_t head[HEAD]; /* of the last draw */
} cases[] = {
#include "data/rng.inc"
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* FNV-1a over the values' bits, low byte first. */
static uint64_t hash_add(uint64_t hash, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < 4; b++)
            hash = (hash ^ (float_bits(values[i]) >> 8 * b & 255u)) * UINT64_C(0x100000001b3);
    return hash;
}

START_TEST(draws_equal_torch)
{
    rng r;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    float *values = NULL;
    size_t n = 0;
    rng_seed(&r, cases[_i].seed);
    for (int d = 0; d < cases[_i].n_draws; d++) {
        n = cases[_i].draws[d];
        free(values);
        values = malloc((n + 1) * sizeof *values);
        ck_assert_ptr_nonnull(values);
        values[n] = 42.0f;
        rng_randn(&r, values, n);
        ck_assert_msg(values[n] == 42.0f, "a draw of %zu wrote behind its end", n);
        hash = hash_add(hash, values, n);
    }
    for (size_t i = 0; i < n && i < HEAD; i++)
        ck_assert_msg(float_bits(values[i]) == cases[_i].head[i],
                      "case %d, value %zu: %.9g, torch has %.9g", _i, i, (double)values[i],
                      (double)float_from_bits(cases[_i].head[i]));
    free(values);
    ck_assert_msg(hash == cases[_i].hash, "case %d: hash %016" PRIx64 ", torch's is %016" PRIx64,
                  _i, hash, cases[_i].hash);
}
END_TEST

/* Seeding again forgets everything, the waiting second value too. */
START_TEST(seed_starts_over)
{
    rng r;
    float once[3], again[3];
    rng_seed(&r, 42);
    rng_randn(&r, once, 3);
    rng_seed(&r, 42);
    rng_randn(&r, again, 3);
    ck_assert_mem_eq(once, again, sizeof once);
}
END_TEST

/* No vector needed: mean, variance and tail of a normal distribution. */
START_TEST(values_are_normal)
{
    enum { N = 1 << 18 };
    rng r;
    float *values = malloc(N * sizeof *values);
    double sum = 0, squares = 0;
    int beyond = 0;
    ck_assert_ptr_nonnull(values);
    rng_seed(&r, 2024);
    rng_randn(&r, values, N);
    for (int i = 0; i < N; i++) {
        ck_assert(float_is_finite(values[i]));
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
        beyond += fabsf(values[i]) > 1.959964f;
    }
    free(values);
    ck_assert_double_lt(fabs(sum / N), 0.01);
    ck_assert_double_lt(fabs(squares / N - 1), 0.015);
    ck_assert_double_lt(fabs((double)beyond / N - 0.05), 0.0025);
}
END_TEST

Suite *suite_rng(void)
{
    Suite *suite = suite_create("rng");
    TCase *tc = tcase_create("rng");
    tcase_add_loop_test(tc, draws_equal_torch, 0, N_CASES);
    tcase_add_test(tc, seed_starts_over);
    tcase_add_test(tc, values_are_normal);
    suite_add_tcase(suite, tc);
    return suite;
}
