/* Launches cl/attention_matrix.cl: attention on AMX tiles, in bf16. */
#include "ops/attention.h"
#include "ops/op.h"

enum { STEP = 32 }; /* queries of a tile, keys and channels of a step */

/* Scores and probabilities of a block of keys, and its keys and values, stay in the L2 cache. */
#define TUNABLES(T) T(BK, "keys of a block", 256, 512, 1024)
DECLARE_TUNABLES(TUNABLES);

static const int configs[][CONFIG_VALUES] = {{512}, {256}, {1024}};

static bool attention_matrix_supports(const device *d, const int *shape)
{
    (void)shape;
    return op_tile_parts(d) == 1;
}

typedef struct {
    int block, tiles, splits; /* BK; query tiles of a work-group, work-groups of a head */
    size_t floats;            /* of a work-group's scratch, as the kernel lays it out */
} tiling;

static tiling attention_matrix_lay_out(const device *d, const int *config, attention_shape s)
{
    size_t all = ceil_div((size_t)s.tokens, STEP), width = round_up((size_t)s.head_dim, STEP);
    tiling t = {.block = config[BK]};
    if ((size_t)t.block > all * STEP) t.block = (int)(all * STEP);
    size_t block = (size_t)t.block;
    attention_split(&t.tiles, &t.splits, d, s, all);
    t.floats = block * width + block * STEP / 2 + block * STEP +
               (size_t)t.tiles * (STEP * width / 2 + STEP * width + 2 * STEP);
    return t;
}

static status attention_matrix_scratch_count(device *d, const int *config, size_t *count,
                                             attention_shape s)
{
    tiling t = attention_matrix_lay_out(d, config, s);
    *count = (size_t)s.batch * (size_t)s.heads * (size_t)t.splits * t.floats;
    return OK;
}

static status attention_matrix_plan(device *d, op_plan *p, attention_shape s)
{
    tiling t = attention_matrix_lay_out(d, p->choice.config, s);
    launch_prepare(&p->launches[0], RANGE((size_t)t.splits, (size_t)s.heads, (size_t)s.batch),
                   RANGE(1), ARG(s.tokens), ARG(s.heads), ARG(t.tiles), ARG(attention_scale(s)));
    return program_get(d, &p->launches[0].k, "attention_matrix.cl", "attention_matrix",
                       "%s -DD=%d -DBK=%d", probe_tile_options(d), s.head_dim, t.block);
}

const op_impl attention_matrix = {
    .op = "attention",
    .name = "amx_bf16",
    .file = "attention_matrix.cl",
    .input_error = 0x1p-9,
    .roof = ROOF_16BIT,
    IMPL_TUNABLES,
    .supports = attention_matrix_supports,
    .attention = {.scratch = attention_matrix_scratch_count, .plan = attention_matrix_plan}};
