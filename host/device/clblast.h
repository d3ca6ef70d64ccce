/* The CLBlast wrapper. */
#ifndef DITCL_DEVICE_CLBLAST_H
#define DITCL_DEVICE_CLBLAST_H

#include "base/status.h"
#include "device/buffer.h"

/* Which of CLBlast's two GEMM kernels is used, and the kernel's parameters by CLBlast's names.
 * CLBlast refuses a list that lacks one of its version's parameters. All zero: CLBlast's own
 * choice, which a process cannot restore once it has set parameters. */
typedef struct {
    const char *kernel; /* "Xgemm" or "XgemmDirect" */
    const char *const *names;
    const int *values;
    int n;
    int tile; /* the most rows and columns of a tile */
} clblast_parameters;

enum { CLBLAST_PARAMETERS = 16 };

/* *count = floats of scratch memory that clblast_sgemm needs for this shape; may be 0. */
status clblast_scratch(device *d, const clblast_parameters *p, size_t *count, int m, int n, int k);

/* Queues c [m][n] = a [m][k] x b [n][k]^T, all row-major and dense. scratch: at least
 * clblast_scratch floats. *p must last while a recorder may queue the call again. */
status clblast_sgemm(device *d, const clblast_parameters *p, buf c, buf a, buf b, int m, int n,
                     int k, buf scratch);

/* "1.5.3", of the headers that ditcl was built with; "" if they do not tell. */
extern const char clblast_version[];

/* Frees the programs that CLBlast built for this process, if this device ran one. CLBlast itself
 * would free them at the end of the process, when the driver may already be unloaded. */
void clblast_close(device *d);

#endif
