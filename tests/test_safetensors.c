/* Safetensors files. A file that the safetensors package wrote is read. Malformed files are
 * refused, and the message says where. */
#include "suites.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "files/safetensors.h"
#include "scratch.h"

#define DATA DITCL_SOURCE_DIR "/tests/data/files/"

/* Element i of every array that the oracle script wrote. */
static float ramp(size_t i)
{
    return ((float)i - 3.0f) * 0.75f;
}

static size_t put_length(unsigned char *out, uint64_t length)
{
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)(length >> 8 * i);
    return 8;
}

/* Writes a file of this header and n_data zero bytes. Returns its path. */
static const char *write_tensors(const char *header, size_t n_header, size_t n_data)
{
    unsigned char *bytes = calloc(8 + n_header + n_data, 1);
    ck_assert_ptr_nonnull(bytes);
    put_length(bytes, n_header);
    memcpy(bytes + 8, header, n_header);
    const char *path = scratch_write("a.safetensors", bytes, 8 + n_header + n_data);
    free(bytes);
    return path;
}

static void refuse_tensors(const char *path, const char *part)
{
    tensor_file file;
    fail_clear();
    status st = safetensors_open(&file, path);
    ck_assert_msg(st == ERR_FORMAT || st == ERR_FILE, "accepted; expected \"%s\"", part);
    scratch_expect_message(path, part);
    ck_assert_ptr_null(file.tensors);
    ck_assert_ptr_null(file.maps);
    tensor_file_close(&file);
}

START_TEST(tensors_good)
{
    static const struct {
        const char *name, *type_name, *shape;
        dtype type;
        size_t count;
    } expected[] = {
        {"bf16", "BF16", "[3,3]", DTYPE_BF16, 9},   {"empty", "F32", "[0,7]", DTYPE_F32, 0},
        {"f16", "F16", "[5]", DTYPE_F16, 5},        {"f32", "F32", "[2,3,4]", DTYPE_F32, 24},
        {"integers", "I64", "[6]", DTYPE_OTHER, 6}, {"scalar", "F32", "[]", DTYPE_F32, 1},
        {"truths", "BOOL", "[3]", DTYPE_OTHER, 3}};
    tensor_file file;
    ck_assert_int_eq(safetensors_open(&file, DATA "good.safetensors"), OK);
    ck_assert_uint_eq(file.n_tensors, 7);
    for (size_t i = 0; i < 7; i++) {
        const tensor *t = &file.tensors[i];
        char shape[40];
        text_shape(shape, sizeof shape, t->dims, t->n_dims);
        ck_assert_str_eq(t->name, expected[i].name);
        ck_assert_str_eq(t->type_name, expected[i].type_name);
        ck_assert_str_eq(shape, expected[i].shape);
        ck_assert_int_eq(t->type, expected[i].type);
        ck_assert_uint_eq(t->count, expected[i].count);
        ck_assert_ptr_eq(tensor_find(&file, expected[i].name), t);
        for (size_t k = 0; k < t->count && t->type != DTYPE_OTHER; k++) {
            float value = 99;
            tensor_to_float(&value, t, k, 1);
            ck_assert_float_eq(value, ramp(k));
        }
    }
    float middle[5];
    tensor_to_float(middle, tensor_find(&file, "f32"), 7, 5);
    for (size_t k = 0; k < 5; k++) ck_assert_float_eq(middle[k], ramp(7 + k));
    ck_assert_ptr_null(tensor_find(&file, "f3"));
    ck_assert_ptr_null(tensor_find(&file, "zz"));
    ck_assert_ptr_null(tensor_find(&file, "__metadata__"));
    tensor_file_close(&file);
    tensor_file_close(&file);
}
END_TEST

/* Valid files that a parser might refuse by mistake. */
static const struct {
    const char *header;
    size_t n_data, n_tensors;
} odd_tensors[] = {
    {"{}", 0, 0},
    {"{}      ", 0, 0},
    {"{\"__metadata__\":{}}", 0, 0},
    {"{\"__metadata__\":{\"a\":\"\",\"b\":\"{}\"}}  ", 0, 0},
    {"{\"\\u00e4 b\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}", 4, 1},
    /* odd header length: the values are unaligned */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     9, 2},
    /* empty tensors at the start, in the middle and at the end */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"c\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[4,4]},"
     "\"d\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[4,8]},"
     "\"e\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807,9],\"data_offsets\":[8,8]}}",
     8, 5},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, 1},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]},"
     "\"b\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[1,4]},"
     "\"c\":{\"dtype\":\"F8_E4M3FNUZ\",\"shape\":[3],\"data_offsets\":[4,7]}}",
     7, 3},
};

