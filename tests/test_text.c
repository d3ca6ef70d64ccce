/* host/base: numbers and names of a command line, messages of failures, files that appear whole or
 * not at all, 16-bit floats, sizes that must not overflow, threads, reports without private names.
 */
#include "suites.h"

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fp16.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/privacy.h"
#include "base/text.h"
#include "device/features.h"
#include "scratch.h"

/* ---- text ---- */

START_TEST(parse_int)
{
    static const struct {
        const char *s;
        bool good, good_unsigned;
        int64_t value;
    } numbers[] = {{"0", true, true, 0},
                   {"-0", true, false, 0},
                   {"42", true, true, 42},
                   {"007", true, true, 7},
                   {"-42", true, false, -42},
                   {"9223372036854775807", true, true, INT64_MAX},
                   {"-9223372036854775808", true, false, INT64_MIN},
                   {"-9223372036854775809", false, false, 0},
                   {"18446744073709551616", false, false, 0},
                   {"", false, false, 0},
                   {"-", false, false, 0},
                   {"+1", false, false, 0},
                   {" 1", false, false, 0},
                   {"1 ", false, false, 0},
                   {"--1", false, false, 0},
                   {"1x", false, false, 0},
                   {"0x10", false, false, 0},
                   {"1.0", false, false, 0},
                   {"1e3", false, false, 0},
                   {"- 1", false, false, 0},
                   {"\xd9\xa1", false, false, 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int64_t value = 0;
        uint64_t natural = 0;
        ck_assert_msg(text_to_int(numbers[i].s, &value) == numbers[i].good, "\"%s\"", numbers[i].s);
        ck_assert_msg(text_to_uint(numbers[i].s, &natural) == numbers[i].good_unsigned, "\"%s\"",
                      numbers[i].s);
        if (numbers[i].good) ck_assert_int_eq(value, numbers[i].value);
        if (numbers[i].good_unsigned) ck_assert_uint_eq(natural, (uint64_t)numbers[i].value);
    }
    int64_t value;
    uint64_t natural;
    ck_assert(!text_to_int("9223372036854775808", &value));
    ck_assert(text_to_uint("18446744073709551615", &natural) && natural == UINT64_MAX);
}
END_TEST

START_TEST(parse_double)
{
    static const struct {
        const char *s;
        double value;
    } good[] = {{"0", 0},  {"1.5", 1.5},  {"-2", -2},      {"+2", 2},   {".5", 0.5},
                {"5.", 5}, {"1e3", 1000}, {"1E-3", 0.001}, {"-0.0", 0}, {"1e308", 1e308}};
    static const char *const bad[] = {
        "",    " ",  " 1",    "1 ",  "1x",    "x", "inf", "-inf", "nan",   "0x10", "1e",
        "1e+", "e5", "1e999", "--1", "1.2.3", ".", "-",   "1,5",  "0x1p3", "1d5",  "infinity"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(text_to_double(good[i].s, &value), "\"%s\"", good[i].s);
        ck_assert_double_eq(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!text_to_double(bad[i], &value), "\"%s\"", bad[i]);
}
END_TEST

START_TEST(compare_names)
{
    ck_assert(text_equal_nocase("PoCL", "pocl"));
    ck_assert(!text_equal_nocase("pocl", "poc"));
    ck_assert(text_prefix_nocase("Golden Retriever", "golden"));
    ck_assert(!text_prefix_nocase("gold", "golden"));
    ck_assert(text_prefix_nocase("gold", ""));
    ck_assert(text_contains_nocase("Radeon RX 7900", "rx 79"));
    ck_assert(text_contains_nocase("abc", "C"));
    ck_assert(text_contains_nocase("", ""));
    ck_assert(!text_contains_nocase("abc", "abcd"));
    ck_assert(!text_contains_nocase("", "a"));
}
END_TEST

START_TEST(edit_distance)
{
    char longest[70];
    ck_assert_int_eq(text_distance("", ""), 0);
    ck_assert_int_eq(text_distance("", "abc"), 3);
    ck_assert_int_eq(text_distance("kitten", "sitting"), 3);
    ck_assert_int_eq(text_distance("sunday", "saturday"), 3);
    ck_assert_int_eq(text_distance("Flaw", "lawn"), 2);
    ck_assert_int_eq(text_distance("CAT", "cat"), 0);
    const char *const names[] = {"sample", "simple", "devices", "n", NULL};
    ck_assert_str_eq(text_nearest("smaple", names), "sample");
    ck_assert_str_eq(text_nearest("simpl", names), "simple");
    ck_assert_str_eq(text_nearest("device", names), "devices");
    ck_assert(text_nearest("m", names) == NULL);
    ck_assert(text_nearest("nothing-like-this", names) == NULL);
    ck_assert(text_nearest("", names) == NULL);
    memset(longest, 'a', sizeof longest);
    longest[65] = 0;
    ck_assert_int_ge(text_distance(longest, "a"), 64);
    ck_assert_int_ge(text_distance("a", longest), 64);
    longest[64] = 0;
    ck_assert_int_eq(text_distance(longest, longest), 0);
}
END_TEST

START_TEST(growing_text)
{
    text t = {0};
    for (int i = 0; i < 1000; i++) ck_assert_int_eq(text_append(&t, "%d,", i), OK);
    ck_assert_uint_eq(t.length, 10 * 2 + 90 * 3 + 900 * 4);
    ck_assert_uint_eq(strlen(t.data), t.length);
    ck_assert_mem_eq(t.data, "0,1,2,", 6);
    ck_assert_str_eq(t.data + t.length - 8, "998,999,");
    text_free(&t);
    text_free(&t);
    ck_assert_int_eq(text_append(&t, "%s", ""), OK);
    ck_assert_str_eq(t.data, "");
    text_free(&t);

    char small[4];
    text_copy(small, sizeof small, "abcdef");
    ck_assert_str_eq(small, "abc");
}
END_TEST

/* ---- status ---- */

START_TEST(shapes_are_cut_where_they_do_not_fit)
{
    const size_t dims[] = {1234, 5678, 9};
    char out[8];
    text_shape(out, sizeof out, dims, 3);
    ck_assert_str_eq(out, "[1234,5");
    text_shape(out, sizeof out, dims, 0);
    ck_assert_str_eq(out, "[]");
    text_shape(out, 1, dims, 3);
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(failure_line)
{
    char longest[3000];
    fail_clear();
    ck_assert_str_eq(fail_line(), "");
    ck_assert_int_eq(fail(ERR_FORMAT, "%s: is %d", "a\nb\x1b[31m\x7f", 5), ERR_FORMAT);
    ck_assert_str_eq(fail_line(), "a?b?[31m?: is 5");
    fail_hint("try\t%s", "that");
    ck_assert_str_eq(fail_hint_line(), "try?that");
    ck_assert_int_eq(fail_in(ERR_FILE, "loading %s", "x"), ERR_FILE);
    ck_assert_str_eq(fail_line(), "loading x: a?b?[31m?: is 5");
    fail(ERR_FILE, "next");
    ck_assert_str_eq(fail_hint_line(), "");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    fail(ERR_FILE, "%s", longest);
    ck_assert_uint_eq(strlen(fail_line()), 999);
    fail_in(ERR_FILE, "front");
    ck_assert_uint_le(strlen(fail_line()), 999);
    ck_assert_mem_eq(fail_line(), "front: xxx", 10);
    fail(ERR_FILE, "reason");
    fail_in(ERR_FILE, "%s", longest);
    ck_assert_uint_le(strlen(fail_line()), 999);
    fail_clear();
    ck_assert_str_eq(fail_line(), "");
}
END_TEST

/* ---- memory ---- */

START_TEST(sizes)
{
    size_t out = 7;
    ck_assert(size_mul(0, SIZE_MAX, &out) && out == 0);
    ck_assert(size_mul(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    ck_assert(!size_mul(SIZE_MAX / 2 + 1, 2, &out));
    ck_assert(size_mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    ck_assert(size_add(SIZE_MAX, 0, &out) && out == SIZE_MAX);
    ck_assert(!size_add(SIZE_MAX, 1, &out));
    unsigned char *p;
    ck_assert_int_eq(memory_alloc(&p, SIZE_MAX / 2 + 1, 2), ERR_MEMORY);
    ck_assert_ptr_null(p);
    ck_assert_int_eq(memory_alloc(&p, 0, 8), OK);
    ck_assert_ptr_nonnull(p);
    free(p);
    ck_assert_int_eq(memory_alloc(&p, 100, 3), OK);
    for (int i = 0; i < 300; i++) ck_assert_int_eq(p[i], 0);
    free(p);
    int *items = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(memory_grow(&items, &capacity, (size_t)i + 1, sizeof *items), OK);
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++) ck_assert_int_eq(items[i], i);
    ck_assert_int_eq(memory_grow(&items, &capacity, SIZE_MAX, sizeof *items), ERR_MEMORY);
    ck_assert_int_eq(items[999], 999);
    free(items);
}
END_TEST

/* ---- fp16 ---- */

/* All 65536 numbers: (-1)^s 2^(e-15) (1 + m/1024), or 2^-14 (m/1024) if e is 0, in double
 * precision. */
START_TEST(fp16_to_float_is_exact)
{
    for (unsigned h = 0; h < 65536; h++) {
        int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
        float value = fp16_to_float((uint16_t)h);
        ck_assert_int_eq(!!signbit(value), (int)(h >> 15));
        if (exponent == 31) {
            ck_assert(mantissa ? isnan(value) : isinf(value));
            ck_assert(!float_is_finite(value));
            continue;
        }
        double size = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
        ck_assert_msg(fabs((double)value) == size, "0x%04x is %g, expected %g", h, (double)value,
                      size);
        ck_assert(float_is_finite(value));
    }
}
END_TEST

/* Every fp16 number is unchanged. A number between two rounds to the nearer, in the middle to even.
 */
START_TEST(rounding_to_fp16)
{
    for (unsigned h = 0; h < 0x7c00; h++) {
        float low = fp16_to_float((uint16_t)h);
        float high = h + 1 < 0x7c00 ? fp16_to_float((uint16_t)(h + 1)) : 65536.0f;
        float middle = low + (high - low) / 2; /* an fp16 number */
        ck_assert_uint_eq(float_to_fp16(low), h);
        ck_assert_uint_eq(float_to_fp16(-low), h | 0x8000u);
        ck_assert_uint_eq(float_to_fp16(middle), h + (h & 1));
        ck_assert_uint_eq(float_to_fp16(nextafterf(middle, 0.0f)), h);
        ck_assert_uint_eq(float_to_fp16(nextafterf(middle, INFINITY)), h + 1);
    }
    ck_assert_uint_eq(float_to_fp16(INFINITY), 0x7c00);
    ck_assert_uint_eq(float_to_fp16(-1e30f), 0xfc00);
    ck_assert(isnan(fp16_to_float(float_to_fp16(NAN))));
    ck_assert_uint_eq(float_to_fp16_finite(1e30f), 0x7bff);
    ck_assert_uint_eq(float_to_fp16_finite(-INFINITY), 0xfbff);
    ck_assert_uint_eq(float_to_fp16_finite(0.5f), 0x3800);
    ck_assert(isnan(fp16_to_float(float_to_fp16_finite(NAN))));
}
END_TEST

START_TEST(bfloats)
{
    for (unsigned b = 0; b < 65536; b++) {
        int exponent = (int)(b >> 7 & 255), mantissa = (int)(b & 127);
        float value = bf16_to_float((uint16_t)b);
        ck_assert_int_eq(!!signbit(value), (int)(b >> 15));
        if (exponent == 255) {
            ck_assert(mantissa ? isnan(value) : isinf(value));
            continue;
        }
        double size = exponent ? ldexp(128 + mantissa, exponent - 134) : ldexp(mantissa, -133);
        ck_assert_msg(fabs((double)value) == size, "0x%04x is %g, expected %g", b, (double)value,
                      size);
    }
}
END_TEST

/* ---- files ---- */

static void expect_content(const char *name, const char *content)
{
    char *found;
    ck_assert_int_eq(file_read_text(&found, scratch_path(name), 100), OK);
    ck_assert_str_eq(found, content);
    free(found);
}

START_TEST(write_whole)
{
    file_out outs[2];
    scratch_write("a", "old", 3);
    ck_assert_int_eq(file_out_open(&outs[0], scratch_path("a")), OK);
    ck_assert_int_eq(file_out_open(&outs[1], scratch_path("b")), OK);
    fputs("new a", outs[0].stream);
    fputs("new b", outs[1].stream);
    expect_content("a", "old");
    ck_assert_int_eq(file_out_finish(&outs[0]), OK);
    ck_assert_int_eq(file_out_finish(&outs[1]), OK);
    expect_content("a", "old");
    ck_assert(!file_exists(scratch_path("b")));
    ck_assert_int_eq(scratch_count(), 2); /* file a and the hidden folder */
    ck_assert_int_eq(file_out_commit(outs, 2), OK);
    for (int i = 0; i < 2; i++) file_out_discard(&outs[i]);
    expect_content("a", "new a");
    expect_content("b", "new b");
    ck_assert_int_eq(scratch_count(), 2);
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    ck_assert_int_eq(stat(scratch_path("b"), &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0666 & ~mask);
}
END_TEST

START_TEST(write_discarded)
{
    file_out out;
    scratch_write("a", "old", 3);
    for (int finish = 0; finish < 2; finish++) {
        ck_assert_int_eq(file_out_open(&out, scratch_path("a")), OK);
        fputs("half of it", out.stream);
        if (finish) ck_assert_int_eq(file_out_finish(&out), OK);
        file_out_discard(&out);
        file_out_discard(&out);
        expect_content("a", "old");
        ck_assert_int_eq(scratch_count(), 1);
    }
    out = (file_out){0};
    file_out_discard(&out);
}
END_TEST

START_TEST(write_refused)
{
    char name[400];
    static const struct {
        const char *name, *message;
    } bad[] = {
        {"none/a", "none: No such file"}, {"file/a", "cannot write"}, {"", "is a folder"},
        {"new/", "cannot write"},         {"folder", "is a folder"},  {"folder/", "is a folder"},
        {"pipe", "is a device or pipe"}};
    scratch_write("file", "x", 1);
    ck_assert_int_eq(mkdir(scratch_path("folder"), 0700), 0);
    ck_assert_int_eq(mkfifo(scratch_path("pipe"), 0600), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file_out out;
        const char *path = scratch_path(bad[i].name);
        fail_clear();
        ck_assert_msg(file_out_check(path) == ERR_FILE, "\"%s\" is accepted", bad[i].name);
        scratch_expect_message(path, bad[i].message);
        ck_assert_int_eq(file_out_open(&out, path), ERR_FILE);
        ck_assert_ptr_null(out.stream);
        ck_assert_ptr_null(out.path);
    }
    ck_assert_int_eq(file_out_check(""), ERR_FILE);
    ck_assert_int_eq(file_out_check("/dev/null"), ERR_FILE);
    memset(name, 'n', sizeof name);
    name[300] = 0;
    ck_assert_int_eq(file_out_check(scratch_path(name)), ERR_LIMIT);
    ck_assert_int_eq(file_out_check(scratch_path("new")), OK);
    if (geteuid() != 0) { /* root may write anywhere */
        chmod(scratch_path("folder"), 0500);
        ck_assert_int_eq(file_out_check(scratch_path("folder/a")), ERR_FILE);
        chmod(scratch_path("folder"), 0700);
    }
    ck_assert_int_eq(scratch_count(), 3);
}
END_TEST

/* A signal during writing removes the temporary file and keeps the old file. The exit code is 128 +
 * signal. */
START_TEST(write_interrupted)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        scratch_write("a", "old", 3);
        fflush(NULL);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            file_out out;
            signal(signals[i], SIG_DFL);
            if (!freopen("/dev/null", "w", stderr)) _exit(1);
            file_guard_signals();
            if (file_out_open(&out, scratch_path("a")) != OK) _exit(1);
            fputs("half of it", out.stream);
            if (scratch_count() != 2) _exit(2);
            raise(signals[i]);
            _exit(3);
        }
        int how;
        ck_assert_int_eq(waitpid(child, &how, 0), child);
        ck_assert(WIFEXITED(how));
        ck_assert_int_eq(WEXITSTATUS(how), 128 + signals[i]);
        expect_content("a", "old");
        ck_assert_int_eq(scratch_count(), 1);
    }
}
END_TEST

/* A mapped file that is truncated gives one line of message and exit code 1. The temporary file is
 * removed. */
START_TEST(read_cut_short)
{
    char page[8192] = "whole", *said;
    size_t n;
    int how;
    scratch_write("in", page, sizeof page);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        file_map map;
        file_out out;
        file_guard_signals();
        if (!freopen(scratch_path("said"), "w", stderr)) _exit(2);
        if (file_out_open(&out, scratch_path("a")) != OK) _exit(3);
        if (file_map_open(&map, scratch_path("in")) != OK || *map.data != 'w') _exit(4);
        if (truncate(scratch_path("in"), 0) != 0) _exit(5);
        volatile unsigned char first = map.data[0];
        _exit(first ? 6 : 7);
    }
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how));
    ck_assert_int_eq(WEXITSTATUS(how), 1);
    ck_assert_int_eq(scratch_count(), 2);
    said = (char *)scratch_read(scratch_path("said"), &n);
    said[n] = 0;
    ck_assert_msg(strstr(said, "became shorter") != NULL, "%s", said);
    free(said);
}
END_TEST

