/* Every operator test on every wanted device, in each precision with kernels of its own. The kernel
 * family is the one that the device selects, and then gpu, whose kernels must be right everywhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "ops/ops.h"
#include "ops/impl.h"
#include "optest/optest.h"
#include "scratch.h"
#include "suites.h"

static void open_device(device *d, const device_info *info, kernel_family family, precision p)
{
    const device_settings settings = {.family = family, .precision = p, .no_cache = true};
    ck_assert_msg(device_open(d, info, &settings) == OK, "%s", fail_line());
}

static void check_one(device *d, const optest *t)
{
    optest_tally tally;
    status st =
        optest_check(d, t, test_seed, emulated(), getenv("DITCL_TEST_VERBOSE"), stdout, &tally);
    printf("%s %-10s %s family, %s: %3d cases, %d wrong, largest err/tol %.2f\n", d->info.platform,
           t->name, kernel_family_names[d->family], precision_names[d->settings.precision],
           tally.cases, tally.failed, tally.worst);
    fflush(stdout);
    ck_assert_msg(st == OK, "%s", fail_line());
    ck_assert_int_gt(tally.cases, 0);
    ck_assert_int_eq(tally.failed, 0);
}

/* The implementation and the configuration that serve an operator at a typical shape. */
typedef struct {
    const op_impl *t;
    const int *values;
} serving;

static serving serving_of(const device *d, const char *op)
{
    static const int shapes[][SHAPE_SIZES] = {
        {512, 3456, 1152}, {2, 256, 16, 72}, {4096, 512, 512, 1}};
    serving s = {NULL, NULL};
    for (int i = 0; operators[i].op; i++) {
        const op_impl *impls[MOST_IMPLS];
        if (strcmp(operators[i].op, op) != 0) continue;
        ck_assert_int_gt(operator_impls(&operators[i], d, shapes[i], impls), 0);
        s = (serving){impls[0], configuration_for(d, impls[0], shapes[i])};
    }
    return s;
}

/* Checks each precision, unless an earlier one is served by the same implementation and
 * configuration. Returns the kernel family that served. */
static kernel_family check_precisions(const device_info *info, kernel_family family,
                                      const optest *t)
{
    serving seen[N_PRECISIONS];
    kernel_family used = family;
    for (int p = 0; p < N_PRECISIONS; p++) {
        device d;
        bool again = false;
        open_device(&d, info, family, (precision)p);
        used = d.family;
        seen[p] = serving_of(&d, t->name);
        for (int i = 0; i < p; i++)
            again |= seen[i].t == seen[p].t && seen[i].values == seen[p].values;
        if (!again) check_one(&d, t);
        device_close(&d);
    }
    return used;
}

START_TEST(operators_match_their_references)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        kernel_family own = check_precisions(&devices->items[i], FAMILY_AUTO, optests[_i]);
        if (own != FAMILY_GPU) check_precisions(&devices->items[i], FAMILY_GPU, optests[_i]);
    }
}
END_TEST

/* ---- the check of a whole GEMM ---- */

static const int shapes[][3] = {{1, 1, 1}, {9, 33, 17}, {40, 144, 48}, {33, 50, 200}};

static void check_products(const device_info *info, kernel_family family, status wanted)
{
    device d;
    const device_settings settings = {.family = family, .no_cache = true};
    ck_assert_msg(device_open(&d, info, &settings) == OK, "%s", fail_line());
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i];
        char says[128];
        const gemm_weight w = {.n = s[1], .k = s[2]};
        ck_assert_msg(gemm_check(&d, &w, s[0]) == wanted, "%s", fail_line());
        if (wanted == OK) continue;
        snprintf(says, sizeof says, "%dx%dx%d is wrong", s[0], s[1], s[2]);
        ck_assert_msg(strstr(fail_line(), says), "%s", fail_line());
        ck_assert_msg(strstr(fail_line(), gemm_name(&d, s[0], s[1], s[2])), "%s", fail_line());
    }
    device_close(&d);
}

START_TEST(right_products_pass_their_check)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) check_products(&devices->items[i], FAMILY_GPU, OK);
}
END_TEST

/* Makes the last vector of the last row wrong by 2 %. */
START_TEST(one_wrong_element_is_found)
{
    const device_list *devices = wanted_devices();
    scratch_kernels("gemm_gpu.cl", "r, sum[i][j], e,",
                    "r, row + i + 1 == m && column + COLUMN(j) + VEC >= e.n"
                    " ? sum[i][j] * 1.02f : sum[i][j], e,");
    for (int i = 0; i < devices->n; i++) check_products(&devices->items[i], FAMILY_GPU, ERR_DEVICE);
}
END_TEST

Suite *suite_ops(void)
{
    Suite *s = suite_create("ops");
    TCase *products = tcase_create("products");
    tcase_add_checked_fixture(products, scratch_open, scratch_close);
    tcase_add_test(products, right_products_pass_their_check);
    tcase_add_test(products, one_wrong_element_is_found);
    tcase_set_timeout(products, 0);
    TCase *all = tcase_create("trials");
    int n = 0;
    while (optests[n]) n++;
    tcase_add_loop_test(all, operators_match_their_references, 0, n);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, products);
    suite_add_tcase(s, all);
    return s;
}
