/* Launches cl/attention.cl: tiles of queries and keys, shared by the work-items of a work-group. */
#include "ops/attention.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(BQ, "queries of a work-group's tile", 1, 2, 4, 8, 16, 32, 64, 128)                           \
    T(BK, "keys of a work-group's tile", 4, 8, 16, 32, 64, 128)                                    \
    T(RQ, "queries of a work-item", 1, 2, 4, 8)                                                    \
    T(RK, "keys of a work-item", 1, 2, 4, 8)                                                       \
    T(VEC, "channels that are read and summed at once", 1, 4, 8, 16)                               \
    T(DC, "channels of keys that are staged at a time", 16, 24, 32, 48, 64, 128)                   \
    T(SQ, "queries: not staged, staged whole, or with the keys", 0, 1, 2)                          \
    T(SK, "whether keys are staged", 0, 1)                                                         \
    T(VC, "keys whose values are staged at a time, 0 none", 0, 4, 8, 16, 32, 64)                   \
    T(WIDE, "whether a score is summed in a vector's lanes", 0, 1)                                 \
    T(HALF, "whether what is staged is rounded to half", 0, 1)                                     \
    T(SG, "whether a row of work-items is a sub-group and passes probabilities round", 0, 1)
DECLARE_TUNABLES(TUNABLES);

enum { BATCH, TOKENS, HEADS, HEAD_DIM };

/* Registers of a work-item, and of a whole work-group, that compilers can be expected to use. */
enum { ITEM_REGISTERS = 240, GROUP_REGISTERS = 65536 };

/* The most iterations of all loops of a work-item, for a driver that cuts loops at 65535. The
 * driver was seen to count 1.6 times as many as rounds(). */
enum { MOST_ROUNDS = 32767 };

static int vectors(const int *v, const int *shape) /* that the channels of a head fill */
{
    return (int)ceil_div((size_t)shape[HEAD_DIM], (size_t)v[VEC]);
}

static int columns(const int *v)
{
    return v[BK] / v[RK];
}

static int group(const int *v)
{
    return v[BQ] / v[RQ] * columns(v);
}

/* Local memory that the kernel declares. */
static size_t attention_gpu_local_bytes(const device *d, const int *v, const int *shape)
{
    size_t head = (size_t)vectors(v, shape), chunk = (size_t)(v[DC] / v[VEC]);
    size_t vec = (size_t)v[VEC], queries = (size_t)v[BQ], keys = (size_t)v[BK];
    if (chunk > head) chunk = head;
    size_t of_q = v[SQ] ? queries * ((v[SQ] == 1 ? head : chunk) + 1) * vec : 0;
    size_t of_k = v[SK] ? keys * (chunk + 1) * vec : 0, of_v = (size_t)v[VC] * head * vec;
    bool shared = columns(v) > 1 && !(v[SG] && d->subgroups.required);
    size_t weights = shared ? queries * (keys + 4) * 4 : 0;
    return weights + (of_q + (of_k > of_v ? of_k : of_v)) * (v[HALF] ? 2 : 4);
}

static bool subgroups_fit(const device *d, const int *v)
{
    return d->feature[FEATURE_SUBGROUPS] && d->subgroups.size == columns(v);
}

/* Registers of a work-item: sums, scores, the factors in use, three values of each query, and 24
 * for the rest. HALF takes 48 more to unpack fp16 factors. */
static int attention_gpu_registers(const int *v, const int *shape)
{
    int owned = (int)ceil_div((size_t)vectors(v, shape), (size_t)columns(v));
    int scores = v[RQ] * v[RK] * (v[WIDE] ? v[VEC] + 1 : 1);
    int loads = (v[RK] + 1) * v[VEC], weights = 4 * v[RQ] + v[VEC];
    return v[RQ] * owned * v[VEC] + scores + (loads > weights ? loads : weights) + 3 * v[RQ] + 24 +
           (v[HALF] ? 48 : 0);
}

static size_t staging_rounds(const int *v, size_t rows, size_t width)
{
    return ceil_div(rows * width, (size_t)group(v)) + 1;
}

/* Iterations of the loop over tokens, and of the loops in it that the kernel does not ask to
 * unroll. The end of a loop may count as an iteration. */
