/* Matrix products with their epilogues: CLBlast, then cl/epilogue.cl. A second implementation joins
 * behind the same call. */
#include "device/clblast.h"
#include "ops/op.h"
#include "ops/ops.h"

status gemm_scratch(device *d, size_t *count, int m, int n, int k)
{
    return clblast_scratch(d, count, m, n, k);
}

static status finish_product(device *d, buf out, buf bias, int m, int n, const gemm_epilogue *e)
{
    static const gemm_epilogue none = {0};
    static const modulation no_gate = {0};
    if (!e) e = &none;
    const modulation *gate = e->gate ? e->gate : &no_gate;
    kernel *k;
    size_t group = (size_t)op_items(d);
    status st = program_get(d, &k, "epilogue.cl", "epilogue", "-DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
                            (int)e->act, e->gate != NULL, e->residual.memory != NULL);
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)n, group), (size_t)m), RANGE(group), ARG(out),
                  ARG(bias), ARG(e->residual), ARG(gate->values), ARG(gate->rows), ARG(n),
                  ARG(e->residual_rows), ARG(e->tokens), ARG(gate->stride),
                  ARG(gate->first_row), ARG(gate->rows_at), ARG(e->gate_at));
}

status op_gemm(device *d, buf out, buf a, buf weight, buf bias, int m, int n, int k,
               const gemm_epilogue *e, buf scratch)
{
    status st = clblast_sgemm(d, out, a, weight, m, n, k, scratch);
    return st == OK ? finish_product(d, out, bias, m, n, e) : st;
}
