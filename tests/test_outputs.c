/* Outputs: two names of one file, the mode of a file that is replaced, and what a late failure
 * or a killed process leaves. tests/cli/outputs.sh tests other file systems. */
#include "suites.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "scratch.h"

/* ---- names ---- */

static void add(file_names *names, const char *name)
{
    ck_assert_msg(file_names_add(names, scratch_path(name)) == OK, "%s", fail_line());
}

static void link_to(const char *target, const char *name)
{
    ck_assert_int_eq(symlink(target, scratch_path(name)), 0);
}

/* The two names of a pair mean the same file. Names of different pairs mean different files. */
static const struct {
    const char *one, *other;
} same[] = {{"new", "./new"},
            {"new", "folder/../new"},
            {"folder/new", "linked/new"},
            {"old", "old"},
            {"old", "hard"},
            {"old", "soft"},
            {"hard", "soft"},
            {"new", "dangling"},
            {"softer", "old"},
            {"farther", "folder/x"},
            {"folder/new", "nested/../folder/new"}};

static void make_names(void)
{
    char old[4096];
    scratch_write("old", "x", 1);
    snprintf(old, sizeof old, "%s", scratch_path("old"));
    ck_assert_int_eq(link(old, scratch_path("hard")), 0);
    ck_assert_int_eq(mkdir(scratch_path("folder"), 0700), 0);
    ck_assert_int_eq(mkdir(scratch_path("nested"), 0700), 0);
    link_to("old", "soft");
    snprintf(old, sizeof old, "%s", scratch_path("soft"));
    link_to(old, "softer");
    link_to("folder", "linked");
    link_to("new", "dangling");
    link_to("linked/x", "farther");
}

START_TEST(names_of_one_file)
{
    static const char *const others[] = {"neu", "folder/newer", "folder/old", "linked/newest"};
    enum { N = sizeof others / sizeof *others };
    file_names names = {0};
    size_t a, b;
    make_names();
    for (int i = 0; i < N; i++) add(&names, others[i]);
    ck_assert_int_eq(file_names_clash(&names, &a, &b), OK);
    ck_assert_uint_eq(a, b);
    add(&names, same[_i].one);
    ck_assert_int_eq(file_names_clash(&names, &a, &b), OK);
    ck_assert_uint_eq(a, b);
    add(&names, same[_i].other);
    ck_assert_int_eq(file_names_clash(&names, &a, &b), OK);
    ck_assert_uint_eq(a < b ? a : b, N);
    ck_assert_uint_eq(a < b ? b : a, N + 1);
    file_names_free(&names);
}
END_TEST

/* A long series: its folder is tried once, and no file is left in it. */
START_TEST(many_names)
{
    enum { N = 20000 };
    file_names names = {0};
    char name[40];
    size_t a, b;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%06d.png", i * 7919 % N);
        add(&names, name);
    }
    ck_assert_int_eq(file_names_clash(&names, &a, &b), OK);
    ck_assert_uint_eq(a, b);
    add(&names, "./004321.png");
    ck_assert_int_eq(file_names_clash(&names, &a, &b), OK);
    ck_assert_uint_ne(a, b);
    ck_assert_str_eq(file_names_path(&names, a < b ? b : a), scratch_path("./004321.png"));
    file_names_free(&names);
    ck_assert_int_eq(scratch_count(), 0);
}
END_TEST

START_TEST(links_that_lead_nowhere)
{
    file_out out;
    link_to("loop", "loop");
    link_to("none/x", "lost");
    ck_assert_int_eq(file_out_open(&out, scratch_path("loop")), ERR_FILE);
    scratch_expect_message(scratch_path("loop"), "symbolic links");
    ck_assert_int_eq(file_out_open(&out, scratch_path("lost")), ERR_FILE);
    scratch_expect_message(scratch_path("lost"), "none: No such file");
}
END_TEST

/* ---- writing ---- */

static void write_to(file_out *out, const char *name)
{
    ck_assert_msg(file_out_open(out, scratch_path(name)) == OK, "%s", fail_line());
    fputs("new", out->stream);
    ck_assert_int_eq(file_out_finish(out), OK);
}

static void expect_text(const char *path, const char *expected)
{
    char *found;
    ck_assert_msg(file_read_text(&found, path, 100) == OK, "%s", fail_line());
    ck_assert_str_eq(found, expected);
    free(found);
}

static unsigned mode_of(const char *name)
{
    struct stat info;
    ck_assert_int_eq(stat(scratch_path(name), &info), 0);
    return (unsigned)info.st_mode & 07777;
}

START_TEST(modes_are_kept)
{
    static const unsigned modes[] = {0600, 0644, 0664, 0755, 0640, 0200};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        file_out out;
        scratch_write("a", "old", 3);
        ck_assert_int_eq(chmod(scratch_path("a"), modes[i]), 0);
        write_to(&out, "a");
        ck_assert_int_eq(file_out_commit(&out, 1), OK);
        file_out_discard(&out);
        ck_assert_uint_eq(mode_of("a"), modes[i]);
        ck_assert_int_eq(chmod(scratch_path("a"), 0600), 0);
        expect_text(scratch_path("a"), "new");
    }
    ck_assert_int_eq(chmod(scratch_path("a"), 0444), 0);
    ck_assert_int_eq(file_out_check(scratch_path("a")), ERR_FILE);
    scratch_expect_message(scratch_path("a"), "write-protected (mode 444)");
    ck_assert_ptr_nonnull(strstr(fail_hint_line(), "chmod u+w"));
}
END_TEST

