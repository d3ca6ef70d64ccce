/* host/device/store.c: the grammar of configurations, its errors, and writing it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "device/store.h"
#include "ops/impl.h"
#include "scratch.h"
#include "suites.h"
#include "tune/configs.h"

static const device_info info = {
    .platform = "Some Platform", .vendor = "V", .name = "A CPU (TM) [x] @ 2.0", .driver = "1.2 #3"};
#define MATCH "match platform=Some?Platform device=A?CPU* driver=1.2*\n"

static char warnings[4000];
static int n_warnings;

static void keep_warning(const char *line)
{
    size_t used = strlen(warnings);
    snprintf(warnings + used, sizeof warnings - used, "%s\n", line);
    n_warnings++;
}

static void open_config(void)
{
    scratch_open();
    setenv("XDG_CONFIG_HOME", scratch_folder(), 1);
    ck_assert_int_eq(file_make_folders(scratch_path("ditcl/devices")), OK);
}

static void close_config(void)
{
    unsetenv("XDG_CONFIG_HOME");
    scratch_close();
}

static const char file[] = "ditcl/devices/a-cpu-tm-x-2-0.conf";

static store load_bytes(const char *bytes, size_t n)
{
    store s;
    *warnings = 0;
    n_warnings = 0;
    scratch_write(file, bytes, n);
    store_load(&s, &info, keep_warning);
    return s;
}

static store load(const char *content)
{
    return load_bytes(content, strlen(content));
}

START_TEST(path)
{
    char found[4096];
    ck_assert_int_eq(store_path(found, sizeof found, &info), OK);
    ck_assert_str_eq(found, scratch_path(file));
    const device_info nameless = {.name = "()"};
    ck_assert_int_eq(store_path(found, sizeof found, &nameless), OK);
    ck_assert_str_eq(found, scratch_path("ditcl/devices/device.conf"));
    const device_info hostile = {.name = "../../etc/x\n"};
    ck_assert_int_eq(store_path(found, sizeof found, &hostile), OK);
    ck_assert_str_eq(found, scratch_path("ditcl/devices/etc-x.conf"));
}
END_TEST

START_TEST(good_lines)
{
    store s =
        load("# first\n\n" MATCH "tune gemm cpu kernels=0123456789abcdef MR=8 NV=3   # why\r\n"
             "\ttune  conv  d72 f16 BLOCK_Q=16\n"
             "tune plain X=0\n"
             "tune plain X=7");
    ck_assert_msg(n_warnings == 0, "%s", warnings);
    ck_assert_uint_eq(s.n, 3);
    const store_line *l = store_find(&s, "gemm", "cpu");
    ck_assert_ptr_nonnull(l);
    ck_assert_str_eq(l->kernels, "0123456789abcdef");
    ck_assert_int_eq(l->n_values, 2);
    ck_assert_str_eq(l->values[0].name, "MR");
    ck_assert_int_eq(l->values[0].value, 8);
    ck_assert_str_eq(l->values[1].name, "NV");
    ck_assert_int_eq(l->values[1].value, 3);
    ck_assert_str_eq(l->from, "a-cpu-tm-x-2-0.conf:4");
    l = store_find(&s, "conv", "d72 f16");
    ck_assert_ptr_nonnull(l);
    ck_assert_str_eq(l->kernels, "");
    ck_assert_int_eq(store_find(&s, "plain", "")->values[0].value, 7); /* the later one */
    ck_assert_ptr_null(store_find(&s, "gemm", ""));
    store_free(&s);
}
END_TEST

/* Of a bad and a good line, the message names the bad one by its number, and the good one counts.
 */
