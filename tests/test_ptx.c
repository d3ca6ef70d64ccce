/* The PTX interpreter (ptx.h) on kernels that are written by hand: results, the rules of cp.async
 * and ldmatrix, and counted wavefronts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "ptx.h"
#include "suites.h"

enum { ITEMS = 64, WORDS = 4 * ITEMS, TEXT = 4096, HALVES = 2 * WORDS };

/* out [WORDS], in [WORDS]; %r1 = the work-item, %r2 = its lane, %rd3 = out + 4 item, %rd4 = in + 16
 * item, %rd5 = 16 item in shared memory. */
static const char head[] =
    ".visible .entry k(\n"
    ".param .u64 .ptr .global .align 16 k_param_0,\n"
    ".param .u64 .ptr .global .align 16 k_param_1\n"
    ")\n{\n"
    ".reg .pred %p<4>;\n.reg .b32 %r<40>;\n.reg .f32 %f<9>;\n.reg .b64 %rd<20>;\n"
    ".shared .align 16 .b8 s[4096];\n"
    "ld.param.u64 %rd1, [k_param_0];\nld.param.u64 %rd2, [k_param_1];\n"
    "mov.u32 %r1, %tid.x;\nand.b32 %r2, %r1, 31;\n"
    "mul.wide.u32 %rd6, %r1, 4;\nadd.s64 %rd3, %rd1, %rd6;\n"
    "mul.wide.u32 %rd7, %r1, 16;\nadd.s64 %rd4, %rd2, %rd7;\n"
    "mov.u64 %rd8, s;\nadd.s64 %rd5, %rd8, %rd7;\n";

static uint32_t in[WORDS] __attribute__((aligned(16))), out[WORDS] __attribute__((aligned(16)));
static ptx_counts counts;
static char why[PTX_WHY];

/* True if the kernel runs; else `why` tells the reason. */
static bool runs(const char *body, ptx_order order)
{
    char text[TEXT];
    snprintf(text, TEXT, "%s%sret;\n}\n", head, body);
    ptx_module *m = ptx_parse(text, why);
    ck_assert_msg(m != NULL, "%s", why);
    const ptx_buffer buffers[] = {{(uintptr_t)out, sizeof out}, {(uintptr_t)in, sizeof in}};
    const ptx_launch l = {.args = {(uintptr_t)out, (uintptr_t)in},
                          .groups = {1, 1, 1},
                          .local = {ITEMS, 1, 1},
                          .buffers = buffers,
                          .n_buffers = 2,
                          .order = order};
    for (int i = 0; i < WORDS; i++) in[i] = (uint32_t)i * 2654435761u + 12345u;
    memset(out, 0, sizeof out);
    bool right = ptx_run(ptx_find(m, "k"), &l, &counts, why);
    ptx_free(m);
    return right;
}

/* ---- cp.async ---- */

#define COPY "cp.async.cg.shared.global [%rd5], [%rd4], 16;\n"
#define COMMIT "cp.async.commit_group;\n"
#define WAIT(n) "cp.async.wait_group " #n ";\n"
#define BARRIER "bar.sync 0;\n"
/* out of work-item i = the word that begins copy i ^ 33, which is another warp's */
#define READ_OTHER                                                                                 \
    "xor.b32 %r3, %r1, 33;\nmul.wide.u32 %rd9, %r3, 16;\nadd.s64 %rd9, %rd8, %rd9;\n"              \
    "ld.shared.u32 %r4, [%rd9];\nst.global.u32 [%rd3], %r4;\n"
/* the same of copy i ^ 1, which is another lane's */
#define READ_LANE                                                                                  \
    "xor.b32 %r3, %r1, 1;\nmul.wide.u32 %rd9, %r3, 16;\nadd.s64 %rd9, %rd8, %rd9;\n"               \
    "ld.shared.u32 %r4, [%rd9];\n"

START_TEST(async_copies_arrive)
{
    for (ptx_order order = PTX_FORWARD; order < N_PTX_ORDERS; order++) {
        ck_assert_msg(runs(COPY COMMIT WAIT(0) BARRIER READ_OTHER, order), "%s", why);
        for (int i = 0; i < ITEMS; i++) ck_assert_uint_eq(out[i], in[(i ^ 33) * 4]);
        ck_assert_uint_eq(counts.global_read, 16 * ITEMS);
        ck_assert_msg(runs(COPY "cp.async.wait_all;\n" BARRIER READ_OTHER, order), "%s", why);
    }
    /* only the last of three groups is still in flight; it goes to bytes that nobody reads */
    ck_assert_msg(runs(COPY COMMIT COMMIT
                       "cp.async.ca.shared.global [%rd5+1024], [%rd4], 8;\n" COMMIT WAIT(1)
                           BARRIER READ_OTHER WAIT(0),
                       PTX_FORWARD),
                  "%s", why);
    for (int i = 0; i < ITEMS; i++) ck_assert_uint_eq(out[i], in[(i ^ 33) * 4]);
}
END_TEST

