/* Calls CLBlast. See clblast.h. */
#include "device/clblast.h"

#include <clblast_c.h>
#include <string.h>

#include "device/opencl.h"
#include "device/pace.h"
#include "device/record.h"

#ifdef CLBLAST_VERSION_MAJOR
#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number
const char clblast_version[] =
    TEXT(CLBLAST_VERSION_MAJOR) "." TEXT(CLBLAST_VERSION_MINOR) "." TEXT(CLBLAST_VERSION_PATCH);
#else
const char clblast_version[] = "";
#endif

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

/* Sets CLBlast's parameters, which it keeps per device. A change costs a fraction of a millisecond;
 * programs that CLBlast built for earlier parameters are kept. */
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
    /* CLBlast uses its other kernel for GEMMs smaller than the cube of `limit` */
    limit = !strcmp(p->kernel, "XgemmDirect") ? 1 << 20 : 1;
    if (!h->clblast_kernel || strcmp(h->clblast_kernel, p->kernel) != 0)
        TRY(override(d, "GemmRoutine", 1, limit_name, &limit));
    h->clblast_kernel = NULL; /* unknown if the next call fails */
    TRY(override(d, p->kernel, p->n, p->names, values));
    h->clblast_kernel = p->kernel;
    memcpy(h->clblast_values, p->values, (size_t)p->n * sizeof *p->values);
done:
    return st;
}

/* ---- rows ---- */

/* One GEMM, whose rows may be queued in several calls. */
typedef struct {
    buf c, a, b, scratch;
    size_t m, n, k;
    size_t rows; /* of one part; the last part also has the remaining rows */
} cut_gemm;

static size_t count_parts(const cut_gemm *g)
{
    return g->m < 2 * g->rows ? 1 : g->m / g->rows;
}

static status scratch_bytes(device *d, size_t *bytes, const cut_gemm *g, size_t first, size_t rows)
{
    CLBlastStatusCode code = CLBlastSGemmTempBufferSize(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, rows, g->n, g->k,
        first * g->k, g->k, 0, g->k, first * g->n, g->n, &d->handles->queue, bytes);
    if (code == CLBlastSuccess) return OK;
    return fail(ERR_DEVICE, "CLBlast: no scratch size for %zu x %zu x %zu (code %d)", rows, g->n,
                g->k, (int)code);
}

/* *least_xgemm = the fewest multiplications, a cube, of a GEMM that CLBlast's own choice gives to
 * its kernel Xgemm; smaller GEMMs go to XgemmDirect. CLBlast tells the number only through the
 * scratch of a GEMM with one column: Xgemm needs scratch, since its rows are not whole tiles;
 * XgemmDirect needs none. */
static status find_least_xgemm(device *d, uint64_t *least_xgemm)
{
    const cut_gemm column = {.n = 1, .k = 1};
    uint64_t direct = 0, xgemm = 8192;
    status st = OK;
    while (*least_xgemm == 0 && xgemm - direct > 1) {
        uint64_t side = (direct + xgemm) / 2;
        size_t bytes = 0;
        TRY(scratch_bytes(d, &bytes, &column, 0, (size_t)(side * side * side | 1)));
        if (bytes)
            xgemm = side;
        else
            direct = side;
    }
    if (*least_xgemm == 0) *least_xgemm = xgemm * xgemm * xgemm;
done:
    return st;
}

/* Every part must have the same bits as in the whole GEMM. So parts are whole tiles. If CLBlast's
 * own choice for the whole is Xgemm, each part is large enough for Xgemm too. */
static status choose_rows(device *d, const clblast_parameters *p, cut_gemm *g)
{
    enum { LARGEST_TILE = 128 };
    size_t tile = p->kernel ? (size_t)p->tile : LARGEST_TILE;
    uint64_t row = (uint64_t)g->n * g->k, *least_xgemm = &d->handles->least_xgemm;
    status st = OK;
    g->rows = pace_cuts(d) ? tile : g->m;
    if (p->kernel || !pace_cuts(d)) return OK;
    TRY(find_least_xgemm(d, least_xgemm));
    if (row * g->m >= *least_xgemm)
        g->rows = round_up((size_t)((*least_xgemm + row - 1) / row), tile);
done:
    return st;
}

static status queue_rows(device *d, const void *what, size_t first, size_t count)
{
    const cut_gemm *g = what;
    size_t from = first * g->rows, rows = count * g->rows;
    if (first + count == count_parts(g)) rows = g->m - from;
    CLBlastStatusCode code = CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, rows, g->n, g->k, 1.0f,
        g->a.memory, from * g->k, g->k, g->b.memory, 0, g->k, 0.0f, g->c.memory, from * g->n, g->n,
        &d->handles->queue, NULL, g->scratch.memory);
    if (code == CLBlastSuccess) return OK;
    return fail(ERR_DEVICE, "CLBlast: GEMM %zu x %zu x %zu: %s (code %d)", rows, g->n, g->k,
                cl_error_name((cl_int)code), (int)code);
}

/* ---- calls ---- */

status clblast_scratch(device *d, const clblast_parameters *p, size_t *count, int m, int n, int k)
{
    cut_gemm g = {.m = (size_t)m, .n = (size_t)n, .k = (size_t)k};
    size_t whole = 0, rest = 0;
    status st = OK;
    *count = 0;
    if (!d->handles) return OK; /* a dry run without a device: there is nobody to ask */
    TRY(apply(d, p));
    TRY(choose_rows(d, p, &g));
    TRY(scratch_bytes(d, &whole, &g, 0, g.m));
    /* CLBlast copies rows that do not begin at the first one */
    if (count_parts(&g) > 1) TRY(scratch_bytes(d, &rest, &g, g.rows, g.m - g.rows));
    if (rest > whole) whole = rest;
    *count = (whole + sizeof(float) - 1) / sizeof(float);
done:
    return st;
}

status clblast_sgemm(device *d, const clblast_parameters *p, buf c, buf a, buf b, int m, int n,
                     int k, buf scratch)
{
    cut_gemm g = {c, a, b, scratch, .m = (size_t)m, .n = (size_t)n, .k = (size_t)k};
    status st = OK;
    if (d->recorder) record_product(d, p, c, a, b, (const int[]){m, n, k}, scratch);
    TRY(apply(d, p));
    TRY(choose_rows(d, p, &g));
    d->handles->last = NULL;
    d->handles->clblast_ran = true;
    enum { TILE = 64 }; /* about the rows and columns of a work-group */
    size_t groups = round_up(g.rows, TILE) / TILE * (round_up(g.n, TILE) / TILE);
    const pace_parts parts = {.queue = queue_rows,
                              .what = &g,
                              .parts = count_parts(&g),
                              .first_slice = (d->info.compute_units + groups - 1) / groups,
                              .size = {g.m, g.n, g.k}};
    TRY(pace_library(d, &parts));
done:
    return st;
}

void clblast_close(device *d)
{
    if (d->handles->clblast_ran) CLBlastClearCache();
}
