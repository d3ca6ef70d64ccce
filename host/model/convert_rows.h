/* The rows that convert writes: the new name and shape of a tensor, and the source of its values.
 */
#ifndef DITCL_MODEL_CONVERT_ROWS_H
#define DITCL_MODEL_CONVERT_ROWS_H

#include "checkpoint/model.h"
#include "files/tensors.h"

enum { ROW_PARTS = 3 };

/* The values of a row: several tensors one after the other, a part of one, or an array. */
typedef struct {
    const weights *w;
    const tensor *from[ROW_PARTS];
    int n;
    size_t first, count; /* of each tensor */
    const float *given;  /* not null: these values instead of tensors' */
} row_source;

typedef struct {
    tensor *table; /* owns the names of its tensors */
    row_source *sources;
    size_t n, table_capacity, source_capacity;
    float *positions; /* the position embedding, computed */
    dtype type;       /* of all rows; DTYPE_OTHER: each row keeps the type of its tensor */
} convert_rows;

/* The rows of the transformer in a naming. Call dit_check before. */
status convert_dit_rows(convert_rows *r, model *m, naming spelling);
/* The rows of the VAE. Its tensors got diffusers' names when it was opened. */
status convert_vae_rows(convert_rows *r, const model *m);
void convert_rows_free(convert_rows *r);

#endif