static size_t rounds(const int *v, const int *shape)
{
    size_t head = (size_t)vectors(v, shape), chunk = (size_t)(v[DC] / v[VEC]);
    size_t queries = (size_t)v[BQ], keys = (size_t)v[BK], values = (size_t)v[VC];
    if (chunk > head) chunk = head;
    size_t of_chunk = chunk + 2 + (v[SQ] == 2 ? staging_rounds(v, queries, chunk) : 0) +
                      (v[SK] ? staging_rounds(v, keys, chunk) : 0);
    size_t of_values =
        values ? keys / values * (staging_rounds(v, values, head) + values / 4 + 2) : keys / 4;
    size_t of_block =
        ceil_div(head, chunk) * of_chunk + (size_t)(v[RQ] * (columns(v) + 1)) + of_values + 3;
    return ceil_div((size_t)shape[TOKENS], keys) * of_block;
}

static bool attention_gpu_fits(const device *d, const int *v, const int *shape)
{
    if (v[BQ] % v[RQ] != 0 || v[BK] % v[RK] != 0 || v[DC] % v[VEC] != 0) return false;
    if (v[VC] && v[BK] % v[VC] != 0) return false;
    if (v[SG] && !subgroups_fit(d, v)) return false;
    if (v[VEC] > 4 && !v[WIDE]) return false; /* only WIDE sums more than four lanes */
    if (v[HALF] && d->settings.precision != PRECISION_FP16) return false;
    if (v[HALF] && !v[SQ] && !v[SK] && !v[VC]) return false; /* HALF changes staged numbers only */
    /* a tile that is empty for the most part */
    if (v[BQ] > 16 && v[BQ] >= 2 * shape[TOKENS]) return false;
    if ((size_t)group(v) > d->info.max_work_group) return false;
    if (attention_gpu_local_bytes(d, v, shape) > d->info.local_bytes) return false;
    if (d->info.quirk.has[QUIRK_LOOPS_ARE_CUT] && rounds(v, shape) > MOST_ROUNDS) return false;
    /* A work-group of one work-item is for CPUs: its sums may lie in memory. The sums of wide heads
     * may, too, if there is no local memory to share. */
    bool in_memory = group(v) == 1 || (columns(v) == 1 && v[WIDE] && !d->info.local_bytes);
    if (in_memory) return v[RQ] * v[RK] <= 16;
    int registers = attention_gpu_registers(v, shape);
    return registers <= ITEM_REGISTERS && registers * group(v) <= GROUP_REGISTERS;
}

/* Keys and values are staged once for BQ queries. What is not staged is read from a cache. */
static waves attention_gpu_waves(const device *d, const int *v, const int *shape)
{
    enum { FROM_CACHE = 4 };
    (void)d;
    read_cost c = WAVES_FP32;
    double keys = v[SK] ? 1 : FROM_CACHE, queries = v[SQ] ? 1 : FROM_CACHE;
    double step = waves_step(c, v[BQ], v[BK], v[RQ] / keys, v[RK] / queries) -
                  c.global * v[BQ]; /* queries are read once, not in each step */
    size_t tiles = ceil_div((size_t)shape[TOKENS], (size_t)v[BQ]);
    return (waves){.groups = (double)(tiles * (size_t)(shape[BATCH] * shape[HEADS])),
                   .items = group(v),
                   .work = 2.0 * shape[HEAD_DIM] * step *
                           (double)ceil_div((size_t)shape[TOKENS], (size_t)v[BK])};
}

