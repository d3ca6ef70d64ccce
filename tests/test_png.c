/* host/files/png_read.c: a file with a wrong checksum or without all of its pixels is refused, and
 * the message says what and where. test_pictures.c tests the kinds of PNG that must be read. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "files/png.h"
#include "scratch.h"
#include "suites.h"

enum { WIDTH = 5, HEIGHT = 4, ROW = 1 + 3 * WIDTH, ROWS = HEIGHT * ROW, MOST = 2000 };

typedef struct {
    unsigned char bytes[MOST];
    size_t n;
} file;

static void put_32(unsigned char *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) out[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void add_chunk(file *f, const char *name, const void *data, size_t n)
{
    unsigned char *p = f->bytes + f->n;
    ck_assert_uint_le(f->n + n + 12, MOST);
    put_32(p, (uint32_t)n);
    memcpy(p + 4, name, 4);
    if (n) memcpy(p + 8, data, n);
    put_32(p + 8 + n, (uint32_t)crc32(0, p + 4, (uInt)n + 4));
    f->n += n + 12;
}

static void begin_as(file *f, int depth, int colour, int interlace)
{
    unsigned char head[13] = {0};
    put_32(head, WIDTH);
    put_32(head + 4, HEIGHT);
    head[8] = (unsigned char)depth;
    head[9] = (unsigned char)colour;
    head[12] = (unsigned char)interlace;
    memcpy(f->bytes, "\x89PNG\r\n\x1a\n", f->n = 8);
    add_chunk(f, "IHDR", head, sizeof head);
}

/* out = n bytes of rows, packed by zlib. All bytes are 7 except the filters. */
static size_t pack(unsigned char out[MOST / 2], size_t n, int filter)
{
    unsigned char *rows = malloc(n + 1);
    uLongf packed = MOST / 2;
    ck_assert_ptr_nonnull(rows);
    for (size_t i = 0; i < n; i++) rows[i] = i % ROW ? 7 : (unsigned char)filter;
    ck_assert_int_eq(compress(out, &packed, rows, n), Z_OK);
    free(rows);
    return packed;
}

static void end_with(file *f, const unsigned char *data, size_t n)
{
    add_chunk(f, "IDAT", data, n);
    add_chunk(f, "IEND", NULL, 0);
}

static void end_well(file *f)
{
    unsigned char data[MOST / 2];
    size_t n = pack(data, ROWS, 0);
    end_with(f, data, n);
}

static bool read_file(const file *f, size_t n)
{
    png p;
    scratch_write("a.png", f->bytes, n);
    fail_clear();
    bool good = png_read(&p, scratch_path("a.png")) == OK;
    if (good)
        ck_assert_int_eq(p.rgb[3 * WIDTH * HEIGHT - 1], 7);
    else
        ck_assert_ptr_null(p.rgb);
    png_free(&p);
    return good;
}

static void refuse(const file *f, const char *part)
{
    ck_assert_msg(!read_file(f, f->n), "accepted; expected \"%s\"", part);
    scratch_expect_message(scratch_path("a.png"), part);
}

START_TEST(each_byte_is_watched)
{
    file f;
    begin_as(&f, 8, 2, 0);
    add_chunk(&f, "tEXt", "k\0words", 7);
    end_well(&f);
    ck_assert(read_file(&f, f.n));
    for (size_t i = 0; i < f.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            f.bytes[i] ^= (unsigned char)(1 << bit);
            ck_assert_msg(!read_file(&f, f.n), "byte %zu, bit %d", i, bit);
            const char *reason = strstr(fail_line(), "a.png: ");
            ck_assert_msg(reason && strlen(reason) > 20 && !strstr(reason, "null"), "byte %zu: %s",
                          i, fail_line());
            f.bytes[i] ^= (unsigned char)(1 << bit);
        }
    for (size_t n = 33; n < f.n; n++) {
        ck_assert_msg(!read_file(&f, n), "%zu of %zu bytes", n, f.n);
        scratch_expect_message(scratch_path("a.png"), "it is cut short");
    }
}
END_TEST

START_TEST(checksums_are_named)
{
    unsigned char data[MOST / 2];
    size_t n = pack(data, ROWS, 0);
    file f;
    begin_as(&f, 8, 2, 0);
    end_with(&f, data, n);
    f.bytes[33 + 8] ^= 1;
    refuse(&f, "chunk IDAT at byte 33: its content has the checksum 0x");
    begin_as(&f, 8, 2, 0);
    data[n - 1] ^= 1; /* wrong Adler-32 of the packed data; the CRC of the chunk is right */
    end_with(&f, data, n);
    refuse(&f, "incorrect data check");
    begin_as(&f, 8, 2, 0);
    end_with(&f, data, n - 4);
    refuse(&f, "end without a checksum");
}
END_TEST

