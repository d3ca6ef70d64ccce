/* Every trial on every wanted device, in the kernel class that suits it and in the gpu class, whose
 * kernels must be right wherever they run. Knows no operator by name. */
#include <stdio.h>
#include <stdlib.h>

#include "device.h"
#include "suites.h"
#include "trials/trial.h"

static const char *const class_names[N_CLASSES] = {[CLASS_CPU] = "cpu", [CLASS_GPU] = "gpu"};

/* class null: the device's own, which is returned. */
static kernel_class check_one(const device_info *info, const kernel_class *class, const trial *t)
{
    device d;
    trial_tally tally;
    const char *small = getenv("DITCL_TEST_SMALL");
    ck_assert_msg(device_open(&d, info) == OK, "%s", fail_line());
    if (class) d.class = *class;
    kernel_class used = d.class;
    status st = trial_check(&d, t, test_seed, small && *small == '1', getenv("DITCL_TEST_VERBOSE"),
                            stdout, &tally);
    device_close(&d);
    printf("%s %-10s %s class: %3d cases, %d wrong, largest err/tol %.2f\n", info->platform,
           t->name, class_names[used], tally.cases, tally.failed, tally.worst);
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
        kernel_class own = check_one(&devices->items[i], NULL, trials[_i]);
        const kernel_class gpu = CLASS_GPU;
        if (own != gpu) check_one(&devices->items[i], &gpu, trials[_i]);
    }
}
END_TEST

Suite *suite_ops(void)
{
    Suite *s = suite_create("ops");
    TCase *all = tcase_create("trials");
    int n = 0;
    while (trials[n]) n++;
    tcase_add_loop_test(all, operators_match_their_references, 0, n);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    return s;
}
