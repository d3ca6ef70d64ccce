/* host/device/conf.c: advice for platforms without devices, cache and match lines of device files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/conf.h"
#include "scratch.h"
#include "suites.h"

static const conf_subject subject = {"Some Platform", "", "", "", ""};

static const char *advice(const char *lines)
{
    static quirks q;
    q = (quirks){0};
    ck_assert_msg(conf_apply(&q, lines, "test", &subject) == OK, "%s", fail_line());
    return q.advice;
}

START_TEST(first_advice_that_holds)
{
    char lines[1000];
    unsetenv("DITCL_TEST_A");
    setenv("DITCL_TEST_B", "", 1);
    ck_assert_str_eq(advice("match platform=Some?Platform\nadvice install more; see a=b"),
                     "install more; see a=b");
    ck_assert_str_eq(advice("match platform=Other\nadvice no\nmatch platform=Some*\nadvice yes\n"),
                     "yes");
    ck_assert_str_eq(advice("match platform=Some*\nadvice one\nadvice two # why"), "one");
    ck_assert_str_eq(advice("match platform=Some* device=x\nadvice one"), "");
    ck_assert_str_eq(advice("match platform=Some*\nadvice set=DITCL_TEST_A a\n"
                            "advice unset=DITCL_TEST_B b\nadvice set=DITCL_TEST_B c"),
                     "c");
    ck_assert_str_eq(advice("match platform=Some*\nadvice set=DITCL_TEST_B set=DITCL_TEST_A a\n"
                            "advice unset=DITCL_TEST_A set=DITCL_TEST_B b"),
                     "b");
    scratch_write("there", "", 0);
    snprintf(lines, sizeof lines,
             "match platform=Some*\nadvice absent=%s a\nadvice closed=%s b\n"
             "advice absent=%s.not c",
             scratch_path("th*"), "/nowhere/*", scratch_path("there"));
    ck_assert_str_eq(advice(lines), "c");
    unsetenv("DITCL_TEST_B");
}
END_TEST

START_TEST(cache_lines)
{
    quirks q = {0};
    ck_assert_int_eq(conf_apply(&q, "match platform=Other\ncache NAME=a\n", "test", &subject), OK);
    ck_assert_str_eq(q.cache.variable, "NAME"); /* applies before platforms are listed */
    ck_assert(!q.cache.here);
    ck_assert_int_eq(conf_apply(&q, "match platform=*\ncache NAME=a/b\n", "test", &subject), OK);
    ck_assert(q.cache.here);
    ck_assert_str_eq(q.cache.below, "a/b");
    static const char *const bad[] = {"cache", "cache NAME", "cache =a",
                                      "cache A_NAME_THAT_IS_LONGER_THAN_ANY_VARIABLE=a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(conf_apply(&q, bad[i], "test", &subject), ERR_FORMAT);
        ck_assert_ptr_nonnull(strstr(fail_line(), "test:1: expected cache VARIABLE=FOLDER"));
    }
    ck_assert_int_eq(conf_apply_embedded(&q, &subject), OK);
}
END_TEST

static const conf_subject phone = {"QUALCOMM Snapdragon(TM)", "QUALCOMM", "QUALCOMM Adreno(TM)",
                                   "OpenCL 3.0 QUALCOMM build: a3e1 Compiler E031.38.10.02",
                                   "OpenCL 3.0 Adreno(TM) 642L"};

static bool matches(const char *line)
{
    quirks q = {0};
    char lines[200];
    snprintf(lines, sizeof lines, "match %s\nquirk NO_SUBGROUPS", line);
    ck_assert_msg(conf_apply(&q, lines, "a.conf", &phone) == OK, "%s", fail_line());
    ck_assert_str_eq(q.files, q.has[QUIRK_NO_SUBGROUPS] ? "a.conf" : "");
    return q.has[QUIRK_NO_SUBGROUPS];
}

START_TEST(versions_are_compared)
{
    ck_assert(matches("driver<Compiler?E031.38.11"));
    ck_assert(matches("driver<Compiler?E031.38.10.3"));
    ck_assert(matches("driver<compiler?e032"));
    ck_assert(matches("driver<Compiler?E031.38.10.2.1"));
    ck_assert(!matches("driver<Compiler?E031.38.10.02"));
    ck_assert(!matches("driver<Compiler?E031.38.9"));
    ck_assert(!matches("driver<Compiler?E031.38"));
    ck_assert(!matches("driver<Compiler?E030.99"));
    ck_assert(!matches("driver<E1"));            /* the first match counts: a3e1 */
    ck_assert(!matches("driver<Compiler?F999")); /* the text is not there */
    ck_assert(matches("driver<4"));              /* the first number counts: 3.0 */
    ck_assert(matches("version=*Adreno*?6[0-9][0-9]*"));
    ck_assert(!matches("version=*Adreno*?7[0-9][0-9]*"));
    ck_assert(!matches("version<OpenCL?3.0"));
    ck_assert(matches("platform=QUALCOMM* version<OpenCL?3.1"));
    ck_assert(!matches("platform=ARM* version<OpenCL?3.1"));
}
END_TEST

START_TEST(quirks_with_numbers)
{
    static const char *const bad[] = {
        "quirk MAX_GROUP",      "quirk MAX_GROUP=",    "quirk MAX_GROUP=0",
        "quirk MAX_GROUP=-1",   "quirk MAX_GROUP=64k", "quirk MAX_GROUP=4294967297",
        "quirk NO_SUBGROUPS=1", "quirk MAX_GROU=64",   "quirk MAX_GROUPS=64"};
    quirks q = {0};
    ck_assert_int_eq(conf_apply(&q, "match platform=*\nquirk MAX_GROUP=128", "a.conf", &phone), OK);
    ck_assert_int_eq(conf_apply(&q, "match platform=*\nquirk MAX_GROUP=64", "b.conf", &phone), OK);
    ck_assert_int_eq(conf_apply(&q,
                                "match platform=*\nquirk MAX_GROUP=256\n"
                                "match platform=no\nquirk MAX_GROUP=1",
                                "c.conf", &phone),
                     OK);
    ck_assert_int_eq(q.value[QUIRK_MAX_GROUP], 64);
    ck_assert_str_eq(q.from[QUIRK_MAX_GROUP], "b.conf");
    ck_assert_str_eq(q.files, "a.conf, b.conf, c.conf");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(conf_apply(&q, bad[i], "test", &phone) == ERR_FORMAT, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(fail_line(), "test:1: unknown quirk"));
    }
}
END_TEST

Suite *suite_conf(void)
{
    Suite *s = suite_create("conf");
    TCase *tc = tcase_create("lines");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, first_advice_that_holds);
    tcase_add_test(tc, cache_lines);
    tcase_add_test(tc, versions_are_compared);
    tcase_add_test(tc, quirks_with_numbers);
    suite_add_tcase(s, tc);
    return s;
}
