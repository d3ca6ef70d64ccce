/* Attention and convolution of the gpu family: every default configuration, the extremes of each
 * tunable, and devices with lower limits, all on a few small cases of the operator tests. The seed
 * chooses the cases. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device.h"
#include "device/mma.h"
#include "ops/ops.h"
#include "ops/impl.h"
#include "optest/optest.h"
#include "part.h"
#include "suites.h"

/* FLOP plus bytes of the cases that run: enough for several tiles, few enough to be quick. */
static const double LEAST_WORK = 2e4, MOST_WORK = 2e6, MOST_WORK_EMULATED = 7e4;
static const double MOST_WORK_OF_UNITS = 7e5; /* compiled kernels emulate matrix units, slowly */

static const optest *whole;
static bool of_units;
static int chosen; /* the case that runs */

/* shape = the shape by which case i is tuned. False if the case is too small or too large. */
static bool case_shape(int shape[SHAPE_SIZES], int i)
{
    double amount, most = of_units ? MOST_WORK_OF_UNITS : MOST_WORK;
    part_shape(shape, &amount, whole, i);
    return amount >= (emulated() ? LEAST_WORK / 4 : LEAST_WORK) &&
           amount <= (emulated() ? MOST_WORK_EMULATED : most);
}

/* ---- configurations of one implementation ---- */

typedef struct {
    device d;
    const char *op, *impl, *unit; /* unit: for claim_matrix_unit(), or null */
    const op_impl *t;
    int next; /* the case that comes next */
    int configs, launches;
} bench;

static void say_values(const bench *b, const int *values)
{
    char options[CONFIG_OPTIONS];
    configuration_options(options, b->t, values);
    printf("%s %s%s\n", b->op, b->impl, options);
}

static void check_case(bench *b, const int *values)
{
    const optest one = part_of(whole, &chosen, 1);
    optest_tally tally;
    status st = optest_check(&b->d, &one, test_seed, emulated(), getenv("DITCL_TEST_VERBOSE"),
                             stdout, &tally);
    if (values && (st != OK || tally.failed)) say_values(b, values);
    ck_assert_msg(st == OK, "%s", fail_line());
    ck_assert_int_eq(tally.failed, 0);
    b->launches += tally.cases;
}

/* Checks the values on `count` cases that they fit, beginning after the cases of the last call. */
static void check_values(bench *b, const int *values, int count)
{
    int shape[SHAPE_SIZES], left = count;
    configuration_forget(&b->d);
    ck_assert_msg(configuration_set(&b->d, b->t, NULL, values) == OK, "%s", fail_line());
    for (int tried = 0; tried < whole->n_cases && left; tried++) {
        chosen = b->next = (b->next + 1) % whole->n_cases;
        if (!case_shape(shape, chosen) || !configuration_valid(&b->d, b->t, values, shape))
            continue;
        check_case(b, values);
        left--;
    }
    b->configs += left < count;
}

static bool fits_any(const bench *b, const int *values)
{
    int shape[SHAPE_SIZES];
    for (int i = 0; i < whole->n_cases; i++)
        if (case_shape(shape, i) && configuration_valid(&b->d, b->t, values, shape)) return true;
    return false;
}

/* Checks the first and the last choice that fit, for each tunable, with the others as in `base`. In
 * precisions other than fp32, checks every other tunable, by the seed, since building takes long.
 */
static void check_extremes(bench *b, const int *base)
{
    bool second = b->d.settings.precision != PRECISION_FP32;
    int n = 0;
    for (int i = second && test_seed % 2; i < b->t->n; i += 1 + second)
        for (int down = 0; down < 2; down++) {
            const tunable *varied = &b->t->tunables[i];
            int values[CONFIG_VALUES];
            memcpy(values, base, sizeof values);
            for (int j = 0; j < varied->n; j++) {
                values[i] = varied->choices[down ? varied->n - 1 - j : j];
                if (values[i] == base[i]) break; /* already checked */
                if (!fits_any(b, values)) continue;
                if (part_takes(n++)) check_values(b, values, 1);
                break;
            }
        }
}

static void find(bench *b)
{
    const op_impl *impls[MOST_IMPLS];
    b->t = NULL;
    for (int i = 0; operators[i].op; i++) {
        if (strcmp(operators[i].op, b->op) != 0) continue;
        int n = operator_impls(&operators[i], NULL, NULL, impls);
        for (int j = 0; j < n; j++)
            if (!strcmp(impls[j]->name, b->impl)) b->t = impls[j];
    }
    whole = part_whole(b->op);
    of_units = b->unit != NULL;
    ck_assert_ptr_nonnull(b->t);
}

