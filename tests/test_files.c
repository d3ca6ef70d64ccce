/* .npy files, PNG files and picture sheets. Files that numpy wrote are read, and malformed ones
 * refused. An independent decoder reads the pictures back. Floats are rounded to 8 bits as
 * diffusers and the original program round them. */
#include "suites.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#include <stb_image.h>

#include "base/fp16.h"
#include "files/npy.h"
#include "files/png.h"
#include "sample/grid.h"
#include "scratch.h"

#define DATA DITCL_SOURCE_DIR "/tests/data/files/"

/* Element i of every array that the oracle script wrote. */
static float ramp(size_t i)
{
    return ((float)i - 3.0f) * 0.75f;
}

/* ---- npy ---- */

static void expect_ramp(const char *path, int n_dims, const size_t *dims)
{
    npy array;
    size_t count = 1;
    ck_assert_msg(npy_read(&array, path) == OK, "%s", fail_line());
    ck_assert_int_eq(array.n_dims, n_dims);
    for (int i = 0; i < n_dims; i++) {
        ck_assert_uint_eq(array.dims[i], dims[i]);
        count *= dims[i];
    }
    ck_assert_uint_eq(array.count, count);
    ck_assert_ptr_nonnull(array.data);
    for (size_t i = 0; i < count; i++) ck_assert_float_eq(array.data[i], ramp(i));
    npy_free(&array);
    npy_free(&array);
}

static void refuse_npy(const char *path, const char *part)
{
    npy array;
    fail_clear();
    status st = npy_read(&array, path);
    ck_assert_msg(st == ERR_FORMAT || st == ERR_FILE, "accepted; expected \"%s\"", part);
    scratch_expect_message(path, part);
    ck_assert_ptr_null(array.data);
}

START_TEST(npy_good)
{
    static const size_t dims[] = {2, 3, 4};
    char path[200];
    for (int version = 1; version <= 3; version++)
        for (int width = 2; width <= 8; width *= 2) {
            snprintf(path, sizeof path, DATA "v%d_f%d.npy", version, width);
            expect_ramp(path, 3, dims);
        }
    expect_ramp(DATA "line.npy", 1, (size_t[]){5});
    expect_ramp(DATA "scalar.npy", 0, NULL);
    expect_ramp(DATA "empty.npy", 2, (size_t[]){0, 7});
}
END_TEST

START_TEST(npy_other_kinds)
{
    refuse_npy(DATA "fortran.npy", "Fortran order");
    refuse_npy(DATA "big_endian.npy", "'>f4'");
    refuse_npy(DATA "integers.npy", "'<i8'");
    refuse_npy(DATA "structure.npy", "descr is not a string");
    refuse_npy(DATA "good.safetensors", "is not a .npy file");
    refuse_npy(scratch_path("none.npy"), "No such file");
    refuse_npy(scratch_folder(), "is a folder");
}
END_TEST

/* Writes a version 1 file: this header, then n_data zero bytes. */
static const char *write_npy(const char *header, size_t n_data)
{
    size_t n = strlen(header);
    unsigned char *bytes = calloc(10 + n + n_data, 1);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    bytes[8] = (unsigned char)n;
    bytes[9] = (unsigned char)(n >> 8);
    memcpy(bytes + 10, header, n);
    const char *path = scratch_write("a.npy", bytes, 10 + n + n_data);
    free(bytes);
    return path;
}

#define NPY_HEAD "{'descr': '<f4', 'fortran_order': False, 'shape': "

