/* Launches cl/attention_mma.cl: all factors in fp16, bf16 or bf16x3 on the device's matrix units,
 * with fp32 sums. */
#include "ops/attention.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(BQ, "queries of a work-group", 8, 16, 32, 64, 128)                                           \
    T(BK, "keys of a step", 16, 32, 64, 128)                                                       \
    T(WQ, "queries of a sub-group", 8, 16, 32, 64)                                                 \
    T(UC, "sub-groups that share their queries", 1, 2, 4, 8)                                       \
    T(DC, "channels of keys or values in local memory at once", 32, 64, 128)                       \
    T(QR, "whether queries stay in registers", 0, 1)                                               \
    T(AHEAD, "whether what comes next is fetched while this is multiplied", 0, 1)
DECLARE_TUNABLES(TUNABLES);

enum { BATCH, TOKENS, HEADS, HEAD_DIM };

/* For heads of up to 128 channels, then wider ones, then few tokens; fits() refuses tiles that
 * the sizes of a device's MMA do not divide. Not yet measured on a GPU. */
static const int configs[][CONFIG_VALUES] = {
    /* BQ BK WQ UC DC QR AHEAD */
    {64, 64, 16, 1, 128, 1, 1}, {64, 32, 8, 2, 128, 0, 1},   {64, 32, 16, 4, 128, 0, 1},
    {64, 32, 16, 1, 128, 1, 1}, {128, 64, 16, 1, 128, 1, 1}, {128, 32, 32, 1, 128, 1, 1},
    {32, 32, 16, 2, 128, 0, 1}, {32, 64, 16, 4, 64, 0, 1},   {32, 32, 16, 4, 64, 0, 1},
    {32, 32, 16, 2, 64, 0, 1},  {16, 64, 8, 8, 64, 0, 0},    {16, 32, 16, 2, 128, 0, 1},
    {16, 64, 16, 4, 64, 0, 1},  {16, 32, 16, 4, 64, 0, 1},   {16, 32, 16, 2, 64, 0, 1},
    {16, 32, 16, 2, 64, 0, 0},  {32, 64, 16, 8, 64, 0, 0},   {16, 64, 16, 8, 64, 0, 0},
    {16, 32, 16, 4, 128, 0, 0}, {16, 16, 16, 1, 32, 0, 0},   {8, 64, 8, 8, 64, 0, 0},
    {8, 32, 8, 4, 128, 0, 0},   {8, 16, 8, 1, 32, 0, 0},
};

/* The same for bf16x3, whose tiles take twice the local memory. */
static const int configs_three[][CONFIG_VALUES] = {
    {64, 32, 16, 1, 128, 1, 1},  {64, 32, 8, 2, 128, 0, 1},  {64, 32, 16, 4, 128, 0, 1},
    {64, 32, 16, 2, 128, 0, 1},  {32, 32, 16, 2, 128, 0, 1}, {32, 64, 8, 4, 64, 0, 0},
    {64, 64, 16, 8, 64, 0, 0},   {32, 64, 16, 8, 64, 0, 0},  {64, 64, 16, 1, 128, 1, 1},
    {128, 32, 16, 1, 128, 1, 1}, {32, 32, 16, 1, 128, 1, 1}, {32, 32, 16, 2, 64, 0, 1},
    {16, 32, 16, 4, 32, 0, 1},   {16, 32, 16, 2, 64, 0, 0},  {8, 64, 8, 8, 64, 0, 0},
    {32, 32, 8, 2, 128, 0, 0},   {16, 32, 8, 4, 64, 0, 0},   {16, 32, 16, 2, 64, 0, 1},
    {16, 32, 16, 2, 32, 0, 0},   {16, 32, 16, 4, 32, 0, 0},  {16, 64, 16, 8, 64, 0, 0},
    {16, 32, 16, 1, 32, 0, 0},   {16, 16, 16, 1, 32, 0, 0},  {8, 32, 8, 4, 64, 0, 0},
    {8, 32, 8, 2, 64, 0, 0},     {8, 16, 8, 1, 32, 0, 0},
};

/* For DPAS, whose lanes may use twice the registers: a fragment of keys serves two fragments of
 * queries on units of 8 lanes. Then for wide heads, then for few tokens or little local memory. */
