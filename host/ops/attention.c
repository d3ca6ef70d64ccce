/* Launches cl/attention_cpu.cl, or has attention_gpu.c launch cl/attention.cl where lanes are items.
 * Both make one pass with online softmax. */
#include "ops/attention.h"

#include <limits.h>
#include <math.h>

#include "ops/op.h"

/* ---- cpu class ---- */

typedef struct {
    int vec, query_vectors, keys, channels, block; /* VEC QV KR DR BK */
    int tiles, splits; /* query tiles of a work-group, work-groups of a head */
    size_t head_padded, block_floats, tile_floats;
} cpu_tiling;

/* Register tiles by vector width: `rows` keys, or channels, times query_vectors vectors of queries
 * fit the registers that such processors have. With 8 floats, 4 rows were faster than 5 or 6. */
static const struct cpu_rows {
    int vec, query_vectors, rows;
} cpu_rows[] = {
    {16, 2, 13}, /* 32 registers */
    {8, 2, 4},   /* 16 */
    {4, 4, 4},
};

enum { BLOCK_KEYS = 64 }; /* about: keys of a block */

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
    const struct cpu_rows *r = cpu_rows;
    while (r->vec != d->vector_width) r++;
    cpu_tiling t = {.vec = r->vec, .keys = r->rows};
    t.query_vectors = s.tokens <= r->vec ? 1 : r->query_vectors; /* few queries: fewer idle lanes */
    t.channels = best_channels(s.head_dim, r->rows);
    t.block = (int)round_up(BLOCK_KEYS, (size_t)t.keys);
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