static const struct {
    const char *header;
    size_t n_data;
    const char *message; /* null: the file is valid */
} npy_headers[] = {
    {NPY_HEAD "(2,), }   \n", 8, NULL},
    {NPY_HEAD "(2, 1)}", 8, NULL},
    {NPY_HEAD "(2, 1,)}", 8, NULL},
    {"{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":False}", 8, NULL},
    {NPY_HEAD "(1,1,1,1,1,1,1,2)}", 8, NULL},
    {"", 0, "not a dictionary"},
    {"{", 0, "not a dictionary"},
    {"{}", 0, "descr is missing"},
    {"[]", 0, "not a dictionary"},
    {"{'descr'}", 0, "not a dictionary"},
    {"{'descr: '<f4'}", 0, "not a dictionary"},
    {"{'descr': }", 0, "descr is not a string"},
    {"{'descr': '<f4}", 0, "descr is not a string"},
    {"{'descr': '<f4' 'fortran_order': False}", 0, "expected ',' or '}'"},
    {"{,}", 0, "not a dictionary"},
    {"{'descr': '<f4', 'shape': (2,)}", 8, "fortran_order is missing"},
    {"{'descr': '<f4', 'fortran_order': False}", 8, "shape is missing"},
    {NPY_HEAD "(2,), 'shape': (2,)}", 8, "shape occurs twice"},
    {NPY_HEAD "(2,), 'descr': '<f4'}", 8, "descr occurs twice"},
    {NPY_HEAD "(2,), 'extra': 1}", 8, "unknown key 'extra'"},
    {NPY_HEAD "(2,)} x", 8, "text follows"},
    {NPY_HEAD "(2,)", 8, "expected ',' or '}'"},
    {NPY_HEAD "2}", 8, "shape is not a tuple"},
    {NPY_HEAD "[2]}", 8, "shape is not a tuple"},
    {NPY_HEAD "(2)}", 8, "expected a tuple"},
    {NPY_HEAD "(2 1)}", 8, "not integers"},
    {NPY_HEAD "(,)}", 8, "not integers"},
    {NPY_HEAD "(-2,)}", 8, "not integers"},
    {NPY_HEAD "(2.0,)}", 8, "not integers"},
    {NPY_HEAD "(2L,)}", 8, "not integers"},
    {NPY_HEAD "(2,", 8, "not integers"},
    {NPY_HEAD "(1,1,1,1,1,1,1,1,1)}", 4, "more than 8 dimensions"},
    {NPY_HEAD "(18446744073709551616,)}", 8, "exceeds 64 bits"},
    {NPY_HEAD "(4294967296, 4294967296)}", 0, "more than memory can address"},
    {NPY_HEAD "(4611686018427387904,)}", 0, "more than memory can address"},
    {NPY_HEAD "(3,)}", 8, "has 8 bytes of values, expected 12 for 3 of 4 bytes"},
    {NPY_HEAD "(1,)}", 8, "has 8 bytes of values, expected 4"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", 8, "Fortran order"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", 8, "fortran_order is not False"},
    {"{'descr': '<f4xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'fortran_order': False}", 0,
     "values are '<f4xxx"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (8,)}", 8, "'|u1'"},
};

START_TEST(npy_header)
{
    const char *path = write_npy(npy_headers[_i].header, npy_headers[_i].n_data);
    if (npy_headers[_i].message) {
        refuse_npy(path, npy_headers[_i].message);
        return;
    }
    npy array;
    ck_assert_msg(npy_read(&array, path) == OK, "%s", fail_line());
    ck_assert_uint_eq(array.count, 2);
    npy_free(&array);
}
END_TEST

/* Refuses every shorter file, a longer one, a wrong version and a wrong header length. */
START_TEST(npy_cut_and_lying)
{
    static const char *const names[] = {DATA "v1_f4.npy", DATA "v2_f4.npy"};
    for (int k = 0; k < 2; k++) {
        size_t size;
        unsigned char *bytes = scratch_read(names[k], &size);
        for (size_t n = 0; n < size; n++) refuse_npy(scratch_write("a.npy", bytes, n), "");
        bytes[size] = 0;
        refuse_npy(scratch_write("a.npy", bytes, size + 1), "has 97 bytes of values, expected 96");
        bytes[6] = 4;
        refuse_npy(scratch_write("a.npy", bytes, size), "version is 4.0, expected 1.0 to 3.0");
        bytes[6] = 0;
        refuse_npy(scratch_write("a.npy", bytes, size), "version is 0.0");
        bytes[6] = (unsigned char)(k + 1);
        bytes[7] = 1;
        refuse_npy(scratch_write("a.npy", bytes, size), "1, expected 1.0 to 3.0");
        bytes[7] = 0;
        memset(bytes + 8, 0xff, k ? 4 : 2);
        refuse_npy(scratch_write("a.npy", bytes, size), k ? "length is 4294967295" : "is 65535");
        free(bytes);
    }
}
END_TEST

