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

/* count 4-byte elements. Checked against the device's largest allocation and its memory before the
 * driver is asked, since some drivers accept what they cannot give. `what` is for the message. In a
 * dry run all buffers are only counted, and copies do nothing. */
status buffer_create(device *d, buf *b, size_t count, const char *what);
void buffer_release(device *d, buf *b);

/* *image = a view of all of b, for kernels that read it as image1d_buffer_t, in texels of 4 floats
 * (texel 16 bytes) or halves (8). Its creator releases it, before or after b. */
status buffer_view(device *d, buf *image, buf b, int texel);

static inline void buffer_swap(buf *a, buf *b)
{
    buf c = *a;
    *a = *b;
    *b = c;
}

/* Elements first..first+count. Both wait. */
status buffer_upload(device *d, buf b, size_t first, const void *from, size_t count);
status buffer_download(device *d, buf b, size_t first, void *to, size_t count);

/* *p = the host's view of all of b, to be written; what b held is lost. Until buffer_unmap, which
 * must follow, nothing else may use b. Waits. Where the device shares the host's memory, this is
 * the buffer itself. */
status buffer_map(device *d, buf b, void **p);
status buffer_unmap(device *d, buf b, void *p);

/* Queues the copy and returns: `from` must stay as it is until the queue is finished. */
status buffer_upload_later(device *d, buf b, size_t first, const void *from, size_t count);

#endif
