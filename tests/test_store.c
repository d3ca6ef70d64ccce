/* host/tune/store.c: the grammar of configurations, its errors, and writing it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "device/source.h"
#include "ops/impl.h"
#include "scratch.h"
#include "suites.h"
#include "tune/store.h"

static void keep_warning(const char *line);

static const device subject = {.info = {.platform = "Some Platform",
                                        .vendor = "V",
                                        .name = "A CPU (TM) [x] @ 2.0",
                                        .driver = "1.2 #3",
                                        .max_work_group = 1024,
                                        .local_bytes = 65536,
                                        .compute_units = 1},
                               .family = FAMILY_GPU,
                               .settings = {.warn = keep_warning}};
static const device_info *const info = &subject.info;
#define MATCH "match platform=Some?Platform device=A?CPU* driver=1.2*\n"
/* An implementation with one tunable, without its value. */
#define GOOD "tune attention amx_bf16 BK="

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
    store_load(&s, &subject);
    return s;
}

static store load(const char *content)
{
    return load_bytes(content, strlen(content));
}

/* The value of the line that counts for every shape; 0: none is there. */
static int value_of(const store *s, const char *op, const char *name)
{
    int found = 0;
    for (size_t i = 0; i < s->n; i++) {
        const candidate *c = &s->lines[i].is;
        if (!s->lines[i].shape[0] && !strcmp(c->impl->op, op) && !strcmp(c->impl->name, name))
            found = c->config[0];
    }
    return found;
}

static const op_impl *find_impl(const char *op, const char *name)
{
    const op_impl *impl = impl_find(operator_find(op), name);
    ck_assert_msg(impl != NULL, "no %s %s", op, name);
    return impl;
}

START_TEST(path)
{
    char found[4096];
    ck_assert_int_eq(store_path(found, sizeof found, info), OK);
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
    store s = load("# first\n\n" MATCH
                   "\ttune  conv  winograd VEC=8 NV=2 MR=6 KU=4 BLOCK_KIB=512 # why\r\n"
                   "tune gemm gpu bf16 8x8x8 use=clblast\n"
                   "tune gemm cpu bf16 any use=clblast\n" GOOD "256\n" GOOD "512");
    ck_assert_msg(n_warnings == 0, "%s", warnings);
    ck_assert_uint_eq(s.n, 5);
    const store_line *l = s.lines;
    ck_assert_str_eq(l->is.impl->name, "winograd");
    ck_assert(l->is.config[0] == 8 && l->is.config[2] == 6 && l->is.config[4] == 512);
    ck_assert(!l->serves && !*l->kernels);
    l++;
    ck_assert(l->serves && l->family == FAMILY_GPU && l->precision == PRECISION_BF16);
    ck_assert(l->shape[0] == 8 && l->shape[2] == 8 && l->shape[3] == 0);
    l++;
    ck_assert(l->serves && l->family == FAMILY_CPU && !l->shape[0]);
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 512); /* the later one */
    store_free(&s);
}
END_TEST

/* If a file has a bad and a good line, the message names the number of the bad one, and the good
 * one counts. */
START_TEST(bad_lines)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"tune", "no such operator"},
        {"tune GEMM X=1", "no such operator"},
        {"tune gemm", "no such implementation"},
        {"tune gemm X=1", "no such implementation"},
        {"tune gemm CPU X=1", "no such implementation"},
        {"tune gemm ../x X=1", "no such implementation"},
        {"tune gemm gpu", "a value is missing"},
        {"tune gemm gpu MT=64", "a value is missing"},
        {"tune gemm gpu x=1", "a value too many"},
        {"tune gemm gpu =1", "a value too many"},
        {"tune gemm gpu MT=64 NT", "a value"},
        {GOOD, "a value"},
        {GOOD "-1", "a value"},
        {GOOD "1.5", "a value"},
        {GOOD "99999999999999999999", "a value"},
        {GOOD "2147483647", "a value"},
        {GOOD "257", "not among the choices"},
        {GOOD "256 X=1", "a value too many"},
        {"tune attention amx_bf16 kernels=0123 BK=256", "other kernels"},
        {"tune attention amx_bf16 kernels=0123456789abcdef BK=256", "other kernels"},
        {"tune attention amx_bf16 kernels= BK=256", "other kernels"},
        {"tune gemm cpu use=clblast", "no such shape"},
        {"tune gemm cpu auto use=clblast", "no such shape"},
        {"tune gemm cpu auto 1x2 use=clblast", "no such shape"},
        {"tune gemm cpu auto 1x2x3x4 use=clblast", "no such shape"},
        {"tune gemm cpu auto 0x2x3 use=clblast", "no such shape"},
        {"tune gemm neither auto 1x2x3 use=clblast", "no such shape"},
        {"tune gemm cpu auto 1x2x3 more use=clblast", "a word too many"},
        {"tune gemm clblast use=clblast", "no such shape"},
        {"tune gemm cpu auto 1x2x3 use=", "no such implementation"},
        {"tune gemm cpu auto 1x2x3 use=../x", "no such implementation"},
        {"tune gemm cpu auto 1x2x3", "no such implementation"},
        {"tune gemm gpu auto 1x2x3 use=cpu VEC=16 NV=3 MR=8 KU=4 KC=1152 PREFETCH=1",
         "not for this device"},
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
        snprintf(content, sizeof content, MATCH GOOD "256\n%s\n", bad[i].line);
        store s = load(content);
        ck_assert_msg(n_warnings == 1, "\"%s\": %d warnings: %s", bad[i].line, n_warnings,
                      warnings);
        ck_assert_msg(strstr(warnings, ".conf:3: ignored: "), "%s", warnings);
        ck_assert_msg(strstr(warnings, bad[i].says), "\"%s\": %s", bad[i].line, warnings);
        ck_assert_uint_eq(s.n, 1);
        ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 256);
        store_free(&s);
    }
}
END_TEST