static void open_bench(bench *b, const device_info *info, precision p)
{
    const device_settings settings = {.family = FAMILY_GPU, .precision = p, .no_cache = true};
    claim_matrix_unit(b->unit);
    ck_assert_msg(device_open(&b->d, info, &settings) == OK, "%s", fail_line());
    claim_matrix_unit(NULL);
    setenv("DITCL_CONV", b->impl, 1);
    b->next = (int)(test_seed % (unsigned)whole->n_cases);
    b->configs = b->launches = 0;
}

static void close_bench(bench *b, const char *what)
{
    printf("%s %-10s %-8s %-16s %3d configurations, %3d launches\n", b->d.info.platform, b->op,
           b->unit ? b->unit : b->impl, what, b->configs, b->launches);
    fflush(stdout);
    configuration_forget(&b->d);
    device_close(&b->d);
    unsetenv("DITCL_CONV");
}

/* With fp16 inputs, the implementation "gpu" has the same kernels as with fp32, so only
 * configurations that do not fit in fp32 are checked. An emulator's cases are too small for those,
 * so all are checked there. */
static void check_configs(bench *b, const device_info *info, precision p)
{
    const int *base = NULL;
    int n = 0;
    bool same_kernels = p != PRECISION_FP32 && !strcmp(b->impl, "gpu") && !emulated();
    open_bench(b, info, p);
    for (int i = 0; i < b->t->n_configs; i++) {
        if (!fits_any(b, b->t->configs[i])) continue;
        if (!base) base = b->t->configs[i];
        b->d.settings.precision = PRECISION_FP32;
        bool checked = same_kernels && fits_any(b, b->t->configs[i]);
        b->d.settings.precision = p;
        if (!checked && part_takes(n++)) check_values(b, b->t->configs[i], 1);
    }
    ck_assert_int_gt(b->configs, 0);
    bool in_full = !b->unit || !strcmp(b->unit, "mma"); /* one matrix unit stands for all */
    if (!emulated() && in_full) check_extremes(b, base);
    close_bench(b, precision_names[p]);
}

/* Devices with less local memory and smaller work-groups: some configuration must fit. */
static void check_less(bench *b, const device_info *info)
{
    static const struct {
        uint64_t local_bytes;
        size_t group;
    } limits[] = {{32768, 256}, {16384, 128}, {8192, 64}, {4096, 32},
                  {1024, 16},   {1024, 1},    {0, 64},    {0, 1}};
    open_bench(b, info, PRECISION_FP32);
    const device_info full = b->d.info;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        /* these convolutions need local memory; without it, another implementation serves */
        if (!limits[i].local_bytes && !strcmp(b->op, "conv")) break;
        if (limits[i].local_bytes < full.local_bytes) b->d.info.local_bytes = limits[i].local_bytes;
        if (limits[i].group < full.max_work_group) b->d.info.max_work_group = limits[i].group;
        int left = !emulated() || i > 2, shape[SHAPE_SIZES];
        for (int tried = 0; tried < whole->n_cases && left; tried++) {
            chosen = b->next = (b->next + 1) % whole->n_cases;
            if (!case_shape(shape, chosen)) continue;
            ck_assert_ptr_nonnull(configuration_for(&b->d, b->t, shape));
            check_case(b, NULL);
            left--;
        }
    }
    close_bench(b, "less");
}