static const int configs_dpas[][CONFIG_VALUES] = {
    {128, 32, 16, 1, 128, 0, 1}, {128, 16, 16, 1, 128, 0, 1}, {64, 32, 16, 1, 128, 0, 1},
    {64, 16, 16, 1, 128, 0, 1},  {32, 16, 16, 1, 128, 0, 1},  {32, 128, 16, 8, 64, 0, 0},
    {16, 128, 16, 8, 64, 0, 0},  {16, 64, 16, 8, 64, 0, 0},   {16, 32, 16, 4, 64, 0, 0},
    {16, 32, 16, 2, 64, 0, 0},   {16, 16, 16, 1, 32, 0, 0},   {8, 64, 8, 8, 64, 0, 0},
    {8, 32, 8, 4, 64, 0, 0},     {8, 16, 8, 1, 32, 0, 0},
};

/* The values of the kernel's macros of the same names. */
typedef struct {
    int uq, uk, query_words, key_words, sharers; /* of the matrix unit */
    int parts;                                   /* FACTOR_PARTS */
    int items, chunks, channels, value_channels; /* WORK_ITEMS, CHUNKS, CD, CV */
    int on_way;                                  /* IN_FLIGHT */
    bool direct;
} layout;

static int round_to(int x, int multiple)
{
    return (x + multiple - 1) / multiple * multiple;
}

static int loads(int tasks, int items)
{
    return (tasks + items - 1) / items;
}

static layout attention_mma_lay_out(const device *d, const int *v, const int *shape)
{
    const matrix_unit *u = mma_of(d);
    /* queries are rows of a fragment if a lane has neighbouring columns of a row */
    bool rows = u->vector > 1;
    layout l = {.uq = rows ? u->m : u->n,
                .uk = rows ? u->n : u->m,
                .query_words = rows ? u->a : u->b,
                .key_words = rows ? u->b : u->a,
                .parts = mma_parts(d)};
    int width = shape[HEAD_DIM], padded = round_to(width, MMA_DEPTH), shared = v[UC] * l.uk;
    l.sharers = v[UC] * u->lanes / (rows ? u->m / 2 : u->n);
    l.items = u->lanes * (v[BQ] / v[WQ]) * v[UC];
    l.channels = v[DC] < padded ? v[DC] : padded;
    l.chunks = loads(padded, l.channels);
    l.value_channels = round_to(l.chunks == 1 ? width : l.channels, shared);
    int keys = loads(v[BK] * l.channels / 4, l.items);
    int values = 2 * loads(v[BK] / 2 * l.value_channels / 4, l.items);
    l.on_way = keys > values ? keys : values;
    l.direct = v[UC] == 1 && u->feature != FEATURE_WMMA;
    return l;
}

/* Local memory that the kernel declares. An emulated matrix unit, which only tests have, exchanges
 * fragments there, too. */
static uint64_t attention_mma_local_bytes(const device *d, const matrix_unit *u, const int *v,
                                          const layout *l)
{
    int keys = v[BK] * (l->parts * l->channels + 8);
    int values = l->value_channels * (l->parts * v[BK] + 8);
    int buffers = 2 * (keys > values ? keys : values);
    int queries = v[BQ] * (l->parts * l->chunks * l->channels + 8);
    int tiles = !v[QR] ? buffers + queries : buffers > queries ? buffers : queries;
    int weights = l->direct ? 8 : v[BQ] * (l->parts * v[BK] + 8);
    return (uint64_t)(2 * (tiles + weights) + 4 * v[BQ] * l->sharers +
                      mma_exchange_bytes(d, u, l->items));
}

/* Words of queries that stay in registers. */
static int attention_mma_kept_words(const int *v, const layout *l)
{
    return v[QR] * v[WQ] / l->uq * l->query_words * l->parts * l->chunks * l->channels / MMA_DEPTH;
}

/* Sums, scores, which become p, factors and what a work-item has fetched and not yet staged. Of
 * factors that are not kept, one part at a time. */
static int attention_mma_floats_of_item(const matrix_unit *u, const int *v, const layout *l)
{
    enum { AT_ONCE = 4 }; /* loads in flight without AHEAD */
    int owned = v[WQ] / v[UC];
    int on_way = v[AHEAD] || l->on_way < AT_ONCE ? l->on_way : AT_ONCE;
    int kept = v[QR] ? attention_mma_kept_words(v, l) : v[WQ] / l->uq * l->query_words;
    return owned * (l->chunks * l->value_channels + v[BK]) / u->lanes + 4 * on_way + l->key_words +
           kept;
}