START_TEST(sections)
{
    store s = load(GOOD "256\n"
                        "match platform=Other device=A?CPU*\n" GOOD
                        "0\n" /* of another device: no message */
                        "match platform=Some?Platform device=B*\n" GOOD "256\n" MATCH GOOD "1024\n"
                        "match driver=0*\n" GOOD "256\n");
    ck_assert_int_eq(n_warnings, 3);
    ck_assert(strstr(warnings, ":1: ignored: no match line above"));
    ck_assert(strstr(warnings, ":4: ignored: measured on another device"));
    ck_assert(strstr(warnings, ":8: ignored: measured with another driver"));
    ck_assert_uint_eq(s.n, 1);
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 1024);
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
    s = load_bytes(MATCH GOOD "256\n\0", sizeof MATCH + sizeof GOOD + 3);
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
    const device quiet = {.info = *info};
    store_load(&s, &quiet); /* warn is null */
    ck_assert_uint_eq(s.n, 0);
    ck_assert_int_eq(store_save(&s, info), ERR_FILE);
    store_free(&s);
    free(many);
    free(large);
}
END_TEST

/* Of several lines the last counts, and a new line replaces that one. */
START_TEST(a_new_line_wins)
{
    store s = load(MATCH GOOD "256\n" GOOD "1024\n");
    const op_impl *matrix = find_impl("attention", "amx_bf16");
    const candidate new = candidate_of(matrix, (const int[CONFIG_VALUES]){512});
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 1024);
    ck_assert_int_eq(store_put(&s, &subject, &new, NULL, false), OK);
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 512);
    ck_assert_msg(store_save(&s, info) == OK, "%s", fail_line());
    store_free(&s);
    store_load(&s, &subject);
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 512);
    store_free(&s);
}
END_TEST

START_TEST(written_and_read)
{
    store s =
        load("match platform=Other device=*\n# theirs\ntune gemm X=1\n" MATCH GOOD "256\nrubbish\n"
             "match platform=Some?Platform driver=0.9\n" GOOD "1024\n");
    const op_impl *matrix = find_impl("attention", "amx_bf16"), *gpu = find_impl("gemm", "gpu");
    const candidate again = candidate_of(matrix, (const int[CONFIG_VALUES]){512});
    const candidate one = candidate_of(gpu, gpu->configs[0]);
    const candidate other = candidate_of(gpu, gpu->configs[1]);
    const int shape[SHAPE_SIZES] = {512, 1152, 384};
    const store_line shipped = {.is = again, .shipped = true};
    ck_assert_int_eq(store_put(&s, &subject, &again, NULL, false), OK);
    ck_assert_int_eq(store_put(&s, &subject, &one, shape, true), OK);
    ck_assert_int_eq(store_put(&s, &subject, &other, shape, true), OK);
    ck_assert_int_eq(store_put(&s, &subject, &other, NULL, true), OK);
    ck_assert_int_eq(store_put_line(&s, &shipped), OK);
    ck_assert_uint_eq(s.n, 4); /* a shipped line stays beside the user's */
    ck_assert_msg(store_save(&s, info) == OK, "%s", fail_line());
    store_free(&s);
    *warnings = 0;
    n_warnings = 0;
    store_load(&s, &subject);
    ck_assert_msg(n_warnings == 0, "%s",
                  warnings);   /* the lines of rubbish and of the old driver are gone */
    ck_assert_uint_eq(s.n, 3); /* shipped lines are not stored */
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 512);
    ck_assert(candidate_equal(&s.lines[1].is, &other) && shape_equal(s.lines[1].shape, shape));
    ck_assert(candidate_equal(&s.lines[2].is, &other) && s.lines[2].serves);
    ck_assert_int_eq(s.lines[2].shape[0], 0);
    store_drop(&s, 0);
    ck_assert_int_eq(value_of(&s, "attention", "amx_bf16"), 0);
    ck_assert_int_eq(value_of(&s, "gemm", "gpu"), other.config[0]);
    store_free(&s);
    size_t size;
    char *all = (char *)scratch_read(scratch_path(file), &size);
    all[size] = 0;
    ck_assert(strstr(all, "# theirs\ntune gemm X=1\n"));
    free(all);
    ck_assert_int_eq(scratch_count(), 1); /* no temporary */
    ck_assert(store_exists(info));
    const device_info another = {.name = "Another"};
    ck_assert(!store_exists(&another));
}
END_TEST

