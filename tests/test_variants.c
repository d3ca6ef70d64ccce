/* The GPU class's attention and convolution with every known set of values, with the extremes of
 * each tunable, and on devices with less: all of it on a few small cases of their trials, others
 * each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "ops/ops.h"
#include "ops/tuning.h"
#include "part.h"
#include "suites.h"
#include "trials/trial.h"

/* Operations and bytes of a case: enough for several tiles, and what is quick. */
static const double LEAST_WORK = 2e4, MOST_WORK = 2e6, MOST_WORK_EMULATED = 7e4;

static const trial *whole;
static int chosen; /* case */

/* What case i is tuned by; false where it is too small or too large. */
static bool case_shape(int shape[TUNING_SIZES], int i)
{
    double work;
    part_shape(shape, &work, whole, i);
    return work >= (emulated() ? LEAST_WORK / 4 : LEAST_WORK) &&
           work <= (emulated() ? MOST_WORK_EMULATED : MOST_WORK);
}

/* ---- what is run ---- */

typedef struct {
    device d;
    const char *op, *kind;
    const tuning *t;
    int next;                 /* case */
    int sets, launches;
} bench;

static void say_values(const bench *b, const int *values)
{
    char options[TUNING_OPTIONS];
    tuning_options(options, b->t, values);
    printf("%s %s%s\n", b->op, b->kind, options);
}

static void check_case(bench *b, const int *values)
{
    const trial one = part_of(whole, &chosen, 1);
    trial_tally tally;
    status st = trial_check(&b->d, &one, test_seed, emulated(), getenv("DITCL_TEST_VERBOSE"),
                            stdout, &tally);
    if (values && (st != OK || tally.failed)) say_values(b, values);
    ck_assert_msg(st == OK, "%s", fail_line());
    ck_assert_int_eq(tally.failed, 0);
    b->launches += tally.cases;
}

/* `count` of the cases that the values fit, beginning behind those of the last set. */
static void check_values(bench *b, const int *values, int count)
{
    int shape[TUNING_SIZES], left = count;
    tuning_forget(&b->d);
    ck_assert_msg(tuning_set(&b->d, b->t, NULL, values) == OK, "%s", fail_line());
    for (int tried = 0; tried < whole->n_cases && left; tried++) {
        chosen = b->next = (b->next + 1) % whole->n_cases;
        if (!case_shape(shape, chosen) || !tuning_valid(&b->d, b->t, values, shape)) continue;
        check_case(b, values);
        left--;
    }
    b->sets += left < count;
}

static bool fits_any(const bench *b, const int *values)
{
    int shape[TUNING_SIZES];
    for (int i = 0; i < whole->n_cases; i++)
        if (case_shape(shape, i) && tuning_valid(&b->d, b->t, values, shape)) return true;
    return false;
}

/* The lowest and the highest choice of each tunable that fit, all others as in the base. In a
 * second precision of every other tunable, by the seed: most of the time goes into building. */
static void check_extremes(bench *b, const int *base)
{
    bool second = b->d.settings.precision != PRECISION_FP32;
    int n = 0;
    for (int i = second && test_seed % 2; i < b->t->n; i += 1 + second)
        for (int down = 0; down < 2; down++) {
            const tuning_value *tunable = &b->t->tunables[i];
            int values[TUNING_VALUES];
            memcpy(values, base, sizeof values);
            for (int j = 0; j < tunable->n; j++) {
                values[i] = tunable->choices[down ? tunable->n - 1 - j : j];
                if (values[i] == base[i]) break; /* checked */
                if (!fits_any(b, values)) continue;
                if (part_takes(n++)) check_values(b, values, 1);
                break;
            }
        }
}

static void find(bench *b)
{
    const tuning *kinds[TUNING_KINDS];
    b->t = NULL;
    for (int i = 0; tuned_operators[i].op; i++) {
        if (strcmp(tuned_operators[i].op, b->op) != 0) continue;
        int n = tuned_operators[i].kinds(NULL, NULL, kinds);
        for (int j = 0; j < n; j++)
            if (!strcmp(kinds[j]->kind, b->kind)) b->t = kinds[j];
    }
    whole = part_whole(b->op);
    ck_assert_ptr_nonnull(b->t);
}

static void open_bench(bench *b, const device_info *info, precision p)
{
    const device_settings settings = {.class = CLASS_GPU, .precision = p, .no_cache = true};
    ck_assert_msg(device_open(&b->d, info, &settings) == OK, "%s", fail_line());
    setenv("DITCL_CONV", b->kind, 1);
    b->next = (int)(test_seed % (unsigned)whole->n_cases);
    b->sets = b->launches = 0;
}

static void close_bench(bench *b, const char *what)
{
    printf("%s %-10s %-8s %-16s %3d sets, %3d launches\n", b->d.info.platform, b->op, b->kind, what,
           b->sets, b->launches);
    fflush(stdout);
    tuning_forget(&b->d);
    device_close(&b->d);
    unsetenv("DITCL_CONV");
}

/* In a second precision, only the sets that the first does not have: where its kernels are others,
 * they are of another kind. An emulator's cases are too small for such sets: it is shown any. */
static void check_sets(bench *b, const device_info *info, precision p)
{
    const int *base = NULL;
    int n = 0;
    bool same_kernels = p != PRECISION_FP32 && !strcmp(b->kind, "gpu") && !emulated();
    open_bench(b, info, p);
    for (int i = 0; i < b->t->n_known; i++) {
        if (!fits_any(b, b->t->known[i])) continue;
        if (!base) base = b->t->known[i];
        b->d.settings.precision = PRECISION_FP32;
        bool checked = same_kernels && fits_any(b, b->t->known[i]);
        b->d.settings.precision = p;
        if (!checked && part_takes(n++)) check_values(b, b->t->known[i], 1);
    }
    ck_assert_int_gt(b->sets, 0);
    if (!emulated()) check_extremes(b, base);
    close_bench(b, p == PRECISION_FP16 ? "fp16" : "fp32");
}

