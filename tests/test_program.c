/* host/device/program.c with its cache on disk: a program is built once and found again. If the
 * stored program is damaged, it is built again. Results are always right. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "device.h"
#include "device/cache.h"
#include "ops/ops.h"
#include "scratch.h"
#include "suites.h"

static int notes;

static void count_note(const char *line)
{
    printf("    %s\n", line);
    notes++;
}

/* true fp32 and the features below: no probe of anything is built */
static const device_settings listening = {.precision = PRECISION_FP32, .note = count_note};

/* Runs two kernels of one program and one of another, and checks their results. */
static device run(const device_info *info, const device_settings *settings)
{
    enum { SIDE = 4, COUNT = SIDE * SIDE };
    const patch_shape s = {.batch = 1, .channels = 1, .size = SIDE, .patch = 2};
    op_plan fill, there, and_back;
    device d;
    buf picture = {0}, tokens = {0}, back = {0};
    float values[COUNT], found[COUNT];
    notes = 0;
    for (int i = 0; i < COUNT; i++) values[i] = (float)i;
    ck_assert_msg(device_open(&d, info, settings) == OK, "%s", fail_line());
    ck_assert_int_eq(buffer_create(&d, &picture, COUNT, "test"), OK);
    ck_assert_int_eq(buffer_create(&d, &tokens, COUNT, "test"), OK);
    ck_assert_int_eq(buffer_create(&d, &back, COUNT, "test"), OK);
    ck_assert_int_eq(buffer_upload(&d, picture, 0, values, COUNT), OK);
    ck_assert_int_eq(buffer_upload(&d, tokens, 0, values, COUNT), OK);
    ck_assert_msg(fill_plan(&d, &fill, COUNT) == OK, "%s", fail_line());
    ck_assert_msg(op_fill(&d, &fill, back, 3.0f) == OK, "%s", fail_line());
    ck_assert_int_eq(buffer_download(&d, back, 0, found, COUNT), OK);
    for (int i = 0; i < COUNT; i++) ck_assert_float_eq(found[i], 3.0f);
    ck_assert_msg(patchify_plan(&d, &there, s, 0) == OK, "%s", fail_line());
    ck_assert_msg(unpatchify_plan(&d, &and_back, s, 0) == OK, "%s", fail_line());
    ck_assert_msg(op_patchify(&d, &there, tokens, picture, 0, 1) == OK, "%s", fail_line());
    ck_assert_msg(op_unpatchify(&d, &and_back, back, tokens) == OK, "%s", fail_line());
    ck_assert_int_eq(buffer_download(&d, back, 0, found, COUNT), OK);
    for (int i = 0; i < COUNT; i++) ck_assert_float_eq(found[i], values[i]);
    buffer_release(&d, &picture);
    buffer_release(&d, &tokens);
    buffer_release(&d, &back);
    device result = d; /* the caller reads its counts */
    fail(ERR_LIMIT, "the first failure");
    fail_hint("what to do");
    device_close(&d); /* stores the programs */
    ck_assert_str_eq(fail_line(), "the first failure");
    ck_assert_str_eq(fail_hint_line(), "what to do");
    return result;
}

/* Returns the number of files in the cache. first = the path of the first. */
static int stored_files(char first[4096])
{
    DIR *folder = opendir(scratch_path("ditcl"));
    int n = 0;
    for (struct dirent *e; folder && (e = readdir(folder));) {
        if (*e->d_name == '.') continue;
        char name[300];
        snprintf(name, sizeof name, "ditcl/%s", e->d_name);
        if (n++ == 0) snprintf(first, 4096, "%s", scratch_path(name));
    }
    if (folder) closedir(folder);
    return n;
}

static void expect(const device *d, int built, int loaded, int refused)
{
    ck_assert_msg(d->programs.built == built && d->programs.loaded == loaded &&
                      d->programs.refused == refused,
                  "%s: built %d, loaded %d, refused %d, expected %d, %d, %d", d->info.platform,
                  d->programs.built, d->programs.loaded, d->programs.refused, built, loaded,
                  refused);
}

static void open_cache(void)
{
    wanted_devices(); /* drivers find their own caches, in the same folder, once */
    scratch_open();
    setenv("XDG_CACHE_HOME", scratch_folder(), 1);
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 1);
    setenv("DITCL_FEATURES", "-subgroups,-images", 1);
}

static void close_cache(void)
{
    unsetenv("XDG_CACHE_HOME");
    unsetenv("DITCL_FEATURES");
    scratch_close();
}

