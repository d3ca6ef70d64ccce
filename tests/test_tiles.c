/* tests/amx_emulator.c against Intel's manual, instruction by instruction. Needs the emulator
 * preloaded or a CPU with AMX; without both, the first test ends by SIGILL. */
#include <check.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fp16.h"
#include "suites.h"

#if defined __x86_64__ && defined __linux__

enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, TILE = 1024 };

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_config;

static const tile_config whole = {.palette = 1,
                                  .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                  .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* The test of addresses also uses it as a stack: the signal handler runs below its middle. */
static uint8_t memory[1 << 18] __attribute__((aligned(64)));
static uint8_t *const middle = memory + (1 << 17);

static void configure(const tile_config *c)
{
    __asm__ volatile("ldtilecfg (%0)" : : "r"(c) : "memory");
}

static void release(void)
{
    __asm__ volatile("tilerelease" : : : "memory");
}

static uint32_t next_random(void)
{
    static uint64_t z;
    if (!z) z = test_seed + 1;
    z = z * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(z >> 32);
}

static void fill(void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)to)[i] = (uint8_t)next_random();
}

/* ---- addresses ---- */

/* Checks that tmm1 holds 16 rows of 64 bytes, which are `stride` apart in memory from p on. */
static void expect_tile(const uint8_t *p, long stride, const char *form)
{
    uint8_t out[TILE];
    __asm__ volatile("tilestored %%tmm1, (%0,%1,1)" : : "r"(out), "r"(64L) : "memory");
    for (int r = 0; r < 16; r++)
        ck_assert_msg(memcmp(out + 64 * r, p + r * stride, 64) == 0, "%s, row %d", form, r);
}

#define FORM(base, index, scale, shift)                                                            \
    do {                                                                                           \
        __asm__ volatile("mov %0, %%" base "\n\tmov %1, %%" index "\n\ttilezero %%tmm1\n\t"        \
                         "tileloadd " #shift "(%%" base ",%%" index "," #scale "), %%tmm1"         \
                         :                                                                         \
                         : "r"(middle), "r"(80L)                                                   \
                         : "memory", base, index);                                                 \
        expect_tile(middle + (shift), 80L * (scale), base "," index "," #scale " " #shift);        \
    } while (0)

/* For registers that the compiler reserves: swapped before the load, and swapped back after it. */
#define BORROWED(base, shift)                                                                      \
    do {                                                                                           \
        uint8_t *p = middle;                                                                       \
        __asm__ volatile("xchg %%" base ", %0\n\ttileloadd " #shift "(%%" base ",%1,1), %%tmm1"    \
                         "\n\txchg %%" base ", %0"                                                 \
                         : "+a"(p)                                                                 \
                         : "c"(96L)                                                                \
                         : "memory");                                                              \
        expect_tile(middle + (shift), 96, base " " #shift);                                        \
    } while (0)

START_TEST(every_address_is_understood)
{
    fill(memory, sizeof memory);
    configure(&whole);
    FORM("rax", "rcx", 1, 0);
    FORM("rcx", "rax", 2, 0);
    FORM("rdx", "rsi", 4, 8);
    FORM("rsi", "rdi", 8, -64);
    FORM("rdi", "rdx", 1, 0x1234);
    FORM("r8", "r9", 1, 0);
    FORM("r9", "r8", 2, -0x1000);
    FORM("r10", "rax", 8, 127);
    FORM("rax", "r11", 4, -128);
    FORM("r12", "rcx", 1, 0); /* r12 and r13 have special encodings, like rsp and rbp */
    FORM("r13", "rcx", 1, 0);
    FORM("rax", "r12", 1, 0);
    FORM("rax", "r13", 1, 128);
    FORM("r14", "r15", 2, 0);
    FORM("r15", "r14", 1, 4);
    BORROWED("rbp", 0);
    BORROWED("rbp", 256);
    BORROWED("rbx", 64);
    BORROWED("rsp", 0);
    BORROWED("rsp", 512);
    __asm__ volatile("tileloadd 16(%0), %%tmm1" : : "r"(middle) : "memory"); /* no index: 0 */
    expect_tile(middle + 16, 0, "no index");
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm1" : : "r"(middle), "r"(-100L) : "memory");
    expect_tile(middle, -100, "t1, backwards");
    release();
}
END_TEST

static tile_config beside = {
    .palette = 1, .bytes = {[3] = 64, [5] = 20}, .rows = {[3] = 16, [5] = 7}};

START_TEST(configurations_are_kept_and_given_back)
{
    uint8_t back[64], wide[TILE], out[TILE];
    __asm__ volatile("ldtilecfg %0" : : "m"(beside)); /* relative to the program counter */
    __asm__ volatile("sttilecfg %0" : "=m"(back));
    ck_assert_mem_eq(back, &beside, sizeof back);
    fill(wide, sizeof wide);
    memset(out, 0xee, sizeof out);
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm5\n\ttilestored %%tmm5, (%2,%1,1)"
                     :
                     : "r"(wide), "r"(64L), "r"(out)
                     : "memory");
    for (int i = 0; i < TILE; i++)
        ck_assert_int_eq(out[i], i / 64 < 7 && i % 64 < 20 ? wide[i] : 0xee);
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm3\n\ttilezero %%tmm3\n\t"
                     "tilestored %%tmm3, (%2,%1,1)"
                     :
                     : "r"(wide), "r"(64L), "r"(out)
                     : "memory");
    for (int i = 0; i < TILE; i++) ck_assert_int_eq(out[i], 0);
    release();
    __asm__ volatile("sttilecfg %0" : "=m"(back));
    for (int i = 0; i < 64; i++) ck_assert_int_eq(back[i], 0);
}
END_TEST