START_TEST(npy_not_finite)
{
    static const struct {
        uint64_t bits;
        int width;
        bool good;
    } values[] = {{0x7f800000, 4, false},
                  {0xff800000, 4, false},
                  {0x7fc00000, 4, false},
                  {0x7f7fffff, 4, true},
                  {0x7c00, 2, false},
                  {0x7e01, 2, false},
                  {0x7bff, 2, true},
                  {0x7ff0000000000000, 8, false},
                  {0x7ff8000000000000, 8, false},
                  {0x47efffffe0000000, 8, true},  /* the largest float32 */
                  {0x47efffffe0000001, 8, false}, /* and the next double */
                  {0x7fefffffffffffff, 8, false}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char header[100];
        unsigned char bytes[200] = "\x93NUMPY\1";
        size_t n = (size_t)snprintf(header, sizeof header,
                                    "{'descr': '<f%d', 'fortran_order': False, 'shape': (2,)}",
                                    values[i].width);
        bytes[8] = (unsigned char)n;
        memcpy(bytes + 10, header, n);
        size_t width = (size_t)values[i].width, end = 10 + n + width;
        for (size_t b = 0; b < width; b++) bytes[end++] = (unsigned char)(values[i].bits >> 8 * b);
        const char *path = scratch_write("a.npy", bytes, end);
        npy array;
        if (values[i].good) {
            ck_assert_msg(npy_read(&array, path) == OK, "%s", fail_line());
            npy_free(&array);
        } else {
            refuse_npy(path, "value 1 is ");
        }
    }
}
END_TEST

/* Written files equal those of numpy, byte for byte. */
START_TEST(npy_written)
{
    static const struct {
        const char *name;
        int n_dims;
        size_t dims[3], count;
    } arrays[] = {{DATA "v1_f4.npy", 3, {2, 3, 4}, 24},
                  {DATA "line.npy", 1, {5}, 5},
                  {DATA "scalar.npy", 0, {0}, 1},
                  {DATA "empty.npy", 2, {0, 7}, 0}};
    float values[24];
    for (size_t i = 0; i < 24; i++) values[i] = ramp(i);
    for (size_t k = 0; k < 4; k++) {
        file_out out;
        size_t size, expected_size;
        ck_assert_int_eq(file_out_open(&out, scratch_path("b.npy")), OK);
        ck_assert_int_eq(npy_write(&out, values, arrays[k].n_dims, arrays[k].dims), OK);
        ck_assert_int_eq(file_out_finish(&out), OK);
        ck_assert_int_eq(file_out_commit(&out, 1), OK);
        file_out_discard(&out);
        unsigned char *bytes = scratch_read(scratch_path("b.npy"), &size);
        unsigned char *expected = scratch_read(arrays[k].name, &expected_size);
        ck_assert_uint_eq(size, expected_size);
        ck_assert_mem_eq(bytes, expected, size);
        free(bytes);
        free(expected);
    }
}
END_TEST

static void add_npy(Suite *suite)
{
    TCase *tc = tcase_create("npy");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, npy_good);
    tcase_add_test(tc, npy_other_kinds);
    tcase_add_loop_test(tc, npy_header, 0, sizeof npy_headers / sizeof *npy_headers);
    tcase_add_test(tc, npy_cut_and_lying);
    tcase_add_test(tc, npy_not_finite);
    tcase_add_test(tc, npy_written);
    suite_add_tcase(suite, tc);
}

/* ---- pictures ---- */

/* The CRC as the PNG specification defines it, one bit at a time. */
static uint32_t crc_of(const unsigned char *p, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++) crc = crc & 1u ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Writes a picture into the scratch folder and returns the file's bytes. */
static unsigned char *write_png(size_t *size, const unsigned char *rgb, int width, int height,
                                const char *const *notes)
{
    file_out out;
    ck_assert_int_eq(file_out_open(&out, scratch_path("a.png")), OK);
    ck_assert_int_eq(png_write(&out, rgb, width, height, notes), OK);
    ck_assert_int_eq(file_out_finish(&out), OK);
    ck_assert_int_eq(file_out_commit(&out, 1), OK);
    file_out_discard(&out);
    return scratch_read(scratch_path("a.png"), size);
}