START_TEST(bad_lines)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"tune", "no operator"},
        {"tune GEMM X=1", "no operator"},
        {"tune gemm", "no values"},
        {"tune gemm cpu", "no values"},
        {"tune gemm kernels=0123456789abcdef", "no values"},
        {"tune gemm X=", "a value"},
        {"tune gemm X=-1", "a value"},
        {"tune gemm X=1.5", "a value"},
        {"tune gemm X=99999999999999999999", "a value"},
        {"tune gemm X=2147483647", "a value"},
        {"tune gemm x=1", "a value"},
        {"tune gemm =1", "a value"},
        {"tune gemm A=1 B=1 C=1 D=1 E=1 F=1 G=1 H=1 I=1 J=1 K=1 L=1 M=1 N=1 O=1 P=1 Q=1",
         "a value"},
        {"tune gemm cpu auto 1x2x3 use=", "use="},
        {"tune gemm cpu auto 1x2x3 use=../x", "use="},
        {"tune gemm ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMN=1", "a value"},
        {"tune gemm kernels=0123 X=1", "no hash"},
        {"tune gemm kernels=0123456789ABCDEF X=1", "no hash"},
        {"tune gemm ../x X=1", "a word"},
        {"tune gemm CPU X=1", "a word"},
        {"tune gemmgemmgemmgemmgemmgemmgemmgemmgemm X=1", "no operator"},
        {"tunes gemm X=1", "expected match or tune"},
        {"quirk CHOOSE_LAST", "expected match or tune"},
        {"\x01\xff\xfe", "expected match or tune"},
        {"match color=red", "found key \"color\""},
        {"match red", "expected key=pattern"},
        {"match platform=Some?Platform device=Another* driver=*", "another device"},
        {"match platform=Some?Platform device=A?CPU* driver=9*", "another driver"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char content[500];
        snprintf(content, sizeof content, MATCH "tune good X=1\n%s\n", bad[i].line);
        store s = load(content);
        ck_assert_msg(n_warnings == 1, "\"%s\": %d warnings: %s", bad[i].line, n_warnings,
                      warnings);
        ck_assert_msg(strstr(warnings, ".conf:3: ignored: "), "%s", warnings);
        ck_assert_msg(strstr(warnings, bad[i].says), "\"%s\": %s", bad[i].line, warnings);
        ck_assert_uint_eq(s.n, 1);
        ck_assert_ptr_nonnull(store_find(&s, "good", ""));
        store_free(&s);
    }
}
END_TEST

START_TEST(sections)
{
    store s = load(
        "tune early X=1\n"
        "match platform=Other device=A?CPU*\ntune gemm X=1\n" /* of another device: no message */
        "match platform=Some?Platform device=B*\ntune gemm X=2\n" MATCH "tune conv X=3\n"
        "match driver=0*\ntune conv X=4\n");
    ck_assert_int_eq(n_warnings, 3);
    ck_assert(strstr(warnings, ":1: ignored: no match line above"));
    ck_assert(strstr(warnings, ":4: ignored: measured on another device"));
    ck_assert(strstr(warnings, ":8: ignored: measured with another driver"));
    ck_assert_uint_eq(s.n, 1);
    ck_assert_int_eq(store_find(&s, "conv", "")->values[0].value, 3);
    store_free(&s);
}
END_TEST

START_TEST(damaged_files)
{
    char *many = malloc(100000), *large = calloc(1, (1 << 24) + 2);
    ck_assert(many && large);
    *many = 0;
    for (char *at = many; at < many + 90000;) at += sprintf(at, "rubbish\n");
    store s = load(many);
    ck_assert_int_eq(n_warnings, STORE_WARNINGS + 1);
    ck_assert(strstr(warnings, "lines more"));
    store_free(&s);
    s = load_bytes(MATCH "tune gemm X=1\n\0", sizeof MATCH + 14);
    ck_assert_int_eq(n_warnings, 1);
    ck_assert(strstr(warnings, "NUL"));
    ck_assert_uint_eq(s.n, 0);
    store_free(&s);
    memset(large, '\n', (1 << 24) + 1);
    s = load(large);
    ck_assert_int_eq(n_warnings, 1);
    ck_assert_msg(!strstr(warnings, ":0:"), "%s", warnings); /* the file is wrong, not a line */
    store_free(&s);
    ck_assert_int_eq(unlink(scratch_path(file)), 0);
    ck_assert_int_eq(mkdir(scratch_path(file), 0700), 0);
    store_load(&s, &info, NULL); /* warn is null */
    ck_assert_int_eq(s.n_ignored, 1);
    ck_assert_uint_eq(s.n, 0);
    ck_assert_int_eq(store_save(&s, &info), ERR_FILE);
    store_free(&s);
    free(many);
    free(large);
}
END_TEST

