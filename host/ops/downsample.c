/* Launches cl/downsample.cl around a GEMM. */
#include "ops/op.h"

enum { PATCH_FLOATS = 24 << 20, ROWS = 64 }; /* 96 MB: all of a 256 x 256 picture */

static size_t pixels_of(picture_shape s)
{
    return (size_t)(s.height / 2) * (size_t)(s.width / 2);
}

int downsample_rows(picture_shape s)
{
    size_t most = PATCH_FLOATS / (9 * (size_t)s.channels) / ROWS * ROWS;
    if (most == 0) most = ROWS;
    return (int)(pixels_of(s) < most ? pixels_of(s) : most);
}

static status patches_plan(device *d, op_plan *p, picture_shape s, int rows)
{
    size_t group = (size_t)op_items(d);
    plan_begin(p, "downsample_patches", (work){.bytes = 4.0 * rows * s.channels * (4 + 9)},
               "%d of %dx%d %d", rows, s.height, s.width, s.channels);
    launch_prepare(&p->launches[0], RANGE(round_up((size_t)s.channels, group), (size_t)rows),
                   RANGE(group), ARG(s.channels), ARG(s.height), ARG(s.width));
    return program_get(d, &p->launches[0].k, "downsample.cl", "downsample_patches", " ");
}

static status place_plan(device *d, op_plan *p, int channels, int rows)
{
    size_t group = (size_t)op_items(d);
    plan_begin(p, "downsample_place", (work){.bytes = 8.0 * rows * channels}, "%dx%d", rows,
               channels);
    launch_prepare(&p->launches[0], RANGE(round_up((size_t)channels, group), (size_t)rows),
                   RANGE(group), ARG(channels));
    return program_get(d, &p->launches[0].k, "downsample.cl", "downsample_place", " ");
}

/* Plans one part, and raises *scratch to what its GEMM needs. */
static status part_plan(device *d, downsample_part *part, size_t *scratch, const gemm_weight *w,
                        picture_shape s, int rows)
{
    size_t need;
    status st = gemm_scratch(d, &need, w, rows);
    if (st != OK) return st;
    if (need > *scratch) *scratch = need;
    st = patches_plan(d, &part->patches, s, rows);
    if (st == OK) st = gemm_plan(d, &part->product, w, rows, (gemm_epilogue){0});
    return st == OK ? place_plan(d, &part->place, w->n, rows) : st;
}

status downsample_plan(device *d, downsample_use *u, size_t *scratch, const gemm_weight *w,
                       picture_shape s, int rows)
{
    *u = (downsample_use){.pixels = (int)pixels_of(s), .rows = rows};
    if (u->rows > u->pixels) u->rows = u->pixels;
    *scratch = 0;
    status st = part_plan(d, &u->whole, scratch, w, s, u->rows);
    int rest = u->pixels % u->rows;
    return st == OK && rest ? part_plan(d, &u->rest, scratch, w, s, rest) : st;
}

status op_downsample(device *d, const downsample_use *u, const downsample_buffers *b)
{
    bool at_once = u->rows == u->pixels;
    gemm_buffers product = {
        .out = at_once ? b->out : b->part, .a = b->patches, .w = b->w, .scratch = b->product};
    status st = OK;
    for (int first = 0; first < u->pixels && st == OK; first += u->rows) {
        const downsample_part *part = u->pixels - first < u->rows ? &u->rest : &u->whole;
        st = plan_launch(d, &part->patches, ARG(b->patches), ARG(b->x), ARG(first));
        if (st == OK) st = op_gemm(d, &part->product, &product);
        if (st == OK && !at_once)
            st = plan_launch(d, &part->place, ARG(b->out), ARG(b->part), ARG(first));
    }
    return st;
}