/* Devices with less local memory and smaller work-groups: some set must fit. */
static void check_less(bench *b, const device_info *info)
{
    static const struct {
        uint64_t local_bytes;
        size_t group;
    } limits[] = {{32768, 256}, {16384, 128}, {8192, 64}, {4096, 32}, {1024, 16}, {1024, 1}};
    open_bench(b, info, PRECISION_FP32);
    const device_info full = b->d.info;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limits[i].local_bytes < full.local_bytes) b->d.info.local_bytes = limits[i].local_bytes;
        if (limits[i].group < full.max_work_group) b->d.info.max_work_group = limits[i].group;
        int left = !emulated() || i > 2, shape[TUNING_SIZES];
        for (int tried = 0; tried < whole->n_cases && left; tried++) {
            chosen = b->next = (b->next + 1) % whole->n_cases;
            if (!case_shape(shape, chosen)) continue;
            ck_assert_ptr_nonnull(tuning_values_for(&b->d, b->t, shape));
            check_case(b, NULL);
            left--;
        }
    }
    close_bench(b, "less");
}

static const struct {
    const char *op, *kind;
    precision p;
} variants[] = {{"attention", "gpu", PRECISION_FP32}, {"attention", "gpu", PRECISION_FP16},
                {"conv", "gpu", PRECISION_FP32},      {"conv", "gpu_fp16", PRECISION_FP16}};

enum { N_VARIANTS = sizeof variants / sizeof *variants };

START_TEST(every_set_of_values_is_right)
{
    const device_list *devices = wanted_devices();
    bench b = {.op = variants[_i].op, .kind = variants[_i].kind};
    find(&b);
    for (int i = 0; i < devices->n; i++) check_sets(&b, &devices->items[i], variants[_i].p);
}
END_TEST

START_TEST(devices_with_less_are_served)
{
    const device_list *devices = wanted_devices();
    bench b = {.op = variants[_i].op, .kind = variants[_i].kind};
    if (variants[_i].p != PRECISION_FP32) return;
    find(&b);
    for (int i = 0; i < devices->n; i++) check_less(&b, &devices->items[i]);
}
END_TEST

/* The largest heads and layers too, on the smallest devices: without a launch. */
START_TEST(some_set_fits_every_device)
{
    bench b = {.op = variants[_i].op, .kind = variants[_i].kind};
    device d = {.class = CLASS_GPU, .vector_width = 4};
    find(&b);
    d.settings.precision = variants[_i].p;
    d.info.local_bytes = 1024;
    for (d.info.max_work_group = 1; d.info.max_work_group <= 1024; d.info.max_work_group *= 2)
        for (int size = 1; size <= 512; size++) {
            const int head[TUNING_SIZES] = {1, 1 + 2 * size, 1, size};
            const int layer[TUNING_SIZES] = {9 * size, size, 513 - size, 1 + size % 2};
            const int *shape = strcmp(b.op, "conv") ? head : layer;
            ck_assert_ptr_nonnull(tuning_values_for(&d, b.t, shape));
        }
}
END_TEST

/* Where compilers take no orders: sub-groups of the size that they like, and of others. */
START_TEST(subgroups_of_another_size_are_right)
{
    const device_list *devices = wanted_devices();
    bench b = {.op = "attention", .kind = "gpu"};
    find(&b);
    for (int i = 0; i < devices->n; i++) {
        open_bench(&b, &devices->items[i], PRECISION_FP32);
        b.d.subgroups.required = false;
        for (int set = 0; set < b.t->n_known && b.d.feature[FEATURE_SUBGROUPS]; set++) {
            char options[TUNING_OPTIONS];
            tuning_options(options, b.t, b.t->known[set]);
            for (b.d.subgroups.size = 8; b.d.subgroups.size <= 32; b.d.subgroups.size *= 2)
                if (strstr(options, "-DSG=1") && fits_any(&b, b.t->known[set]))
                    check_values(&b, b.t->known[set], 1);
        }
        close_bench(&b, "sub-groups");
    }
}
END_TEST

/* A decoder's attention over the tokens of 1024 x 1024 pixels goes round fewer loops than a driver
 * cuts; one of far more is refused. */
START_TEST(no_loop_is_cut)
{
    bench b = {.op = "attention", .kind = "gpu"};
    device d = {.class = CLASS_GPU, .vector_width = 4};
    const int decoder[TUNING_SIZES] = {1, 128 * 128, 1, 512};
    const int more[TUNING_SIZES] = {1, 1 << 18, 1, 512};
    find(&b);
    d.info.local_bytes = 32768;
    d.info.max_work_group = 1024;
    ck_assert_ptr_nonnull(tuning_values_for(&d, b.t, more));
    d.info.quirk.has[QUIRK_LOOPS_ARE_CUT] = true;
    ck_assert_ptr_nonnull(tuning_values_for(&d, b.t, decoder));
    ck_assert_ptr_null(tuning_values_for(&d, b.t, more));
}
END_TEST

Suite *suite_variants(void)
{
    Suite *s = suite_create("variants");
    TCase *all = tcase_create("variants");
    tcase_add_loop_test(all, some_set_fits_every_device, 0, N_VARIANTS);
    tcase_add_test(all, no_loop_is_cut);
    tcase_add_loop_test(all, every_set_of_values_is_right, 0, N_VARIANTS);
    tcase_add_test(all, subgroups_of_another_size_are_right);
    tcase_add_loop_test(all, devices_with_less_are_served, 0, N_VARIANTS);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    return s;
}