START_TEST(written_and_read)
{
    store s = load("match platform=Other device=*\n# theirs\ntune gemm X=1\n" MATCH
                   "tune gemm cpu kernels=0123456789abcdef MR=8\nrubbish\n"
                   "match platform=Some?Platform driver=0.9\ntune old X=1\n");
    const store_line line = {
        .op = "conv", .shape = "d72 f16", .n_values = 2, .values = {{"A", 1}, {"B_2", 1 << 30}}};
    const store_line again = {.op = "gemm", .shape = "cpu", .n_values = 1, .values = {{"MR", 9}}};
    const store_line shipped = {
        .op = "shipped", .n_values = 1, .values = {{"A", 1}}, .shipped = true};
    ck_assert_int_eq(store_put(&s, &line), OK);
    ck_assert_int_eq(store_put(&s, &again), OK);
    ck_assert_int_eq(store_put(&s, &shipped), OK);
    ck_assert_msg(store_save(&s, &info) == OK, "%s", fail_line());
    store_free(&s);
    *warnings = 0;
    n_warnings = 0;
    store_load(&s, &info, keep_warning);
    ck_assert_msg(n_warnings == 0, "%s",
                  warnings);   /* the lines of rubbish and of the old driver are gone */
    ck_assert_uint_eq(s.n, 2); /* shipped lines are not stored */
    ck_assert_int_eq(store_find(&s, "gemm", "cpu")->values[0].value, 9);
    ck_assert_int_eq(store_find(&s, "conv", "d72 f16")->values[1].value, 1 << 30);
    store_drop(&s, store_find(&s, "gemm", "cpu"));
    ck_assert_ptr_null(store_find(&s, "gemm", "cpu"));
    ck_assert_ptr_nonnull(store_find(&s, "conv", "d72 f16"));
    store_free(&s);
    device_info other = info;
    strcpy(other.platform, "Other");
    store_load(&s, &other, keep_warning);
    ck_assert_msg(n_warnings == 0, "%s", warnings);
    ck_assert_ptr_nonnull(store_find(&s, "gemm", ""));
    ck_assert_int_eq(store_find(&s, "gemm", "")->values[0].value, 1); /* theirs is kept */
    store_free(&s);
    size_t size;
    char *all = (char *)scratch_read(scratch_path(file), &size);
    all[size] = 0;
    ck_assert(strstr(all, "# theirs"));
    free(all);
    ck_assert_int_eq(scratch_count(), 1); /* no temporary */
}
END_TEST

/* With as many lines as a file may have, each line is found, and a dropped line leaves the others.
 * A quadratic search would take minutes. */
START_TEST(many_lines)
{
    enum { N = 60000 };
    char *many = malloc(sizeof MATCH + (size_t)N * 18), op[16], *at = many;
    ck_assert_ptr_nonnull(many);
    at += sprintf(at, MATCH);
    for (int i = 0; i < N; i++) at += sprintf(at, "tune g%05d X=%d\n", i, i % 10);
    store s = load(many);
    ck_assert_msg(n_warnings == 0, "%s", warnings);
    ck_assert_uint_eq(s.n, N);
    for (int i = 0; i < N; i += 3) {
        snprintf(op, sizeof op, "g%05d", i);
        store_drop(&s, store_find(&s, op, ""));
    }
    for (int i = 0; i < N; i++) {
        snprintf(op, sizeof op, "g%05d", i);
        const store_line *l = store_find(&s, op, "");
        ck_assert_int_eq(l ? l->values[0].value : -1, i % 3 ? i % 10 : -1);
    }
    ck_assert_int_eq(store_save(&s, &info), OK);
    store_free(&s);
    free(many);
}
END_TEST