/* The most words of queries, with bf16x3, and the most registers with which compilers were seen to
 * spill nothing. */
enum { MOST_KEPT = 64 };

static int most_floats(const matrix_unit *u, int parts)
{
    enum { DPAS16 = 200, MMA_THREE = 140, OTHERS = 168 };
    if (u->feature == FEATURE_DPAS16) return DPAS16;
    if (u->vector > 1 && parts == 2) return MMA_THREE;
    return mma_is_dpas(u) ? mma_most_floats(u) : OTHERS;
}

/* MMAs of a sub-group, over all keys. */
static size_t attention_mma_products(const int *v, const layout *l, const int *shape)
{
    int keys = v[BK] / (v[UC] * l->uk) * (l->channels / MMA_DEPTH);
    int values = l->value_channels / (v[UC] * l->uk) * (v[BK] / MMA_DEPTH);
    return ceil_div((size_t)shape[TOKENS], (size_t)v[BK]) * (size_t)(l->parts == 2 ? 3 : 1) *
           (size_t)(v[WQ] / l->uq * l->chunks * (keys + values));
}

static bool attention_mma_fits(const device *d, const int *v, const int *shape)
{
    const matrix_unit *u = mma_of(d);
    if (!u || !divides(v[WQ], v[BQ])) return false;
    const layout l = attention_mma_lay_out(d, v, shape);
    return divides(l.uq, v[WQ]) && divides(v[UC] * l.uk, v[BK]) &&
           (l.chunks == 1 || divides(v[UC] * l.uk, l.channels)) &&
           (v[UC] - 1) * l.uk < shape[HEAD_DIM] && /* no sub-group without channels */
           /* no tile of which more than half is unused, if there is a smaller one */
           (v[BQ] == l.uq || v[BQ] < 2 * shape[TOKENS]) &&
           (size_t)l.items <= d->info.max_work_group &&
           attention_mma_local_bytes(d, u, v, &l) <= d->info.local_bytes &&
           mma_products_fit(d, u, attention_mma_products(v, &l, shape)) &&
           (l.parts == 1 || attention_mma_kept_words(v, &l) <= MOST_KEPT) &&
           /* on mma, prefetching chunks of a wide head spills */
           (l.chunks == 1 || !v[AHEAD] || u->vector == 1) &&
           attention_mma_floats_of_item(u, v, &l) <= most_floats(u, l.parts);
}

/* Keys and values are staged once for BQ queries. A sub-group reads them for its WQ queries. It
 * reads queries that are not in registers for its keys, and probabilities of other sub-groups for
 * its channels. RESCALE: a step's new maxima rescale all sums, without the matrix unit. */
static waves attention_mma_waves(const device *d, const int *v, const int *shape)
{
    enum { RESCALE = 4 };
    read_cost c = waves_of_unit(mma_parts(d));
    double head = shape[HEAD_DIM], sharers = v[UC], reads = 1.0 / v[WQ];
    if (!v[QR]) reads += 0.5 * sharers / v[BK];
    if (v[UC] > 1) reads += 0.5 * sharers / head;
    double of_query = 1.0 + c.local * reads + (double)RESCALE / v[BK];
    size_t tiles = ceil_div((size_t)shape[TOKENS], (size_t)v[BQ]);
    return (waves){.groups = (double)(tiles * (size_t)(shape[BATCH] * shape[HEADS])),
                   .items = attention_mma_lay_out(d, v, shape).items,
                   .work = 2.0 * head * shape[TOKENS] * (v[BQ] * of_query + c.global)};
}

static bool attention_mma_supports(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_FP16) && !op_has_dpas(d, PRECISION_FP16);
}

static bool attention_mma_supports_bf16(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_BF16) && !op_has_dpas(d, PRECISION_BF16);
}

static bool attention_mma_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_has_mma(d, PRECISION_AUTO) && !op_has_dpas(d, PRECISION_AUTO);
}

static bool attention_dpas_supports(const device *d, const int *shape)
{
    (void)shape;
    return op_has_dpas(d, PRECISION_FP16);
}

