/* Calls CLBlast. See clblast.h. */
#include "device/clblast.h"

#include <clblast_c.h>

#include "device/opencl.h"
#include "device/record.h"

status clblast_scratch(device *d, size_t *count, int m, int n, int k)
{
    size_t bytes = 0;
    *count = 0;
    if (d->pretended) return OK;
    CLBlastStatusCode code = CLBlastSGemmTempBufferSize(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, (size_t)m, (size_t)n,
        (size_t)k, 0, (size_t)k, 0, (size_t)k, 0, (size_t)n, &d->handles->queue, &bytes);
    if (code != CLBlastSuccess)
        return fail(ERR_DEVICE, "CLBlast: no scratch size for %d x %d x %d (code %d)", m, n, k,
                    (int)code);
    *count = (bytes + sizeof(float) - 1) / sizeof(float);
    return OK;
}

status clblast_sgemm(device *d, buf c, buf a, buf b, int m, int n, int k, buf scratch)
{
    if (d->recorder) record_product(d, c, a, b, (const int[]){m, n, k}, scratch);
    if (d->pretended) return OK;
    CLBlastStatusCode code = CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, (size_t)m, (size_t)n,
        (size_t)k, 1.0f, a.memory, 0, (size_t)k, b.memory, 0, (size_t)k, 0.0f, c.memory, 0,
        (size_t)n, &d->handles->queue, NULL, scratch.memory);
    if (code != CLBlastSuccess)
        return fail(ERR_DEVICE, "CLBlast: product %d x %d x %d: %s (code %d)", m, n, k,
                    cl_error_name((cl_int)code), (int)code);
    return OK;
}
