/* Launches cl/groupnorm.cl, and cl/groupnorm_cpu.cl where channels come in whole vectors. */
#include "ops/op.h"

enum { CHUNK_PIXELS = 256 };

static size_t chunks_of(picture_shape s)
{
    return ceil_div((size_t)s.height * (size_t)s.width, CHUNK_PIXELS);
}

/* VEC of the kernels for CPUs; 0: the kernels for any device serve. */
static int row_vector(const device *d, int channels)
{
    int vec = d->family == FAMILY_CPU ? d->vector_width : 0;
    while (vec >= 4 && channels % vec != 0) vec /= 2;
    return vec >= 4 ? vec : 0;
}

size_t groupnorm_scratch(picture_shape s, int groups)
{
    (void)groups; /* a pair of each channel takes at least as much as of each group */
    return (size_t)s.batch * chunks_of(s) * (size_t)s.channels * 2;
}

/* The kernel that computes the statistics of each chunk, and the one that computes affine from
 * all chunks. */
static status statistics_get(device *d, op_plan *p, int vec)
{
    kernel **partial = &p->launches[0].k, **join = &p->launches[1].k;
    if (!vec) {
        status st = program_get(d, partial, "groupnorm.cl", "groupnorm_partial", "-DSTATISTICS");
        if (st != OK) return st;
        return program_get(d, join, "groupnorm.cl", "groupnorm_affine", "-DSTATISTICS");
    }
    status st = program_get(d, partial, "groupnorm_cpu.cl", "groupnorm_partial_rows",
                            "-DSTATISTICS -DVEC=%d", vec);
    if (st != OK) return st;
    return program_get(d, join, "groupnorm_cpu.cl", "groupnorm_affine_rows",
                       "-DSTATISTICS -DVEC=%d", vec);
}

status groupnorm_statistics_plan(device *d, op_plan *p, picture_shape s, int groups, float epsilon)
{
    size_t group = (size_t)op_group(d, 32), batch = (size_t)s.batch, chunks = chunks_of(s);
    size_t items = round_up((size_t)groups, group);
    int pixels = s.height * s.width, chunk_pixels = CHUNK_PIXELS, vec = row_vector(d, s.channels);
    plan_begin(p, "groupnorm_statistics", (work){.bytes = 4.0 * s.batch * pixels * s.channels},
               "%dx%d %d", s.height, s.width, s.channels);
    if (vec)
        launch_prepare(&p->launches[0], RANGE(chunks, batch), RANGE(1), ARG(pixels),
                       ARG(chunk_pixels), ARG(s.channels));
    else
        launch_prepare(&p->launches[0], RANGE(items, chunks, batch), RANGE(group), ARG(pixels),
                       ARG(chunk_pixels), ARG(s.channels), ARG(groups));
    launch_prepare(&p->launches[1], RANGE(items, batch), RANGE(group), ARG(pixels),
                   ARG(chunk_pixels), ARG((int)chunks), ARG(s.channels), ARG(groups), ARG(epsilon));
    return statistics_get(d, p, vec);
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
