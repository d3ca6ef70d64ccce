/* Launches cl/gemm_matrix.cl: GEMM on AMX tiles, in bf16 or bf16x3. */
#include <string.h>

#include "base/fp16.h"
#include "ops/gemm.h"
#include "ops/op.h"

enum {
    STEP = 32,      /* terms of K in an MMA */
    ROWS = 32,      /* rows of a block */
    BLOCKS = 8,     /* most blocks of a work-group: the L2 cache holds their chunk of a */
    STEPS = 36,     /* MMA steps of a chunk of K */
    PACK_STEPS = 4, /* MMA steps that a work-group packs */
};

/* Columns of a block: two AMX tiles, or three if that adds at most a twentieth of padded
 * columns. */
static int columns(int parts, int n)
{
    size_t two = round_up((size_t)n, 32), three = round_up((size_t)n, 48);
    return parts == 1 && three * 20 <= two * 21 ? 48 : 32;
}

static bool gemm_matrix_supports_one(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 1;
}

static bool gemm_matrix_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 2;
}

/* ---- weights ---- */

static size_t gemm_matrix_packed_count(const device *d, const int *config, int n, int k)
{
    (void)config;
    int parts = op_tile_parts(d);
    size_t wide = round_up((size_t)n, (size_t)columns(parts, n));
    return wide * round_up((size_t)k, STEP) * (size_t)parts / 2;
}

static size_t gemm_matrix_panel(const device *d, const int *config, int n)
{
    (void)config;
    return (size_t)columns(op_tile_parts(d), n);
}

/* tile [16 pairs][16 rows][2] = 32 terms of 16 rows of length k, or fewer. rests: the remainders
 * after rounding, in the same layout, or null. The caller has zeroed both. */
static void pack_tile(uint16_t *tile, uint16_t *rests, const float *rows, size_t count,
                      size_t terms, size_t k)
{
    for (size_t j = 0; j < count; j++)
        for (size_t i = 0; i < terms; i++) {
            float x = rows[j * k + i];
            uint16_t rounded = float_to_bf16(x);
            size_t at = i / 2 * 32 + j * 2 + i % 2;
            tile[at] = rounded;
            if (rests) rests[at] = float_to_bf16(x - bf16_to_float(rounded));
        }
}

/* packed [ceil(n / width)][ceil(k / 32)][parts][width / 16] tiles, padded with zeros */
static void gemm_matrix_pack(const device *d, const int *config, void *out, const float *rows,
                             int first, int count, int n, int k)
{
    enum { TILE = 512, SIDE = 16 };
    int parts = op_tile_parts(d);
    uint16_t *packed = out;
    (void)config;
    size_t K = (size_t)k, width = (size_t)columns(parts, n), part = STEP * width;
    size_t step = part * (size_t)parts;
    packed += (size_t)first / width * ceil_div(K, STEP) * step;
    memset(packed, 0, ceil_div(K, STEP) * step * sizeof *packed);
    for (size_t i = 0; i < K; i += STEP, packed += step)
        for (size_t j = 0; j < (size_t)count; j += SIDE) {
            uint16_t *tile = packed + j / SIDE * TILE;
            size_t side = (size_t)count - j < SIDE ? (size_t)count - j : SIDE;
            pack_tile(tile, parts == 2 ? tile + part : NULL, rows + j * K + i, side,
                      K - i < STEP ? K - i : STEP, K);
        }
}

/* ---- launches ---- */

static size_t steps(int k)
{
    return ceil_div((size_t)k, STEP);
}

/* *count = floats that the packed activations take. */
static status gemm_matrix_scratch_count(device *d, const int *config, size_t *count, int m, int n,
                                        int k)
{
    (void)config, (void)n;
    *count = round_up((size_t)m, ROWS) * steps(k) * STEP * (size_t)op_tile_parts(d) / 2;
    return OK;
}

/* Blocks of rows of a work-group: few enough that every core gets some work-groups. */
static int blocks_together(const device *d, size_t blocks, size_t strips)
{
    int together = BLOCKS;
    while (together > 1 &&
           ceil_div(blocks, (size_t)together) * strips < 4 * (size_t)d->info.compute_units)
        together /= 2;
    return together;
}

/* Chunks that the depth is cut into. */
static int chunks_of(int k)
{
    return ((int)steps(k) + STEPS - 1) / STEPS;
}

/* launches[1] packs the activations for launches[0]. */
static status gemm_matrix_plan(device *d, op_plan *p, const gemm_use *u)
{
    char epilogue[EPILOGUE_OPTIONS];
    int parts = op_tile_parts(d), width = columns(parts, u->n), all = (int)steps(u->k);
    int chunks = chunks_of(u->k), chunk = (all + chunks - 1) / chunks;
    size_t blocks = ceil_div((size_t)u->m, ROWS), strips = ceil_div((size_t)u->n, (size_t)width);
    int together = blocks_together(d, blocks, strips);
    if (parts == 2) p->announcing.done.executed = 3 * p->announcing.done.flops;
    launch_prepare(&p->launches[1], RANGE(ceil_div((size_t)all, PACK_STEPS), blocks), RANGE(1),
                   ARG(u->m), ARG(u->k), ARG(all));
    launch_prepare(&p->launches[0], RANGE(strips, ceil_div(blocks, (size_t)together)), RANGE(1),
                   ARG(u->m), ARG(all), ARG(chunk), ARG(together));
    status st =
        program_get(d, &p->launches[1].k, "gemm_matrix.cl", "gemm_matrix_pack",
                    "%s -DNT=2 -DPARTS=%d -DSTEPS=%d", probe_tile_options(d), parts, PACK_STEPS);
    if (st != OK) return st;
    gemm_epilogue_options(epilogue, u->fused);
    return program_get(d, &p->launches[0].k, "gemm_matrix.cl", "gemm_matrix",
                       "%s -DNT=%d -DPARTS=%d -DHELD=%d %s", probe_tile_options(d), width / 16,
                       parts, chunks > 1 ? BLOCKS : 1, epilogue);
}

#define FUNCTIONS                                                                                  \
    .gemm = {.packed_count = gemm_matrix_packed_count,                                             \
             .panel = gemm_matrix_panel,                                                           \
             .pack = gemm_matrix_pack,                                                             \
             .scratch = gemm_matrix_scratch_count,                                                 \
             .plan = gemm_matrix_plan,                                                             \
             .enqueue = gemm_enqueue_packed}

const op_impl gemm_matrix = {.op = "gemm",
                             .name = "amx_bf16",
                             .file = "gemm_matrix.cl",
                             .input_error = 0x1p-9,
                             .roof = ROOF_16BIT,
                             IMPL_NO_TUNABLES,
                             .supports = gemm_matrix_supports_one,
                             FUNCTIONS};

const op_impl gemm_matrix_bf16x3 = {.op = "gemm",
                                    .name = "amx_bf16x3",
                                    .file = "gemm_matrix.cl",
                                    .input_error = 0x1p-18,
                                    .roof = ROOF_16BIT,
                                    IMPL_NO_TUNABLES,
                                    .supports = gemm_matrix_supports_three,
                                    FUNCTIONS};