START_TEST(async_copies_fill_with_zeros)
{
    /* bytes that are read: 4 item, so that work-items 0 to 3 have 0 to 12, and the others 16 */
    static const char body[] =
        "shl.b32 %r5, %r1, 2;\nmin.u32 %r5, %r5, 16;\n"
        "cp.async.cg.shared.global [%rd5], [%rd4], 16, %r5;\n" COMMIT WAIT(
            0) "ld.shared.v4.u32 {%r6, %r7, %r8, %r9}, [%rd5];\n"
               "add.s64 %rd9, %rd1, %rd7;\nst.global.v4.u32 [%rd9], {%r6, %r7, %r8, %r9};\n";
    ck_assert_msg(runs(body, PTX_FORWARD), "%s", why);
    for (int i = 0; i < ITEMS; i++)
        for (int j = 0; j < 4; j++) ck_assert_uint_eq(out[4 * i + j], j < i ? in[4 * i + j] : 0);
    /* an address outside of every buffer, of which nothing is read */
    ck_assert_msg(runs("cp.async.cg.shared.global [%rd5], [%rd4+65536], 16, 0;\n" COMMIT WAIT(0),
                       PTX_FORWARD),
                  "%s", why);
}
END_TEST

static const struct {
    const char *body, *words;
} broken[] = {
    {COPY COMMIT BARRIER READ_OTHER WAIT(0), "is in flight"},
    {COPY COMMIT WAIT(1) BARRIER READ_OTHER WAIT(0), "is in flight"},
    {COPY WAIT(0) BARRIER READ_OTHER, "is in flight"}, /* never committed */
    {COPY COMMIT WAIT(0) READ_OTHER, "byte"}, /* not written, or no barrier: by the order */
    {COPY COMMIT WAIT(0) READ_LANE, "no barrier"},
    {COPY COMMIT "st.shared.u32 [%rd5], %r1;\n" WAIT(0), "is in flight"},
    {COPY COMMIT "st.global.u32 [%rd4], %r1;\n" WAIT(0), "copy reads"},
    {COPY COMMIT, "is in flight"},
    /* another warp may still read what the copy overwrites */
    {"st.shared.u32 [%rd5], %r1;\n" BARRIER READ_OTHER COPY COMMIT WAIT(0), "no barrier"},
    {"cp.async.cg.shared.global [%rd5], [%rd4+16], 16;\n" COMMIT WAIT(0), "behind the begin"},
    {"cp.async.cg.shared.global [%rd5+8], [%rd4], 16;\n" COMMIT WAIT(0), "no multiple"},
    {"cp.async.cg.shared.global [%rd5], [%rd4+8], 16, 8;\n" COMMIT WAIT(0), "no multiple"},
    {"setp.lt.u32 %p1, %r1, 5;\n@%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r3}, [%rd5];\n",
     "lanes"},
    {"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r3}, [%rd5];\n", "was not written"},
    {"st.shared.v4.u32 [%rd5], {%r1, %r1, %r1, %r1};\n"
     "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r3}, [%rd5+4];\n",
     "no multiple"},
};

START_TEST(broken_rules_are_noticed)
{
    for (ptx_order order = PTX_FORWARD; order < N_PTX_ORDERS; order++) {
        ck_assert_msg(!runs(broken[_i].body, order), "%s", broken[_i].body);
        ck_assert_msg(strstr(why, broken[_i].words) != NULL, "%s: %s", broken[_i].body, why);
    }
}
END_TEST

/* ---- ldmatrix and mma ---- */

/* Stages `in` by plain stores. Matrix n has the rows that lanes 8 n to 8 n + 7 staged. */
#define STAGE                                                                                      \
    "ld.global.v4.u32 {%r6, %r7, %r8, %r9}, [%rd4];\n"                                             \
    "st.shared.v4.u32 [%rd5], {%r6, %r7, %r8, %r9};\n"

static uint16_t half_in(int row, int column)
{
    return (uint16_t)(in[row * 4 + column / 2] >> column % 2 * 16);
}

START_TEST(matrices_are_spread_over_lanes)
{
    /* the second warp loads, so rows begin at 32; out of lane l = the sum of the four words, each
     * rotated by another count */
    static const char body[] =
        "%sldmatrix.sync.aligned.m8n8.x4%s.shared.b16 {%%r10, %%r11, %%r12, %%r13}, [%%rd5];\n"
        "mul.lo.u32 %%r11, %%r11, 3;\nmul.lo.u32 %%r12, %%r12, 5;\n"
        "mul.lo.u32 %%r13, %%r13, 7;\nadd.u32 %%r10, %%r10, %%r11;\n"
        "add.u32 %%r10, %%r10, %%r12;\nadd.u32 %%r10, %%r10, %%r13;\n"
        "st.global.u32 [%%rd3], %%r10;\n";
    for (int transposed = 0; transposed < 2; transposed++) {
        char text[1024];
        snprintf(text, sizeof text, body, STAGE, transposed ? ".trans" : "");
        ck_assert_msg(runs(text, PTX_BACKWARD), "%s", why);
        for (int i = 0; i < ITEMS; i++) {
            uint32_t sum = 0;
            for (int n = 0; n < 4; n++) {
                int first = i / 32 * 32 + n * 8, line = i % 32 / 4, place = i % 4 * 2;
                uint32_t low =
                    transposed ? half_in(first + place, line) : half_in(first + line, place);
                uint32_t high = transposed ? half_in(first + place + 1, line)
                                           : half_in(first + line, place + 1);
                sum += (high << 16 | low) * (uint32_t)(2 * n + 1);
            }
            ck_assert_uint_eq(out[i], sum);
        }
    }
}
END_TEST