START_TEST(rows_that_are_not_there)
{
    unsigned char data[MOST / 2];
    file f;
    begin_as(&f, 8, 2, 0);
    end_with(&f, data, pack(data, 2 * ROW + 3, 0));
    refuse(&f, "holds 2 of 4 rows");
    begin_as(&f, 8, 2, 0);
    end_with(&f, data, 0);
    refuse(&f, "holds 0 of 4 rows");
    begin_as(&f, 8, 2, 1);
    end_with(&f, data, pack(data, 3, 0));
    refuse(&f, "holds 0 of 1 rows of an interlaced pass");
    begin_as(&f, 8, 2, 0);
    end_with(&f, data, pack(data, ROWS, 5));
    refuse(&f, "row 0 has filter 5");
    begin_as(&f, 8, 2, 0);
    end_with(&f, data, pack(data, ROWS + (1 << 17), 0));
    refuse(&f, "more data than 5 x 4 pixels");
    begin_as(&f, 8, 2, 0); /* a few bytes too many are harmless, and so is data after the end */
    end_with(&f, data, pack(data, ROWS + 100, 0));
    add_chunk(&f, "more", "x", 1);
    ck_assert_msg(read_file(&f, f.n), "%s", fail_line());
}
END_TEST

START_TEST(chunks_out_of_place)
{
    unsigned char data[MOST / 2];
    size_t n = pack(data, ROWS, 0);
    file f;
    begin_as(&f, 8, 3, 0);
    end_with(&f, data, n);
    refuse(&f, "no chunk PLTE");
    begin_as(&f, 8, 2, 0);
    add_chunk(&f, "IEND", NULL, 0);
    refuse(&f, "no chunk IDAT");
    begin_as(&f, 8, 2, 0);
    add_chunk(&f, "IDAT", data, 10);
    add_chunk(&f, "tEXt", "k", 1);
    end_with(&f, data + 10, n - 10);
    refuse(&f, "other chunks lie between");
    begin_as(&f, 8, 2, 0); /* chunks of any size, also empty ones */
    add_chunk(&f, "IDAT", data, 0);
    for (size_t i = 0; i < n; i++) add_chunk(&f, "IDAT", data + i, 1);
    add_chunk(&f, "IEND", NULL, 0);
    ck_assert_msg(read_file(&f, f.n), "%s", fail_line());
    begin_as(&f, 8, 2, 0);
    add_chunk(&f, "ABCD", NULL, 0);
    end_with(&f, data, n);
    refuse(&f, "chunk ABCD at byte 33 is an unknown");
    begin_as(&f, 8, 2, 0);
    add_chunk(&f, "tRNS", data, 5);
    end_with(&f, data, n);
    refuse(&f, "chunk tRNS at byte 33: 5 bytes");
    static const int heads[][3] = {{3, 2, 0}, {4, 2, 0}, {16, 3, 0},  {8, 1, 0},
                                   {8, 7, 0}, {0, 0, 0}, {8, 255, 0}, {8, 2, 2}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        begin_as(&f, heads[i][0], heads[i][1], heads[i][2]);
        end_with(&f, data, n);
        refuse(&f, "IHDR has");
    }
}
END_TEST

/* Hostile EXIF data: nothing after its end is read. */
START_TEST(hostile_orientation)
{
    static const char good[] =
        "II*\0\x08\0\0\0\x02\0\x0f\1\2\0\2\0\0\0a\0\0\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0";
    file f;
    for (size_t n = 0; n <= sizeof good; n++) {
        begin_as(&f, 8, 2, 0);
        add_chunk(&f, "eXIf", good, n);
        end_well(&f);
        ck_assert_msg(read_file(&f, f.n) == (n == 0 || n >= 8), "%zu: %s", n, fail_line());
    }
    for (size_t i = 0; i < sizeof good; i++)
        for (int value = 0; value < 256; value += 51) {
            char bad[sizeof good];
            memcpy(bad, good, sizeof good);
            bad[i] = (char)value;
            begin_as(&f, 8, 2, 0);
            add_chunk(&f, "eXIf", bad, sizeof bad);
            end_well(&f);
            if (!read_file(&f, f.n))
                scratch_expect_message(scratch_path("a.png"), "does not begin with TIFF's header");
        }
    begin_as(&f, 8, 2, 0);
    add_chunk(&f, "tEXt", "Raw profile type exif\0\nexif\n 4\n4d4", 35);
    end_well(&f);
    refuse(&f, "does not begin with TIFF's header");
}
END_TEST

Suite *suite_png(void)
{
    Suite *s = suite_create("png");
    TCase *tc = tcase_create("read");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, each_byte_is_watched);
    tcase_add_test(tc, checksums_are_named);
    tcase_add_test(tc, rows_that_are_not_there);
    tcase_add_test(tc, chunks_out_of_place);
    tcase_add_test(tc, hostile_orientation);
    suite_add_tcase(s, tc);
    return s;
}
