/* Matrix products with their epilogues, by one of the rows of a table: CLBlast followed by
 * cl/epilogue.cl, or cl/gemm_cpu.cl with the epilogue inside. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/clblast.h"
#include "ops/op.h"
#include "ops/ops.h"

/* ---- CLBlast ---- */

static status no_scratch(device *d, size_t *count, int m, int n, int k)
{
    (void)d, (void)m, (void)n, (void)k;
    *count = 0;
    return OK;
}

static const modulation no_gate = {0};

static status clblast_product(device *d, buf out, buf a, const gemm_weight *w, int m,
                              const gemm_epilogue *e, buf scratch)
{
    const modulation *gate = e->gate ? e->gate : &no_gate;
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

/* ---- our own, for CPUs ---- */

enum { CPU_VEC = 16, CPU_VECTORS = 3, CPU_ROWS = 8, CPU_PANEL = CPU_VEC * CPU_VECTORS };

static status cpu_product(device *d, buf out, buf a, const gemm_weight *w, int m,
                          const gemm_epilogue *e, buf scratch)
{
    const modulation *gate = e->gate ? e->gate : &no_gate;
    kernel *k;
    (void)scratch;
    status st = program_get(d, &k, "gemm_cpu.cl", "gemm_cpu",
                            "-DVEC=%d -DNV=%d -DMR=%d -DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d",
                            CPU_VEC, CPU_VECTORS, CPU_ROWS, (int)e->act, e->gate != NULL,
                            e->residual.memory != NULL);
    if (st != OK) return st;
    return launch(d, k, RANGE(ceil_div((size_t)m, CPU_ROWS), ceil_div((size_t)w->n, CPU_PANEL)),
                  RANGE(1), ARG(out), ARG(a), ARG(w->matrix), ARG(w->bias), ARG(e->residual),
                  ARG(gate->values), ARG(gate->rows), ARG(m), ARG(w->n), ARG(w->k),
                  ARG(e->residual_rows), ARG(e->tokens), ARG(gate->stride), ARG(gate->first_row),
                  ARG(gate->rows_at), ARG(e->gate_at));
}

/* ---- the table ---- */

static const struct implementation {
    const char *name;
    int panel; /* columns of a panel of packed weights; 0: weights as stored, [n][k] */
    status (*scratch)(device *d, size_t *count, int m, int n, int k);
    status (*product)(device *d, buf out, buf a, const gemm_weight *w, int m,
                      const gemm_epilogue *e, buf scratch);
} table[] = {
    {"clblast", 0, clblast_scratch, clblast_product},
    {"cpu", CPU_PANEL, no_scratch, cpu_product},
};

/* DITCL_GEMM names another than the class's own, to compare them. */
static const struct implementation *choose(const device *d)
{
    const char *forced = getenv("DITCL_GEMM");
    for (size_t i = 0; forced && i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, forced)) return &table[i];
    return &table[d->class == CLASS_CPU ? 1 : 0];
}

const char *gemm_name(const device *d)
{
    return choose(d)->name;
}

status gemm_scratch(device *d, size_t *count, int m, int n, int k)
{
    return choose(d)->scratch(d, count, m, n, k);
}

/* packed [ceil(n / panel)][k][panel] = weight [n][k], zeros beyond n */
static void pack(float *packed, const float *weight, size_t n, size_t k, size_t panel)
{
    for (size_t p = 0; p < n; p += panel)
        for (size_t i = 0; i < k; i++, packed += panel)
            for (size_t j = 0; j < panel && p + j < n; j++)
                packed[j] = weight[(p + j) * k + i];
}

status gemm_weight_upload(device *d, gemm_weight *w, const float *matrix, const float *bias, int n,
                          int k, const char *what)
{
    size_t panel = (size_t)choose(d)->panel, columns = (size_t)n, depth = (size_t)k;
    size_t padded = panel ? round_up(columns, panel) : columns;
    float *packed = NULL;
    status st = OK;
    *w = (gemm_weight){.n = n, .k = k};
    TRY(buffer_create(d, &w->matrix, padded * depth, what));
    TRY(buffer_create(d, &w->bias, padded, what));
    if (panel) {
        TRY(memory_alloc(&packed, padded * depth, sizeof *packed));
        pack(packed, matrix, columns, depth, panel);
        TRY(buffer_upload(d, w->matrix, 0, packed, padded * depth));
        memset(packed, 0, padded * sizeof *packed);
        memcpy(packed, bias, columns * sizeof *packed);
        TRY(buffer_upload(d, w->bias, 0, packed, padded));
    } else {
        TRY(buffer_upload(d, w->matrix, 0, matrix, columns * depth));
        TRY(buffer_upload(d, w->bias, 0, bias, columns));
    }
done:
    free(packed);
    if (st != OK) gemm_weight_free(d, w);
    return st;
}

void gemm_weight_free(device *d, gemm_weight *w)
{
    buffer_release(d, &w->matrix);
    buffer_release(d, &w->bias);
}

status op_gemm(device *d, buf out, buf a, const gemm_weight *w, int m, const gemm_epilogue *e,
               buf scratch)
{
    static const gemm_epilogue none = {0};
    return choose(d)->product(d, out, a, w, m, e ? e : &none, scratch);
}