static void *other_thread(void *unused)
{
    configure(&beside);
    return unused;
}

START_TEST(threads_have_tiles_of_their_own)
{
    uint8_t mine[64];
    pthread_t thread;
    configure(&whole);
    ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    __asm__ volatile("sttilecfg %0" : "=m"(mine));
    ck_assert_mem_eq(mine, &whole, sizeof mine);
    release();
}
END_TEST

/* ---- multiplication ---- */

/* Denormals count as zeros, in inputs and results. */
static float flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

/* c [M][N] += pairs of a [M][K] x b [K][N]. Even and odd products have separate sums, with fused
 * multiply-adds that round to nearest even (the manual's page of TDPBF16PS). */
static void reference(float c[16][16], uint16_t a[16][16][2], uint16_t b[16][16][2], int M, int N,
                      int K)
{
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float part[2] = {0.0f, 0.0f};
            for (int k = 0; k < K; k++)
                for (int e = 0; e < 2; e++)
                    part[e] = flush(fmaf(flush(bf16_to_float(a[m][k][e])),
                                         flush(bf16_to_float(b[k][n][e])), part[e]));
            c[m][n] = flush(flush(c[m][n]) + flush(part[0] + part[1]));
        }
}

/* Mostly numbers of one magnitude, so that sums round; if wild, also tiny, denormal, huge or NaN.
 */
static uint16_t random_bf16(bool wild)
{
    uint32_t r = next_random(), low = r >> 24 & 127, sign = (r & 1) << 15;
    uint32_t exponent = 127 - (r >> 1) % 5;
    if (wild && (r >> 8 & 7) == 0) exponent = (r >> 11) % 256;
    if (wild && (r >> 8 & 15) == 1) exponent = (r >> 12) % 3;
    if (wild && (r >> 8 & 7) == 2) exponent = 60 + (r >> 12) % 8;
    return (uint16_t)(sign | exponent << 7 | low);
}

