/* GEMM of the gpu family: every configuration that fits a device is right, and at least one fits
 * each device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "device/mma.h"
#include "ops/gemm.h"
#include "optest/optest.h"
#include "part.h"
#include "scratch.h"
#include "suites.h"

extern const optest optest_gemm;

static const char *const chosen[] = {"131x132x36", "65x63x65", "128x96x256"};
static const char *const chosen_small[] = {"7x13x11 bias residual", "32x32x31"};
/* of implementations that can store activations in 16 bits: in turn with the others */
static const char *const chosen_factors[] = {"131x136x40"};
static const char *const chosen_factors_small[] = {"7x24x40"};

/* The cases that run, and the configuration that they run with; null: the default. */
static optest part;
static const int *values_now;

/* All configurations of these implementations share one packing, but not the size of scratch
 * memory. */
static status prepare(optest_run *r, int i)
{
    optest_case c = {0};
    size_t needed;
    int m;
    status st = part.prepare(r, i);
    if (st != OK || !values_now) return st;
    gemm_weight *w = r->state;
    w->use.config = values_now;
    ck_assert_int_eq(gemm_weight_view(r->d, w), OK);
    part.describe(&c, i);
    ck_assert_int_eq(sscanf(c.label, "%d", &m), 1);
    ck_assert_int_eq(gemm_scratch(r->d, &needed, w, m), OK);
    optest_array *last = &r->arrays[--r->n_arrays];
    ck_assert_str_eq(last->what, "scratch");
    buffer_release(r->d, &last->b);
    free(last->values);
    return optest_create(r, OPTEST_SCRATCH, "scratch", needed);
}

static optest some_cases(const char *const *labels, int n)
{
    int cases[PART_CASES], found = 0;
    for (int l = 0; l < n; l++)
        for (int i = 0; i < optest_gemm.n_cases; i++) {
            optest_case c = {0};
            optest_gemm.describe(&c, i);
            if (!strncmp(c.label, labels[l], strlen(labels[l]))) cases[found++] = i;
        }
    ck_assert_int_eq(found, n);
    optest t = part = part_of(&optest_gemm, cases, n);
    t.prepare = prepare;
    return t;
}

static optest cases_for(const op_impl *t, int n_cases)
{
    static int turn;
    if (t->factors && turn++ % 2)
        return some_cases(emulated() ? chosen_factors_small : chosen_factors, 1);
    return emulated() ? some_cases(chosen_small, 2) : some_cases(chosen, n_cases);
}

static void check_values(device *d, const op_impl *t, const int *values, int n_cases)
{
    optest_tally tally;
    char text[CONFIG_OPTIONS];
    optest some = cases_for(t, n_cases);
    configuration_options(text, t, values);
    values_now = values;
    status st = optest_check(d, &some, test_seed, emulated(), false, stdout, &tally);
    values_now = NULL;
    ck_assert_msg(st == OK, "%s: %s", text, fail_line());
    ck_assert_msg(tally.failed == 0, "%s: %d wrong", text, tally.failed);
    ck_assert_int_eq(tally.cases, some.n_cases);
}

static const int any_shape[SHAPE_SIZES] = {4096, 4096, 4096, 0};

/* Whether the cases can run with these values. Ignores limits that only larger shapes reach: the
 * depth (SPLIT), the size of images, and loops that a driver cuts. */
static bool can_run(device *d, const op_impl *t, const int *values)
{
    const device_info info = d->info;
    const int deep[SHAPE_SIZES] = {4096, 4096, 36}; /* chosen[0] */
    int plain[CONFIG_VALUES];
    memcpy(plain, values, sizeof plain);
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->tunables[i].name, "SPLIT")) plain[i] = 1;
    bool can = t->fits(d, plain, deep);
    d->info.image_texels = SIZE_MAX;
    d->info.quirk.has[QUIRK_LOOPS_ARE_CUT] = false;
    can &= t->fits(d, values, any_shape);
    d->info = info;
    return can;
}

/* The default configuration as if no driver cut loops: the cases that run are less deep than
 * `shape`. */
