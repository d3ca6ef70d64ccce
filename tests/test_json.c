/* host/files/json_build.c: documents are whole or fail. host/base/text.c: text for terminals. */
#include "suites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "files/json.h"
#include "files/json_build.h"

/* ---- what terminals are shown ---- */

static const struct {
    const char *given, *shown;
} lines[] = {
    {"", ""},
    {"plain ~", "plain ~"},
    {"\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9"},               /* été */
    {"\xE4\xB8\xAD\xE6\x96\x87", "\xE4\xB8\xAD\xE6\x96\x87"}, /* Chinese */
    {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xA7",          /* one emoji of two and a joiner */
     "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xA7"},
    {"\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xAE", "\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xAE"}, /* Persian */
    {"\x1B[2J\a\b\t\r\n\x7F", "?[2J??????"},
    {"a\xC2\x80z\xC2\x9B"
     "31m\xC2\x9F",
     "a?z?31m?"},               /* C1 controls; U+009B begins a sequence */
    {"\xC2\xA0.", "\xC2\xA0."}, /* a no-break space is a space */
    {"\x9B"
     "31m\x80\xFF",
     "?31m??"}, /* bytes that are no UTF-8 */
    {"\xE2\x80\xAE"
     "gnp.exe",
     "?gnp.exe"}, /* right-to-left override */
    {"\xE2\x80\xAA\xE2\x80\xAB\xE2\x80\xAC\xE2\x80\xAD", "????"},
    {"\xE2\x81\xA6\xE2\x81\xA7\xE2\x81\xA8\xE2\x81\xA9", "????"}, /* isolates */
    {"\xE2\x80\xA8\xE2\x80\xA9", "??"},                           /* separators of lines */
    {"\xEF\xBB\xBF|\xE2\x80\x8B|\xE2\x80\x8F", "?|?|?"},          /* invisible */
    {"\xF3\xA0\x81\x81", "?"},                                    /* a tag */
    {"\xC0\x9B|\xE0\x80\x9B|\xF0\x80\x80\x9B", "??|???|????"},    /* overlong ESC-like forms */
    {"\xED\xA0\x80|\xF4\x90\x80\x80|\xF8\x88\x80\x80\x80", "???|????|?????"},
    {"\xE4\xB8|\xC3", "??|?"}, /* cut short */
};

START_TEST(printable)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char out[100], same[100];
        ck_assert_str_eq(text_printable(out, sizeof out, lines[i].given), lines[i].shown);
        strcpy(same, lines[i].given); /* in place */
        ck_assert_str_eq(text_printable(same, sizeof same, same), lines[i].shown);
        fail(ERR_FILE, "%s", lines[i].given);
        ck_assert_str_eq(fail_line(), lines[i].shown);
    }
    ck_assert_str_eq(TEXT_SHOWN("a\x1B"), "a?");
    fail_clear();
}
END_TEST

START_TEST(printable_is_cut_between_characters)
{
    char out[5];
    ck_assert_str_eq(text_printable(out, 5, "abc\xC3\xA9"), "abc");
    ck_assert_str_eq(text_printable(out, 5, "ab\xC3\xA9z"), "ab\xC3\xA9");
    ck_assert_str_eq(text_printable(out, 1, "\x1B"), "");
}
END_TEST

static char *printed(FILE *stream)
{
    static char all[1000];
    rewind(stream);
    all[fread(all, 1, sizeof all - 1, stream)] = 0;
    fclose(stream);
    return all;
}

START_TEST(printed_lines)
{
    FILE *out = tmpfile();
    text_print(out, "a\tb\nc\x1B\xC2\x9B\r");
    ck_assert_str_eq(printed(out), "a\tb\nc???\n");
}
END_TEST

START_TEST(utf8)
{
    ck_assert(text_is_utf8(""));
    ck_assert(text_is_utf8("\xF0\x9F\x91\xA9 \x1B"));
    ck_assert(!text_is_utf8("a\xFF"));
    ck_assert(!text_is_utf8("\xED\xA0\x80"));
}
END_TEST

/* ---- documents ---- */