/* Fills the cache. Returns 2, the number of programs, or 0 if the driver gives no binaries. */
static int fill_cache(const device_info *info)
{
    char first[4096];
    cache_trim(0);
    device d = run(info, &listening);
    expect(&d, 2, 0, 0);
    return stored_files(first);
}

START_TEST(built_once)
{
    const device_list *devices = wanted_devices();
    const device_settings off = {.precision = PRECISION_FP32, .note = count_note, .no_cache = true};
    for (int i = 0; i < devices->n; i++) {
        const device_info *info = &devices->items[i];
        int n = fill_cache(info);
        ck_assert_int_eq(n, 2);
        ck_assert_int_eq(notes, 0);
        device d = run(info, &listening);
        expect(&d, 0, 2, 0);
        d = run(info, &off);
        expect(&d, 2, 0, 0);
        cache_trim(0);
        d = run(info, &off);
        char first[4096];
        ck_assert_int_eq(stored_files(first), 0);
        ck_assert_int_eq(notes, 0);
    }
}
END_TEST

/* A file is not used by another driver, device or platform. */
START_TEST(keys_differ)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device_info other = devices->items[i];
        fill_cache(&other);
        strcat(other.driver, "1");
        device d = run(&other, &listening);
        expect(&d, 2, 0, 0);
        other = devices->items[i];
        strcat(other.name, "1");
        d = run(&other, &listening);
        expect(&d, 2, 0, 0);
        other = devices->items[i];
        strcat(other.platform, "1");
        d = run(&other, &listening);
        expect(&d, 2, 0, 0);
    }
}
END_TEST

static hash128 key_of_file(const char *path)
{
    hash128 key;
    const char *digits = strrchr(path, '/') + 1;
    for (int i = 0; i < HASH_BYTES; i++) {
        unsigned byte;
        ck_assert_int_eq(sscanf(digits + 2 * i, "%2x", &byte), 1);
        key.bytes[i] = (unsigned char)byte;
    }
    return key;
}

enum { NO_BINARY = 4, A_FOLDER, N_DAMAGES };

/* Damages a file in ways that its header shows (test_cache.c has all of them), or that only the
 * driver can notice. */
static void damage(const char *path, int how)
{
    unsigned char *binary;
    size_t size;
    hash128 key = key_of_file(path);
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(cache_read(&binary, &size, key), OK);
    switch (how) {
    case 0: ck_assert_int_eq(truncate(path, info.st_size / 2), 0); break;
    case 1: ck_assert_int_eq(truncate(path, 0), 0); break;
    case 2: scratch_write(path + strlen(scratch_folder()) + 1, "no such thing", 13); break;
    case 3: ck_assert_int_eq(cache_write(key, (const unsigned char *)"", 0), OK); break;
    case NO_BINARY:
        ck_assert_int_eq(cache_write(key, (const unsigned char *)"no binary", 9), OK);
        break;
    case A_FOLDER:
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        break;
    default: ck_abort();
    }
    free(binary);
}
START_TEST(damaged_programs_are_built_anew)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        char first[4096];
        const device_info *info = &devices->items[i];
        /* rusticl ends the process for a binary that it did not write */
        if (_i == NO_BINARY && strstr(info->platform, "rusticl")) continue;
        fill_cache(info);
        ck_assert_int_eq(stored_files(first), 2);
        damage(first, _i);
        device d = run(info, &listening);
        expect(&d, 1, 1, 1);
        ck_assert_int_eq(notes, _i == A_FOLDER ? 2 : 1); /* and the program cannot be stored */
        d = run(info, &listening);
        if (_i != A_FOLDER) expect(&d, 0, 2, 0);
        if (_i == A_FOLDER) ck_assert_int_eq(rmdir(first), 0);
    }
}
END_TEST

START_TEST(no_folder_for_it)
{
    static const char *const places[] = {"/proc", "/dev/null"};
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int p = 0; p < 2; p++) {
            setenv("XDG_CACHE_HOME", places[p], 1);
            device d = run(&devices->items[i], &listening);
            ck_assert_int_eq(d.programs.built, 2);
            d = run(&devices->items[i], NULL); /* note is null */
        }
}
END_TEST

Suite *suite_program(void)
{
    Suite *s = suite_create("program");
    TCase *tc = tcase_create("cache");
    tcase_add_checked_fixture(tc, open_cache, close_cache);
    tcase_add_test(tc, built_once);
    tcase_add_test(tc, keys_differ);
    tcase_add_loop_test(tc, damaged_programs_are_built_anew, 0, N_DAMAGES);
    tcase_add_test(tc, no_folder_for_it);
    tcase_set_timeout(tc, 0);
    suite_add_tcase(s, tc);
    return s;
}
