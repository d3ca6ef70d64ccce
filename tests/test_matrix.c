/* Operators on AMX tiles: the operator tests of GEMM, attention and convolution in each precision
 * that uses tiles, on every wanted device. Needs a CPU with AMX, or tests/amx_emulator.c preloaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "scratch.h"
#include "suites.h"

/* Rounding to bfloat16 with and without the instruction of AVX-512 BF16. */
static const char *const claims[] = {"+amx_bf16", "+amx_bf16,-avx512_bf16"};

enum { N_CLAIMS = sizeof claims / sizeof *claims };

static const char *const operators[] = {"gemm", "conv", "attention"};

enum { N_OPERATORS = sizeof operators / sizeof *operators };

static const char *const products[N_PRECISIONS] = {
    [PRECISION_AUTO] = "amx_bf16x3", [PRECISION_BF16] = "amx_bf16"};

static void open_claiming(device *d, const device_info *info, precision p, const char *claim)
{
    const device_settings settings = {.precision = p};
    setenv("DITCL_FEATURES", claim, 1);
    ck_assert_msg(device_open(d, info, &settings) == OK, "%s", fail_line());
}

static void check_operators(const device_info *info, precision p, const char *claim)
{
    device d;
    open_claiming(&d, info, p, claim);
    ck_assert_str_eq(gemm_name(&d, 64, 64, 64), products[p]);
    ck_assert_str_eq(conv_name(&d, (conv_layer){64, 64, 64, 1, 0}), products[p]);
    for (int t = 0; optests[t]; t++)
        for (int i = 0; i < N_OPERATORS; i++) {
            optest_tally tally;
            if (strcmp(optests[t]->name, operators[i]) != 0) continue;
            status st = optest_check(&d, optests[t], test_seed, false, getenv("DITCL_TEST_VERBOSE"),
                                     stdout, &tally);
            printf("%s %-10s %-10s %s: %3d cases, %d wrong, largest err/tol %.2f\n", info->platform,
                   operators[i], products[p], claim, tally.cases, tally.failed, tally.worst);
            fflush(stdout);
            ck_assert_msg(st == OK, "%s", fail_line());
            ck_assert_int_gt(tally.cases, 0);
            ck_assert_int_eq(tally.failed, 0);
        }
    device_close(&d);
}

START_TEST(operators_on_tiles_match_their_references)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int c = 0; c < N_CLAIMS; c++) {
            check_operators(&devices->items[i], PRECISION_AUTO, claims[c]);
            if (c == 0) check_operators(&devices->items[i], PRECISION_BF16, claims[c]);
        }
}
END_TEST

START_TEST(true_fp32_and_other_classes_never_use_tiles)
{
    const device_list *devices = wanted_devices();
    setenv("DITCL_FEATURES", claims[0], 1);
    for (int i = 0; i < devices->n; i++) {
        device d;
        const device_settings fp32 = {.precision = PRECISION_FP32};
        const device_settings items = {.family = FAMILY_GPU};
        ck_assert_msg(device_open(&d, &devices->items[i], &fp32) == OK, "%s", fail_line());
        ck_assert_str_eq(gemm_name(&d, 64, 64, 64), "cpu");
        device_close(&d);
        ck_assert_msg(device_open(&d, &devices->items[i], &items) == OK, "%s", fail_line());
        ck_assert_str_eq(gemm_name(&d, 64, 64, 64), "gpu");
        device_close(&d);
    }
}
END_TEST

/* ---- the probe of tile kernels ---- */

static const struct {
    const char *file, *marker, *spoilt;
} wrong_probes[] = {
    {"probe.cl", "TILE_MMA(0, 1, 2)", "TILE_MMA(0, 2, 1)"},
    {"probe.cl", "TILE_ZERO(0)", "TILE_LOAD(0, a, 0, 64)"},
    {"probe.cl", "to_bf16(*", "to_bf16(1.01f * *"},
    {"probe.cl", "TILES_END();", "does not compile"},
};

START_TEST(a_probe_that_fails_takes_the_feature_away)
{
    const device_list *devices = wanted_devices();
    scratch_kernels(wrong_probes[_i].file, wrong_probes[_i].marker, wrong_probes[_i].spoilt);
    for (int i = 0; i < devices->n; i++) {
        device d;
        open_claiming(&d, &devices->items[i], PRECISION_BF16, claims[0]);
        ck_assert(!d.feature[FEATURE_AMX_BF16]);
        ck_assert_str_ne(gemm_name(&d, 64, 64, 64), products[PRECISION_BF16]);
        device_close(&d);
    }
}
END_TEST

static const int shapes[][3] = {{1, 1, 1}, {9, 33, 17}, {40, 144, 48}, {33, 50, 200}};

static void check_products(const device_info *info, precision p, status wanted)
{
    device d;
    open_claiming(&d, info, p, claims[0]);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i];
        const gemm_weight w = {.n = s[1], .k = s[2]};
        ck_assert_msg(gemm_check(&d, &w, s[0]) == wanted, "%dx%dx%d: %s", s[0], s[1], s[2],
                      fail_line());
    }
    device_close(&d);
}

START_TEST(right_products_pass_their_check)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        check_products(&devices->items[i], PRECISION_AUTO, OK);
        check_products(&devices->items[i], PRECISION_BF16, OK);
    }
}
END_TEST

/* Makes the last row of each GEMM wrong by 2 %. */
START_TEST(one_wrong_row_is_found)
{
    const device_list *devices = wanted_devices();
    scratch_kernels("gemm_matrix.cl", "TILES_END();\n}",
                    "TILES_END();\n"
                    "    for (int j = panel * NC; j < n && block_end * ROWS >= m; j++)\n"
                    "        if (j < panel * NC + NC) out[(size_t)(m - 1) * n + j] *= 1.02f;\n"
                    "}");
    for (int i = 0; i < devices->n; i++) {
        check_products(&devices->items[i], PRECISION_AUTO, ERR_DEVICE);
        check_products(&devices->items[i], PRECISION_BF16, ERR_DEVICE);
    }
}
END_TEST

START_TEST(claims_are_read_strictly)
{
    static const char *const wrong[] = {"amx_bf16",   "+",          "+amx_bf1",
                                        "+amx_bf16,", "-amx_bf16 ", ",+amx_bf16"};
    const device_list *devices = wanted_devices();
    device d;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("DITCL_FEATURES", wrong[i], 1);
        ck_assert_msg(device_open(&d, &devices->items[0], NULL) == ERR_USAGE, "%s", wrong[i]);
        ck_assert_msg(strstr(fail_line(), "DITCL_FEATURES: found \""), "%s", fail_line());
    }
    open_claiming(&d, &devices->items[0], PRECISION_AUTO, "+amx_bf16,-amx_bf16");
    ck_assert(!d.feature[FEATURE_AMX_BF16]);
    device_close(&d);
}
END_TEST

Suite *suite_matrix(void)
{
    Suite *s = suite_create("matrix");
    TCase *c = tcase_create("trust");
    tcase_add_checked_fixture(c, scratch_open, scratch_close);
    tcase_add_test(c, claims_are_read_strictly);
    tcase_add_test(c, true_fp32_and_other_classes_never_use_tiles);
    tcase_add_loop_test(c, a_probe_that_fails_takes_the_feature_away, 0,
                        (int)(sizeof wrong_probes / sizeof *wrong_probes));
    tcase_add_test(c, right_products_pass_their_check);
    tcase_add_test(c, one_wrong_row_is_found);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    c = tcase_create("trials");
    tcase_add_test(c, operators_on_tiles_match_their_references);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    return s;
}
