/* Launches cl/attention_cpu.cl, or has attention_gpu.c launch cl/attention.cl where lanes are items.
 * Both make one pass with online softmax. */
#include "ops/attention.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "ops/op.h"

/* ---- cpu class ---- */

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
} cpu_tiling;

/* Keys, or channels, times QV vectors of queries fit the registers that such processors have. With
 * 8 floats, 4 rows were faster than 5 or 6. */
static const int known[][TUNING_VALUES] = {{16, 2, 13, 0, 64}, {16, 1, 13, 0, 64},
                                           {8, 2, 4, 0, 64},   {8, 1, 4, 0, 64},
                                           {4, 4, 4, 0, 64},   {4, 1, 4, 0, 64}};

static bool fits_values(const device *d, const int *v, const int *shape)
{
    int registers = d->vector_width == 8 ? 16 : 32, rows = v[KR] > v[DR] ? v[KR] : v[DR];
    if (shape[1] <= v[VEC] && v[QV] > 1) return false; /* few queries: fewer idle lanes */
    return v[VEC] == d->vector_width && v[QV] * rows + v[QV] + 1 <= registers &&
           v[BK] >= v[KR] && v[DR] <= shape[3];
}

static const tuning tuned = {"attention", "cpu", "attention_cpu.cl", tunables, N_TUNABLES_HERE,
                             known, sizeof known / sizeof *known, fits_values, NULL};

static void sizes(int shape[TUNING_SIZES], attention_shape s)
{
    const int all[TUNING_SIZES] = {s.batch, s.tokens, s.heads, s.head_dim};
    memcpy(shape, all, sizeof all);
}

/* Channels of a tile: those that need the least work for d, padding and loads included. */
static int best_channels(int d, int most)
{
    int best = most;
    for (int n = most; n > most / 2; n--)
        if (ceil_div((size_t)d, (size_t)n) * (size_t)(n + 1) <
            ceil_div((size_t)d, (size_t)best) * (size_t)(best + 1))
            best = n;
    return best;
}

/* Query tiles of a work-group so that the last one of all ends soonest, where bringing keys and
 * values together costs a third of a tile. */
static void split(cpu_tiling *t, const device *d, attention_shape s, size_t all)
{
    size_t units = d->info.compute_units ? d->info.compute_units : 1, best = 0;
    for (size_t splits = 1; splits <= all; splits++) {
        size_t tiles = ceil_div(all, splits), groups = ceil_div(all, tiles);
        size_t rounds = ceil_div(groups * (size_t)s.heads * (size_t)s.batch, units);
        size_t cost = rounds * (3 * tiles + 1);
        if (best && cost >= best) continue;
        best = cost;
        t->tiles = (int)tiles;
        t->splits = (int)groups;
    }
}

static cpu_tiling choose_cpu(const device *d, attention_shape s)
{
    int shape[TUNING_SIZES];
    sizes(shape, s);
    const int *v = tuning_values_for(d, &tuned, shape);
    cpu_tiling t = {.vec = v[VEC], .query_vectors = v[QV], .keys = v[KR]};
    t.channels = v[DR] ? v[DR] : best_channels(s.head_dim, v[KR]);
    t.block = (int)round_up((size_t)v[BK], (size_t)t.keys);
    size_t queries = (size_t)(t.vec * t.query_vectors), head = (size_t)s.head_dim;
    size_t block = (size_t)t.block, padded = round_up(head, (size_t)t.channels);
    split(&t, d, s, ceil_div((size_t)s.tokens, queries));
    t.block_floats = block * (head + padded + queries);
    t.tile_floats = (head + padded + 2) * queries;
    return t;
}

static status op_attention_cpu(device *d, buf out, buf qkv, buf scratch, attention_shape s)
{
    cpu_tiling t = choose_cpu(d, s);
    float factor = 1.44269504f / sqrtf((float)s.head_dim); /* scores are powers of two */
    kernel *k;
    status st = program_get(d, &k, "attention_cpu.cl", "attention_cpu",
                            "-DD=%d -DVEC=%d -DQV=%d -DKR=%d -DDR=%d -DBK=%d", s.head_dim, t.vec,
                            t.query_vectors, t.keys, t.channels, t.block);
    if (st != OK) return st;
    return launch(d, k, RANGE((size_t)t.splits, (size_t)s.heads, (size_t)s.batch), RANGE(1),
                  ARG(out), ARG(qkv), ARG(scratch), ARG(s.tokens), ARG(t.tiles), ARG(factor));
}

/* ---- either ---- */

int attention_kinds(const device *d, const int *shape, const tuning *out[TUNING_KINDS])
{
    int n = 0;
    (void)shape;
    if (!d || d->class == CLASS_CPU) out[n++] = &tuned;
    if (!d || d->class == CLASS_GPU) out[n++] = &attention_gpu_tuning;
    return n;
}

status attention_scratch(device *d, size_t *count, attention_shape s)
{
    size_t heads = (size_t)s.batch * (size_t)s.heads;
    /* the kernels' offsets within one batch item are ints */
    if ((size_t)s.tokens * 3 * (size_t)s.heads * (size_t)s.head_dim > INT_MAX)
        return fail(ERR_LIMIT, "attention over %d tokens of %d channels is too large", s.tokens,
                    s.heads * s.head_dim);
    if (d->class == CLASS_CPU) {
        cpu_tiling t = choose_cpu(d, s);
        *count = heads * (size_t)t.splits * (t.block_floats + (size_t)t.tiles * t.tile_floats);
    } else {
        *count = 0;
    }
    return OK;
}

status op_attention(device *d, buf out, buf qkv, buf scratch, attention_shape s)
{
    double rows = (double)s.batch * s.tokens, width = (double)s.heads * s.head_dim;
    record_work(d, "attention",
                (work){.flops = 4 * rows * s.tokens * width, .bytes = 16 * rows * width},
                "N=%d T=%d H=%d d=%d", s.batch, s.tokens, s.heads, s.head_dim);
    return d->class == CLASS_CPU ? op_attention_cpu(d, out, qkv, scratch, s)
                                 : attention_gpu(d, out, qkv, s);
}

double attention_input_error(const device *d)
{
    return d->class == CLASS_GPU ? attention_gpu_input_error(d) : 0.0;
}
