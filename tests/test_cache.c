/* host/base/hash.c against the examples of FIPS 180. host/device/cache.c with files that are whole,
 * damaged, foreign, too many, or written by two processes at once. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "device/cache.h"
#include "scratch.h"
#include "suites.h"

/* ---- the hash ---- */

static void expect_hash(hash128 h, const char *expected)
{
    char found[HASH_TEXT];
    hash_text(found, h);
    ck_assert_str_eq(found, expected);
}

/* The first halves of NIST's examples for SHA-256. */
START_TEST(hashes)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char a[1000];
    hash_work w;
    expect_hash(hash_bytes("", 0), "e3b0c44298fc1c149afbf4c8996fb924");
    expect_hash(hash_bytes("abc", 3), "ba7816bf8f01cfea414140de5dae2223");
    expect_hash(hash_bytes(two_blocks, 56), "248d6a61d20638b8e5c026930c3e6039");
    memset(a, 'a', sizeof a);
    hash_start(&w); /* a million letters, in pieces of different sizes */
    size_t left = 1000000;
    for (size_t piece = 1; left; piece = piece % 983 + 13) {
        size_t n = piece < left ? piece : left;
        hash_add(&w, a, n);
        left -= n;
    }
    expect_hash(hash_end(&w), "cdc76e5c9914fb9281a1c7e284d73e67");
}
END_TEST

START_TEST(hash_of_texts)
{
    hash_work one, other;
    hash_start(&one);
    hash_add_text(&one, "ab");
    hash_add_text(&one, "c");
    hash_start(&other);
    hash_add_text(&other, "a");
    hash_add_text(&other, "bc");
    ck_assert(!hash_equal(hash_end(&one), hash_end(&other)));
}
END_TEST

/* ---- the user's folders ---- */

START_TEST(folders)
{
    char out[100], *home = strdup(getenv("HOME") ? getenv("HOME") : "");
    setenv("XDG_CACHE_HOME", "/var/x", 1);
    ck_assert_int_eq(file_user_folder(out, sizeof out, FOLDER_CACHE), OK);
    ck_assert_str_eq(out, "/var/x/ditcl");
    setenv("HOME", "/home/me", 1);
    setenv("XDG_CACHE_HOME", "relative",
           1); /* the XDG specification demands that relative paths are ignored */
    ck_assert_int_eq(file_user_folder(out, sizeof out, FOLDER_CACHE), OK);
    ck_assert_str_eq(out, "/home/me/.cache/ditcl");
    unsetenv("XDG_CONFIG_HOME");
    ck_assert_int_eq(file_user_folder(out, sizeof out, FOLDER_CONFIG), OK);
    ck_assert_str_eq(out, "/home/me/.config/ditcl");
    ck_assert_int_eq(file_user_folder(out, 10, FOLDER_CONFIG), ERR_LIMIT);
    unsetenv("HOME");
    ck_assert_int_eq(file_user_folder(out, sizeof out, FOLDER_CACHE), ERR_FILE);
    setenv("HOME", "", 1);
    ck_assert_int_eq(file_user_folder(out, sizeof out, FOLDER_CACHE), ERR_FILE);
    setenv("HOME", home, 1);
    free(home);
}
END_TEST

