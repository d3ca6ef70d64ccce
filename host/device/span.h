/* How long a part of the queue took, measured by the device. */
#ifndef DITCL_DEVICE_SPAN_H
#define DITCL_DEVICE_SPAN_H

#include "device/device.h"

typedef struct {
    void *marks[2]; /* events: before and after the part */
} span;

/* span_begin and span_end stand around what is queued. The device must have been opened with
 * settings.profiled. */
void span_begin(span *s, device *d);
void span_end(span *s, device *d);

/* Seconds, after the device has finished; frees the span. 0 if the device does not tell. */
double span_seconds(span *s);

#endif