START_TEST(reading)
{
    file_map map;
    char *content = NULL, joined[8];
    scratch_write("empty", "", 0);
    ck_assert_int_eq(file_map_open(&map, scratch_path("empty")), OK);
    ck_assert_uint_eq(map.size, 0);
    file_map_close(&map);
    file_map_close(&map);
    ck_assert_int_eq(file_read_text(&content, scratch_path("empty"), 0), OK);
    ck_assert_str_eq(content, "");
    free(content);
    scratch_write("nul", "a\0b", 3);
    ck_assert_int_eq(file_read_text(&content, scratch_path("nul"), 100), ERR_FORMAT);
    ck_assert_ptr_null(content);
    ck_assert_int_eq(file_read_text(&content, scratch_path("nul"), 2), ERR_FORMAT);
    scratch_expect_message(scratch_path("nul"), "3 bytes, expected at most 2");
    ck_assert_int_eq(file_read_text(&content, scratch_path("none"), 2), ERR_FILE);
    scratch_expect_message(scratch_path("none"), "No such file");
    ck_assert(file_exists(scratch_folder()) && file_is_folder(scratch_folder()));
    ck_assert(file_exists(scratch_path("nul")) && !file_is_folder(scratch_path("nul")));
    ck_assert(!file_exists(scratch_path("none")));
    ck_assert_int_eq(file_join(joined, sizeof joined, "abc", "def"), OK);
    ck_assert_str_eq(joined, "abc/def");
    ck_assert_int_eq(file_join(joined, sizeof joined, "abc/", "def"), OK);
    ck_assert_str_eq(joined, "abc/def");
    ck_assert_int_eq(file_join(joined, sizeof joined, "abc", "defg"), ERR_LIMIT);
}
END_TEST