/* A shipped line that cannot be used gives no message. So this test reads the shipped lines as a
 * user's file, which gives one for each such line. */
START_TEST(shipped_lines_are_choices)
{
    static const device_info families[] = {
        {.platform = "rusticl", .name = "llvmpipe (LLVM 15.0.6, 256 bits)", .driver = "0"},
        {.platform = "Portable Computing Language", .name = "pthread-some", .driver = "0"},
        {.platform = "Portable Computing Language", .name = "cpu-some", .driver = "9"},
        {.platform = "Intel(R) OpenCL", .name = "Some CPU", .driver = "0"}};
    text all = {0};
    size_t n = 0;
    ck_assert_int_eq(text_append(&all, MATCH), OK);
    for (const embedded_file *f = embedded_files; f->name; f++) {
        for (const char *at = f->data; strstr(f->name, ".conf") && (at = strstr(at, "\ntune "));) {
            at++;
            ck_assert_int_eq(text_append(&all, "%.*s\n", (int)strcspn(at, "\n"), at), OK);
            ck_assert(!strstr(at, "kernels=")); /* of any version */
            n++;
        }
    }
    store s = load(all.data);
    ck_assert_msg(n_warnings == 0, "%s", warnings);
    ck_assert_uint_eq(s.n, n);
    store_free(&s);
    text_free(&all);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        device d = {.info = families[i]};
        ck_assert_int_eq(store_apply_shipped(&d), OK);
        ck_assert(configuration_used(&d, find_impl("attention", "gpu")));
        device_close(&d);
    }
    device gpu = {.info = {.platform = "rusticl", .name = "Some GPU"}};
    ck_assert_int_eq(store_apply_shipped(&gpu), OK);
    ck_assert_ptr_null(gpu.slot);
}
END_TEST

START_TEST(no_place)
{
    store s = {0};
    char *home = strdup(getenv("HOME") ? getenv("HOME") : "/");
    setenv("XDG_CONFIG_HOME", "/proc", 1);
    store_load(&s, &subject);
    ck_assert_int_eq(store_save(&s, info), ERR_FILE);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    n_warnings = 0;
    store_load(&s, &subject);
    ck_assert_int_eq(n_warnings, 0);
    ck_assert_int_eq(store_save(&s, info), ERR_FILE);
    setenv("HOME", home, 1);
    free(home);
}
END_TEST

/* ---- which of several lines serves ---- */

/* A batch without a line uses the line of the nearest batch, in any order of lines. */
START_TEST(nearest_rows_serve)
{
    static const struct {
        int m, found; /* rows of the launch; rows of the line that serves it */
    } cases[] = {{512, 512},   {500, 512},  {2048, 2048},
                 {1000, 512},  {1024, 512}, {1025, 2048},
                 {9999, 2048}, {65, 64},    {1, 512 /* fits the least rows */}};
    static const int orders[][3] = {{64, 512, 2048}, {2048, 512, 64}, {512, 2048, 64}};
    const op_impl *gpu = find_impl("gemm", "gpu"), *other = find_impl("gemm", "clblast_direct");
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
        device_close(&d);
    }
}
END_TEST

/* A line may name an implementation that has no tunables. */
START_TEST(no_tunables)
{
    const op_impl *t = find_impl("conv", "direct");
    const int shape[SHAPE_SIZES] = {65536, 128, 3, 1};
    device d = {.family = FAMILY_CPU,
                .vector_width = 16,
                .info = {.max_work_group = 1024, .local_bytes = 65536, .compute_units = 1}};
    store s = {0};
    const candidate c = candidate_of(t, t->configs[0]);
    ck_assert_int_eq(store_put(&s, &d, &c, shape, true), OK);
    ck_assert_int_eq(store_apply(&s, &d), OK);
    ck_assert_ptr_eq(configuration_serving(&d, "conv", shape), t);
    device_close(&d);
    store_free(&s);
}
END_TEST