static void check_product(int M, int N, int K, bool wild)
{
    uint16_t a[16][16][2], b[16][16][2];
    float c[16][16], expected[16][16];
    tile_config config = {.palette = 1};
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            for (int e = 0; e < 2; e++) {
                a[i][j][e] = random_bf16(wild);
                b[i][j][e] = random_bf16(wild);
            }
            c[i][j] = expected[i][j] = bf16_to_float(random_bf16(wild)) * 1.001f;
        }
    config.rows[0] = config.rows[2] = (uint8_t)M;
    config.bytes[0] = config.bytes[7] = (uint16_t)(4 * N);
    config.bytes[2] = (uint16_t)(4 * K);
    config.rows[7] = (uint8_t)K;
    configure(&config);
    __asm__ volatile("tileloadd (%0,%3,1), %%tmm0\n\ttileloadd (%1,%3,1), %%tmm2\n\t"
                     "tileloadd (%2,%3,1), %%tmm7\n\ttdpbf16ps %%tmm7, %%tmm2, %%tmm0\n\t"
                     "tilestored %%tmm0, (%0,%3,1)"
                     :
                     : "r"(c), "r"(a), "r"(b), "r"(64L)
                     : "memory");
    release();
    reference(expected, a, b, M, N, K);
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++)
            ck_assert_msg(float_bits(c[m][n]) == float_bits(expected[m][n]) ||
                              (isnan(c[m][n]) && isnan(expected[m][n])),
                          "%dx%dx%d [%d][%d] is %a, expected %a", M, N, K, m, n, (double)c[m][n],
                          (double)expected[m][n]);
}

START_TEST(products_are_those_of_the_manual)
{
    for (int i = 0; i < 40; i++) check_product(16, 16, 16, i % 2);
    for (int i = 0; i < 400; i++)
        check_product(1 + (int)(next_random() % 16), 1 + (int)(next_random() % 16),
                      1 + (int)(next_random() % 16), i % 2);
}
END_TEST

/* ---- instructions that no processor accepts ---- */

static void unknown(void)
{
    configure(&whole);
    __asm__ volatile("ud2");
}

static void integers(void)
{
    configure(&whole);
    __asm__ volatile("tdpbssd %tmm2, %tmm1, %tmm0");
}

static void unconfigured(void)
{
    release();
    __asm__ volatile("tilezero %tmm0");
}

static void absent_tile(void)
{
    configure(&beside);
    __asm__ volatile("tilezero %tmm0");
}

static void same_twice(void)
{
    configure(&whole);
    /* tdpbf16ps of tmm1 and tmm1, which assemblers refuse too */
    __asm__ volatile(".byte 0xc4, 0xe2, 0x72, 0x5c, 0xc1");
}

static void misfit(void)
{
    tile_config c = whole;
    c.rows[2] = 15; /* the second must have as many rows as the first has pairs */
    configure(&c);
    __asm__ volatile("tdpbf16ps %tmm2, %tmm1, %tmm0");
}

static void bad_palette(void)
{
    tile_config c = whole;
    c.palette = 2;
    configure(&c);
}

static void (*const illegal[])(void) = {unknown,    integers, unconfigured, absent_tile,
                                        same_twice, misfit,   bad_palette};

START_TEST(the_rest_ends_the_process)
{
    int how;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        /* a processor with AMX accepts these */
        if (illegal[_i] == integers && __builtin_cpu_supports("amx-int8")) raise(SIGILL);
        illegal[_i]();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFSIGNALED(how));
    /* a processor raises #GP for an unknown palette, which Linux reports as SIGSEGV */
    ck_assert(WTERMSIG(how) == SIGILL || (WTERMSIG(how) == SIGSEGV && illegal[_i] == bad_palette));
}
END_TEST

START_TEST(the_permission_is_granted_and_no_other_call_touched)
{
    ck_assert_int_eq(syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA), 0);
    ck_assert_int_eq(syscall(SYS_getpid), getpid());
    errno = 0;
    ck_assert_int_eq(syscall(SYS_close, -1), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

Suite *suite_tiles(void)
{
    Suite *s = suite_create("tiles");
    TCase *c = tcase_create("emulator");
    tcase_add_test(c, every_address_is_understood);
    tcase_add_test(c, configurations_are_kept_and_given_back);
    tcase_add_test(c, threads_have_tiles_of_their_own);
    tcase_add_test(c, products_are_those_of_the_manual);
    tcase_add_loop_test(c, the_rest_ends_the_process, 0, (int)(sizeof illegal / sizeof *illegal));
    tcase_add_test(c, the_permission_is_granted_and_no_other_call_touched);
    tcase_set_timeout(c, 120);
    suite_add_tcase(s, c);
    return s;
}

#else

Suite *suite_tiles(void)
{
    return suite_create("tiles: not on this processor");
}

#endif
