/* The largest buffer that the device can fill, which may be less than its driver claims. */
#include <unistd.h>

#include "ops/ops.h"
#include "report/send.h"

enum { STRIDE = 1 << 18, FILLED = 1 << 30 }; /* elements: 1 MB, 4 GB */

/* The largest size to try: a quarter of the memory, since other programs need memory too. */
static uint64_t most_bytes(const device *d)
{
    uint64_t most = d->info.max_alloc_bytes;
    if (d->info.kind != DEVICE_CPU && !d->info.unified_memory) return most;
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t shared = d->info.memory_bytes / 4;
    uint64_t unused = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : shared;
    if (unused < shared) shared = unused;
    return shared < most ? shared : most;
}

/* *right = whether every element of the first part, and one element of each MB after it, has the
 * written value. */
static status touch(device *d, buf b, bool *right)
{
    static const float written = 3.0f;
    status st = OK;
    size_t filled = b.count < FILLED ? b.count : FILLED;
    float first = 0, last = 0, end = 0;
    op_plan fill;
    TRY(fill_plan(d, &fill, filled));
    TRY(op_fill(d, &fill, b, written));
    for (size_t i = filled; i < b.count; i += STRIDE) TRY(buffer_upload(d, b, i, &written, 1));
    TRY(buffer_upload(d, b, b.count - 1, &written, 1));
    TRY(device_finish(d));
    TRY(buffer_download(d, b, 0, &first, 1));
    TRY(buffer_download(d, b, filled - 1, &last, 1));
    TRY(buffer_download(d, b, b.count - 1, &end, 1));
    *right = first == written && last == written && end == written;
done:
    return st;
}

status report_largest(FILE *to, device *d)
{
    uint64_t tried = most_bytes(d), bytes = tried;
    bool right = false;
    status st = OK;
    send_during(to, "allocating the largest buffer");
    for (; bytes >= STRIDE; bytes /= 2) {
        buf b = {0};
        st = buffer_create(d, &b, bytes / 4, "the largest buffer");
        if (st == OK) st = touch(d, b, &right);
        buffer_release(d, &b);
        if (st == OK && right) break;
        if (st == ERR_MEMORY) return st;
    }
    fail_clear();
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_int(&b, all, "reported_bytes", (json_int_t)d->info.max_alloc_bytes);
    json_put_int(&b, all, "first_tried_bytes", (json_int_t)tried);
    json_put_int(&b, all, "obtained_bytes", right && st == OK ? (json_int_t)bytes : 0);
    return send_value(to, "largest_buffer", &b);
}
