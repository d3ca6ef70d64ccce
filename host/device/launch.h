/* The one way a kernel runs: all arguments and the launch in one checked call.
 *
 *     launch(d, k, RANGE(ceil_div(n, 64) * 64), RANGE(64), ARG(out), ARG(in), ARG(n))
 */
#ifndef DITCL_DEVICE_LAUNCH_H
#define DITCL_DEVICE_LAUNCH_H

#include "base/status.h"
#include "device/buffer.h"
#include "device/device.h"

typedef struct {
    enum { ARG_BUF, ARG_INT, ARG_FLOAT } kind;
    union {
        buf b;
        int i;
        float f;
    };
} arg;

static inline arg arg_buf(buf b)
{
    return (arg){.kind = ARG_BUF, .b = b};
}

static inline arg arg_int(int i)
{
    return (arg){.kind = ARG_INT, .i = i};
}

static inline arg arg_float(float f)
{
    return (arg){.kind = ARG_FLOAT, .f = f};
}

#define ARG(x) _Generic((x), buf : arg_buf, int : arg_int, float : arg_float)(x)

typedef struct {
    size_t size[3]; /* 0 counts as 1 */
} range;

#define RANGE(...) ((range){{__VA_ARGS__}})

/* a / b, rounded up; a + b must not overflow. */
static inline size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* The first multiple of b that is not below a. */
static inline size_t round_up(size_t a, size_t b)
{
    return ceil_div(a, b) * b;
}

#define launch(d, k, global, local, ...)                                                           \
    launch_kernel(d, k, global, local, (const arg[]){__VA_ARGS__},                                 \
                  sizeof((const arg[]){__VA_ARGS__}) / sizeof(arg))

/* A launch that is prepared once and queued often: the kernel, its range, and its last arguments,
 * which are the same each time. */
enum { LAUNCH_ARGS = 32, LAUNCH_FIXED = 12 };
typedef struct {
    kernel *k;
    range global, local;
    arg fixed[LAUNCH_FIXED];
    size_t n_fixed;
} prepared_launch;

/* Sets all of *l but its kernel.
 *
 *     launch_prepare(l, RANGE(ceil_div(n, 64) * 64), RANGE(64), ARG(n));
 *     program_get(d, &l->k, ...);
 *     launch_prepared(d, l, ARG(out), ARG(in));
 */
#define launch_prepare(l, global, local, ...)                                                      \
    launch_prepare_args(l, global, local, (const arg[]){__VA_ARGS__},                              \
                        sizeof((const arg[]){__VA_ARGS__}) / sizeof(arg))
void launch_prepare_args(prepared_launch *l, range global, range local, const arg *fixed,
                         size_t n_fixed);

/* Queues the prepared launch, with these arguments before the fixed ones. */
#define launch_prepared(d, l, ...)                                                                 \
    launch_prepared_args(d, l, (const arg[]){__VA_ARGS__},                                         \
                         sizeof((const arg[]){__VA_ARGS__}) / sizeof(arg))
status launch_prepared_args(device *d, const prepared_launch *l, const arg *args, size_t n_args);

/* Queues the kernel. A null buffer is passed as a null pointer. An argument count or a work-group
 * that does not fit is an error naming the kernel. */
status launch_kernel(device *d, kernel *k, range global, range local, const arg *args,
                     size_t n_args);

#endif