/* The first failure is the one reported, even if more is written after it. */
START_TEST(first_reason)
{
    static const char piece[5000];
    struct rlimit before, small;
    file_out out;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 20000;
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(file_out_open(&out, scratch_path("a")), OK);
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 100; i++) fwrite(piece, 1, sizeof piece, out.stream);
    setrlimit(RLIMIT_FSIZE, &before);
    errno = ENOENT;
    ck_assert_int_eq(file_out_state(&out), ERR_FILE);
    scratch_expect_message(scratch_path("a"), "cannot write: File too large");
    ck_assert_int_eq(file_out_finish(&out), ERR_FILE);
    scratch_expect_message(scratch_path("a"), "cannot write: File too large");
    signal(SIGXFSZ, was);
    file_out_discard(&out);
    ck_assert_int_eq(scratch_count(), 0);
}
END_TEST

/* ---- failures at the very end ---- */

/* out = the path in the hint: where the output was kept. */
static void kept(char *out, size_t size, const char *name)
{
    static const char words[] = "finished files are kept in ";
    ck_assert_msg(!strncmp(fail_hint_line(), words, sizeof words - 1), "%s", fail_hint_line());
    snprintf(out, size, "%s/%s", fail_hint_line() + sizeof words - 1, name);
}

START_TEST(not_renamed)
{
    char path[4096];
    file_out outs[3];
    write_to(&outs[0], "a");
    write_to(&outs[1], "b");
    write_to(&outs[2], "c");
    ck_assert_int_eq(mkdir(scratch_path("b"), 0700), 0);
    ck_assert_int_eq(file_out_commit(outs, 3), ERR_FILE);
    scratch_expect_message(scratch_path("b"), "cannot write: Is a directory");
    kept(path, sizeof path, "b");
    for (int i = 0; i < 3; i++) file_out_discard(&outs[i]);
    expect_text(path, "new");
    expect_text(scratch_path("a"), "new");
    expect_text(scratch_path("c"), "new");
    ck_assert_int_eq(scratch_count(), 4);
    write_to(&outs[0], "d"); /* another output does not replace what was kept */
    ck_assert_int_eq(file_out_commit(outs, 1), OK);
    file_out_discard(&outs[0]);
    ck_assert_int_eq(scratch_count(), 5);
    expect_text(path, "new");
    write_to(&outs[0], "b2");
    outs[0].disposable = true;
    ck_assert_int_eq(mkdir(scratch_path("b2"), 0700), 0);
    ck_assert_int_eq(file_out_commit(outs, 1), ERR_FILE);
    file_out_discard(&outs[0]);
    ck_assert_int_eq(scratch_count(), 6); /* b2 */
}
END_TEST

START_TEST(folder_not_renamed)
{
    char path[4096], inside[4110];
    folder_out folder;
    file_out file;
    for (int fails = 0; fails < 2; fails++) {
        ck_assert_int_eq(folder_out_open(&folder, scratch_path("model")), OK);
        ck_assert_int_eq(folder_out_add(&folder, "part"), OK);
        ck_assert_int_eq(folder_out_file(&folder, &file, 0, "file"), OK);
        fputs("new", file.stream);
        ck_assert_int_eq(file_out_finish(&file), OK);
        ck_assert_int_eq(scratch_count(), 1 + fails); /* the hidden folder; then also other */
        if (fails) ck_assert_int_eq(mkdir(scratch_path("model"), 0700), 0);
        if (fails) scratch_write("model/file", "x", 1);
        ck_assert_int_eq(folder_out_commit(&folder, &file, 1), fails ? ERR_FILE : OK);
        if (fails)
            kept(path, sizeof path, "model");
        else
            snprintf(path, sizeof path, "%s", scratch_path("model"));
        file_out_discard(&file);
        folder_out_discard(&folder);
        snprintf(inside, sizeof inside, "%s/part/file", path);
        expect_text(inside, "new");
        if (fails)
            expect_text(scratch_path("model/file"), "x");
        else
            ck_assert_int_eq(rename(path, scratch_path("other")), 0);
    }
    ck_assert_int_eq(scratch_count(), 3); /* other, model, what is kept */
}
END_TEST

/* ---- runs that were killed ---- */

/* Starts a child that stops halfway through writing a file and a folder. */
static pid_t half_way(bool lives)
{
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        file_out out, file;
        folder_out folder;
        bool good = file_out_open(&out, scratch_path("a")) == OK &&
                    folder_out_open(&folder, scratch_path("f")) == OK &&
                    folder_out_add(&folder, "part") == OK &&
                    folder_out_file(&folder, &file, 0, "b") == OK;
        if (!good || write(ready[1], "x", 1) != 1) _exit(1);
        if (lives) pause();
        _exit(0);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

START_TEST(left_overs)
{
    file_out out;
    pid_t dead = half_way(false), living = half_way(true);
    ck_assert_int_eq(waitpid(dead, NULL, 0), dead);
    write_to(&out, "c");
    ck_assert_int_eq(file_out_commit(&out, 1), OK);
    file_out_discard(&out);
    ck_assert_int_eq(scratch_count(), 2); /* c, and what the living one writes */
    ck_assert_int_eq(kill(living, SIGKILL), 0);
    ck_assert_int_eq(waitpid(living, NULL, 0), living);
}
END_TEST

Suite *suite_outputs(void)
{
    Suite *suite = suite_create("outputs");
    TCase *tc = tcase_create("outputs");
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_loop_test(tc, names_of_one_file, 0, sizeof same / sizeof *same);
    tcase_add_test(tc, many_names);
    tcase_add_test(tc, links_that_lead_nowhere);
    tcase_add_test(tc, modes_are_kept);
    tcase_add_test(tc, first_reason);
    tcase_add_test(tc, not_renamed);
    tcase_add_test(tc, folder_not_renamed);
    tcase_add_test(tc, left_overs);
    suite_add_tcase(suite, tc);
    return suite;
}