static const struct {
    const char *op, *impl, *unit;
    precision p;
} variants[] = {{"attention", "gpu", NULL, PRECISION_FP32},
                {"attention", "gpu", NULL, PRECISION_FP16},
                {"conv", "gpu", NULL, PRECISION_FP32},
                {"conv", "gpu_fp16", NULL, PRECISION_FP16},
                {"attention", "gpu_mma", "mma", PRECISION_FP16},
                {"attention", "gpu_dpas", "dpas8", PRECISION_FP16},
                {"attention", "gpu_dpas", "dpas16", PRECISION_FP16},
                {"attention", "gpu_mma", "wmma", PRECISION_FP16},
                {"attention", "gpu_mma", "wmma2", PRECISION_FP16},
                {"attention", "gpu_mma", "mfma", PRECISION_FP16},
                {"attention", "gpu_mma_bf16", "mma", PRECISION_BF16},
                {"attention", "gpu_mma_bf16", "wmma", PRECISION_BF16},
                {"attention", "gpu_mma_bf16x3", "mma", PRECISION_AUTO},
                {"attention", "gpu_dpas_bf16x3", "dpas8", PRECISION_AUTO},
                {"attention", "gpu_dpas_bf16x3", "dpas16", PRECISION_AUTO},
                {"attention", "gpu_mma_bf16x3", "wmma", PRECISION_AUTO},
                {"attention", "gpu_mma_bf16x3", "wmma2", PRECISION_AUTO},
                {"attention", "gpu_mma_bf16x3", "mfma", PRECISION_AUTO},
                {"conv", "gpu_mma", "mma", PRECISION_FP16},
                {"conv", "gpu_mma", "dpas8", PRECISION_FP16},
                {"conv", "gpu_mma", "dpas16", PRECISION_FP16},
                {"conv", "gpu_mma", "wmma", PRECISION_FP16},
                {"conv", "gpu_mma", "wmma2", PRECISION_FP16},
                {"conv", "gpu_mma", "mfma", PRECISION_FP16},
                {"conv", "gpu_mma_bf16x3", "mma", PRECISION_AUTO},
                {"conv", "gpu_mma_bf16x3", "dpas16", PRECISION_AUTO},
                {"conv", "gpu_mma_bf16", "mma", PRECISION_BF16}};

enum { N_VARIANTS = sizeof variants / sizeof *variants, EVERYWHERE = 4 };

START_TEST(configurations_are_right)
{
    const device_list *devices = wanted_devices();
    bench b = {.op = variants[_i].op, .impl = variants[_i].impl, .unit = variants[_i].unit};
    if (b.unit && !part_takes_unit(_i)) return;
    find(&b);
    for (int i = 0; i < devices->n; i++) check_configs(&b, &devices->items[i], variants[_i].p);
}
END_TEST

START_TEST(devices_with_less_are_served)
{
    const device_list *devices = wanted_devices();
    bench b = {.op = variants[_i].op, .impl = variants[_i].impl};
    if (variants[_i].p != PRECISION_FP32) return;
    find(&b);
    for (int i = 0; i < devices->n; i++) check_less(&b, &devices->items[i]);
}
END_TEST

/* Some configuration fits every shape on the smallest devices. Launches nothing. */
START_TEST(some_configuration_fits_every_device)
{
    bench b = {.op = variants[_i].op, .impl = variants[_i].impl};
    device d = {.family = FAMILY_GPU, .vector_width = 4};
    find(&b);
    d.settings.precision = variants[_i].p;
    d.info.local_bytes = strcmp(b.op, "conv") ? 0 : 1024;
    for (d.info.max_work_group = 1; d.info.max_work_group <= 1024; d.info.max_work_group *= 2)
        for (int size = 1; size <= 512; size++) {
            const int head[SHAPE_SIZES] = {1, 1 + 2 * size, 1, size};
            const int layer[SHAPE_SIZES] = {9 * size, size, 513 - size, 1 + size % 2};
            const int *shape = strcmp(b.op, "conv") ? head : layer;
            ck_assert_ptr_nonnull(configuration_for(&d, b.t, shape));
        }
}
END_TEST

/* If local memory is in global memory, configurations that stage there come last. On a CPU their
 * measured order stays. */
START_TEST(staging_comes_last)
{
    static const struct {
        const char *op;
        int shape[SHAPE_SIZES];
    } asked[] = {{"gemm", {512, 1152, 1152}},
                 {"attention", {2, 256, 16, 72}},
                 {"conv", {1024, 512, 512, 1}}};
    bench b = {.op = asked[_i].op, .impl = "gpu"};
    device d = {
        .family = FAMILY_GPU,
        .vector_width = 4,
        .info = {
            .kind = DEVICE_GPU, .local_bytes = 32768, .max_work_group = 256, .compute_units = 8}};
    const int *own[64], *global[64];
    find(&b);
    int n = configuration_defaults(own, 64, &d, b.t, asked[_i].shape);
    ck_assert_ptr_eq(configuration_for(&d, b.t, asked[_i].shape), own[0]);
    ck_assert(b.t->stages(own[0]));
    d.info.local = LOCAL_GLOBAL;
    ck_assert_int_eq(configuration_defaults(global, 64, &d, b.t, asked[_i].shape), n);
    ck_assert_ptr_eq(configuration_for(&d, b.t, asked[_i].shape), global[0]);
    ck_assert(!b.t->stages(global[0]));
    for (int i = 1; i < n; i++) ck_assert(b.t->stages(global[i]) >= b.t->stages(global[i - 1]));
    d.info.kind = DEVICE_CPU;
    ck_assert_ptr_eq(configuration_for(&d, b.t, asked[_i].shape), own[0]);
}
END_TEST

