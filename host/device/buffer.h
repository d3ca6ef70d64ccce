/* Device memory. A buf is passed by value; its creator releases it. */
#ifndef DITCL_DEVICE_BUFFER_H
#define DITCL_DEVICE_BUFFER_H

#include <stddef.h>

#include "base/status.h"
#include "device/device.h"

typedef struct {
    void *memory; /* null: no buffer */
    size_t count; /* elements of 4 bytes: float or int */
} buf;

/* Creates a buffer of `count` 4-byte elements. Some drivers accept sizes that they cannot provide,
 * so the size is first compared with the device's largest allocation and its memory. what: for the
 * message. In a dry run buffers are only counted, and copies do nothing. */
status buffer_create(device *d, buf *b, size_t count, const char *what);
void buffer_release(device *d, buf *b);

/* *image = a view of all of b, for kernels that read b as image1d_buffer_t, in texels of 4 floats
 * (texel: 16 bytes) or 4 fp16 numbers (8 bytes). The creator of the view releases it, before or
 * after b. */
status buffer_view(device *d, buf *image, buf b, int texel);

static inline void buffer_swap(buf *a, buf *b)
{
    buf c = *a;
    *a = *b;
    *b = c;
}

/* Copy elements first..first+count. Both functions wait until the copy is done. */
status buffer_upload(device *d, buf b, size_t first, const void *from, size_t count);
status buffer_download(device *d, buf b, size_t first, void *to, size_t count);

/* *p = the host's view of all of b, for writing; the old content of b is lost. Only buffer_unmap
 * may use b next. Waits. If the device shares the host's memory, the view is the buffer itself. */
status buffer_map(device *d, buf b, void **p);
status buffer_unmap(device *d, buf b, void *p);

/* Queues the copy and returns. `from` must not change until the queue is finished. */
status buffer_upload_later(device *d, buf b, size_t first, const void *from, size_t count);

#endif
