/* Launches cl/conv_winograd.cl: Winograd F(2x2,3x3), for CPUs, channels in whole vectors. */
#include "ops/conv.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(VEC, "floats of a vector", 4, 8, 16)                                                         \
    T(NV, "vectors of a panel of output channels", 1, 2, 3, 4)                                     \
    T(MR, "tiles in registers, at most", 2, 3, 4, 5, 6, 8, 10, 12, 13, 14)                         \
    T(KU, "terms of a sum done together", 1, 2, 4, 8)                                              \
    T(BLOCK_KIB, "of transformed input, to stay in a second-level cache with room to spare", 128,  \
      256, 512, 1024, 2048)
DECLARE_TUNABLES(TUNABLES);

enum { IN = 1, OUT }; /* indices in a shape */

typedef struct {
    int vec, vectors, rows, unroll, block_kib; /* VEC NV MR KU BLOCK_KIB */
} tiling;

/* For each width of vectors, as many sums as registers hold. All give the same bits. */
static const int configs[][CONFIG_VALUES] = {
    {16, 2, 13, 4, 512}, {16, 2, 13, 4, 1024}, {16, 2, 13, 2, 512}, {16, 2, 8, 4, 512},
    {8, 2, 6, 4, 512},   {8, 2, 6, 4, 1024},   {8, 3, 4, 4, 512},   {4, 2, 6, 4, 512},
};

static bool conv_winograd_fits(const device *d, const int *v, const int *shape)
{
    (void)shape;
    return op_sums_stay(d, v[VEC], v[NV], v[MR]);
}

static tiling conv_winograd_choose(const conv_weight *w)
{
    const int *v = w->use.config;
    return (tiling){v[VEC], v[NV], v[MR], v[KU], v[BLOCK_KIB]};
}

enum { MAX_BLOCK = 64, GROUPS_PER_UNIT = 4 };

/* How a layer of a picture is cut. A block of tiles keeps its transformed input in cache; a
 * work-item has a block and one of `splits` shares of the panels. */
typedef struct {
    int elements, block_h, block_w, rows, row_blocks;
    size_t items, groups, splits;
} cut;

static int elements_of(int up)
{
    return up == 2 ? 9 : 16; /* 7 of 16 products are 0 */
}

static int panel_vectors(const conv_weight *w)
{
    tiling t = conv_winograd_choose(w);
    return op_panel_vectors(w->out, t.vec, t.vectors);
}

static size_t conv_winograd_panel(const conv_weight *w)
{
    return (size_t)(panel_vectors(w) * conv_winograd_choose(w).vec);
}

static bool conv_winograd_supports(const device *d, const int *shape)
{
    int in = shape[IN], out = shape[OUT];
    return d->family == FAMILY_CPU && in % d->vector_width == 0 && out % d->vector_width == 0;
}

static size_t conv_winograd_packed_count(const device *d, const conv_weight *w)
{
    (void)d;
    return round_up((size_t)w->out, conv_winograd_panel(w)) * (size_t)elements_of(w->up) *
           (size_t)w->in;
}

static status conv_winograd_pack(device *d, const conv_weight *w, buf stored)
{
    kernel *k;
    int width = (int)conv_winograd_panel(w);
    status st =
        program_get(d, &k, "conv_winograd.cl", "conv_winograd_pack", "-DPACK -DUP=%d", w->up);
    if (st != OK) return st;
    size_t chunks = (size_t)(w->in / d->vector_width);
    return launch(d, k, RANGE(chunks, ceil_div((size_t)w->out, conv_winograd_panel(w))), RANGE(1),
                  ARG(w->matrix), ARG(stored), ARG(w->in), ARG(w->out), ARG(width),
                  ARG(d->vector_width));
}

/* The block of 2^i tiles, as square as possible, that fits into the cache and is not much larger
 * than the picture. */
