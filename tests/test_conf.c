/* host/device/conf.c: what the files of cl/devices may say of platforms without devices. */
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
                            "advice unset=DITCL_TEST_B b\nadvice set=DITCL_TEST_B c"), "c");
    ck_assert_str_eq(advice("match platform=Some*\nadvice set=DITCL_TEST_B set=DITCL_TEST_A a\n"
                            "advice unset=DITCL_TEST_A set=DITCL_TEST_B b"), "b");
    scratch_write("there", "", 0);
    snprintf(lines, sizeof lines, "match platform=Some*\nadvice absent=%s a\nadvice closed=%s b\n"
             "advice absent=%s.not c", scratch_path("th*"), "/nowhere/*", scratch_path("there"));
    ck_assert_str_eq(advice(lines), "c");
    unsetenv("DITCL_TEST_B");
}
END_TEST

START_TEST(cache_lines)
{
    quirks q = {0};
    ck_assert_int_eq(conf_apply(&q, "match platform=Other\ncache NAME=a\n", "test", &subject), OK);
    ck_assert_str_eq(q.cache.variable, "NAME"); /* before any platform is known */
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

Suite *suite_conf(void)
{
    Suite *s = suite_create("conf");
    TCase *tc = tcase_create("lines");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_test(tc, first_advice_that_holds);
    tcase_add_test(tc, cache_lines);
    suite_add_tcase(s, tc);
    return s;
}