/* Flat, random and smooth pictures of odd sizes are read back unchanged. */
START_TEST(png_read_back)
{
    static const int sizes[][2] = {{1, 1}, {1, 300}, {257, 1}, {64, 64}, {123, 45}, {500, 400}};
    for (int k = 0; k < 6; k++)
        for (int kind = 0; kind < 3; kind++) {
            int width = sizes[k][0], height = sizes[k][1], w, h, channels;
            size_t n = 3 * (size_t)width * (size_t)height, size;
            unsigned char *rgb = malloc(n);
            uint32_t random = 12345;
            ck_assert_ptr_nonnull(rgb);
            for (size_t i = 0; i < n; i++) {
                random = random * 1664525u + 1013904223u;
                rgb[i] = (unsigned char)(kind == 0 ? 77 : kind == 1 ? random >> 24 : i / 7);
            }
            unsigned char *bytes = write_png(&size, rgb, width, height, NULL);
            unsigned char *again = stbi_load_from_memory(bytes, (int)size, &w, &h, &channels, 0);
            ck_assert_msg(again != NULL, "%s", stbi_failure_reason());
            ck_assert_int_eq(w, width);
            ck_assert_int_eq(h, height);
            ck_assert_int_eq(channels, 3);
            ck_assert_mem_eq(again, rgb, n);
            stbi_image_free(again);
            free(bytes);
            free(rgb);
        }
}
END_TEST

/* Checks the order of chunks, their checksums, and the notes between IHDR and IDAT. */
START_TEST(png_chunks)
{
    /* UTF-8; in the file, text outside Latin-1 is an iTXt chunk, which is UTF-8 */
    static const char *const notes[] = {
        "Software", "ditcl",
        "class",    "caf\xc3\xa9\n",
        "none",     "",
        "model",    "\xe6\xa8\xa1\xf0\x9f\x98\x80",
        "bad",      "a\xff\xe6\xa8|\xc0\x80\xed\xa0\x80\t\x7f\xc2\x85",
        NULL};
#define BAD "\xef\xbf\xbd" /* U+FFFD */
    static const struct {
        const char *name, *words;
        size_t head; /* between keyword and text */
    } chunks[] = {{"IHDR", NULL, 0},
                  {"tEXt", "ditcl", 1},
                  {"tEXt", "caf\xe9\n", 1},
                  {"tEXt", "", 1},
                  {"iTXt", "\xe6\xa8\xa1\xf0\x9f\x98\x80", 5},
                  {"iTXt", "a" BAD BAD BAD "|" BAD BAD BAD BAD BAD "???", 5},
                  {"IDAT", NULL, 0},
                  {"IEND", NULL, 0}};
    unsigned char rgb[3 * 4 * 5] = {1, 2, 3};
    size_t size, at = 8;
    unsigned char *bytes = write_png(&size, rgb, 4, 5, notes);
    ck_assert_mem_eq(bytes, "\x89PNG\r\n\x1a\n", 8);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        ck_assert_uint_le(at + 12, size);
        size_t n = big_endian(bytes + at);
        ck_assert_uint_le(n, size - at - 12);
        ck_assert_mem_eq(bytes + at + 4, chunks[i].name, 4);
        ck_assert_uint_eq(crc_of(bytes + at + 4, n + 4), big_endian(bytes + at + 8 + n));
        if (chunks[i].words) {
            const char *keyword = notes[2 * (i - 1)], *words = chunks[i].words;
            size_t n_keyword = strlen(keyword), head = chunks[i].head;
            ck_assert_uint_eq(n, n_keyword + head + strlen(words));
            ck_assert_mem_eq(bytes + at + 8, keyword, n_keyword);
            ck_assert_mem_eq(bytes + at + 8 + n_keyword, "\0\0\0\0\0", head);
            ck_assert_mem_eq(bytes + at + 8 + n_keyword + head, words, strlen(words));
        }
        at += n + 12;
    }
    ck_assert_uint_eq(at, size);
    free(bytes);
}
END_TEST