/* ---- threads ---- */

enum { ITEMS = 1000, FAILS_FROM = 700 };

typedef struct {
    int calls[ITEMS];
    int inside[PARALLEL_THREADS];
    bool fails, shared;
} shared_work;

static status count_call(void *context, size_t i, int thread)
{
    shared_work *w = context;
    w->calls[i]++;
    w->shared |= w->inside[thread]++ != 0;
    w->inside[thread]--;
    if (!w->fails || i < FAILS_FROM) return OK;
    fail(ERR_FORMAT, "item %zu", i);
    fail_hint("hint %zu", i);
    return ERR_FORMAT;
}

START_TEST(sharing_work)
{
    shared_work w = {0};
    ck_assert_int_ge(parallel_threads(), 1);
    ck_assert_int_le(parallel_threads(), PARALLEL_THREADS);
    ck_assert_int_eq(parallel_for(0, count_call, &w), OK);
    ck_assert_int_eq(parallel_for(ITEMS, count_call, &w), OK);
    for (int i = 0; i < ITEMS; i++) ck_assert_int_eq(w.calls[i], 1);
    ck_assert(!w.shared);
    for (int round = 0; round < 20;
         round++) { /* whichever thread fails first, the lowest number is reported */
        w = (shared_work){.fails = true};
        fail_clear();
        ck_assert_int_eq(parallel_for(ITEMS, count_call, &w), ERR_FORMAT);
        ck_assert_str_eq(fail_line(), "item 700");
        ck_assert_str_eq(fail_hint_line(), "hint 700");
        for (int i = 0; i <= FAILS_FROM; i++) ck_assert_int_eq(w.calls[i], 1);
        ck_assert_int_eq(w.calls[ITEMS - 1], 0); /* no further work is begun */
    }
}
END_TEST

