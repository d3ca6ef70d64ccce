/* Launches cl/groupnorm.cl, and cl/groupnorm_cpu.cl where channels come in whole vectors. */
#include "ops/op.h"

/* How a picture's statistics are cut: each entry is of `vec` channels over `pixels` pixels. */
typedef struct {
    int vec, pixels;
    size_t chunks, vectors;
} statistics_parts;

/* For CPUs: the chunks of a picture, for any number of cores. */
enum { CPU_CHUNK_PIXELS = 256 };

/* For other devices: pixels that a work-item reads at once, as in the kernel; and about the most
 * entries of a picture. That many work-items keep a large GPU's memory busy. */
enum { BLOCK_PIXELS = 8, MOST_ENTRIES = 65536 };

/* VEC of the kernels for CPUs; 0: the kernels for any device serve. */
static int row_vector(const device *d, int channels)
{
    int vec = d->family == FAMILY_CPU ? d->vector_width : 0;
    while (vec >= 4 && channels % vec != 0) vec /= 2;
    return vec >= 4 ? vec : 0;
}

/* Nothing depends on the number of pictures, so neither do a picture's bits. */
static statistics_parts parts_of(const device *d, picture_shape s, int groups)
{
    size_t pixels = (size_t)s.height * (size_t)s.width, channels = (size_t)s.channels;
    statistics_parts p = {.vec = s.channels / groups % 4 ? 1 : 4, .pixels = CPU_CHUNK_PIXELS};
    p.vectors = channels / (size_t)p.vec;
    if (row_vector(d, s.channels))
        p.vectors = channels;
    else
        p.pixels = (int)round_up(ceil_div(pixels * p.vectors, MOST_ENTRIES), BLOCK_PIXELS);
    p.chunks = ceil_div(pixels, (size_t)p.pixels);
    return p;
}

/* Enough for smaller pictures, too. On other devices than CPUs it is a bound: an entry has at least
 * BLOCK_PIXELS pixels, and only the last chunks can exceed MOST_ENTRIES. */
size_t groupnorm_scratch(const device *d, picture_shape s, int groups)
{
    statistics_parts p = parts_of(d, s, groups);
    size_t channels = (size_t)s.channels, entries = p.chunks * p.vectors;
    if (!row_vector(d, s.channels)) {
        entries = ceil_div((size_t)s.height * (size_t)s.width, BLOCK_PIXELS) * channels;
        if (entries > MOST_ENTRIES + channels) entries = MOST_ENTRIES + channels;
    }
    return (size_t)s.batch * entries * 2;
}

/* The work-items that join a group. Their sums pass through local memory. */
static int joining_items(const device *d)
{
    int items = op_group(d, 64);
    while (items > 1 && (uint64_t)items * sizeof(float) > d->info.local_bytes) items /= 2;
    return items;
}

/* Statistics of each chunk, then affine from those of all chunks: for CPUs. */
static status rows_plan(device *d, op_plan *p, picture_shape s, int groups, float epsilon, int vec)
{
    statistics_parts cut = parts_of(d, s, groups);
    size_t batch = (size_t)s.batch;
    int pixels = s.height * s.width;
    launch_prepare(&p->launches[0], RANGE(cut.chunks, batch), RANGE(1), ARG(pixels),
                   ARG(cut.pixels), ARG(s.channels));
    launch_prepare(&p->launches[1], RANGE((size_t)groups, batch), RANGE(1), ARG(pixels),
                   ARG(cut.pixels), ARG((int)cut.chunks), ARG(s.channels), ARG(groups),
                   ARG(epsilon));
    status st = program_get(d, &p->launches[0].k, "groupnorm_cpu.cl", "groupnorm_partial_rows",
                            "-DSTATISTICS -DVEC=%d", vec);
    if (st != OK) return st;
    return program_get(d, &p->launches[1].k, "groupnorm_cpu.cl", "groupnorm_affine_rows",
                       "-DSTATISTICS -DVEC=%d", vec);
}

