/* Every trial on every wanted device, in the kernel class that suits it and in the gpu class, whose
 * kernels must be right wherever they run. Knows no operator by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "ops/ops.h"
#include "scratch.h"
#include "suites.h"
#include "trials/trial.h"

static const char *const classes[N_CLASSES] = {[CLASS_CPU] = "cpu", [CLASS_GPU] = "gpu"};

/* Returns the class that CLASS_AUTO was. */
static kernel_class check_one(const device_info *info, kernel_class class, const trial *t)
{
    device d;
    trial_tally tally;
    const char *small = getenv("DITCL_TEST_SMALL");
    const device_settings settings = {.class = class, .no_cache = true};
    ck_assert_msg(device_open(&d, info, &settings) == OK, "%s", fail_line());
    kernel_class used = d.class;
    status st = trial_check(&d, t, test_seed, small && *small == '1', getenv("DITCL_TEST_VERBOSE"),
                            stdout, &tally);
    device_close(&d);
    printf("%s %-10s %s class: %3d cases, %d wrong, largest err/tol %.2f\n", info->platform,
           t->name, classes[used], tally.cases, tally.failed, tally.worst);
    fflush(stdout);
    ck_assert_msg(st == OK, "%s", fail_line());
    ck_assert_int_gt(tally.cases, 0);
    ck_assert_int_eq(tally.failed, 0);
    return used;
}

START_TEST(operators_match_their_references)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        kernel_class own = check_one(&devices->items[i], CLASS_AUTO, trials[_i]);
        if (own != CLASS_GPU) check_one(&devices->items[i], CLASS_GPU, trials[_i]);
    }
}
END_TEST

/* ---- the check of products ---- */

static const int shapes[][3] = {{1, 1, 1}, {9, 33, 17}, {40, 144, 48}, {33, 50, 200}};

static void check_products(const device_info *info, kernel_class class, status wanted)
{
    device d;
    const device_settings settings = {.class = class, .no_cache = true};
    ck_assert_msg(device_open(&d, info, &settings) == OK, "%s", fail_line());
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i];
        char says[128];
        const gemm_weight w = {.n = s[1], .k = s[2]};
        ck_assert_msg(gemm_check(&d, &w, s[0]) == wanted, "%s", fail_line());
        if (wanted == OK) continue;
        snprintf(says, sizeof says, "%s's product %dx%dx%d is wrong on this device",
                 gemm_name(&d, s[0], s[1], s[2]), s[0], s[1], s[2]);
        ck_assert_msg(strstr(fail_line(), says), "%s", fail_line());
    }
    ck_assert_uint_eq(d.n_products, wanted == OK ? sizeof shapes / sizeof *shapes : 0);
    device_close(&d);
}

START_TEST(right_products_pass_their_check)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) check_products(&devices->items[i], CLASS_GPU, OK);
}
END_TEST

/* Spoils the last row's last vector by two parts in a hundred. */
START_TEST(one_wrong_element_is_found)
{
    const device_list *devices = wanted_devices();
    scratch_kernel("prelude.clh", NULL, NULL);
    scratch_kernel("gemm_gpu.cl", "STORE(x, to + at);",
                   "STORE((row + i + 1 == m && at + VEC >= e.n ? x * 1.02f : x), to + at);");
    setenv("DITCL_CL_DIR", scratch_folder(), 1);
    for (int i = 0; i < devices->n; i++) check_products(&devices->items[i], CLASS_GPU, ERR_DEVICE);
}
END_TEST

static void forget_spoilt_kernels(void)
{
    unsetenv("DITCL_CL_DIR");
    scratch_close();
}

Suite *suite_ops(void)
{
    Suite *s = suite_create("ops");
    TCase *products = tcase_create("products");
    tcase_add_checked_fixture(products, scratch_open, forget_spoilt_kernels);
    tcase_add_test(products, right_products_pass_their_check);
    tcase_add_test(products, one_wrong_element_is_found);
    tcase_set_timeout(products, 0);
    TCase *all = tcase_create("trials");
    int n = 0;
    while (trials[n]) n++;
    tcase_add_loop_test(all, operators_match_their_references, 0, n);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, products);
    suite_add_tcase(s, all);
    return s;
}