/* Where the files of devices tell how many registers a work-item has, configurations that need more
 * come last, and no other order changes. */
START_TEST(many_registers_come_last)
{
    enum { REGISTERS = 64 };
    static const struct {
        const char *op;
        int shape[SHAPE_SIZES];
    } asked[] = {{"gemm", {512, 1152, 1152}},
                 {"attention", {2, 256, 16, 72}},
                 {"attention", {1, 1024, 1, 512}},
                 {"conv", {1024, 512, 512, 1}}};
    const int *shape = asked[_i].shape;
    bench b = {.op = asked[_i].op, .impl = "gpu"};
    device d = {
        .family = FAMILY_GPU,
        .vector_width = 4,
        .info = {
            .kind = DEVICE_GPU, .local_bytes = 32768, .max_work_group = 64, .compute_units = 8}};
    const int *any[64], *sorted[64];
    find(&b);
    int n = configuration_defaults(any, 64, &d, b.t, shape), at = 0;
    d.info.quirk.has[QUIRK_MAX_REGISTERS] = true;
    d.info.quirk.value[QUIRK_MAX_REGISTERS] = REGISTERS;
    ck_assert_int_eq(configuration_defaults(sorted, 64, &d, b.t, shape), n);
    ck_assert_int_le(b.t->registers(sorted[0], shape), REGISTERS);
    ck_assert_int_gt(b.t->registers(sorted[n - 1], shape), REGISTERS);
    for (int many = 0; many <= 1; many++)
        for (int i = 0; i < n; i++)
            if ((b.t->registers(any[i], shape) > REGISTERS) == many)
                ck_assert_ptr_eq(sorted[at++], any[i]);
}
END_TEST

/* A device with this matrix unit and with work-groups of the size that such devices have. */
static device with_unit(const matrix_unit *u, precision p)
{
    device d = {.family = FAMILY_GPU, .settings = {.precision = p}};
    d.feature[u->feature] = d.info.claims[u->feature] = true;
    d.info.max_work_group = 256;
    return d;
}

/* The least local memory with which attention on matrix units serves a head width. bf16x3 takes
 * twice the memory. */
static uint64_t needed_bytes(const matrix_unit *u, precision p, int head)
{
    enum { KB = 1024 };
    bool dpas16 = u->feature == FEATURE_DPAS16;
    return head == 512 && p == PRECISION_AUTO ? (dpas16 ? 64 : 48) * KB : 0;
}

/* Attention on matrix units fits the local memory of devices that have them. */
START_TEST(units_serve_heads)
{
    static const int heads[] = {1, 3, 40, 64, 72, 80, 128, 512};
    static const int tokens[] = {1, 16, 77, 1024, 16384};
    bench b = {.op = variants[_i].op, .impl = variants[_i].impl};
    const matrix_unit *u = matrix_units;
    if (strcmp(b.op, "attention") != 0) return;
    find(&b);
    while (strcasecmp(u->option + strlen("MATRIX_UNIT_"), variants[_i].unit) != 0) u++;
    device d = with_unit(u, variants[_i].p);
    for (d.info.local_bytes = 32768; d.info.local_bytes <= 65536; d.info.local_bytes += 16384)
        for (size_t h = 0; h < sizeof heads / sizeof *heads; h++)
            for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
                const int shape[SHAPE_SIZES] = {1, tokens[t], 1, heads[h]};
                const int *v = configuration_for(&d, b.t, shape);
                uint64_t needed = needed_bytes(u, variants[_i].p, heads[h]);
                ck_assert_msg(!v == (d.info.local_bytes < needed),
                              "%s: %d tokens, heads of %d, %d bytes", u->option, tokens[t],
                              heads[h], (int)d.info.local_bytes);
            }
}
END_TEST

