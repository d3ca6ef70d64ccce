/* Launches in slices give the same bits. Each case of each operator runs in one launch, then in
 * slices of a few work-groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "part.h"
#include "suites.h"

enum { SLICE = 3, MOST_CASES = 3 };

static optest part;
static int launches;

/* An operator test launches each case twice and compares the bits. The second launch is in slices.
 * On an emulator it launches once. */
static status launch_sliced(optest_run *r, int i)
{
    r->d->settings.slice_groups = emulated() || launches++ % 2 ? SLICE : 0;
    return part.queue(r, i);
}

/* The smallest case, and some of the smaller ones, which the seed chooses. */
static int choose_cases(int cases[MOST_CASES], const optest *t)
{
    const double most = emulated() ? 3e5 : 2e7;
    double least = 0.0;
    int n = 1, begin = (int)(test_seed % (unsigned)t->n_cases);
    for (int i = 0; i < t->n_cases; i++) {
        optest_case c = {0};
        int at = (begin + i) % t->n_cases;
        t->describe(&c, at);
        double total = c.flops + c.bytes;
        if (i == 0 || total < least) {
            least = total;
            cases[0] = at;
        }
        if (total <= most && n < MOST_CASES) cases[n++] = at;
    }
    return n;
}

/* Settings of a device, and the values of DITCL_GEMM and DITCL_CONV. */
typedef struct {
    kernel_family family;
    precision p;
    const char *unit, *gemm, *conv; /* null: as it is */
    bool tiles;                     /* needs a CPU with AMX, or tests/amx_emulator.c preloaded */
} variant;

static const variant variants[] = {
    {.family = FAMILY_CPU, .p = PRECISION_FP32},
    {.family = FAMILY_CPU, .p = PRECISION_FP32, .gemm = "cpu_strassen", .conv = "direct"},
    {.family = FAMILY_GPU, .p = PRECISION_FP32},
    {.family = FAMILY_GPU, .p = PRECISION_FP16, .unit = "mma"},
    {.family = FAMILY_GPU, .p = PRECISION_AUTO, .unit = "mma"},
    {.family = FAMILY_CPU, .p = PRECISION_AUTO, .tiles = true},
    {.family = FAMILY_CPU, .p = PRECISION_BF16, .tiles = true},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static void name_implementation(const char *variable, const char *name)
{
    if (name)
        setenv(variable, name, 1);
    else
        unsetenv(variable);
}

static bool is_heavy(const char *operator)
{
    return !strcmp(operator, "gemm") || !strcmp(operator, "conv") || !strcmp(operator, "attention");
}

static void check_cases(device *d, const variant *v, const optest *t, const int *cases, int n)
{
    optest_tally tally;
    part = part_of(t, cases, n);
    optest sliced = part;
    sliced.queue = launch_sliced;
    status st = optest_check(d, &sliced, test_seed, emulated(), true, NULL, &tally);
    ck_assert_msg(st == OK, "%s: %s", t->name, fail_line());
    if (tally.failed) optest_check(d, &sliced, test_seed, emulated(), true, stdout, &tally);
    ck_assert_msg(tally.failed == 0, "%s (%s, %s, %s) in slices: %d of %d cases", t->name,
                  kernel_family_names[v->family], precision_names[v->p], v->unit ? v->unit : "",
                  tally.failed, tally.cases);
}

static void check_operator(device *d, const variant *v, const optest *t)
{
    int cases[MOST_CASES], n = choose_cases(cases, t);
    check_cases(d, v, t, cases, n);
}

static void check_variant(const device_info *info, const variant *v, bool heavy_only)
{
    const device_settings settings = {.family = v->family, .precision = v->p, .no_cache = true};
    device d;
    if (v->family == FAMILY_CPU && info->quirk.has[QUIRK_LOOPS_ARE_CUT]) return;
    if (v->unit) claim_matrix_unit(v->unit);
    ck_assert_msg(device_open(&d, info, &settings) == OK, "%s", fail_line());
    if (v->unit) claim_matrix_unit(NULL);
    name_implementation("DITCL_GEMM", v->gemm);
    name_implementation("DITCL_CONV", v->conv);
    for (int i = 0; optests[i]; i++)
        if (!heavy_only || is_heavy(optests[i]->name)) check_operator(&d, v, optests[i]);
    name_implementation("DITCL_GEMM", NULL);
    name_implementation("DITCL_CONV", NULL);
    device_close(&d);
}

START_TEST(slices_give_the_same_bits)
{
    const device_list *devices = wanted_devices();
    const variant *v = &variants[_i];
    const char *features = getenv("DITCL_FEATURES");
    bool tiles = features && strstr(features, "+amx");
    bool heavy_only = v->unit || v->gemm || v->tiles;
    if (v->tiles != tiles) return;
    if (v->unit && ((unsigned)_i + test_seed) % 2)
        return; /* another arithmetic of the same kernels */
    for (int i = 0; i < devices->n; i++) check_variant(&devices->items[i], v, heavy_only);
}
END_TEST

/* CLBlast's GEMMs are cut between rows, so only GEMMs of many rows are cut. CLBlast as shipped
 * comes first, since other parameters stay in the process. */
static const variant clblast_variants[] = {
    {.family = FAMILY_GPU, .p = PRECISION_FP32, .gemm = "clblast"},
    {.family = FAMILY_GPU, .p = PRECISION_FP32, .gemm = "clblast_xgemm"},
    {.family = FAMILY_GPU, .p = PRECISION_FP32, .gemm = "clblast_direct"},
};
enum { N_CLBLAST = sizeof clblast_variants / sizeof *clblast_variants, MANY_ROWS = 640 };

START_TEST(rows_of_clblast_give_the_same_bits)
{
    const device_list *devices = wanted_devices();
    const device_settings settings = {.family = FAMILY_GPU, .no_cache = true};
    const optest *gemm = part_whole("gemm");
    int cases[PART_CASES], n = 0;
    for (int i = 0; i < gemm->n_cases && n < PART_CASES; i++) {
        int shape[SHAPE_SIZES];
        double total;
        part_shape(shape, &total, gemm, i);
        if (shape[0] >= MANY_ROWS) cases[n++] = i;
    }
    ck_assert_int_ge(n, 2);
    for (int i = 0; i < devices->n && !emulated(); i++) {
        device d;
        ck_assert_msg(device_open(&d, &devices->items[i], &settings) == OK, "%s", fail_line());
        for (int v = 0; v < N_CLBLAST; v++) {
            name_implementation("DITCL_GEMM", clblast_variants[v].gemm);
            check_cases(&d, &clblast_variants[v], gemm, cases, n);
        }
        name_implementation("DITCL_GEMM", NULL);
        device_close(&d);
    }
}
END_TEST

Suite *suite_slices(void)
{
    Suite *s = suite_create("slices");
    TCase *all = tcase_create("variants");
    tcase_add_loop_test(all, slices_give_the_same_bits, 0, N_VARIANTS);
    tcase_set_timeout(all, 0);
    tcase_add_test(all, rows_of_clblast_give_the_same_bits);
    suite_add_tcase(s, all);
    return s;
}
