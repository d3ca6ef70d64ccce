/* Device memory. See buffer.h. */
#include "device/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/opencl.h"
#include "device/pace.h"

enum { ELEMENT = 4 };

/* Fills the buffer with bytes 0xff: NaN as float, -1 as int. */
static status poison(device *d, buf b)
{
    status st = OK;
    unsigned char *ones = NULL;
    TRY(memory_alloc(&ones, b.count, ELEMENT));
    memset(ones, 0xff, b.count * ELEMENT);
    TRY(buffer_upload(d, b, 0, ones, b.count));
done:
    free(ones);
    return st;
}

static void count_bytes(device *d, size_t count)
{
    d->allocated_bytes += count * ELEMENT;
    if (d->allocated_bytes > d->peak_bytes) d->peak_bytes = d->allocated_bytes;
}

status buffer_create(device *d, buf *b, size_t count, const char *what)
{
    static char counted; /* stands for the memory of a dry run */
    *b = (buf){0};
    status st = OK;
    cl_int code;
    if (count == 0) count = 1; /* no driver accepts an empty buffer */
    if (!d->dry && d->handles->lost) return cl_fail_lost(d);
    double megabytes = (double)count * ELEMENT / 1e6;
    const char *limit = d->info.limited ? " under this process's limits (ulimit -v or -d)" : "";
    if (count > d->info.max_alloc_bytes / ELEMENT)
        return fail(ERR_LIMIT, "%s needs a buffer of %.1f MB, the device's largest is %.1f MB%s",
                    what, megabytes, (double)d->info.max_alloc_bytes / 1e6, limit);
    if (d->allocated_bytes + count * ELEMENT > d->info.memory_bytes)
        return fail(ERR_LIMIT, "%s needs %.1f MB beside %.1f MB in use, the device has %.1f MB%s",
                    what, megabytes, (double)d->allocated_bytes / 1e6,
                    (double)d->info.memory_bytes / 1e6, limit);
    if (d->dry) {
        *b = (buf){&counted, count};
        count_bytes(d, count);
        return OK;
    }
    cl_mem memory =
        clCreateBuffer(d->handles->context, CL_MEM_READ_WRITE, count * ELEMENT, NULL, &code);
    CL_TRY("clCreateBuffer", code);
    *b = (buf){memory, count};
    count_bytes(d, count);
    if (d->info.quirk.has[QUIRK_POISON_BUFFERS]) TRY(poison(d, *b));
done:
    if (st == OK) return OK;
    buffer_release(d, b);
    return fail_in(st, "%s (%.1f MB)", what, megabytes);
}

void buffer_release(device *d, buf *b)
{
    if (b->memory) {
        if (!d->dry && !d->handles->lost) clReleaseMemObject(b->memory);
        d->allocated_bytes -= b->count * ELEMENT;
    }
    *b = (buf){0};
}

status buffer_view(device *d, buf *image, buf b, int texel)
{
    const cl_image_format format = {CL_RGBA, texel == 16 ? CL_FLOAT : CL_HALF_FLOAT};
    const cl_image_desc of = {.image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER,
                              .image_width = b.count * ELEMENT / (size_t)texel,
                              .buffer = b.memory};
    status st = OK;
    cl_int code;
    *image = (buf){0};
    if (d->dry) return OK;
    cl_mem view = clCreateImage(d->handles->context, CL_MEM_READ_ONLY, &format, &of, NULL, &code);
    CL_TRY("clCreateImage", code);
    *image = (buf){view, 0};
done:
    return st;
}

static status write_buffer(device *d, buf b, size_t first, const void *from, size_t count,
                           cl_bool wait)
{
    status st = OK;
    assert(first <= b.count && count <= b.count - first);
    if (count == 0 || d->dry) return OK;
    DEVICE_TRY(d, "clEnqueueWriteBuffer",
               clEnqueueWriteBuffer(d->handles->queue, b.memory, wait, first * ELEMENT,
                                    count * ELEMENT, from, 0, NULL, NULL));
    if (wait) pace_drained(d);
done:
    return st;
}

status buffer_upload(device *d, buf b, size_t first, const void *from, size_t count)
{
    return write_buffer(d, b, first, from, count, CL_TRUE);
}

status buffer_map(device *d, buf b, void **p)
{
    status st = OK;
    cl_int code;
    if (d->handles->lost) return cl_fail_lost(d);
    *p = clEnqueueMapBuffer(d->handles->queue, b.memory, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0,
                            b.count * ELEMENT, 0, NULL, NULL, &code);
    DEVICE_TRY(d, "clEnqueueMapBuffer", code);
    pace_drained(d);
done:
    return st;
}

status buffer_unmap(device *d, buf b, void *p)
{
    status st = OK;
    DEVICE_TRY(d, "clEnqueueUnmapMemObject",
               clEnqueueUnmapMemObject(d->handles->queue, b.memory, p, 0, NULL, NULL));
done:
    return st;
}

status buffer_upload_later(device *d, buf b, size_t first, const void *from, size_t count)
{
    return write_buffer(d, b, first, from, count, CL_FALSE);
}

status buffer_download(device *d, buf b, size_t first, void *to, size_t count)
{
    status st = OK;
    assert(first <= b.count && count <= b.count - first);
    if (count == 0 || d->dry) return OK;
    DEVICE_TRY(d, "clEnqueueReadBuffer",
               clEnqueueReadBuffer(d->handles->queue, b.memory, CL_TRUE, first * ELEMENT,
                                   count * ELEMENT, to, 0, NULL, NULL));
    pace_drained(d);
done:
    return st;
}