status groupnorm_statistics_plan(device *d, op_plan *p, picture_shape s, int groups, float epsilon)
{
    statistics_parts cut = parts_of(d, s, groups);
    int pixels = s.height * s.width, vec = row_vector(d, s.channels), join = joining_items(d);
    size_t items = (size_t)op_items(d), batch = (size_t)s.batch, joins = (size_t)groups;
    plan_begin(p, "groupnorm_statistics", (work){.bytes = 4.0 * s.batch * pixels * s.channels},
               "%dx%d %d", s.height, s.width, s.channels);
    if (vec) return rows_plan(d, p, s, groups, epsilon, vec);
    launch_prepare(&p->launches[0], RANGE(round_up(cut.chunks * cut.vectors, items), batch),
                   RANGE(items), ARG(pixels), ARG(cut.pixels), ARG((int)cut.chunks),
                   ARG((int)cut.vectors));
    launch_prepare(&p->launches[1],
                   RANGE(join > 1 ? joins * (size_t)join : round_up(joins, items), batch),
                   RANGE(join > 1 ? (size_t)join : items), ARG(pixels), ARG(cut.pixels),
                   ARG((int)cut.chunks), ARG(s.channels), ARG(groups), ARG(epsilon));
    status st = program_get(d, &p->launches[0].k, "groupnorm.cl", "groupnorm_partial",
                            "-DSTATISTICS -DVEC=%d -DWG=%d", cut.vec, join);
    if (st != OK) return st;
    return program_get(d, &p->launches[1].k, "groupnorm.cl", "groupnorm_affine",
                       "-DSTATISTICS -DVEC=%d -DWG=%d", cut.vec, join);
}

status op_groupnorm_statistics(device *d, const op_plan *p, buf affine, buf x, buf weight, buf bias,
                               buf scratch)
{
    status st = plan_launch(d, p, ARG(scratch), ARG(x));
    if (st != OK) return st;
    return launch_prepared(d, &p->launches[1], ARG(affine), ARG(scratch), ARG(weight), ARG(bias));
}

status groupnorm_apply_prepare(device *d, prepared_launch *l, picture_shape s,
                               const groupnorm_use *use)
{
    size_t group = (size_t)op_items(d), border = use->pad ? 2 : 0;
    size_t height = (size_t)(s.height * use->up), width = (size_t)(s.width * use->up);
    size_t pixels = (height + border) * (width + border) + (size_t)use->slack;
    int vec = row_vector(d, s.channels);
    if (vec) {
        launch_prepare(l, RANGE(height + border, (size_t)s.batch), RANGE(1), ARG(s.channels),
                       ARG(s.height), ARG(s.width), ARG((int)pixels));
        return program_get(d, &l->k, "groupnorm_cpu.cl", "groupnorm_apply_rows",
                           "-DVEC=%d -DNORM=%d -DSILU=%d -DUP=%d -DPAD=%d", vec, use->norm,
                           use->silu, use->up, use->pad);
    }
    launch_prepare(l, RANGE(round_up((size_t)s.channels, group), pixels, (size_t)s.batch),
                   RANGE(group), ARG(s.channels), ARG(s.height), ARG(s.width), ARG((int)pixels));
    return program_get(d, &l->k, "groupnorm.cl", "groupnorm_apply",
                       "-DNORM=%d -DSILU=%d -DUP=%d -DPAD=%d", use->norm, use->silu, use->up,
                       use->pad);
}

status groupnorm_apply_plan(device *d, op_plan *p, picture_shape s, const groupnorm_use *use)
{
    double border = use->pad ? 2 : 0, values = (double)s.batch * s.channels;
    double pixels = (s.height * use->up + border) * (s.width * use->up + border) + use->slack;
    plan_begin(p, "groupnorm_apply",
               (work){.bytes = 4 * values * (pixels + (double)s.height * s.width)},
               "%dx%d %d%s%s%s%s", s.height, s.width, s.channels, use->norm ? " norm" : "",
               use->silu ? " silu" : "", use->up > 1 ? " up" : "", use->pad ? " pad" : "");
    return groupnorm_apply_prepare(d, &p->launches[0], s, use);
}

status op_groupnorm_apply(device *d, const op_plan *p, buf out, buf x, buf affine)
{
    return plan_launch(d, p, ARG(out), ARG(x), ARG(affine));
}