/* Lines of the log and of child processes. */
START_TEST(candidates_as_text)
{
    static const char *const bad[] = {"",
                                      "gpu",
                                      "nothing 1",
                                      "winograd 16 2 13 4",
                                      "winograd 16 2 13 4 512 1",
                                      "winograd 16 2 13 4 511",
                                      "winograd 16 2 13 4 x",
                                      "direct 1"};
    const op_impl *t = find_impl("conv", "winograd");
    const candidate c = candidate_of(t, t->configs[0]);
    char words[CANDIDATE_TEXT];
    candidate read;
    candidate_text(words, &c);
    ck_assert_str_eq(words, "winograd 16 2 13 4 512");
    ck_assert(candidate_parse(&read, "conv", words) && candidate_equal(&read, &c));
    ck_assert(candidate_parse(&read, "conv", "direct") && !read.impl->n);
    ck_assert(!candidate_parse(&read, "gemm", words) && !candidate_parse(&read, "no", words));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!candidate_parse(&read, "conv", bad[i]), "%s", bad[i]);
}
END_TEST

/* What is set for one device is not set for another. */
START_TEST(devices_have_their_own)
{
    const op_impl *t = find_impl("gemm", "gpu");
    const int shape[SHAPE_SIZES] = {512, 1152, 384};
    device one = subject, two = subject;
    ck_assert_int_eq(configuration_set(&one, t, shape, t->configs[1]), OK);
    ck_assert_ptr_eq(configuration_serving(&one, "gemm", shape), t);
    ck_assert_ptr_null(configuration_serving(&two, "gemm", shape));
    ck_assert_int_eq(configuration_set(&two, t, shape, t->configs[0]), OK);
    ck_assert_mem_eq(configuration_for(&one, t, shape), t->configs[1], sizeof(int[CONFIG_VALUES]));
    configuration_forget(&one);
    ck_assert_mem_eq(configuration_for(&two, t, shape), t->configs[0], sizeof(int[CONFIG_VALUES]));
    device_close(&one);
    device_close(&two);
}
END_TEST

/* As many lines as a file may have. A hash of the kernels for each line, or a quadratic search,
 * would take minutes. */
START_TEST(many_shapes)
{
    enum { FIRST = 1000, N = 60000 };
    const op_impl *t = find_impl("gemm", "gpu");
    int shape[SHAPE_SIZES] = {FIRST, 1152, 384};
    const candidate c = candidate_of(t, t->configs[0]);
    device d = subject;
    store s = {0};
    text all = {0};
    ck_assert_int_eq(store_put(&s, &subject, &c, shape, true), OK);
    ck_assert_int_eq(store_text(&s, info, &all), OK);
    const char *line = strstr(all.data, "\ntune") + 1, *at = strstr(line, "1000x");
    char *many = malloc((size_t)N * (strlen(line) + 8) + all.length), *to = many;
    ck_assert_ptr_nonnull(many);
    to += sprintf(to, "%.*s", (int)(line - all.data), all.data);
    for (int i = 0; i < N; i++)
        to += sprintf(to, "%.*s%d%s", (int)(at - line), line, FIRST + i, at + 4);
    store_free(&s);
    s = load(many);
    ck_assert_msg(n_warnings == 0, "%s", warnings);
    ck_assert_uint_eq(s.n, N);
    ck_assert_int_eq(store_apply(&s, &d), OK);
    shape[0] = FIRST + N - 1;
    ck_assert_ptr_eq(configuration_serving(&d, "gemm", shape), t);
    ck_assert_mem_eq(configuration_for(&d, t, shape), t->configs[0], sizeof(int[CONFIG_VALUES]));
    ck_assert_int_eq(store_save(&s, info), OK);
    device_close(&d);
    store_free(&s);
    text_free(&all);
    free(many);
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
    tcase_add_test(tc, a_new_line_wins);
    tcase_add_test(tc, written_and_read);
    tcase_add_test(tc, shipped_lines_are_choices);
    tcase_add_test(tc, no_place);
    tcase_add_test(tc, nearest_rows_serve);
    tcase_add_test(tc, candidates_as_text);
    tcase_add_test(tc, devices_have_their_own);
    tcase_add_test(tc, many_shapes);
    tcase_add_test(tc, no_tunables);
    suite_add_tcase(s, tc);
    return s;
}