/* A text that is too long ends with a whole character. */
START_TEST(png_long_text)
{
    enum { N = 30000, HEAD = 8 + 25, TEXT_AT = HEAD + 8 + 6 };
    static char words[2 + 3 * N + 1] = "aa";
    unsigned char rgb[3] = {1, 2, 3};
    size_t size;
    for (int i = 0; i < N; i++) memcpy(words + 2 + 3 * i, "\xe6\xa8\xa1", 3);
    for (int front = 0; front <= 2; front++) { /* 65535 is a multiple of 3 */
        const char *const notes[] = {"k", words + 2 - front, NULL};
        unsigned char *bytes = write_png(&size, rgb, 1, 1, notes);
        ck_assert_mem_eq(bytes + HEAD + 4, "iTXt", 4);
        size_t n = front ? (size_t)(65535 - 3 + front) : 65535;
        ck_assert_uint_eq(big_endian(bytes + HEAD), 6 + n);
        ck_assert_mem_eq(bytes + TEXT_AT, notes[1], n);
        free(bytes);
    }
}
END_TEST

START_TEST(png_too_large)
{
    file_out out;
    unsigned char rgb[3] = {0};
    ck_assert_int_eq(file_out_open(&out, scratch_path("a.png")), OK);
    ck_assert_int_eq(png_write(&out, rgb, 20000, 20000, NULL), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(fail_line(), "20000 x 20000"));
    ck_assert_int_eq(png_write(&out, rgb, 2147483647, 2147483647, NULL), ERR_LIMIT);
    file_out_discard(&out);
    ck_assert_int_eq(scratch_count(), 0);
}
END_TEST

/* A limit of 20000 bytes per file. */
START_TEST(full_disk)
{
    static float values[50000];
    static unsigned char rgb[3 * 300 * 300];
    uint32_t random = 1;
    struct rlimit before, small;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (unsigned char)((random = random * 1664525u + 1013904223u) >> 24);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 20000;
    for (int k = 0; k < 2; k++) {
        file_out out;
        ck_assert_int_eq(file_out_open(&out, scratch_path("a")), OK);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        status written = k ? png_write(&out, rgb, 300, 300, NULL)
                           : npy_write(&out, values, 1, (size_t[]){50000});
        status finished = file_out_finish(&out);
        setrlimit(RLIMIT_FSIZE, &before);
        signal(SIGXFSZ, SIG_DFL);
        ck_assert_int_eq(written, OK);
        ck_assert_int_eq(finished, ERR_FILE);
        ck_assert_ptr_nonnull(strstr(fail_line(), "/a: cannot write: "));
        file_out_discard(&out);
        ck_assert_int_eq(scratch_count(), 0);
    }
}
END_TEST

/* ---- sheets ---- */

static const struct {
    uint32_t bits;
    unsigned char original, diffusers;
} roundings[] = {
#include "data/rounding.inc"
};
enum { N_ROUNDINGS = sizeof roundings / sizeof *roundings };

START_TEST(rounding_rules)
{
    int different = 0;
    for (int i = 0; i < N_ROUNDINGS; i++) {
        float x = float_from_bits(roundings[i].bits);
        float image[3] = {x, x, x};
        unsigned char rgb[3];
        grid_to_8bit(rgb, image, 1, 1, ROUND_ORIGINAL);
        ck_assert_msg(rgb[1] == roundings[i].original, "original: %.9g is %d, expected %d",
                      (double)x, rgb[1], roundings[i].original);
        grid_to_8bit(rgb, image, 1, 1, ROUND_DIFFUSERS);
        ck_assert_msg(rgb[1] == roundings[i].diffusers, "diffusers: %.9g is %d, expected %d",
                      (double)x, rgb[1], roundings[i].diffusers);
        different += roundings[i].original != roundings[i].diffusers;
    }
    ck_assert_int_gt(different, 100); /* otherwise the vectors do not tell the two rules apart */
}
END_TEST