/* A user's line overrides the shipped one, which returns when the user's line is dropped. */
START_TEST(shipped_lines_stay)
{
    store s = load(MATCH "tune gemm cpu MR=8\n");
    const store_line shipped = {
        .op = "gemm", .shape = "cpu", .n_values = 1, .values = {{"MR", 4}}, .shipped = true};
    ck_assert_int_eq(store_put(&s, &shipped), OK);
    ck_assert_int_eq(store_put(&s, &shipped), OK);
    ck_assert_uint_eq(s.n, 2);
    ck_assert_int_eq(store_find(&s, "gemm", "cpu")->values[0].value, 8);
    store_drop(&s, store_find(&s, "gemm", "cpu"));
    ck_assert_int_eq(store_find(&s, "gemm", "cpu")->values[0].value, 4);
    ck_assert(store_exists(&info));
    const device_info other = {.name = "Another"};
    ck_assert(!store_exists(&other));
    store_free(&s);
}
END_TEST

static const op_impl *find_kind(const char *op, const char *kind)
{
    const op_impl *all[MOST_IMPLS];
    for (const operator* o = operators; o->op; o++) {
        if (strcmp(o->op, op) != 0) continue;
        for (int i = operator_impls(o, NULL, NULL, all) - 1; i >= 0; i--)
            if (!strcmp(all[i]->name, kind)) return all[i];
    }
    ck_abort_msg("no %s %s", op, kind);
    return NULL;
}

/* A shipped line that cannot be used gives no message, so there must be none. */
START_TEST(shipped_lines_are_choices)
{
    static const device_info families[] = {
        {.platform = "rusticl", .name = "llvmpipe (LLVM 15.0.6, 256 bits)", .driver = "0"},
        {.platform = "Portable Computing Language", .name = "pthread-some", .driver = "0"},
        {.platform = "Portable Computing Language", .name = "cpu-some", .driver = "9"},
        {.platform = "Intel(R) OpenCL", .name = "Some CPU", .driver = "0"}};
    const device_info gpu = {.platform = "rusticl", .name = "Some GPU"};
    kernel_hashes known = {0};
    store s;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        store_shipped(&s, &families[i]);
        ck_assert_msg(s.n >= 2, "%s: %zu", families[i].platform, s.n);
        for (size_t l = 0; l < s.n; l++) {
            int values[CONFIG_VALUES];
            const op_impl *t = find_kind(s.lines[l].op, s.lines[l].shape);
            const char *wrong;
            ck_assert_int_eq(configs_values(values, &wrong, t, &s.lines[l], &known), OK);
            ck_assert_msg(!wrong, "%s: %s", s.lines[l].from, wrong);
            ck_assert_str_eq(s.lines[l].kernels, ""); /* of any version */
        }
        store_free(&s);
    }
    store_shipped(&s, &gpu);
    ck_assert_uint_eq(s.n, 0);
    store_free(&s);
}
END_TEST

START_TEST(no_place)
{
    store s = {0};
    char *home = strdup(getenv("HOME") ? getenv("HOME") : "/");
    setenv("XDG_CONFIG_HOME", "/proc", 1);
    store_load(&s, &info, NULL);
    ck_assert_int_eq(store_save(&s, &info), ERR_FILE);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    store_load(&s, &info, NULL);
    ck_assert_int_eq(s.n_ignored, 0);
    ck_assert_int_eq(store_save(&s, &info), ERR_FILE);
    setenv("HOME", home, 1);
    free(home);
}
END_TEST

/* ---- which of several lines serves ---- */

