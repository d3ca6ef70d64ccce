/* Calls CLBlast. See clblast.h. */
#include "device/clblast.h"

#include <clblast_c.h>
#include <string.h>

#include "device/opencl.h"
#include "device/pace.h"
#include "device/record.h"

static status override(device *d, const char *kernel_name, int n, const char *const *names,
                       const size_t *values)
{
    const char *copy[CLBLAST_PARAMETERS];
    memcpy(copy, names, (size_t)n * sizeof *copy);
    CLBlastStatusCode code = CLBlastOverrideParameters(
        d->handles->id, kernel_name, CLBlastPrecisionSingle, (size_t)n, copy, values);
    if (code != CLBlastSuccess)
        return fail(ERR_DEVICE, "CLBlast: its kernel %s takes other parameters (code %d)",
                    kernel_name, (int)code);
    return OK;
}

static bool in_use(const device_handles *h, const clblast_parameters *p)
{
    return h->clblast_kernel && !strcmp(h->clblast_kernel, p->kernel) &&
           !memcmp(h->clblast_values, p->values, (size_t)p->n * sizeof *p->values);
}

/* The library has one set for a device: a change costs a fraction of a millisecond, and what was
 * built for a set before is kept. */
static status apply(device *d, const clblast_parameters *p)
{
    static const char *const limit_name[] = {"XGEMM_MIN_INDIRECT_SIZE"};
    size_t values[CLBLAST_PARAMETERS], limit;
    device_handles *h = d->handles;
    status st = OK;
    if (!p->kernel) return OK;
    if (p->n > CLBLAST_PARAMETERS) return fail(ERR_LIMIT, "CLBlast: %d parameters", p->n);
    if (in_use(h, p)) return OK;
    for (int i = 0; i < p->n; i++) values[i] = (size_t)p->values[i];
    /* products below the cube of this are the other kernel's */
    limit = !strcmp(p->kernel, "XgemmDirect") ? 1 << 20 : 1;
    if (!h->clblast_kernel || strcmp(h->clblast_kernel, p->kernel) != 0)
        TRY(override(d, "GemmRoutine", 1, limit_name, &limit));
    h->clblast_kernel = NULL; /* what is there if the next fails */
    TRY(override(d, p->kernel, p->n, p->names, values));
    h->clblast_kernel = p->kernel;
    memcpy(h->clblast_values, p->values, (size_t)p->n * sizeof *p->values);
done:
    return st;
}

status clblast_scratch(device *d, const clblast_parameters *p, size_t *count, int m, int n, int k)
{
    size_t bytes = 0;
    *count = 0;
    if (!d->handles) return OK; /* a dry run without a device: there is nobody to ask */
    status st = apply(d, p);
    if (st != OK) return st;
    CLBlastStatusCode code = CLBlastSGemmTempBufferSize(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, (size_t)m, (size_t)n,
        (size_t)k, 0, (size_t)k, 0, (size_t)k, 0, (size_t)n, &d->handles->queue, &bytes);
    if (code != CLBlastSuccess)
        return fail(ERR_DEVICE, "CLBlast: no scratch size for %d x %d x %d (code %d)", m, n, k,
                    (int)code);
    *count = (bytes + sizeof(float) - 1) / sizeof(float);
    return OK;
}

status clblast_sgemm(device *d, const clblast_parameters *p, buf c, buf a, buf b, int m, int n,
                     int k, buf scratch)
{
    if (d->recorder) record_product(d, p, c, a, b, (const int[]){m, n, k}, scratch);
    launch_rate *rate;
    status st = apply(d, p);
    if (st == OK) st = pace_product_begin(d, &rate, (const int[]){m, n, k});
    if (st != OK) return st;
    d->handles->last = NULL;
    d->handles->clblast_ran = true;
    CLBlastStatusCode code = CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, (size_t)m, (size_t)n,
        (size_t)k, 1.0f, a.memory, 0, (size_t)k, b.memory, 0, (size_t)k, 0.0f, c.memory, 0,
        (size_t)n, &d->handles->queue, NULL, scratch.memory);
    if (code != CLBlastSuccess)
        return fail(ERR_DEVICE, "CLBlast: product %d x %d x %d: %s (code %d)", m, n, k,
                    cl_error_name((cl_int)code), (int)code);
    return pace_product_end(d, rate);
}

void clblast_close(device *d)
{
    if (d->handles->clblast_ran) CLBlastClearCache();
}