static const int configs[][CONFIG_VALUES] = {
    /* BQ, BK, RQ, RK, VEC, DC, SQ, SK, VC, WIDE, HALF, SG */
    {64, 64, 4, 4, 4, 128, 1, 1, 16, 0, 1},
    {64, 64, 4, 4, 4, 24, 2, 1, 16, 0, 1},
    {32, 32, 2, 2, 4, 64, 2, 1, 8, 0, 1},
    {64, 64, 4, 4, 4, 24, 1, 1, 16, 0, 0}, /* 48 KB of local memory */
    {64, 64, 4, 4, 4, 24, 2, 1, 16, 0, 0}, /* 32 KB */
    {64, 32, 4, 2, 4, 32, 2, 1, 8, 0, 0},
    {32, 32, 2, 2, 4, 32, 2, 1, 8, 0, 0},
    {16, 32, 1, 2, 4, 32, 2, 1, 8, 0, 0},
    {16, 32, 2, 2, 4, 64, 0, 1, 4, 0, 0},
    {64, 64, 8, 4, 4, 64, 1, 1, 0, 0, 0, 1}, /* sub-groups of 16 */
    {64, 64, 4, 4, 4, 24, 2, 1, 16, 0, 0, 1},
    {16, 64, 4, 4, 4, 64, 0, 0, 0, 0, 0, 1},
    {32, 128, 4, 4, 4, 32, 0, 1, 16, 0, 0, 1}, /* sub-groups of 32 */
    {16, 64, 4, 2, 4, 64, 0, 0, 0, 0, 0, 1},
    {16, 32, 4, 4, 4, 64, 0, 0, 0, 0, 0, 1}, /* sub-groups of 8 */
    {16, 32, 2, 4, 4, 128, 0, 0, 0, 0, 0},   /* little local memory: 2.3 KB */
    {8, 32, 2, 2, 4, 128, 0, 0, 0, 0, 0},    /* 1.1 KB, and fewer registers */
    {4, 32, 2, 2, 4, 128, 0, 0, 0, 0, 0},    /* 576 bytes */
    {2, 64, 1, 2, 4, 128, 0, 0, 0, 0, 0},    /* 544 bytes, and few registers for wide heads */
    {8, 32, 1, 2, 4, 32, 0, 0, 0, 0, 0},
    {8, 128, 4, 8, 4, 64, 0, 0, 0, 0, 0}, /* short loops */
    {2, 32, 1, 1, 4, 64, 0, 0, 0, 0, 0},
    {64, 4, 1, 4, 4, 128, 0, 0, 0, 0, 0}, /* no local memory: a work-item has all keys of a tile */
    {128, 4, 2, 4, 4, 128, 0, 0, 0, 0, 0},
    {16, 4, 1, 4, 4, 128, 0, 0, 0, 0, 0},
    {64, 4, 1, 4, 16, 128, 0, 0, 0, 1, 0}, /* heads whose sums lie in memory */
    {16, 4, 1, 4, 16, 128, 0, 0, 0, 1, 0},
    {4, 4, 4, 4, 16, 128, 0, 0, 0, 1, 0}, /* one work-item per work-group */
    {4, 4, 4, 4, 4, 128, 0, 0, 0, 1, 0},
};

static bool attention_gpu_stages(const int *v)
{
    return v[SQ] || v[SK] || v[VC];
}

/* Tiles in local memory may be of fp16. */
static double input_error(const int *config)
{
    return config[HALF] ? 0x1p-11 : 0.0;
}

static bool attention_gpu_supports(const device *d, const int *shape)
{
    (void)shape;
    return d->family == FAMILY_GPU;
}

static status attention_gpu_plan(device *d, op_plan *p, attention_shape s)
{
    const int *v = p->choice.config;
    char options[CONFIG_OPTIONS], subgroups[PROBE_OPTIONS] = "", factors[FACTOR_OPTIONS] = "";
    bool writes = attention_fused(p) & WRITES_FACTORS;
    size_t items = (size_t)group(v);
    configuration_options(options, p->choice.impl, v);
    if (v[SG]) probe_subgroup_options(subgroups, d);
    if (writes) mma_factor_options(factors, d, mma_of(d));
    launch_prepare(
        &p->launches[0],
        RANGE(ceil_div((size_t)s.tokens, (size_t)v[BQ]) * items, (size_t)s.heads, (size_t)s.batch),
        RANGE(items), ARG(s.tokens), ARG(s.heads), ARG(attention_scale(s)));
    return program_get(d, &p->launches[0].k, "attention.cl", "attention", "-DD=%d%s%s%s %s",
                       s.head_dim, writes ? " -DWRITES_FACTORS=1 " : "", factors, options,
                       subgroups);
}

const op_impl attention_gpu = {.op = "attention",
                               .name = "gpu",
                               .file = "attention.cl",
                               .input_error_of = input_error,
                               .factors = WRITES_FACTORS,
                               IMPL_TUNABLES,
                               .supports = attention_gpu_supports,
                               .fits = attention_gpu_fits,
                               .waves = attention_gpu_waves,
                               .stages = attention_gpu_stages,
                               .registers = attention_gpu_registers,
                               .attention = {.plan = attention_gpu_plan}};