static cut cut_of(const device *d, const conv_weight *w, picture_shape s)
{
    tiling t = conv_winograd_choose(w);
    size_t units = d->info.compute_units ? d->info.compute_units : 1;
    size_t panels = ceil_div((size_t)w->out, conv_winograd_panel(w));
    size_t high = ceil_div((size_t)(s.height * w->up), 2);
    size_t wide = ceil_div((size_t)(s.width * w->up), 2);
    cut c = {.elements = elements_of(w->up), .block_h = 1, .block_w = 1, .splits = 1};
    size_t budget = (size_t)t.block_kib * 256 / (size_t)(c.elements * w->in), block = 1;
    while (block * 2 <= budget && block * 2 <= MAX_BLOCK) {
        bool taller = c.block_h < c.block_w && (size_t)c.block_h < high;
        if (!taller && (size_t)c.block_w >= wide && (size_t)c.block_h >= high) break;
        if (taller || (size_t)c.block_w >= wide)
            c.block_h *= 2;
        else
            c.block_w *= 2;
        block *= 2;
    }
    c.row_blocks = (int)ceil_div(block, (size_t)t.rows);
    c.rows = (int)ceil_div(block, (size_t)c.row_blocks);
    size_t blocks =
        (size_t)s.batch * ceil_div(high, (size_t)c.block_h) * ceil_div(wide, (size_t)c.block_w);
    while (blocks * c.splits < 2 * units && c.splits * 2 <= panels) c.splits *= 2;
    c.items = blocks * c.splits;
    c.groups = c.items < GROUPS_PER_UNIT * units ? c.items : GROUPS_PER_UNIT * units;
    return c;
}

static status conv_winograd_scratch_count(device *d, size_t *count, const conv_weight *w,
                                          picture_shape s)
{
    cut c = cut_of(d, w, s);
    *count = c.groups * (size_t)(c.elements * c.row_blocks * c.rows) *
             ((size_t)w->in + conv_winograd_panel(w));
    return OK;
}

/* FLOP of the products and of the transforms around them. */
static double executed(const conv_weight *w, picture_shape s)
{
    double tiles = s.batch * (double)ceil_div((size_t)(s.height * w->up), 2) *
                   (double)ceil_div((size_t)(s.width * w->up), 2);
    double before = w->up == 2 ? 12 : 32, after = w->up == 2 ? 10 : 24;
    return tiles * (2.0 * elements_of(w->up) * w->in * w->out + before * w->in + after * w->out);
}

static status conv_winograd_plan(device *d, op_plan *p, const conv_use *u)
{
    const conv_weight *w = u->w;
    picture_shape s = u->s;
    cut c = cut_of(d, w, s);
    int with_residual = conv_fuses(u, FUSED_RESIDUAL);
    p->announcing.done.executed = executed(w, s);
    launch_prepare(&p->launches[0], RANGE(c.groups), RANGE(1), ARG(with_residual), ARG(s.height),
                   ARG(s.width), ARG(w->in), ARG(w->out), ARG((int)c.splits), ARG((int)c.items),
                   ARG((int)c.groups));
    return program_get(d, &p->launches[0].k, "conv_winograd.cl", "conv_winograd",
                       "-DVEC=%d -DNV=%d -DMR=%d -DBH=%d -DBW=%d -DKU=%d -DUP=%d -DNORM=%d "
                       "-DSILU=%d",
                       d->vector_width, panel_vectors(w), c.rows, c.block_h, c.block_w,
                       conv_winograd_choose(w).unroll, w->up, conv_fuses(u, FUSED_NORM),
                       conv_fuses(u, FUSED_SILU));
}

static status enqueue(device *d, const op_plan *p, const conv_buffers *b)
{
    return launch_prepared(d, &p->launches[0], ARG(b->out), ARG(b->x), ARG(b->w->matrix),
                           ARG(b->w->bias), ARG(b->affine), ARG(b->residual), ARG(b->scratch));
}

const op_impl conv_winograd = {.op = "conv",
                               .name = "winograd",
                               .file = "conv_winograd.cl",
                               IMPL_TUNABLES,
                               .supports = conv_winograd_supports,
                               .fits = conv_winograd_fits,
                               .conv = {.packed_count = conv_winograd_packed_count,
                                        .pack = conv_winograd_pack,
                                        .scratch = conv_winograd_scratch_count,
                                        .plan = conv_winograd_plan,
                                        .enqueue = enqueue}};
