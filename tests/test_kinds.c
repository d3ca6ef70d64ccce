/* JPEG, WebP and BMP (host/files/picture_file.h): the same pixels as Pillow's
 * (scripts/oracle_kinds.py); files that are cut, spoilt or too large are refused with a reason, or
 * give a picture whose pixels can all be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/picture_file.h"
#include "fuzz/input.h"
#include "scratch.h"
#include "suites.h"

#define KINDS DITCL_SOURCE_DIR "/tests/data/pictures/kinds/"

static const char *const names[] = {"jpeg.jpg",
                                    "jpeg-444.jpg",
                                    "jpeg-422.jpg",
                                    "jpeg-progressive.jpg",
                                    "jpeg-restart.jpg",
                                    "jpeg-grey.jpg",
                                    "jpeg-cmyk.jpg",
                                    "jpeg-orientation.jpg",
                                    "jpeg-xmp.jpg",
                                    "webp.webp",
                                    "webp-lossless.webp",
                                    "webp-alpha.webp",
                                    "webp-alpha-lossless.webp",
                                    "webp-orientation.webp",
                                    "webp-xmp.webp",
                                    "bmp-24-bit.bmp",
                                    "bmp-grey.bmp",
                                    "bmp-1-bit.bmp",
                                    "bmp-palette.bmp",
                                    "bmp-4-bit.bmp",
                                    "bmp-short-palette.bmp",
                                    "bmp-16-bit.bmp",
                                    "bmp-565.bmp",
                                    "bmp-downward.bmp",
                                    "bmp-32-bit.bmp",
                                    "bmp-alpha.bmp",
                                    "bmp-old.bmp"};
enum { N_NAMES = sizeof names / sizeof *names };

START_TEST(pixels_are_those_of_pillow)
{
    char path[400];
    png p, want;
    int width, height, turned = strstr(names[_i], "-orientation") || strstr(names[_i], "-xmp");
    snprintf(path, sizeof path, KINDS "%s", names[_i]);
    ck_assert_msg(picture_file_read(&p, path) == OK, "%s", fail_line());
    ck_assert_msg(picture_file_sizes(&width, &height, path) == OK, "%s", fail_line());
    snprintf(path, sizeof path, KINDS "%.*s-rgb.png", (int)strcspn(names[_i], "."), names[_i]);
    ck_assert_msg(png_read(&want, path) == OK, "%s", fail_line());
    ck_assert_int_eq(p.width, want.width);
    ck_assert_int_eq(p.height, want.height);
    ck_assert_int_eq(turned ? height : width, want.width); /* sizes are those that are stored */
    ck_assert_int_eq(turned ? width : height, want.height);
    for (int i = 0; i < 3 * p.width * p.height; i++)
        ck_assert_msg(p.rgb[i] == want.rgb[i], "%s: value %d is %d, expected %d", names[_i], i,
                      p.rgb[i], want.rgb[i]);
    png_free(&p);
    png_free(&want);
}
END_TEST

static const char *path_read;

/* Reads the bytes as a file: whether they were a picture. */
static bool read_bytes(const unsigned char *bytes, size_t n)
{
    png p;
    volatile unsigned sum = 0;
    path_read = input_file(bytes, n); /* in memory */
    fail_clear();
    if (picture_file_read(&p, path_read) != OK) {
        ck_assert_ptr_null(p.rgb);
        scratch_expect_message(path_read, " ");
        return false;
    }
    for (int i = 0; i < 3 * p.width * p.height; i++) sum += p.rgb[i];
    png_free(&p);
    return true;
}

static unsigned char *load(size_t *n, const char *name)
{
    char path[400];
    file_map map;
    snprintf(path, sizeof path, KINDS "%s", name);
    ck_assert_int_eq(file_map_open(&map, path), OK);
    unsigned char *bytes = malloc(map.size);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, map.data, *n = map.size);
    file_map_close(&map);
    return bytes;
}