START_TEST(tensors_odd)
{
    tensor_file file;
    const char *header = odd_tensors[_i].header;
    status st =
        safetensors_open(&file, write_tensors(header, strlen(header), odd_tensors[_i].n_data));
    ck_assert_msg(st == OK, "%s: %s", header, fail_line());
    ck_assert_uint_eq(file.n_tensors, odd_tensors[_i].n_tensors);
    for (size_t i = 0; i < file.n_tensors; i++) {
        const tensor *t = &file.tensors[i];
        for (size_t k = 0; k < t->count && t->type != DTYPE_OTHER; k++) {
            float value = 99;
            tensor_to_float(&value, t, k, 1);
            ck_assert_float_eq(value, 0.0f);
        }
    }
    tensor_file_close(&file);
}
END_TEST

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define PAIR(a, b)                                                                                 \
    "{\"v\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" a "},"                              \
    "\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" b "}}"

static const struct {
    const char *header;
    size_t n_data;
    const char *message;
} bad_tensors[] = {
    /* not JSON, or not this JSON */
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "does not begin with '{'"},
    {"{]", 0, "header, byte"},
    {"{} x", 0, "header, byte"},
    {"{}{}", 0, "header, byte"},
    {"{\"w\":}", 0, "header, byte"},
    {"{\"\xff\":1}", 0, "header, byte"},
    {"{\"w\\u0000x\":1}", 0, "NUL"},
    {"{\"w\\ud800\":1}", 0, "header, byte"},
    {"{\"w\":NaN}", 0, "header, byte"},
    /* metadata */
    {"{\"__metadata__\":[]}", 0, "__metadata__ is an array, expected an object"},
    {"{\"__metadata__\":null}", 0, "__metadata__ is null"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\" is an integer, expected a string"},
    {"{\"__metadata__\":{\"k\":{\"l\":\"m\"}}}", 0, "\"k\" is an object"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate"},
    /* entries */
    {"{\"w\":1}", 0, "tensor w is an integer, expected an object"},
    {"{\"w\":null}", 0, "tensor w is null"},
    {"{\"w\":[]}", 0, "tensor w is an array"},
    {"{\"w\":{}}", 0, "tensor w has no \"dtype\""},
    {"{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor w has no \"shape\""},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor w has no \"data_offsets\""},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "key \"x\""},
    {"{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "duplicate"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
     2, "duplicate"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"\\u0077\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
     2, "duplicate"},
    /* dtype */
    {ENTRY("1", "[1]", "[0,4]"), 4, "dtype is an integer, expected a string"},
    {ENTRY("\"f32\"", "[1]", "[0,4]"), 4, "tensor w: dtype is \"f32\""},
    {ENTRY("\"F128\"", "[1]", "[0,16]"), 16, "dtype is \"F128\""},
    {ENTRY("\"\"", "[1]", "[0,4]"), 4, "dtype is \"\""},
    {ENTRY("\"F4\"", "[3]", "[0,2]"), 2, "12 bits, expected whole bytes"},
    /* shape */
    {ENTRY("\"F32\"", "1", "[0,4]"), 4, "shape is an integer, expected an array"},
    {ENTRY("\"F32\"", "{}", "[0,4]"), 4, "shape is an object"},
    {ENTRY("\"F32\"", "[\"1\"]", "[0,4]"), 4, "shape holds a string"},
    {ENTRY("\"F32\"", "[1.0]", "[0,4]"), 4, "shape holds a fraction"},
    {ENTRY("\"F32\"", "[1e0]", "[0,4]"), 4, "shape holds a fraction"},
    {ENTRY("\"F32\"", "[true]", "[0,4]"), 4, "shape holds true or false"},
    {ENTRY("\"F32\"", "[-1]", "[0,4]"), 4, "shape holds -1"},
    {ENTRY("\"F32\"", "[[1]]", "[0,4]"), 4, "shape holds an array"},
    {ENTRY("\"F32\"", "[01]", "[0,4]"), 4, "header, byte"},
    {ENTRY("\"F32\"", "[18446744073709551617]", "[0,4]"), 4, "too big integer"},
    {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 dimensions, expected at most 8"},
    {ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "more than memory can address"},
    {ENTRY("\"F32\"", "[4611686018427387904,4]", "[0,0]"), 0, "more than memory can address"},
    {ENTRY("\"F32\"", "[1152921504606846976]", "[0,0]"), 0, "more than memory can address"},
    {ENTRY("\"F32\"", "[2305843009213693953,8,1]", "[0,32]"), 32, "more than memory can address"},
    /* offsets */
    {ENTRY("\"F32\"", "[1]", "4"), 4, "data_offsets is an integer"},
    {ENTRY("\"F32\"", "[1]", "[4]"), 4, "data_offsets is an array of 1"},
    {ENTRY("\"F32\"", "[1]", "[0,4,8]"), 8, "data_offsets is an array of 3"},
    {ENTRY("\"F32\"", "[1]", "[0,\"4\"]"), 4, "data_offsets holds a string"},
    {ENTRY("\"F32\"", "[1]", "[0,4.0]"), 4, "data_offsets holds a fraction"},
    {ENTRY("\"F32\"", "[1]", "[-4,0]"), 4, "data_offsets holds -4"},
    {ENTRY("\"F32\"", "[1]", "[4,0]"), 4, "[4,0] run backwards"},
    {ENTRY("\"F32\"", "[1]", "[0,4]"), 3, "[0,4] exceed the file, expected at most 3"},
    {ENTRY("\"F32\"", "[1]", "[9223372036854775803,9223372036854775807]"), 4, "exceed the file"},
    {ENTRY("\"F32\"", "[2]", "[0,4]"), 4, "expected 8 for F32 [2]"},
    {ENTRY("\"F16\"", "[1]", "[0,4]"), 4, "expected 2 for F16 [1]"},
    {ENTRY("\"F32\"", "[0]", "[0,4]"), 4, "expected 0 for F32 [0]"},
    {ENTRY("\"F32\"", "[]", "[0,0]"), 0, "expected 4 for F32 []"},
    /* tiling */
    {PAIR("[0,4]", "[0,4]"), 4, "tensor w begins at byte 0, inside v"},
    {PAIR("[0,4]", "[3,7]"), 7, "tensor w begins at byte 3, inside v"},
    {PAIR("[3,7]", "[0,4]"), 7, "tensor v begins at byte 3, inside w"},
    {PAIR("[0,4]", "[5,9]"), 9, "tensor w begins at byte 5"},
    {PAIR("[1,5]", "[5,9]"), 9, "tensor v begins at byte 1"},
    {PAIR("[0,4]", "[4,8]"), 9, "1 bytes are left over"},
    {"{}", 1, "1 bytes are left over"},
    {"{\"v\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
     "\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
     4, "tensor w begins"},
};

