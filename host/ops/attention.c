/* Launches cl/attention.cl: packs keys and values, then one pass with online softmax. */
#include <limits.h>
#include <math.h>

#include "ops/op.h"
#include "ops/ops.h"

typedef struct {
    int vec, queries, key_vectors, group, value_vectors; /* VEC QR KV WG DB */
    int head_padded, tokens_padded;                      /* DP TP */
} tiling;

static tiling choose(const device *d, attention_shape s)
{
    static const tiling by_class[N_CLASSES] = {
        [CLASS_CPU] = {.vec = 16, .queries = 4, .key_vectors = 4, .group = 1},
        [CLASS_GPU] = {.vec = 4, .queries = 8, .key_vectors = 1, .group = 64},
    };
    tiling t = by_class[d->class];
    t.group = op_group(d, t.group);
    int vectors = (int)ceil_div((size_t)s.head_dim, (size_t)t.vec);
    /* a whole value row in registers where it fits, else blocks of four vectors */
    t.value_vectors = d->class == CLASS_GPU ? 1 : vectors <= 6 ? vectors : 4;
    t.head_padded = (int)round_up((size_t)vectors, (size_t)t.value_vectors) * t.vec;
    t.tokens_padded =
        (int)round_up((size_t)s.tokens, (size_t)(t.group * t.key_vectors * t.vec));
    return t;
}

status attention_scratch(device *d, size_t *keys, size_t *values, attention_shape s)
{
    tiling t = choose(d, s);
    size_t heads = (size_t)s.batch * (size_t)s.heads;
    *keys = heads * (size_t)s.head_dim * (size_t)t.tokens_padded;
    *values = heads * (size_t)t.head_padded * (size_t)t.tokens_padded;
    /* the kernel's offsets within one batch item are ints */
    if ((size_t)s.tokens * 3 * (size_t)s.heads * (size_t)s.head_dim > INT_MAX)
        return fail(ERR_LIMIT, "attention over %d tokens of %d channels is too large", s.tokens,
                    s.heads * s.head_dim);
    return OK;
}

status op_attention(device *d, buf out, buf qkv, buf keys, buf values, attention_shape s)
{
    tiling t = choose(d, s);
    size_t heads = (size_t)s.heads, batch = (size_t)s.batch, group = (size_t)t.group;
    float scale = 1.0f / sqrtf((float)s.head_dim);
    kernel *pack, *k;
    double rows = (double)s.batch * s.tokens, width = (double)s.heads * s.head_dim;
    record_work(d, "attention",
                (work){.flops = 4 * rows * s.tokens * width, .bytes = 16 * rows * width},
                "N=%d T=%d H=%d d=%d", s.batch, s.tokens, s.heads, s.head_dim);
    status st = program_get(d, &pack, "attention.cl", "attention_pack", "-DPACK -DD=%d -DDP=%d",
                            s.head_dim, t.head_padded);
    if (st == OK)
        st = program_get(d, &k, "attention.cl", "attention",
                         "-DD=%d -DDP=%d -DVEC=%d -DQR=%d -DKV=%d -DWG=%d -DDB=%d", s.head_dim,
                         t.head_padded, t.vec, t.queries, t.key_vectors, t.group,
                         t.value_vectors);
    size_t items = (size_t)op_items(d);
    if (st == OK)
        st = launch(d, pack, RANGE(round_up((size_t)t.tokens_padded, items), heads, batch),
                    RANGE(items), ARG(keys), ARG(values), ARG(qkv), ARG(s.tokens),
                    ARG(t.tokens_padded));
    if (st == OK)
        st = launch(d, k,
                    RANGE(ceil_div((size_t)s.tokens, (size_t)t.queries) * group, heads, batch),
                    RANGE(group), ARG(out), ARG(qkv), ARG(keys), ARG(values), ARG(s.tokens),
                    ARG(t.tokens_padded), ARG(scale));
    return st;
}
