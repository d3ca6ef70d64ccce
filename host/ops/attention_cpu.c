/* Launches cl/attention_cpu.cl: one work-item per work-group, with tiles of queries in its
 * registers. */
#include "ops/attention.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(VEC, "floats of a vector", 4, 8, 16)                                                         \
    T(QV, "vectors of queries in registers", 1, 2, 3, 4)                                           \
    T(KR, "keys in registers", 2, 3, 4, 5, 6, 8, 10, 12, 13, 14)                                   \
    T(DR, "channels in registers; 0: those that leave the least idle", 0, 4, 6, 8, 9, 10, 12, 13)  \
    T(BK, "keys of a block, about", 32, 48, 64, 96, 128)
DECLARE_TUNABLES(TUNABLES);

typedef struct {
    int vec, query_vectors, keys, channels, block; /* VEC QV KR DR BK */
    int tiles, splits; /* query tiles of a work-group, work-groups of a head */
    size_t head_padded, block_floats, tile_floats;
} tiling;

/* The sums of KR keys, or DR channels, times QV vectors of queries fit the registers of processors
 * with vectors of VEC floats. With vectors of 8 floats, 4 rows were faster than 5 or 6. */
static const int configs[][CONFIG_VALUES] = {{16, 2, 13, 0, 64}, {16, 1, 13, 0, 64},
                                             {8, 2, 4, 0, 64},   {8, 1, 4, 0, 64},
                                             {4, 4, 4, 0, 64},   {4, 1, 4, 0, 64}};

static bool attention_cpu_fits(const device *d, const int *v, const int *shape)
{
    int rows = v[KR] > v[DR] ? v[KR] : v[DR];
    if (shape[1] <= v[VEC] && v[QV] > 1) return false; /* few queries: fewer idle lanes */
    return op_sums_stay(d, v[VEC], v[QV], rows) && v[BK] >= v[KR] && v[DR] <= shape[3];
}

/* The channels of a tile that need the least work for d, with padding and loads. */
static int best_channels(int d, int most)
{
    int best = most;
    for (int n = most; n > most / 2; n--)
        if (ceil_div((size_t)d, (size_t)n) * (size_t)(n + 1) <
            ceil_div((size_t)d, (size_t)best) * (size_t)(best + 1))
            best = n;
    return best;
}

/* pair: how many numbers an element holds: 2 of bf16, or 1 of fp32. */
static tiling attention_cpu_lay_out(const device *d, const int *v, attention_shape s, size_t pair)
{
    tiling t = {.vec = v[VEC], .query_vectors = v[QV], .keys = v[KR]};
    t.channels = v[DR] ? v[DR] : best_channels(s.head_dim, v[KR]);
    t.block = (int)round_up((size_t)v[BK], (size_t)t.keys);
    size_t queries = (size_t)(t.vec * t.query_vectors), head = (size_t)s.head_dim;
    size_t block = (size_t)t.block, padded = round_up(head, (size_t)t.channels);
    size_t elements = ceil_div(head, pair);
    attention_split(&t.tiles, &t.splits, d, s, ceil_div((size_t)s.tokens, queries));
    t.block_floats = block * (elements + queries) + ceil_div(block, pair) * padded;
    t.tile_floats = (elements + padded + 2) * queries;
    return t;
}

static status attention_cpu_plan(device *d, op_plan *p, attention_shape s)
{
    bool pairs = p->choice.impl == &attention_cpu_pairs;
    tiling t = attention_cpu_lay_out(d, p->choice.config, s, pairs ? 2 : 1);
    launch_prepare(&p->launches[0], RANGE((size_t)t.splits, (size_t)s.heads, (size_t)s.batch),
                   RANGE(1), ARG(s.tokens), ARG(s.heads), ARG(t.tiles), ARG(attention_scale(s)));
    return program_get(d, &p->launches[0].k, "attention_cpu.cl", "attention_cpu",
                       "-DD=%d -DVEC=%d -DQV=%d -DKR=%d -DDR=%d -DBK=%d%s", s.head_dim, t.vec,
                       t.query_vectors, t.keys, t.channels, t.block,
                       pairs ? " -DBF16 -DVECTOR_ASSEMBLY=1" : "");
}

static size_t scratch_of(const tiling *t, attention_shape s)
{
    return (size_t)s.batch * (size_t)s.heads * (size_t)t->splits *
           (t->block_floats + (size_t)t->tiles * t->tile_floats);
}

static bool attention_cpu_supports(const device *d, const int *shape)
{
    (void)shape;
    return d->family == FAMILY_CPU;
}

static status attention_cpu_scratch_count(device *d, const int *config, size_t *count,
                                          attention_shape s)
{
    tiling t = attention_cpu_lay_out(d, config, s, 1);
    *count = scratch_of(&t, s);
    return OK;
}

const op_impl attention_cpu = {
    .op = "attention",
    .name = "cpu",
    .file = "attention_cpu.cl",
    IMPL_TUNABLES,
    .supports = attention_cpu_supports,
    .fits = attention_cpu_fits,
    .attention = {.scratch = attention_cpu_scratch_count, .plan = attention_cpu_plan}};

/* ---- bfloat16 pairs ---- */

static bool attention_cpu_supports_pairs(const device *d, const int *shape)
{
    return attention_cpu_supports(d, shape) && d->vector_width == 16 &&
           d->feature[FEATURE_AVX512_BF16] && d->settings.precision == PRECISION_BF16;
}

static status scratch_count_pairs(device *d, const int *config, size_t *count, attention_shape s)
{
    tiling t = attention_cpu_lay_out(d, config, s, 2);
    *count = scratch_of(&t, s);
    return OK;
}

const op_impl attention_cpu_pairs = {
    .op = "attention",
    .name = "avx512_bf16",
    .file = "attention_cpu.cl",
    .input_error = 0x1p-9,
    .roof = ROOF_16BIT,
    IMPL_TUNABLES,
    .supports = attention_cpu_supports_pairs,
    .fits = attention_cpu_fits,
    .attention = {.scratch = scratch_count_pairs, .plan = attention_cpu_plan}};
