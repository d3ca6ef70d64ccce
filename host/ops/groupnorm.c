/* Launches cl/groupnorm.cl. */
#include "ops/op.h"
#include "ops/ops.h"

enum { CHUNK_PIXELS = 256 };

static size_t chunks_of(picture_shape s)
{
    return ceil_div((size_t)s.height * (size_t)s.width, CHUNK_PIXELS);
}

size_t groupnorm_scratch(picture_shape s, int groups)
{
    return (size_t)s.batch * chunks_of(s) * (size_t)groups * 2;
}

status op_groupnorm_statistics(device *d, buf affine, buf x, buf weight, buf bias, buf scratch,
                               picture_shape s, int groups, float epsilon)
{
    kernel *partial, *join;
    size_t group = (size_t)op_group(d, 32), batch = (size_t)s.batch, chunks = chunks_of(s);
    int pixels = s.height * s.width, chunk_pixels = CHUNK_PIXELS;
    record_work(d, "groupnorm_statistics",
                (work){.bytes = 4.0 * s.batch * pixels * s.channels}, "%dx%d %d", s.height,
                s.width, s.channels);
    status st =
        program_get(d, &partial, "groupnorm.cl", "groupnorm_partial", "-DSTATISTICS");
    if (st == OK) st = program_get(d, &join, "groupnorm.cl", "groupnorm_affine", "-DSTATISTICS");
    if (st == OK)
        st = launch(d, partial, RANGE(round_up((size_t)groups, group), chunks, batch),
                    RANGE(group), ARG(scratch), ARG(x), ARG(pixels), ARG(chunk_pixels),
                    ARG(s.channels), ARG(groups));
    if (st == OK)
        st = launch(d, join, RANGE(round_up((size_t)groups, group), batch), RANGE(group),
                    ARG(affine), ARG(scratch), ARG(weight), ARG(bias), ARG(pixels),
                    ARG(chunk_pixels), ARG((int)chunks), ARG(s.channels), ARG(groups),
                    ARG(epsilon));
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
    status st = program_get(d, &k, "groupnorm.cl", "groupnorm_apply",
                            "-DNORM=%d -DSILU=%d -DUP=%d -DPAD=%d", use->affine.memory != NULL,
                            use->silu, use->up, use->pad);
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)s.channels, group), pixels, (size_t)s.batch),
                  RANGE(group), ARG(out), ARG(x), ARG(use->affine), ARG(s.channels),
                  ARG(s.height), ARG(s.width), ARG((int)pixels));
}