/* Convolutions on matrix units fit the layers of decoders and encoders. */
START_TEST(units_serve_layers)
{
    static const int layers[][SHAPE_SIZES] = {
        {1024, 4, 512, 1},    {1024, 512, 512, 1},  {1024, 512, 512, 2}, {16384, 512, 256, 1},
        {65536, 256, 128, 1}, {65536, 256, 256, 2}, {262144, 128, 3, 1}, {262144, 3, 128, 1},
        {65536, 128, 128, 1}, {1024, 512, 8, 1},    {256, 4, 64, 1},     {4096, 32, 3, 1},
        {4096, 16, 32, 2},    {1, 1, 1, 1}};
    static const struct {
        const char *impl;
        precision p;
    } rows[] = {{"gpu_mma", PRECISION_FP16},
                {"gpu_mma_bf16", PRECISION_BF16},
                {"gpu_mma_bf16x3", PRECISION_AUTO}};
    bench b = {.op = "conv", .impl = rows[_i].impl};
    find(&b);
    for (const matrix_unit *u = matrix_units; u->option; u++) {
        device d = with_unit(u, rows[_i].p);
        if (u->fp16_only && rows[_i].p != PRECISION_FP16) continue;
        for (d.info.local_bytes = 32768; d.info.local_bytes <= 65536; d.info.local_bytes += 16384)
            for (size_t l = 0; l < sizeof layers / sizeof *layers; l++)
                ck_assert_msg(configuration_for(&d, b.t, layers[l]) != NULL,
                              "%s %s: %d->%d, %d bytes", b.impl, u->option, layers[l][1],
                              layers[l][2], (int)d.info.local_bytes);
    }
}
END_TEST

/* Without intel_reqd_sub_group_size, a sub-group may have another size than the probe found. */
START_TEST(subgroups_of_another_size_are_right)
{
    const device_list *devices = wanted_devices();
    bench b = {.op = "attention", .impl = "gpu"};
    find(&b);
    for (int i = 0; i < devices->n; i++) {
        open_bench(&b, &devices->items[i], PRECISION_FP32);
        b.d.subgroups.required = false;
        for (int c = 0; c < b.t->n_configs && b.d.feature[FEATURE_SUBGROUPS]; c++) {
            char options[CONFIG_OPTIONS];
            configuration_options(options, b.t, b.t->configs[c]);
            for (b.d.subgroups.size = 8; b.d.subgroups.size <= 32; b.d.subgroups.size *= 2)
                if (strstr(options, "-DSG=1") && fits_any(&b, b.t->configs[c]))
                    check_values(&b, b.t->configs[c], 1);
        }
        close_bench(&b, "sub-groups");
    }
}
END_TEST

/* A driver with LOOPS_ARE_CUT cuts long loops. A decoder's attention at 1024 x 1024 pixels is
 * within the limit; a far longer one is refused. */
START_TEST(no_loop_is_cut)
{
    bench b = {.op = "attention", .impl = "gpu"};
    device d = {.family = FAMILY_GPU, .vector_width = 4};
    const int decoder[SHAPE_SIZES] = {1, 128 * 128, 1, 512};
    const int more[SHAPE_SIZES] = {1, 1 << 18, 1, 512};
    find(&b);
    d.info.local_bytes = 32768;
    d.info.max_work_group = 1024;
    ck_assert_ptr_nonnull(configuration_for(&d, b.t, more));
    d.info.quirk.has[QUIRK_LOOPS_ARE_CUT] = true;
    ck_assert_ptr_nonnull(configuration_for(&d, b.t, decoder));
    ck_assert_ptr_null(configuration_for(&d, b.t, more));
}
END_TEST

Suite *suite_variants(void)
{
    Suite *s = suite_create("variants");
    TCase *all = tcase_create("variants");
    tcase_add_loop_test(all, some_configuration_fits_every_device, 0, EVERYWHERE);
    tcase_add_test(all, no_loop_is_cut);
    tcase_add_loop_test(all, staging_comes_last, 0, 3);
    tcase_add_loop_test(all, many_registers_come_last, 0, 4);
    tcase_add_loop_test(all, configurations_are_right, 0, EVERYWHERE);
    tcase_add_test(all, subgroups_of_another_size_are_right);
    tcase_add_loop_test(all, devices_with_less_are_served, 0, EVERYWHERE);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    all = tcase_create("units");
    tcase_add_loop_test(all, units_serve_heads, EVERYWHERE, N_VARIANTS);
    tcase_add_loop_test(all, units_serve_layers, 0, 3);
    tcase_add_loop_test(all, configurations_are_right, EVERYWHERE, N_VARIANTS);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    return s;
}