static const int *default_values(device *d, const op_impl *t, const int *shape)
{
    bool cut = d->info.quirk.has[QUIRK_LOOPS_ARE_CUT];
    d->info.quirk.has[QUIRK_LOOPS_ARE_CUT] = false;
    const int *values = configuration_for(d, t, shape);
    d->info.quirk.has[QUIRK_LOOPS_ARE_CUT] = cut;
    return values;
}

/* unit: the matrix unit that the device gets, emulated if it has none; "": none. */
static const struct {
    const op_impl *impl;
    const char *unit;
    precision p;
} rows[] = {
    {&gemm_gpu, "", PRECISION_FP32},
    {&gemm_gpu_fp16, "", PRECISION_FP16},
    {&gemm_mma, "mma", PRECISION_FP16},
    {&gemm_dpas, "dpas8", PRECISION_FP16},
    {&gemm_dpas, "dpas16", PRECISION_FP16},
    {&gemm_mma, "wmma", PRECISION_FP16},
    {&gemm_mma, "wmma2", PRECISION_FP16},
    {&gemm_mma, "mfma", PRECISION_FP16},
    {&gemm_mma_bf16x3, "mma", PRECISION_AUTO},
    {&gemm_dpas_bf16x3, "dpas8", PRECISION_AUTO},
    {&gemm_dpas_bf16x3, "dpas16", PRECISION_AUTO},
    {&gemm_mma_bf16x3, "wmma", PRECISION_AUTO},
    {&gemm_mma_bf16x3, "wmma2", PRECISION_AUTO},
    {&gemm_mma_bf16x3, "mfma", PRECISION_AUTO},
    {&gemm_mma_bf16, "mma", PRECISION_BF16},
    {&gemm_mma_bf16, "wmma", PRECISION_BF16},
    {&gemm_dpas_bf16, "dpas16", PRECISION_BF16},
};
enum { N_ROWS = sizeof rows / sizeof *rows, ROWS_IN_FULL = 3 };

static const op_impl *open_gpu(device *d, const device_info *info, int row)
{
    const device_settings settings = {
        .family = FAMILY_GPU, .no_cache = true, .precision = rows[row].p};
    claim_matrix_unit(rows[row].unit);
    status st = device_open(d, info, &settings);
    claim_matrix_unit(NULL);
    ck_assert_msg(st == OK, "%s", fail_line());
    ck_assert_str_eq(gemm_name(d, 64, 64, 64), rows[row].impl->name);
    return rows[row].impl;
}

/* ---- configurations ---- */

START_TEST(default_configurations_are_right)
{
    const device_list *devices = wanted_devices();
    if (*rows[_i].unit && !part_takes_unit(_i)) return;
    for (int i = 0; i < devices->n; i++) {
        device d;
        int n = 0, fitting = 0;
        const op_impl *t = open_gpu(&d, &devices->items[i], _i);
        for (int s = 0; s < t->n_configs; s++)
            if (can_run(&d, t, t->configs[s]) && part_takes(fitting++)) {
                check_values(&d, t, t->configs[s], _i ? 1 : 2);
                n++;
            }
        printf("%s %s: %d of %d default configurations\n", d.info.platform, t->name, n,
               t->n_configs);
        ck_assert_int_gt(n, 0);
        device_close(&d);
    }
}
END_TEST

/* The default configuration with one tunable changed, for each choice of each tunable. */
START_TEST(every_choice_is_right)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d;
        int n = 0, fitting = 0;
        const op_impl *t = open_gpu(&d, &devices->items[i], _i);
        const int *first = default_values(&d, t, any_shape);
        ck_assert_ptr_nonnull(first);
        for (int v = 0; v < t->n; v++)
            for (int c = 0; c < t->tunables[v].n; c++) {
                int values[CONFIG_VALUES];
                memcpy(values, first, sizeof values);
                values[v] = t->tunables[v].choices[c];
                if (values[v] == first[v] || !can_run(&d, t, values)) continue;
                /* only these tunables affect how fp16 weights are read */
                if (_i == 1 && !strchr("VLI", *t->tunables[v].name)) continue;
                if (!part_takes(fitting++)) continue;
                check_values(&d, t, values, 1 + (n % 2 && !_i));
                n++;
            }
        printf("%s %s: %d configurations beside the default\n", d.info.platform, t->name, n);
        device_close(&d);
    }
}
END_TEST