START_TEST(versions)
{
    ck_assert_int_eq(opencl_version("OpenCL 1.2 pocl HSTR: pthread"), 102);
    ck_assert_int_eq(opencl_version("OpenCL 3.1 "), 301);
    ck_assert_int_eq(opencl_version("OpenCL C 2.0 "), 200);
    ck_assert_int_eq(opencl_version("OpenCL C 3.1"), 301);
    ck_assert_int_eq(opencl_version("OpenCL 4.0"), 400);
    ck_assert_int_eq(opencl_version("OpenCL 3.10"), 310);
    ck_assert_int_eq(opencl_version("OpenCL C"), 0);
    ck_assert_int_eq(opencl_version("OpenCL 3"), 0);
    ck_assert_int_eq(opencl_version("CUDA 12.9"), 0);
    ck_assert_int_eq(opencl_version("OpenCL -1.2"), 0);
    ck_assert_int_eq(opencl_version(""), 0);
}
END_TEST

START_TEST(forgetting_pages)
{
    enum { SIZE = 3 << 14 };
    unsigned char *bytes = malloc(SIZE);
    file_map map;
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < SIZE; i++) bytes[i] = (unsigned char)(i * 31 >> 4);
    scratch_write("a", bytes, SIZE);
    ck_assert_int_eq(file_map_open(&map, scratch_path("a")), OK);
    ck_assert_mem_eq(map.data, bytes, SIZE);
    file_map_forget(&map, map.data + 5000, 9000);
    file_map_forget(&map, map.data + SIZE - 1, 1);
    file_map_forget(&map, map.data + SIZE, 0);
    ck_assert_mem_eq(map.data, bytes, SIZE); /* the pages can be read again */
    file_map_close(&map);
    free(bytes);
}
END_TEST