START_TEST(document)
{
    json_build b;
    text all = {0};
    json_t *root = json_build_begin(&b);
    json_put_text(&b, root, "name", "\xC3\xA9\"\x1B");
    json_put_name(&b, root, "path", "a\xFF/\xC3\xA9");
    json_put_int(&b, root, "n", 1);
    json_put_int(&b, root, "n", -7); /* replaces the value */
    json_put_real(&b, root, "half", 0.5);
    json_put_real(&b, root, "none", NAN);
    json_put_bool(&b, root, "yes", true);
    json_put_null(&b, root, "null");
    json_t *list = json_put_array(&b, root, "list");
    json_put_int(&b, list, NULL, 1);
    json_put_text(&b, json_put_object(&b, list, NULL), "a", "b");
    ck_assert_int_eq(json_build_text(&b, &all, JSON_COMPACT), OK);
    ck_assert_str_eq(all.data, "{\"name\":\"\xC3\xA9\\\"\\u001B\","
                               "\"path\":\"a\xEF\xBF\xBD/\xC3\xA9\","
                               "\"n\":-7,\"half\":0.5,\"none\":null,\"yes\":true,\"null\":null,"
                               "\"list\":[1,{\"a\":\"b\"}]}");
    json_build_free(&b);
    json_build_free(&b);
    text_free(&all);
}
END_TEST

/* After a failure, further calls change nothing and no document is printed. */
START_TEST(failure_stays)
{
    json_build b;
    text all = {0};
    json_t *root = json_build_begin(&b);
    json_put_text(&b, root, "name", "\xFF");
    json_put_int(&b, json_put_array(&b, root, "list"), NULL, 1);
    fail_clear();
    ck_assert_int_eq(json_build_text(&b, &all, 0), ERR_FORMAT);
    ck_assert(strstr(fail_line(), "not UTF-8"));
    ck_assert_uint_eq(all.length, 0);
    json_build_free(&b);
    json_put_int(&b, json_build_begin(&b), "\xFF", 1);
    ck_assert_int_eq(json_build_print(&b, stdout, 0), ERR_FORMAT);
    json_build_free(&b);
    root = json_build_begin(&b);
    json_put_int(&b, NULL, "what a call that failed gave", 1);
    json_put_int(&b, root, "a", 1);
    ck_assert_int_eq(json_build_text(&b, &all, 0), ERR_MEMORY);
    json_build_free(&b);
    text_free(&all);
}
END_TEST

START_TEST(begun_with_a_text)
{
    json_build b;
    text all = {0};
    ck_assert_int_eq(json_build_read(&b, "{\"a\":1}", "x", NULL), OK);
    json_put_int(&b, b.root, "b", 2);
    ck_assert_int_eq(json_build_text(&b, &all, JSON_COMPACT), OK);
    ck_assert_str_eq(all.data, "{\"a\":1,\"b\":2}");
    json_build_free(&b);
    ck_assert_int_eq(json_build_read(&b, "[1]", "x", NULL), ERR_FORMAT);
    json_build_free(&b);
    ck_assert_int_eq(json_build_read(&b, "{", "x", NULL), ERR_FORMAT);
    json_put_int(&b, b.root, "b", 2);
    fail_clear();
    ck_assert_int_eq(json_build_text(&b, &all, JSON_COMPACT), ERR_FORMAT);
    ck_assert(strstr(fail_line(), "x: not valid JSON"));
    json_build_free(&b);
    text_free(&all);
}
END_TEST

/* A program that parses the document gets the same strings; a terminal gets no control character.
 */
START_TEST(printed_document)
{
    json_build b;
    FILE *out = tmpfile();
    json_t *root = json_build_begin(&b);
    json_put_text(&b, root, "\x7F", "\xC2\x9B|\xE2\x80\xAE|\xF3\xA0\x81\x81|\xE4\xB8\xAD");
    ck_assert_int_eq(json_build_print(&b, out, JSON_INDENT(1)), OK);
    ck_assert_str_eq(printed(out),
                     "{\n \"\\u007f\": \"\\u009b|\\u202e|\\udb40\\udc41|\xE4\xB8\xAD\"\n}\n");
    FILE *full = fopen("/dev/full", "w");
    if (full) ck_assert_int_eq(json_build_print(&b, full, 0), ERR_FILE);
    if (full) fclose(full);
    json_build_free(&b);
}
END_TEST

Suite *suite_json(void)
{
    Suite *suite = suite_create("json");
    TCase *shown = tcase_create("shown"), *built = tcase_create("built");
    tcase_add_test(shown, printable);
    tcase_add_test(shown, printable_is_cut_between_characters);
    tcase_add_test(shown, printed_lines);
    tcase_add_test(shown, utf8);
    tcase_add_test(built, document);
    tcase_add_test(built, failure_stays);
    tcase_add_test(built, begun_with_a_text);
    tcase_add_test(built, printed_document);
    suite_add_tcase(suite, shown);
    suite_add_tcase(suite, built);
    return suite;
}
