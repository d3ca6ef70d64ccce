/* Launches cl/downsample.cl around products. */
#include "ops/op.h"
#include "ops/ops.h"

enum { PATCH_FLOATS = 24 << 20, ROWS = 64 }; /* 96 MB: the largest of a picture of 256 pixels */

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

static status make_patches(device *d, buf patches, buf x, picture_shape s, int first, int rows)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    status st = program_get(d, &k, "downsample.cl", "downsample_patches", " ");
    if (st != OK) return st;
    record_work(d, "downsample_patches", (work){.bytes = 4.0 * rows * s.channels * (4 + 9)},
                "%d of %dx%d %d", rows, s.height, s.width, s.channels);
    return launch(d, k, RANGE(round_up((size_t)s.channels, group), (size_t)rows), RANGE(group),
                  ARG(patches), ARG(x), ARG(first), ARG(s.channels), ARG(s.height), ARG(s.width));
}

static status place(device *d, buf out, buf part, int channels, int first, int rows)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    status st = program_get(d, &k, "downsample.cl", "downsample_place", " ");
    if (st != OK) return st;
    record_work(d, "downsample_place", (work){.bytes = 8.0 * rows * channels}, "%dx%d", rows,
                channels);
    return launch(d, k, RANGE(round_up((size_t)channels, group), (size_t)rows), RANGE(group),
                  ARG(out), ARG(part), ARG(first), ARG(channels));
}

status op_downsample(device *d, buf out, buf x, const gemm_weight *w, picture_shape s,
                     const downsample_room *room)
{
    int pixels = (int)pixels_of(s);
    bool whole = room->rows >= pixels;
    status st = OK;
    for (int first = 0; first < pixels && st == OK; first += room->rows) {
        int rows = pixels - first < room->rows ? pixels - first : room->rows;
        st = make_patches(d, room->patches, x, s, first, rows);
        if (st == OK)
            st = op_gemm(d, whole ? out : room->part, room->patches, w, rows, NULL, room->product);
        if (st == OK && !whole) st = place(d, out, room->part, w->n, first, rows);
    }
    return st;
}