/* ---- privacy ---- */

START_TEST(reports_name_nobody)
{
    static const struct {
        const char *words, *expected;
    } rows[] = {
        {"", ""},
        {"OpenCL 3.0 PoCL HSTR: x86_64-pc-linux-gnu", "OpenCL 3.0 PoCL HSTR: x86_64-pc-linux-gnu"},
        {"54 GFLOP/s, 770/730/710, cl/gemm.cl", "54 GFLOP/s, 770/730/710, cl/gemm.cl"},
        {"/etc/x/y.txt: no", "[path]: no"},
        {"<built by wanda@big-host>", "<built by [name]@[name]>"},
        {"wandas and awanda stay, (wanda) goes", "wandas and awanda stay, ([name]) goes"},
        {"-I/opt/inc \"/a/b\" ~/x ../y C:\\Users\\w", "[path] \"[path]\" [path] [path] C:[path]"},
        {"/tmp/pocl/tempfile_Ab.cl:3:5: error", "[path]/tempfile_Ab.cl:3:5: error"},
        {"/usr/lib/libx.so: /srv/wanda.cl", "[path]/libx.so: [path]"},
        {"in /home/wan da/src/k.cl;", "in [path]/k.cl;"},
        {"a\x1b[31m\xc2\x9b", "a?[31m?"},
    };
    setenv("USER", "wanda", 1);
    setenv("HOSTNAME", "big-host", 1);
    setenv("HOME", "/home/wan da", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text found = {0};
        ck_assert_int_eq(privacy_append(&found, rows[i].words), OK);
        ck_assert_str_eq(found.data, rows[i].expected);
        text_free(&found);
    }
}
END_TEST

Suite *suite_text(void)
{
    Suite *suite = suite_create("text");
    TCase *tc = tcase_create("base");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, parse_int);
    tcase_add_test(tc, parse_double);
    tcase_add_test(tc, compare_names);
    tcase_add_test(tc, edit_distance);
    tcase_add_test(tc, reports_name_nobody);
    tcase_add_test(tc, growing_text);
    tcase_add_test(tc, shapes_are_cut_where_they_do_not_fit);
    tcase_add_test(tc, failure_line);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, fp16_to_float_is_exact);
    tcase_add_test(tc, rounding_to_fp16);
    tcase_add_test(tc, bfloats);
    tcase_add_test(tc, write_whole);
    tcase_add_test(tc, write_discarded);
    tcase_add_test(tc, write_refused);
    tcase_add_test(tc, write_interrupted);
    tcase_add_test(tc, read_cut_short);
    tcase_add_test(tc, reading);
    tcase_add_test(tc, sharing_work);
    tcase_add_test(tc, versions);
    tcase_add_test(tc, forgetting_pages);
    suite_add_tcase(suite, tc);
    return suite;
}