/* Without intel_reqd_sub_group_size, a sub-group may have another size than the probe found. */
START_TEST(subgroups_of_another_size_are_right)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d;
        int n = 0;
        const op_impl *t = open_gpu(&d, &devices->items[i], 0);
        if (d.feature[FEATURE_SUBGROUPS])
            printf("%s: sub-groups of %d, %s\n", d.info.platform, d.subgroups.size,
                   d.subgroups.required ? "required" : "of any size");
        d.subgroups.required = false;
        for (int s = 0; s < t->n_configs; s++) {
            char options[CONFIG_OPTIONS];
            configuration_options(options, t, t->configs[s]);
            for (d.subgroups.size = 4; d.subgroups.size <= 32; d.subgroups.size *= 2)
                if (strstr(options, "-DSG=1") && t->fits(&d, t->configs[s], any_shape)) {
                    check_values(&d, t, t->configs[s], 2);
                    n++;
                }
        }
        if (d.feature[FEATURE_SUBGROUPS]) ck_assert_int_gt(n, 0);
        device_close(&d);
    }
}
END_TEST

/* Checks the configurations that read weights from images. Returns how many ran. */
static int check_images(device *d, const op_impl *t)
{
    int n = 0;
    for (int s = 0; s < t->n_configs; s++) {
        char options[CONFIG_OPTIONS];
        configuration_options(options, t, t->configs[s]);
        if (!strstr(options, "-DIMAGE=1") || !can_run(d, t, t->configs[s])) continue;
        check_values(d, t, t->configs[s], 2);
        n++;
    }
    return n;
}

START_TEST(images_are_right)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d;
        const op_impl *t = open_gpu(&d, &devices->items[i], _i);
        int n = check_images(&d, t);
        printf("%s %s: images of %zu texels, %d configurations\n", d.info.platform, t->name,
               d.info.image_texels, n);
        ck_assert_int_eq(n > 0, d.feature[FEATURE_IMAGES]);
        d.feature[FEATURE_IMAGES] = false;
        ck_assert_int_eq(check_images(&d, t), 0);
        device_close(&d);
    }
}
END_TEST

/* Images are not used if the probe reads a wrong value, or if the weights are larger than an image.
 */
START_TEST(images_must_be_right_and_large_enough)
{
    const device_list *devices = wanted_devices();
    const device_settings settings = {.family = FAMILY_GPU, .no_cache = true};
    const int shape[SHAPE_SIZES] = {64, 130, 33}; /* 256 x 64 weights */
    for (int i = 0; i < devices->n; i++) {
        device d;
        const op_impl *t = open_gpu(&d, &devices->items[i], 0);
        const int *values = t->configs[t->n_configs - 3];
        ck_assert_int_eq(values[t->n - 1], 1);
        d.feature[FEATURE_IMAGES] = true;
        d.info.image_texels = 4096;
        ck_assert(t->fits(&d, values, shape));
        d.info.image_texels = 4095;
        ck_assert(!t->fits(&d, values, shape));
        device_close(&d);
        scratch_kernels("probe.cl", "read_imagef(texels, n - 1 - i)", "read_imagef(texels, 0)");
        ck_assert_msg(device_open(&d, &devices->items[i], &settings) == OK, "%s", fail_line());
        ck_assert(!d.feature[FEATURE_IMAGES]);
        device_close(&d);
        unsetenv("DITCL_CL_DIR");
    }
}
END_TEST

/* The tuner may try every configuration that fits. */
START_TEST(default_values_are_choices)
{
    const op_impl *t = rows[_i].impl;
    for (int s = 0; s < t->n_configs; s++)
        ck_assert_msg(configuration_valid(NULL, t, t->configs[s], NULL), "%s, configuration %d",
                      t->name, s);
}
END_TEST

/* ---- the probe of a matrix unit ---- */

static int notes;