/* A batch without a line uses the line of the nearest batch, in any order of lines. */
START_TEST(nearest_rows_serve)
{
    static const struct {
        int m, found; /* of the line */
    } cases[] = {{512, 512},   {500, 512},  {2048, 2048},
                 {1000, 512},  {1024, 512}, {1025, 2048},
                 {9999, 2048}, {65, 64},    {1, 512 /* fits the least rows */}};
    static const int orders[][3] = {{64, 512, 2048}, {2048, 512, 64}, {512, 2048, 64}};
    const op_impl *gpu = find_kind("gemm", "gpu"), *other = find_kind("gemm", "clblast_direct");
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        device d = {.family = FAMILY_GPU,
                    .info = {.max_work_group = 1024, .local_bytes = 65536, .compute_units = 1}};
        ck_assert_int_eq(configuration_set(&d, gpu, NULL, gpu->configs[5]), OK);
        for (int i = 0; i < 3; i++) {
            int m = orders[o][i];
            const int shape[SHAPE_SIZES] = {m, 1152, 384};
            const op_impl *t = m == 512 ? other : gpu;
            const int *values = m == 512 ? t->configs[0] : t->configs[m == 64 ? 0 : 1];
            ck_assert_int_eq(configuration_set(&d, t, shape, values), OK);
        }
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const int shape[SHAPE_SIZES] = {cases[i].m, 1152, 384};
            const op_impl *t = configuration_serving(&d, "gemm", shape);
            ck_assert_msg(t == (cases[i].found == 512 ? other : gpu), "order %zu: m %d", o,
                          cases[i].m);
            ck_assert_mem_eq(configuration_for(&d, t, shape),
                             t->configs[t == other || cases[i].found == 64 ? 0 : 1],
                             sizeof(int[CONFIG_VALUES]));
        }
        const int columns[SHAPE_SIZES] = {512, 1153, 384}, depth[SHAPE_SIZES] = {512, 1152, 383};
        ck_assert_ptr_null(configuration_serving(&d, "gemm", columns));
        ck_assert_ptr_null(configuration_serving(&d, "gemm", depth));
        ck_assert_ptr_null(configuration_serving(&d, "conv", columns));
        ck_assert_mem_eq(configuration_for(&d, gpu, depth), gpu->configs[5],
                         sizeof(int[CONFIG_VALUES]));
        configuration_forget(&d);
    }
}
END_TEST

/* A line may name an implementation that has no tunables. */
START_TEST(no_tunables)
{
    const op_impl *t = find_kind("conv", "direct");
    const int shape[SHAPE_SIZES] = {65536, 128, 3, 1};
    device d = {.family = FAMILY_CPU,
                .vector_width = 16,
                .info = {.max_work_group = 1024, .local_bytes = 65536, .compute_units = 1}};
    store s = {0};
    ck_assert_int_eq(configs_put(&s, &d, t, shape, t->configs[0]), OK);
    ck_assert_int_eq(configs_apply(&d, &s), OK);
    ck_assert_int_eq(s.n_ignored, 0);
    ck_assert_ptr_eq(configuration_serving(&d, "conv", shape), t);
    configuration_forget(&d);
    store_free(&s);
}
END_TEST

/* A hash of the kernels for each line, or a quadratic search, would take minutes. */
START_TEST(many_shapes)
{
    enum { FIRST = 1000, N = 60000 };
    const op_impl *t = find_kind("gemm", "gpu");
    device d = {.family = FAMILY_GPU,
                .info = {.max_work_group = 1024, .local_bytes = 65536, .compute_units = 1}};
    int shape[SHAPE_SIZES] = {FIRST, 1152, 384};
    store s = {0};
    ck_assert_int_eq(configs_put(&s, &d, t, shape, t->configs[0]), OK);
    store_line line = s.lines[0];
    for (; shape[0] < FIRST + N; shape[0]++) {
        configs_key(line.shape, &d, shape);
        ck_assert_int_eq(store_put(&s, &line), OK);
    }
    ck_assert_int_eq(configs_apply(&d, &s), OK);
    ck_assert_uint_eq(s.n, N);
    shape[0]--;
    ck_assert_ptr_eq(configuration_serving(&d, "gemm", shape), t);
    ck_assert_mem_eq(configuration_for(&d, t, shape), t->configs[0], sizeof(int[CONFIG_VALUES]));
    configuration_forget(&d);
    store_free(&s);
}
END_TEST

Suite *suite_store(void)
{
    Suite *s = suite_create("store");
    TCase *tc = tcase_create("lines");
    tcase_add_checked_fixture(tc, open_config, close_config);
    tcase_add_test(tc, path);
    tcase_add_test(tc, good_lines);
    tcase_add_test(tc, bad_lines);
    tcase_add_test(tc, sections);
    tcase_add_test(tc, damaged_files);
    tcase_add_test(tc, written_and_read);
    tcase_add_test(tc, many_lines);
    tcase_add_test(tc, shipped_lines_stay);
    tcase_add_test(tc, shipped_lines_are_choices);
    tcase_add_test(tc, no_place);
    tcase_add_test(tc, nearest_rows_serve);
    tcase_add_test(tc, many_shapes);
    tcase_add_test(tc, no_tunables);
    suite_add_tcase(s, tc);
    return s;
}
