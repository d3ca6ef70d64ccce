/* Time between two markers of the queue. See span.h. */
#include "device/span.h"

#include "device/opencl.h"

static void mark(void **event, device *d)
{
    cl_event new = NULL;
    cl_int code = clEnqueueMarkerWithWaitList(d->handles->queue, 0, NULL, &new);
    *event = code == CL_SUCCESS ? new : NULL;
}

void span_begin(span *s, device *d)
{
    *s = (span){0};
    if (d->settings.profiled) mark(&s->marks[0], d);
}

void span_end(span *s, device *d)
{
    if (s->marks[0]) mark(&s->marks[1], d);
}

double span_seconds(span *s)
{
    cl_ulong from = 0, to = 0;
    bool known = s->marks[0] && s->marks[1] &&
                 clGetEventProfilingInfo(s->marks[0], CL_PROFILING_COMMAND_END, sizeof from, &from,
                                         NULL) == CL_SUCCESS &&
                 clGetEventProfilingInfo(s->marks[1], CL_PROFILING_COMMAND_START, sizeof to, &to,
                                         NULL) == CL_SUCCESS;
    for (int i = 0; i < 2; i++)
        if (s->marks[i]) clReleaseEvent(s->marks[i]);
    *s = (span){0};
    return known && to > from ? (double)(to - from) * 1e-9 : 0.0;
}