static void count_notes(const char *line)
{
    notes += strstr(line, "matrix units (") && strstr(line, "not used");
}

static const struct {
    const char *file, *marker, *spoilt;
} wrong_units[] = {
    {"probe.cl", "MMA_COLUMN(lane, i)] =", "MMA_COLUMN(lane, i)] = 1 +"},
    {"probe.cl", "mma_values(values, acc);", "does not compile"},
    {"mma.clh", "mma_c c)\n{", "mma_c c)\n{ c += 1.0f;"},
};

/* If the probe of the matrix unit fails, an implementation without it serves GEMM. */
START_TEST(a_probe_that_fails_takes_the_matrix_unit_away)
{
    const device_list *devices = wanted_devices();
    scratch_kernels(wrong_units[_i].file, wrong_units[_i].marker, wrong_units[_i].spoilt);
    for (int i = 0; i < devices->n; i++)
        for (int k = 0; k < N_ROWS; k++) {
            const device_settings settings = {
                .family = FAMILY_GPU, .precision = rows[k].p, .note = count_notes};
            device d;
            if (!*rows[k].unit || !part_takes_unit(k)) continue;
            notes = 0;
            claim_matrix_unit(rows[k].unit);
            ck_assert_msg(device_open(&d, &devices->items[i], &settings) == OK, "%s", fail_line());
            claim_matrix_unit(NULL);
            ck_assert_ptr_null(mma_of(&d));
            ck_assert_int_eq(notes, 1);
            ck_assert_str_eq(gemm_name(&d, 64, 64, 64),
                             rows[k].p == PRECISION_FP16 ? "gpu_fp16" : "gpu");
            device_close(&d);
        }
}
END_TEST

/* ---- weak devices ---- */

START_TEST(weak_devices_are_served)
{
    static const struct {
        size_t group;
        uint64_t local;
    } limits[] = {{1, 0},      {1, 32768},   {2, 0},       {8, 16384},   {16, 1024},
                  {32, 32768}, {64, 32768},  {64, 16384},  {128, 32768}, {256, 0},
                  {256, 8192}, {256, 32768}, {1024, 65536}};
    static const int shapes[][3] = {
        {1, 1, 1}, {2, 6912, 1152}, {3, 9, 5}, {40, 16, 24}, {512, 1152, 1152}};
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d;
        const int *before = NULL;
        const op_impl *t = open_gpu(&d, &devices->items[i], 0);
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            optest_tally tally;
            optest some = some_cases(emulated() ? chosen_small : chosen, 2);
            d.info.max_work_group = limits[l].group;
            d.info.local_bytes = limits[l].local;
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                ck_assert_msg(configuration_for(&d, t, shapes[s]), "groups of %zu, %d bytes",
                              limits[l].group, (int)limits[l].local);
            const int *now = configuration_for(&d, t, any_shape);
            if (now == before || (emulated() && l % 4)) continue;
            before = now;
            ck_assert_msg(optest_check(&d, &some, test_seed, emulated(), false, stdout, &tally) ==
                              OK,
                          "%s", fail_line());
            ck_assert_int_eq(tally.failed, 0);
        }
        device_close(&d);
    }
}
END_TEST

/* Whether an untuned GPU splits the depth, by its number of compute units; 0 and 9999 are taken for
 * 16 (ops/waves.h). An untuned CPU never does. */