START_TEST(cut_and_spoilt_files)
{
    size_t n, size, step;
    unsigned char *bytes = load(&n, names[_i]);
    /* the chunk with the orientation follows the pixels of WebP */
    bool complete = strstr(names[_i], "webp") && strstr(names[_i], "-orientation");
    for (size = 0; size + 3 < n; size += 1 + n / 60)
        ck_assert_msg(!read_bytes(bytes, size) || complete, "%s: %zu of %zu bytes", names[_i], size,
                      n);
    step = 1 + n / 90;
    for (size_t i = 0; i < n; i += step)
        for (int value = 0; value < 256; value += 255) {
            unsigned char old = bytes[i];
            bytes[i] = (unsigned char)value;
            read_bytes(bytes, n);
            bytes[i] = old;
        }
    ck_assert(read_bytes(bytes, n));
    free(bytes);
}
END_TEST

START_TEST(too_large_or_unknown)
{
    size_t n;
    unsigned char *bytes = load(&n, "bmp-24-bit.bmp");
    memcpy(bytes + 18, "\x01\x40\0\0", 4); /* 16385 */
    ck_assert(!read_bytes(bytes, n));
    scratch_expect_message(path_read, "a picture of 16385 x 17, expected 1 to 16384");
    memcpy(bytes + 18, "\x17\0\0\0\0\0\0\x80", 8); /* the height has no positive counterpart */
    ck_assert(!read_bytes(bytes, n));
    scratch_expect_message(path_read, "a picture of 23 x 2147483648");
    memcpy(bytes + 22, "\x11\0\0\0\x01\0\x18\0\x01", 9);
    ck_assert(!read_bytes(bytes, n));
    scratch_expect_message(path_read, "24 bits with compression 1");
    free(bytes);
    bytes = load(&n, "jpeg.jpg");
    unsigned char *frame = memmem(bytes, n, "\xff\xc0", 2);
    ck_assert_ptr_nonnull(frame);
    memcpy(frame + 5, "\xff\xff\xff\xff", 4);
    ck_assert(!read_bytes(bytes, n));
    scratch_expect_message(path_read, "Maximum"); /* libjpeg's own limit is 65500 */
    memcpy(frame + 5, "\xff\xdc\xff\xdc", 4);
    ck_assert(!read_bytes(bytes, n));
    scratch_expect_message(path_read, "a picture of 65500 x 65500");
    free(bytes);
    ck_assert(!read_bytes((const unsigned char *)"GIF89a", 6));
    scratch_expect_message(path_read, "not a PNG picture, nor JPEG, WebP or BMP");
}
END_TEST

/* A progressive file of a few bytes for each scan, of which it has thousands. */
START_TEST(too_many_scans)
{
    enum { MORE = 1000 };
    size_t n;
    unsigned char *bytes = load(&n, "jpeg-progressive.jpg");
    unsigned char *scan = memmem(bytes, n, "\xff\xda", 2), *many, *to;
    ck_assert_ptr_nonnull(scan);
    unsigned char *after = memmem(scan + 2, (size_t)(bytes + n - scan - 2), "\xff\xc4", 2);
    ck_assert_ptr_nonnull(after);
    size_t head = (size_t)(scan - bytes), one = (size_t)(after - scan);
    to = many = malloc(n + MORE * one);
    ck_assert_ptr_nonnull(many);
    memcpy(to, bytes, head);
    to += head;
    for (int i = 0; i <= MORE; i++, to += one) memcpy(to, scan, one);
    memcpy(to, after, n - head - one);
    ck_assert(!read_bytes(many, n + MORE * one));
    ck_assert_msg(strstr(fail_line(), "scan") || strstr(fail_line(), "rogressi"), "%s",
                  fail_line());
    free(bytes);
    free(many);
}
END_TEST

Suite *suite_kinds(void)
{
    Suite *s = suite_create("kinds");
    TCase *tc = tcase_create("read");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, pixels_are_those_of_pillow, 0, N_NAMES);
    tcase_add_loop_test(tc, cut_and_spoilt_files, 0, N_NAMES);
    tcase_add_test(tc, too_large_or_unknown);
    tcase_add_test(tc, too_many_scans);
    suite_add_tcase(s, tc);
    return s;
}