/* c [16][8] = a [16][8] x b [8][8] by the definition. The lanes' registers hold small integers. */
START_TEST(products_of_eight_steps)
{
    static const char body[] =
        "add.u32 %r3, %r2, 1;\ncvt.rn.f32.u32 %f1, %r3;\nneg.f32 %f2, %f1;\n"
        "cvt.rn.f16x2.f32 %r4, %f1, %f2;\ncvt.rn.f16x2.f32 %r5, %f2, %f1;\n"
        "mov.f32 %f3, 0f3F800000;\n"
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f4,%f5,%f6,%f7}, {%r4,%r5}, {%r4}, "
        "{%f3,%f3,%f3,%f3};\n"
        "add.s64 %rd9, %rd1, %rd7;\nst.global.v4.f32 [%rd9], {%f4, %f5, %f6, %f7};\n";
    ck_assert_msg(runs(body, PTX_FORWARD), "%s", why);
    ck_assert_uint_eq(counts.mma, 1); /* two warps, each half of one */
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            float sum = 1.0f, found;
            for (int k = 0; k < 8; k++) {
                /* the lane with these steps of the row, of the column; word 0 holds -x, x, word 1
                 * holds x, -x; x = lane + 1 */
                int x = row % 8 * 4 + k / 2 + 1, y = column * 4 + k / 2 + 1;
                int a = (k % 2 != row / 8) ? x : -x, b = k % 2 ? y : -y;
                sum += (float)(a * b);
            }
            int lane = row % 8 * 4 + column / 2, i = row / 8 * 2 + column % 2;
            memcpy(&found, &out[4 * lane + i], sizeof found);
            ck_assert_msg(found == sum, "row %d, column %d: %g, not %g", row, column, (double)found,
                          (double)sum);
        }
}
END_TEST

/* ---- wavefronts ---- */

/* Stores by the second warp's lanes, each at lane x pitch, of so many words. */
static const struct {
    int pitch, words;
    unsigned wavefronts;
} accesses[] = {
    {4, 1, 1},  {8, 1, 2},  {12, 1, 1}, {64, 1, 16}, {0, 1, 1},   /* 4 bytes: 32 lanes together */
    {8, 2, 2},  {16, 2, 4}, {24, 2, 2}, {64, 2, 16},              /* 8 bytes: 16 lanes */
    {16, 4, 4}, {32, 4, 8}, {80, 4, 4}, {64, 4, 16}, {112, 4, 4}, /* 16 bytes: 8 lanes */
};

START_TEST(wavefronts_are_counted)
{
    const char *const values[] = {"", "u32 [%rd9], %r1", "v2.u32 [%rd9], {%r1, %r1}", "",
                                  "v4.u32 [%rd9], {%r1, %r1, %r1, %r1}"};
    char body[512];
    snprintf(body, sizeof body,
             "mul.wide.u32 %%rd9, %%r2, %d;\nadd.s64 %%rd9, %%rd8, %%rd9;\n"
             "setp.gt.u32 %%p1, %%r1, 31;\n@%%p1 st.shared.%s;\n",
             accesses[_i].pitch, values[accesses[_i].words]);
    ck_assert_msg(runs(body, PTX_FORWARD), "%s", why);
    ck_assert_msg(counts.wavefronts == accesses[_i].wavefronts, "%d, %d: %llu", accesses[_i].pitch,
                  accesses[_i].words, (unsigned long long)counts.wavefronts);
    ck_assert_uint_eq(counts.shared_bytes, (unsigned)(32 * 4 * accesses[_i].words));
}
END_TEST

Suite *suite_ptx(void)
{
    Suite *s = suite_create("ptx");
    TCase *t = tcase_create("ptx");
    tcase_add_test(t, async_copies_arrive);
    tcase_add_test(t, async_copies_fill_with_zeros);
    tcase_add_loop_test(t, broken_rules_are_noticed, 0, sizeof broken / sizeof *broken);
    tcase_add_test(t, matrices_are_spread_over_lanes);
    tcase_add_test(t, products_of_eight_steps);
    tcase_add_loop_test(t, wavefronts_are_counted, 0, sizeof accesses / sizeof *accesses);
    suite_add_tcase(s, t);
    return s;
}
