/* The rule that chooses among default configurations (ops/waves.h). Launches nothing. */
#include <string.h>

#include "device.h"
#include "ops/impl.h"
#include "suites.h"

static device gpu(unsigned units)
{
    return (device){.family = FAMILY_GPU,
                    .settings = {.precision = PRECISION_FP32},
                    .vector_width = 4,
                    .info = {.kind = DEVICE_GPU,
                             .local_bytes = 49152,
                             .max_work_group = 1024,
                             .compute_units = units}};
}

static void expect_time(unsigned units, waves w, double time)
{
    const device d = gpu(units);
    ck_assert_double_eq_tol(waves_time(&d, &w), time, 1e-9 * time);
}

/* Computed by hand from the formula. */
START_TEST(times_are_those_of_the_formula)
{
    expect_time(10, (waves){10, 256, 7, 0}, 7);
    expect_time(10, (waves){11, 256, 7, 5}, 19);  /* two rounds of the busiest unit */
    expect_time(10, (waves){10, 64, 7, 0}, 28);   /* a quarter of the work-items */
    expect_time(10, (waves){30, 64, 7, 0}, 28);   /* three quarters */
    expect_time(10, (waves){50, 64, 7, 0}, 35);   /* more than enough */
    expect_time(10, (waves){8, 256, 7, 0}, 7);    /* 0.8 waves */
    expect_time(10, (waves){7, 256, 7, 1}, 11.5); /* fewer: half as long again */
    expect_time(0, (waves){17, 256, 7, 0}, 14);   /* no plausible number: 16 */
    expect_time(9999, (waves){17, 256, 7, 0}, 14);
    ck_assert_double_eq(waves_step((read_cost){3, 5}, 64, 32, 8, 4),
                        64 * 32 * (1 + 3.0 / 8 + 3.0 / 4) + 5 * 96);
}
END_TEST

START_TEST(cpus_keep_the_order_of_the_list)
{
    device d = gpu(2);
    const waves w = {1, 64, 7, 0};
    ck_assert(waves_leave_idle(&d, &w));
    d.info.kind = DEVICE_CPU;
    ck_assert(!waves_leave_idle(&d, &w));
    ck_assert_double_eq(waves_time(&d, &w), 0);
    for (const operator* o = operators; o->op; o++)
        for (const op_impl *const *i = o->impls; *i; i++) {
            const int shape[SHAPE_SIZES] = {4096, 256, 256, strcmp(o->op, "gemm") ? 1 : 0};
            const int *all[64];
            int n = (*i)->waves ? configuration_defaults(all, 64, &d, *i, shape) : 0;
            for (int k = 1; k < n; k++) ck_assert(all[k] > all[k - 1]);
        }
}
END_TEST

/* The order has no gaps: the first `most` are the same whatever `most` is, and their times rise. */
START_TEST(the_best_come_first)
{
    static const int shapes[][SHAPE_SIZES] = {
        {512, 1152, 4608}, {33, 32, 1152}, {2, 256, 16, 72}, {4096, 512, 512, 1}};
    static const op_impl *const impls[] = {&gemm_gpu, &gemm_gpu, &attention_gpu, &conv_gpu};
    for (unsigned units = 0; units < 200; units += 7) {
        const device d = gpu(units);
        const int *all[64], *few[64], *shape = shapes[_i];
        int n = configuration_defaults(all, 64, &d, impls[_i], shape);
        ck_assert_int_gt(n, 3);
        for (int most = 1; most < n; most++) {
            ck_assert_int_eq(configuration_defaults(few, most, &d, impls[_i], shape), most);
            ck_assert_mem_eq(few, all, (size_t)most * sizeof *few);
        }
        for (int k = 1; k < n; k++) {
            const waves a = impls[_i]->waves(&d, all[k - 1], shape);
            const waves b = impls[_i]->waves(&d, all[k], shape);
            ck_assert_double_le(waves_time(&d, &a), waves_time(&d, &b));
        }
    }
}
END_TEST

/* A configuration stored for all shapes serves large ones. It yields where it leaves compute units
 * idle, but not to a slower one. */
START_TEST(a_stored_configuration_may_leave_no_unit_idle)
{
    static const int large[SHAPE_SIZES] = {4096, 1152, 1152},
                     small[SHAPE_SIZES] = {512, 1152, 1152};
    device d = gpu(132);
    int stored[CONFIG_VALUES];
    memcpy(stored, gemm_gpu.configs[1], sizeof stored); /* tiles of 128 */
    ck_assert_int_eq(stored[0] * stored[1], 128 * 128);
    const int *untuned = configuration_for(&d, &gemm_gpu, small);
    ck_assert_int_eq(configuration_set(&d, &gemm_gpu, NULL, stored), OK);
    ck_assert_mem_eq(configuration_for(&d, &gemm_gpu, large), stored, sizeof stored);
    ck_assert_ptr_eq(configuration_for(&d, &gemm_gpu, small), untuned);
    d.info.compute_units = 16;
    ck_assert_mem_eq(configuration_for(&d, &gemm_gpu, small), stored, sizeof stored);
    configuration_forget(&d);
    d.slot->free(d.slot);
}
END_TEST

Suite *suite_waves(void)
{
    Suite *s = suite_create("waves");
    TCase *c = tcase_create("waves");
    tcase_add_test(c, times_are_those_of_the_formula);
    tcase_add_test(c, cpus_keep_the_order_of_the_list);
    tcase_add_loop_test(c, the_best_come_first, 0, 4);
    tcase_add_test(c, a_stored_configuration_may_leave_no_unit_idle);
    suite_add_tcase(s, c);
    return s;
}
