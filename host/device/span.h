/* How long the device itself says that a part of its queue took. */
#ifndef DITCL_DEVICE_SPAN_H
#define DITCL_DEVICE_SPAN_H

#include "device/device.h"

typedef struct {
    void *marks[2]; /* events: before the part and behind it */
} span;

/* Around what is queued; the device was opened with settings.profiled. */
void span_begin(span *s, device *d);
void span_end(span *s, device *d);

/* Seconds, once the device has finished; frees the span. 0 where the device does not say. */
double span_seconds(span *s);

#endif
