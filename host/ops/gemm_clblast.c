/* Products by CLBlast, followed by cl/epilogue.cl. */
#include <float.h>
#include <string.h>

#include "device/clblast.h"
#include "ops/gemm.h"
#include "ops/op.h"

static bool fits(const device *d)
{
    (void)d;
    return true;
}

static size_t packed_count(const device *d, const int *values, int n, int k)
{
    (void)d, (void)values;
    return (size_t)n * (size_t)k;
}

static size_t panel(const device *d, const int *values, int n)
{
    (void)d, (void)values;
    return n < 64 ? (size_t)n : 64;
}

/* as stored */
static void pack(const device *d, const int *values, void *packed, const float *rows, int first,
                 int count, int n, int k)
{
    (void)d, (void)values, (void)n;
    memcpy((float *)packed + (size_t)first * (size_t)k, rows,
           (size_t)count * (size_t)k * sizeof *rows);
}

static status scratch_count(device *d, const int *values, size_t *count, int m, int n, int k)
{
    (void)values;
    return clblast_scratch(d, count, m, n, k);
}

static status product(device *d, buf out, buf a, const gemm_weight *w, int m,
                      const gemm_epilogue *e, buf scratch)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    kernel *k;
    size_t group = (size_t)op_items(d);
    status st = clblast_sgemm(d, out, a, w->matrix, m, w->n, w->k, scratch);
    if (st == OK)
        st = program_get(d, &k, "epilogue.cl", "epilogue",
                         "-DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d", (int)e->act, e->gate != NULL,
                         e->residual.memory != NULL);
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)w->n, group), (size_t)m), RANGE(group), ARG(out),
                  ARG(w->bias), ARG(e->residual), ARG(gate->values), ARG(gate->rows), ARG(w->n),
                  ARG(e->residual_rows), ARG(e->tokens), ARG(gate->stride), ARG(gate->first_row),
                  ARG(gate->rows_at), ARG(e->gate_at));
}

static const tuning nothing = TUNING_NOTHING("gemm", "clblast", "epilogue.cl");

const gemm_implementation gemm_clblast = {
    .tuned = &nothing, .fits = fits, .packed_count = packed_count, .panel = panel, .pack = pack,
    .scratch = scratch_count, .product = product};
