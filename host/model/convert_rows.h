/* What convert writes: rows that say a tensor's new name and shape, and where its values are. */
#ifndef DITCL_MODEL_CONVERT_ROWS_H
#define DITCL_MODEL_CONVERT_ROWS_H

#include "checkpoint/model.h"
#include "files/tensors.h"

enum { ROW_PARTS = 3 };

/* A row's values: those of several tensors one after another, of a part of one, or given ones. */
typedef struct {
    const weights *w;
    const tensor *from[ROW_PARTS];
    int n;
    size_t first, count; /* of each tensor */
    const float *given;  /* not null: instead of tensors */
} row_source;

typedef struct {
    tensor *table; /* names are the rows' own */
    row_source *sources;
    size_t n, table_capacity, source_capacity;
    float *positions; /* the position embedding, computed */
    dtype type;       /* of all; DTYPE_OTHER: each its own */
} convert_rows;

/* The transformer's tensors in a naming; dit_check must have passed. */
status convert_dit_rows(convert_rows *r, model *m, naming spelling);
/* The VAE's tensors, which have diffusers' names since they were opened. */
status convert_vae_rows(convert_rows *r, const model *m);
void convert_rows_free(convert_rows *r);

#endif