/* NaN must not crash. */
START_TEST(rounding_layout)
{
    float image[3 * 2 * 3];
    unsigned char rgb[3 * 2 * 3];
    for (int i = 0; i < 18; i++) image[i] = (float)(10 * i) / 127.5f - 1.0f;
    grid_to_8bit(rgb, image, 2, 3, ROUND_DIFFUSERS);
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 3; c++) ck_assert_int_eq(rgb[3 * i + c], 10 * (3 * i + c));
    static const uint32_t odd[3] = {0x7fc00000, 0x7f800000, 0xff800000};
    for (int i = 0; i < 3; i++) image[i] = float_from_bits(odd[i]);
    for (int rule = 0; rule < 2; rule++) {
        grid_to_8bit(rgb, image, 1, 1, rule ? ROUND_DIFFUSERS : ROUND_ORIGINAL);
        ck_assert_int_eq(rgb[1], 255);
        ck_assert_int_eq(rgb[2], 0);
    }
}
END_TEST

START_TEST(planes_from_pixels)
{
    float pixels[18], planes[18];
    static const uint32_t odd[3] = {0x7fc00000, 0x7f800000, 0xff800000};
    for (int i = 0; i < 18; i++) pixels[i] = (float)i;
    grid_planes(planes, pixels, 2, 3);
    ck_assert_int_eq(grid_check(pixels, 2, 3), OK);
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 3; c++) ck_assert_float_eq(planes[6 * c + i], (float)(3 * i + c));
    for (int k = 0; k < 3; k++) {
        pixels[17] = float_from_bits(odd[k]);
        ck_assert_int_eq(grid_check(pixels, 2, 3), ERR_DEVICE);
    }
}
END_TEST

START_TEST(sheet_columns)
{
    static const int known[][2] = {{1, 1}, {2, 2}, {3, 3}, {4, 2}, {6, 3}, {8, 4}, {9, 3}, {16, 4}};
    for (int i = 0; i < 8; i++) ck_assert_int_eq(grid_columns(known[i][0]), known[i][1]);
    for (int n = 1; n < 2000; n++) {
        int columns = grid_columns(n), rows = (n + columns - 1) / columns;
        ck_assert_int_ge(columns, rows);
        ck_assert_int_le(columns, 2 * rows + 1);
    }
}
END_TEST

START_TEST(sheet_pixels)
{
    enum { N = 5, COLUMNS = 3, W = 4, H = 3, ACROSS = 3 * (W + 2) + 2, DOWN = 2 * (H + 2) + 2 };
    unsigned char pictures[N][H][W][3], *sheet;
    int across, down;
    for (int i = 0; i < N * H * W * 3; i++) (&pictures[0][0][0][0])[i] = (unsigned char)(i + 1);
    ck_assert_int_eq(grid_make(&sheet, &across, &down, &pictures[0][0][0][0], N, COLUMNS, W, H),
                     OK);
    ck_assert_int_eq(across, ACROSS);
    ck_assert_int_eq(down, DOWN);
    for (int y = 0; y < DOWN; y++)
        for (int x = 0; x < ACROSS; x++) {
            int column = (x - 2) / (W + 2), row = (y - 2) / (H + 2);
            int i = row * COLUMNS + column, px = x - 2 - column * (W + 2);
            int py = y - 2 - row * (H + 2);
            bool inside = x >= 2 && y >= 2 && px < W && py < H && i < N;
            for (int c = 0; c < 3; c++)
                ck_assert_int_eq(sheet[3 * (y * ACROSS + x) + c],
                                 inside ? pictures[i][py][px][c] : 255);
        }
    free(sheet);
    ck_assert_int_eq(grid_make(&sheet, &across, &down, NULL, 2000000000, 44722, 512, 512),
                     ERR_LIMIT);
    ck_assert_ptr_null(sheet);
}
END_TEST

Suite *suite_files(void)
{
    Suite *suite = suite_create("files");
    add_npy(suite);
    TCase *tc = tcase_create("pictures");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, png_read_back);
    tcase_add_test(tc, png_chunks);
    tcase_add_test(tc, png_long_text);
    tcase_add_test(tc, png_too_large);
    tcase_add_test(tc, full_disk);
    tcase_add_test(tc, rounding_rules);
    tcase_add_test(tc, rounding_layout);
    tcase_add_test(tc, planes_from_pixels);
    tcase_add_test(tc, sheet_columns);
    tcase_add_test(tc, sheet_pixels);
    suite_add_tcase(suite, tc);
    return suite;
}