static bool attention_dpas_supports_bf16(const device *d, const int *shape)
{
    (void)shape;
    return op_has_dpas(d, PRECISION_BF16);
}

static bool attention_dpas_supports_three(const device *d, const int *shape)
{
    (void)shape;
    return op_has_dpas(d, PRECISION_AUTO);
}

static status attention_mma_plan(device *d, op_plan *p, attention_shape s)
{
    const int *v = p->choice.config;
    char options[CONFIG_OPTIONS], units[MMA_OPTIONS];
    unsigned fused = attention_fused(p);
    const layout l = attention_mma_lay_out(d, v, p->shape);
    size_t items = (size_t)l.items;
    const char *registers =
        mma_registers(d, mma_of(d), attention_mma_floats_of_item(mma_of(d), v, &l));
    configuration_options(options, p->choice.impl, v);
    mma_options(units, d, mma_of(d));
    if (mma_parts(d) == 2) p->announcing.done.executed = 3 * p->announcing.done.flops;
    launch_prepare(
        &p->launches[0],
        RANGE(ceil_div((size_t)s.tokens, (size_t)v[BQ]) * items, (size_t)s.heads, (size_t)s.batch),
        RANGE(items), ARG(s.tokens), ARG(s.heads), ARG(attention_scale(s)));
    return program_get(d, &p->launches[0].k, "attention_mma.cl", "attention_mma",
                       "%s%s -DD=%d -DREADS_FACTORS=%d -DWRITES_FACTORS=%d%s", units, registers,
                       s.head_dim, !!(fused & READS_FACTORS), !!(fused & WRITES_FACTORS), options);
}

const op_impl attention_mma = {.op = "attention",
                               .name = "gpu_mma",
                               .file = "attention_mma.cl",
                               .input_error = 0x1p-11,
                               .roof = ROOF_16BIT,
                               .factors = READS_FACTORS | WRITES_FACTORS,
                               IMPL_TUNABLES,
                               .supports = attention_mma_supports,
                               .fits = attention_mma_fits,
                               .waves = attention_mma_waves,
                               .attention = {.plan = attention_mma_plan}};

const op_impl attention_mma_bf16 = {.op = "attention",
                                    .name = "gpu_mma_bf16",
                                    .file = "attention_mma.cl",
                                    .input_error = 0x1p-9,
                                    .roof = ROOF_16BIT,
                                    .factors = READS_FACTORS | WRITES_FACTORS,
                                    IMPL_TUNABLES,
                                    .supports = attention_mma_supports_bf16,
                                    .fits = attention_mma_fits,
                                    .waves = attention_mma_waves,
                                    .attention = {.plan = attention_mma_plan}};

const op_impl attention_mma_bf16x3 = {.op = "attention",
                                      .name = "gpu_mma_bf16x3",
                                      .file = "attention_mma.cl",
                                      .input_error = 0x1p-18,
                                      .roof = ROOF_16BIT,
                                      .factors = READS_FACTORS | WRITES_FACTORS,
                                      .tunables = tunables,
                                      .n = N_TUNABLES_HERE,
                                      .configs = configs_three,
                                      .n_configs = sizeof configs_three / sizeof *configs_three,
                                      .supports = attention_mma_supports_three,
                                      .fits = attention_mma_fits,
                                      .waves = attention_mma_waves,
                                      .attention = {.plan = attention_mma_plan}};

#define DPAS(called, supported, error)                                                             \
    {                                                                                              \
        .op = "attention", .name = called, .file = "attention_mma.cl", .input_error = error,       \
        .roof = ROOF_16BIT, .factors = true, .tunables = tunables, .n = N_TUNABLES_HERE,           \
        .configs = configs_dpas, .n_configs = sizeof configs_dpas / sizeof *configs_dpas,          \
        .supports = supported, .fits = attention_mma_fits, .waves = attention_mma_waves,           \
        .attention = {                                                                             \
            .plan = attention_mma_plan                                                             \
        }                                                                                          \
    }

const op_impl attention_dpas = DPAS("gpu_dpas", attention_dpas_supports, 0x1p-11);
const op_impl attention_dpas_bf16 = DPAS("gpu_dpas_bf16", attention_dpas_supports_bf16, 0x1p-9);
const op_impl attention_dpas_bf16x3 =
    DPAS("gpu_dpas_bf16x3", attention_dpas_supports_three, 0x1p-18);