START_TEST(tensors_bad)
{
    const char *header = bad_tensors[_i].header;
    const char *path = write_tensors(header, strlen(header), bad_tensors[_i].n_data);
    refuse_tensors(path, bad_tensors[_i].message);
}
END_TEST

START_TEST(tensors_nul_bytes)
{
    refuse_tensors(write_tensors("{}\0\0", 4, 0), "header, byte");
    refuse_tensors(write_tensors("{\"a\0b\":1}", 9, 0), "header, byte");
}
END_TEST

/* Wrong header lengths. The third and fourth file are sparse. */
START_TEST(tensors_length)
{
    static const struct {
        uint64_t length;
        off_t size;
        const char *message;
    } files[] = {{0, 0, "is 0 bytes long"},
                 {2, 7, "is 7 bytes long"},
                 {100000001, 100000100, "100000001, expected at most 100000000"},
                 {100000000, 100000100, "does not begin with '{'"},
                 {UINT64_MAX, 64, "18446744073709551615, expected at most"},
                 {UINT64_MAX - 7, 64, "expected at most 100000000"},
                 {(uint64_t)1 << 63, 64, "expected at most 100000000"},
                 {57, 64, "57, expected at most 56"},
                 {56, 64, "does not begin with '{'"},
                 {0, 8, "does not begin with '{'"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        unsigned char bytes[8];
        put_length(bytes, files[i].length);
        const char *path = scratch_write("a.safetensors", bytes, 8);
        ck_assert_int_eq(truncate(path, files[i].size), 0);
        refuse_tensors(path, files[i].message);
    }
    const char *pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    refuse_tensors(scratch_write("a.safetensors", pointer, strlen(pointer)), "header length is");
    ck_assert_ptr_nonnull(strstr(fail_hint_line(), "git-lfs"));
}
END_TEST

START_TEST(tensors_no_file)
{
    refuse_tensors(scratch_path("none"), "No such file");
    refuse_tensors(scratch_folder(), "is a folder");
    const char *pipe_name = scratch_path("pipe");
    ck_assert_int_eq(mkfifo(pipe_name, 0600), 0);
    refuse_tensors(pipe_name, "is a device or pipe");
}
END_TEST

/* Every shorter file and a longer one are refused. No changed byte of the header crashes the
 * program. */
START_TEST(tensors_cut_and_changed)
{
    size_t size;
    tensor_file file;
    unsigned char *bytes = scratch_read(DATA "good.safetensors", &size);
    for (size_t n = 0; n < size; n++) {
        fail_clear();
        const char *path = scratch_write("a.safetensors", bytes, n);
        ck_assert_msg(safetensors_open(&file, path) == ERR_FORMAT, "%zu of %zu bytes", n, size);
        scratch_expect_message(path, "");
    }
    bytes[size] = 0;
    refuse_tensors(scratch_write("a.safetensors", bytes, size + 1), "1 bytes are left over");
    static const unsigned char changes[] = {0, '"', '}', '[', '9', '-', 0x80};
    for (size_t n = 0; n < size; n++)
        for (size_t c = 0; c < sizeof changes; c++) {
            unsigned char before = bytes[n];
            bytes[n] = changes[c];
            if (safetensors_open(&file, scratch_write("a.safetensors", bytes, size)) == OK)
                for (size_t i = 0; i < file.n_tensors; i++) {
                    float value;
                    const tensor *t = &file.tensors[i];
                    if (t->count && t->type != DTYPE_OTHER)
                        tensor_to_float(&value, t, t->count - 1, 1);
                }
            tensor_file_close(&file);
            bytes[n] = before;
        }
    free(bytes);
}
END_TEST

/* A deeply nested header, and one with many tensors in the worst order, take little time. */
START_TEST(tensors_hostile_size)
{
    enum { DEEP = 1000000, MANY = 60000 };
    char *deep = malloc(DEEP + 6);
    ck_assert_ptr_nonnull(deep);
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', DEEP);
    refuse_tensors(write_tensors(deep, DEEP + 5, 0), "maximum parsing depth");
    free(deep);

    text header = {0};
    double start = clock_seconds();
    for (int i = MANY - 1; i >= 0; i--)
        ck_assert_int_eq(text_append(&header,
                                     "%s\"aaaaaaaaaaaaaaaa%d\":{\"dtype\":\"U8\",\"shape\":[1],"
                                     "\"data_offsets\":[%d,%d]}",
                                     header.length ? "," : "{", i, i, i + 1),
                         OK);
    ck_assert_int_eq(text_append(&header, "}"), OK);
    tensor_file file;
    const char *path = write_tensors(header.data, header.length, MANY);
    ck_assert_int_eq(safetensors_open(&file, path), OK);
    ck_assert_uint_eq(file.n_tensors, MANY);
    ck_assert_ptr_nonnull(tensor_find(&file, "aaaaaaaaaaaaaaaa4321"));
    tensor_file_close(&file);
    refuse_tensors(write_tensors(header.data, header.length, MANY + 1), "left over");
    ck_assert_double_lt(clock_seconds() - start, 30);
    text_free(&header);
}
END_TEST

/* Names in a file do not break the line of the message. A long name leaves room for the reason. */
START_TEST(tensors_hostile_names)
{
    char header[3000];
    refuse_tensors(write_tensors("{\"a\\nb\\u001b[2J\":1}", 19, 0), "tensor a?b?[2J is an integer");
    snprintf(header, sizeof header, "{\"%02000d\":1}", 0);
    refuse_tensors(write_tensors(header, strlen(header), 0), "is an integer, expected an object");
}
END_TEST

Suite *suite_safetensors(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tc = tcase_create("safetensors");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, tensors_good);
    tcase_add_loop_test(tc, tensors_odd, 0, sizeof odd_tensors / sizeof *odd_tensors);
    tcase_add_loop_test(tc, tensors_bad, 0, sizeof bad_tensors / sizeof *bad_tensors);
    tcase_add_test(tc, tensors_nul_bytes);
    tcase_add_test(tc, tensors_length);
    tcase_add_test(tc, tensors_no_file);
    tcase_add_test(tc, tensors_cut_and_changed);
    tcase_add_test(tc, tensors_hostile_size);
    tcase_add_test(tc, tensors_hostile_names);
    suite_add_tcase(suite, tc);
    return suite;
}
