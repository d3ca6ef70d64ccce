/* Launches cl/groupnorm.cl, and cl/groupnorm_cpu.cl where channels come in whole vectors. */
#include "ops/op.h"
#include "ops/ops.h"

enum { CHUNK_PIXELS = 256 };

static size_t chunks_of(picture_shape s)
{
    return ceil_div((size_t)s.height * (size_t)s.width, CHUNK_PIXELS);
}

/* VEC of the kernels for CPUs; 0: those for any device serve. */
static int row_vector(const device *d, int channels)
{
    int vec = d->family == FAMILY_CPU ? d->vector_width : 0;
    while (vec >= 4 && channels % vec != 0) vec /= 2;
    return vec >= 4 ? vec : 0;
}

size_t groupnorm_scratch(picture_shape s, int groups)
{
    (void)groups; /* a pair a channel is at least a pair a group */
    return (size_t)s.batch * chunks_of(s) * (size_t)s.channels * 2;
}

static status statistics_rows(device *d, int vec, buf affine, buf x, buf weight, buf bias,
                              buf scratch, picture_shape s, int groups, float epsilon)
{
    kernel *partial, *join;
    size_t batch = (size_t)s.batch, chunks = chunks_of(s);
    int pixels = s.height * s.width, chunk_pixels = CHUNK_PIXELS;
    status st = program_get(d, &partial, "groupnorm_cpu.cl", "groupnorm_partial_rows",
                            "-DSTATISTICS -DVEC=%d", vec);
    if (st == OK)
        st = program_get(d, &join, "groupnorm_cpu.cl", "groupnorm_affine_rows",
                         "-DSTATISTICS -DVEC=%d", vec);
    if (st == OK)
        st = launch(d, partial, RANGE(chunks, batch), RANGE(1), ARG(scratch), ARG(x), ARG(pixels),
                    ARG(chunk_pixels), ARG(s.channels));
    if (st == OK)
        st = launch(d, join, RANGE((size_t)groups, batch), RANGE(1), ARG(affine), ARG(scratch),
                    ARG(weight), ARG(bias), ARG(pixels), ARG(chunk_pixels), ARG((int)chunks),
                    ARG(s.channels), ARG(groups), ARG(epsilon));
    return st;
}

status op_groupnorm_statistics(device *d, buf affine, buf x, buf weight, buf bias, buf scratch,
                               picture_shape s, int groups, float epsilon)
{
    kernel *partial, *join;
    size_t group = (size_t)op_group(d, 32), batch = (size_t)s.batch, chunks = chunks_of(s);
    int pixels = s.height * s.width, chunk_pixels = CHUNK_PIXELS;
    record_work(d, "groupnorm_statistics", (work){.bytes = 4.0 * s.batch * pixels * s.channels},
                "%dx%d %d", s.height, s.width, s.channels);
    int vec = row_vector(d, s.channels);
    if (vec) return statistics_rows(d, vec, affine, x, weight, bias, scratch, s, groups, epsilon);
    status st = program_get(d, &partial, "groupnorm.cl", "groupnorm_partial", "-DSTATISTICS");
    if (st == OK) st = program_get(d, &join, "groupnorm.cl", "groupnorm_affine", "-DSTATISTICS");
    if (st == OK)
        st = launch(d, partial, RANGE(round_up((size_t)groups, group), chunks, batch), RANGE(group),
                    ARG(scratch), ARG(x), ARG(pixels), ARG(chunk_pixels), ARG(s.channels),
                    ARG(groups));
    if (st == OK)
        st =
            launch(d, join, RANGE(round_up((size_t)groups, group), batch), RANGE(group),
                   ARG(affine), ARG(scratch), ARG(weight), ARG(bias), ARG(pixels),
                   ARG(chunk_pixels), ARG((int)chunks), ARG(s.channels), ARG(groups), ARG(epsilon));
    return st;
}

status op_groupnorm_apply(device *d, buf out, buf x, picture_shape s, const groupnorm_use *use)
{
    kernel *k;
    size_t group = (size_t)op_items(d), border = use->pad ? 2 : 0;
    size_t height = (size_t)(s.height * use->up), width = (size_t)(s.width * use->up);
    size_t pixels = (height + border) * (width + border) + (size_t)use->slack;
    double channels = (double)s.batch * s.channels;
    record_work(d, "groupnorm_apply",
                (work){.bytes = 4 * channels * ((double)pixels + (double)s.height * s.width)},
                "%dx%d %d%s%s%s%s", s.height, s.width, s.channels,
                use->affine.memory ? " norm" : "", use->silu ? " silu" : "",
                use->up > 1 ? " up" : "", use->pad ? " pad" : "");
    int vec = row_vector(d, s.channels), norm = use->affine.memory != NULL;
    status st = vec ? program_get(d, &k, "groupnorm_cpu.cl", "groupnorm_apply_rows",
                                  "-DVEC=%d -DNORM=%d -DSILU=%d -DUP=%d -DPAD=%d", vec, norm,
                                  use->silu, use->up, use->pad)
                    : program_get(d, &k, "groupnorm.cl", "groupnorm_apply",
                                  "-DNORM=%d -DSILU=%d -DUP=%d -DPAD=%d", norm, use->silu, use->up,
                                  use->pad);
    if (st != OK) return st;
    if (vec)
        return launch(d, k, RANGE(height + border, (size_t)s.batch), RANGE(1), ARG(out), ARG(x),
                      ARG(use->affine), ARG(s.channels), ARG(s.height), ARG(s.width),
                      ARG((int)pixels));
    return launch(d, k, RANGE(round_up((size_t)s.channels, group), pixels, (size_t)s.batch),
                  RANGE(group), ARG(out), ARG(x), ARG(use->affine), ARG(s.channels), ARG(s.height),
                  ARG(s.width), ARG((int)pixels));
}