START_TEST(making_folders)
{
    struct stat info;
    ck_assert_int_eq(file_make_folders(scratch_path("a/b/c")), OK);
    ck_assert_int_eq(stat(scratch_path("a/b/c"), &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0700);
    ck_assert_int_eq(file_make_folders(scratch_path("a/b/c/")), OK);
    scratch_write("file", "", 0);
    ck_assert_int_eq(file_make_folders(scratch_path("file/b")), ERR_FILE);
    ck_assert(strstr(fail_line(), "cannot create this folder"));
}
END_TEST

/* ---- files of the cache ---- */

enum { SIZE = 1000 };
static unsigned char content[SIZE];
static hash128 key;

static void open_cache(void)
{
    scratch_open();
    setenv("XDG_CACHE_HOME", scratch_folder(), 1);
    for (int i = 0; i < SIZE; i++) content[i] = (unsigned char)(i * 7);
    key = hash_bytes("key", 3);
}

static void close_cache(void)
{
    unsetenv("XDG_CACHE_HOME");
    scratch_close();
}

static const char *file_of(hash128 which)
{
    char name[100], digits[HASH_TEXT];
    hash_text(digits, which);
    snprintf(name, sizeof name, "ditcl/%s.bin", digits);
    return scratch_path(name);
}

static status read_key(void)
{
    unsigned char *data;
    size_t n = 0;
    status st = cache_read(&data, &n, key);
    if (st == OK) {
        ck_assert_uint_eq(n, SIZE);
        ck_assert_mem_eq(data, content, SIZE);
        free(data);
    } else {
        ck_assert_ptr_null(data);
    }
    return st;
}

START_TEST(stored_and_found)
{
    struct stat info;
    ck_assert_int_eq(read_key(), ERR_FILE);
    ck_assert_int_eq(cache_write(key, content, SIZE), OK);
    ck_assert_int_eq(read_key(), OK);
    ck_assert_int_eq(stat(file_of(key), &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0600);
    ck_assert_int_eq(cache_write(key, content, 0), OK); /* replaces the file */
    unsigned char *data;
    size_t n = 1;
    ck_assert_int_eq(cache_read(&data, &n, key), OK);
    ck_assert_uint_eq(n, 0);
    free(data);
    cache_forget(key);
    ck_assert_int_eq(read_key(), ERR_FILE);
}
END_TEST

static void put_byte(off_t at, unsigned char value)
{
    int fd = open(file_of(key), O_WRONLY);
    ck_assert_int_eq(pwrite(fd, &value, 1, at), 1);
    close(fd);
}

static void flip_byte(off_t at)
{
    unsigned char value;
    int fd = open(file_of(key), O_RDONLY);
    ck_assert_int_eq(pread(fd, &value, 1, at), 1);
    close(fd);
    put_byte(at, value ^ 1);
}

static void resize(off_t size)
{
    ck_assert_int_eq(truncate(file_of(key), size), 0);
}

static void of_another_key(void)
{
    char from[4096];
    hash128 other = hash_bytes("other", 5);
    ck_assert_int_eq(cache_write(other, content, SIZE), OK);
    snprintf(from, sizeof from, "%s", file_of(other));
    ck_assert_int_eq(rename(from, file_of(key)), 0);
}

/* A symbolic link to a valid file. */
static void a_link(void)
{
    char to[4096];
    snprintf(to, sizeof to, "%s", scratch_path("elsewhere"));
    ck_assert_int_eq(rename(file_of(key), to), 0);
    ck_assert_int_eq(symlink(to, file_of(key)), 0);
}

static void a_folder(void)
{
    ck_assert_int_eq(unlink(file_of(key)), 0);
    ck_assert_int_eq(mkdir(file_of(key), 0700), 0);
}

static void a_pipe(void)
{
    ck_assert_int_eq(unlink(file_of(key)), 0);
    ck_assert_int_eq(mkfifo(file_of(key), 0600), 0);
}

static void damage(int how)
{
    const off_t header = 56;
    switch (how) {
    case 0: resize(0); break;
    case 1: resize(header - 1); break;
    case 2: resize(header + SIZE - 1); break;
    case 3: resize(header + SIZE + 1); break;
    case 4: resize((off_t)CACHE_FILE_BYTES + 1); break;
    case 5: put_byte(0, 'x'); break;       /* magic */
    case 6: put_byte(8, 99); break;        /* format */
    case 7: put_byte(16 + 7, 0x7f); break; /* length: 2^62 */
    case 8: flip_byte(40); break;          /* hash */
    case 9: flip_byte(header); break;      /* the first byte after the header, and the last */
    case 10: flip_byte(header + SIZE - 1); break;
    case 11: of_another_key(); break;
    case 12: chmod(file_of(key), 0666); break;
    case 13: a_link(); break;
    case 14: a_folder(); break;
    case 15: a_pipe(); break;
    default: ck_abort();
    }
}
enum { N_DAMAGES = 16, TOO_LARGE = 4, A_FOLDER = 14 };

START_TEST(damaged_files_are_refused)
{
    ck_assert_int_eq(cache_write(key, content, SIZE), OK);
    ck_assert_int_eq(read_key(), OK);
    damage(_i);
    ck_assert_int_eq(read_key(), ERR_FORMAT);
    scratch_expect_message(file_of(key), _i == TOO_LARGE ? "expected 56 to" : "");
    cache_forget(key);
    /* cache_forget() removes any file, but no folder */
    ck_assert_int_eq(read_key(), _i == A_FOLDER ? ERR_FORMAT : ERR_FILE);
    ck_assert_int_eq(cache_write(key, content, SIZE), _i == A_FOLDER ? ERR_FILE : OK);
    ck_assert_int_eq(read_key(), _i == A_FOLDER ? ERR_FORMAT : OK);
}
END_TEST

START_TEST(folders_that_cannot_be_written)
{
    static const char *const places[] = {"/proc", "/dev/null", "/proc/self/nothing"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        setenv("XDG_CACHE_HOME", places[i], 1);
        ck_assert_int_eq(cache_write(key, content, SIZE), ERR_FILE);
        ck_assert_int_ne(read_key(), OK);
        cache_forget(key);
        cache_trim(0);
    }
}
END_TEST

/* A limit on the size of files stands for a full disk. */
START_TEST(no_space)
{
    const struct rlimit small = {.rlim_cur = SIZE / 2, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    ck_assert_int_eq(file_make_folders(scratch_path("ditcl")), OK);
    getrlimit(RLIMIT_FSIZE, &before);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    status st = cache_write(key, content, SIZE);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    ck_assert_int_eq(st, ERR_FILE);
    ck_assert_int_eq(read_key(), ERR_FILE);
    ck_assert_int_eq(rmdir(scratch_path("ditcl")), 0); /* no temporary file is left */
}
END_TEST

START_TEST(oldest_leave_first)
{
    static const char *const others[] = {"ditcl/notes.txt", "ditcl/0123.bin",
                                         "ditcl/0123456789abcdef0123456789abcdef.bin.old"};
    hash128 keys[5];
    const time_t now = time(NULL);
    for (int i = 0; i < 5; i++) {
        keys[i] = hash_bytes(&i, sizeof i);
        ck_assert_int_eq(cache_write(keys[i], content, SIZE), OK);
        const struct timespec used[2] = {{.tv_sec = now - 100 + (i * 3) % 5},
                                         {.tv_sec = now - 100 + (i * 3) % 5}};
        ck_assert_int_eq(utimensat(AT_FDCWD, file_of(keys[i]), used, 0), 0);
    } /* in the order of their use: 0, 2, 4, 1, 3 */
    for (int i = 0; i < 3; i++) scratch_write(others[i], content, SIZE);
    unsigned char *data;
    size_t n;
    ck_assert_int_eq(cache_read(&data, &n, keys[0]), OK); /* now the one used last */
    free(data);
    cache_trim(5 * (SIZE + 56));
    for (int i = 0; i < 5; i++) ck_assert(file_exists(file_of(keys[i])));
    cache_trim(5 * (SIZE + 56) - 1);
    ck_assert(!file_exists(file_of(keys[2])));
    cache_trim(2 * (SIZE + 56));
    ck_assert(!file_exists(file_of(keys[4])) && !file_exists(file_of(keys[1])));
    ck_assert(file_exists(file_of(keys[3])) && file_exists(file_of(keys[0])));
    cache_trim(0);
    ck_assert(!file_exists(file_of(keys[0])));
    for (int i = 0; i < 3; i++) ck_assert(file_exists(scratch_path(others[i])));
}
END_TEST

/* Writes, removes and trims in a loop. Each read must give a whole file or none. */
static int disturb(int seed)
{
    unsigned char mine[SIZE * 20], *data;
    memset(mine, seed, sizeof mine);
    for (int i = 0; i < 300; i++) {
        size_t n = 0, size = (size_t)(SIZE * (1 + (i * 7 + seed) % 20));
        if (cache_write(key, mine, size) != OK) return 1;
        if (i % 50 == 49) cache_forget(key);
        if (i % 60 == 59) cache_trim(0);
        status st = cache_read(&data, &n, key);
        if (st == ERR_FORMAT) return 2;
        if (st != OK) continue;
        for (size_t j = 1; j < n; j++)
            if (data[j] != data[0]) return 3;
        free(data);
    }
    return 0;
}

START_TEST(several_writers)
{
    enum { N = 4 };
    pid_t children[N];
    ck_assert_int_eq(file_make_folders(scratch_path("ditcl")), OK);
    fflush(NULL);
    for (int i = 0; i < N; i++)
        if ((children[i] = fork()) == 0) _exit(disturb(i));
    for (int i = 0; i < N; i++) {
        int how;
        ck_assert_int_eq(waitpid(children[i], &how, 0), children[i]);
        ck_assert(WIFEXITED(how));
        ck_assert_int_eq(WEXITSTATUS(how), 0);
    }
    cache_trim(0);
    ck_assert_int_eq(rmdir(scratch_path("ditcl")), 0); /* no temporary file is left */
}
END_TEST

Suite *suite_cache(void)
{
    Suite *s = suite_create("cache");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, open_cache, close_cache);
    tcase_add_test(tc, hashes);
    tcase_add_test(tc, hash_of_texts);
    tcase_add_test(tc, folders);
    tcase_add_test(tc, making_folders);
    tcase_add_test(tc, stored_and_found);
    tcase_add_loop_test(tc, damaged_files_are_refused, 0, N_DAMAGES);
    tcase_add_test(tc, folders_that_cannot_be_written);
    tcase_add_test(tc, no_space);
    tcase_add_test(tc, oldest_leave_first);
    tcase_add_test(tc, several_writers);
    tcase_set_timeout(tc, 0);
    suite_add_tcase(s, tc);
    return s;
}