START_TEST(depth_is_split_where_tiles_are_few)
{
    static const struct {
        int shape[SHAPE_SIZES];
        unsigned units;
        bool split;
    } wanted[] = {
        {{32, 1152, 4608}, 132, true},     {{32, 1152, 4608}, 96, true},
        {{32, 1152, 4608}, 2, false},      {{32, 1152, 255}, 132, false},
        {{64, 32, 1152}, 132, true},       {{9, 50, 3001}, 16, true},
        {{9, 50, 3001}, 0, true},          {{9, 50, 3001}, 9999, true},
        {{512, 1152, 4608}, 132, true},    {{512, 1152, 4608}, 1, false},
        {{512, 4608, 1152}, 132, false},   {{4096, 1152, 4608}, 132, false},
        {{4096, 1152, 4608}, 9999, false}, {{4096, 1152, 4608}, 0, false},
    };
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d;
        const op_impl *t = open_gpu(&d, &devices->items[i], _i);
        for (size_t s = 0; s < 2 * sizeof wanted / sizeof *wanted; s++) {
            char options[CONFIG_OPTIONS], shape[SHAPE_TEXT];
            bool gpu = s % 2;
            d.info.local = LOCAL_OWN;
            d.info.kind = gpu ? DEVICE_GPU : DEVICE_CPU;
            d.info.compute_units = wanted[s / 2].units;
            shape_text(shape, wanted[s / 2].shape);
            configuration_options(options, t, default_values(&d, t, wanted[s / 2].shape));
            ck_assert_msg(!strstr(options, "-DSPLIT=1") == (gpu && wanted[s / 2].split),
                          "%s, %u units: %s", shape, wanted[s / 2].units, options);
        }
        device_close(&d);
    }
}
END_TEST

/* CLBlast applies changed values even if the array has the same address. The size of its scratch
 * memory shows which tile size is in use. */
START_TEST(changed_parameters_are_applied)
{
    const device_list *devices = wanted_devices();
    const op_impl *all[MOST_IMPLS], *t = NULL;
    for (int i = operator_impls(&operators[OP_GEMM], NULL, NULL, all) - 1; i >= 0; i--)
        if (!strcmp(all[i]->name, "clblast_xgemm")) t = all[i];
    ck_assert_ptr_nonnull(t);
    for (int i = 0; i < devices->n && !emulated(); i++) {
        device d;
        const char *names[CONFIG_VALUES];
        int values[CONFIG_VALUES];
        size_t large, small, again;
        const clblast_parameters p = {"Xgemm", names, values, t->n, 128};
        const device_settings settings = {.family = FAMILY_GPU, .no_cache = true};
        ck_assert_int_eq(device_open(&d, &devices->items[i], &settings), OK);
        for (int v = 0; v < t->n; v++) names[v] = t->tunables[v].name;
        memcpy(values, t->configs[3], sizeof values); /* tiles of 128 */
        ck_assert_msg(clblast_scratch(&d, &p, &large, 130, 130, 130) == OK, "%s", fail_line());
        memcpy(values, t->configs[7], sizeof values); /* tiles of 16 */
        ck_assert_msg(clblast_scratch(&d, &p, &small, 130, 130, 130) == OK, "%s", fail_line());
        ck_assert_uint_lt(small, large);
        memcpy(values, t->configs[3], sizeof values);
        ck_assert_msg(clblast_scratch(&d, &p, &again, 130, 130, 130) == OK, "%s", fail_line());
        ck_assert_uint_eq(again, large);
        device_close(&d);
    }
}
END_TEST

Suite *suite_gemm(void)
{
    Suite *s = suite_create("gemm");
    TCase *c = tcase_create("tiles");
    tcase_add_loop_test(c, default_values_are_choices, 0, N_ROWS);
    tcase_add_loop_test(c, default_configurations_are_right, 0, N_ROWS);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    c = tcase_create("choices");
    tcase_add_loop_test(c, every_choice_is_right, 0, ROWS_IN_FULL);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    c = tcase_create("limits");
    tcase_add_test(c, subgroups_of_another_size_are_right);
    tcase_add_test(c, weak_devices_are_served);
    tcase_add_loop_test(c, depth_is_split_where_tiles_are_few, 0, ROWS_IN_FULL);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    c = tcase_create("units");
    tcase_add_checked_fixture(c, scratch_open, scratch_close);
    tcase_add_loop_test(c, a_probe_that_fails_takes_the_matrix_unit_away, 0,
                        sizeof wrong_units / sizeof *wrong_units);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    c = tcase_create("images");
    tcase_add_checked_fixture(c, scratch_open, scratch_close);
    tcase_add_loop_test(c, images_are_right, 0, 2);
    tcase_add_test(c, images_must_be_right_and_large_enough);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    c = tcase_create("clblast");
    tcase_add_test(c, changed_parameters_are_applied);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    return s;
}
