/* The one door to CLBlast. */
#ifndef DITCL_DEVICE_CLBLAST_H
#define DITCL_DEVICE_CLBLAST_H

#include "base/status.h"
#include "device/buffer.h"

/* Which of its two kernels makes a product, and the kernel's parameters in CLBlast's own names. All
 * that its version has must be given, or it refuses them. Zeros: as shipped, which is gone for a
 * process that has once used others. */
typedef struct {
    const char *kernel; /* "Xgemm" or "XgemmDirect" */
    const char *const *names;
    const int *values;
    int n;
    int tile; /* rows and columns of a tile, at most */
} clblast_parameters;

enum { CLBLAST_PARAMETERS = 16 };

/* Floats of scratch memory that clblast_sgemm wants for this shape; 0 where it needs none. */
status clblast_scratch(device *d, const clblast_parameters *p, size_t *count, int m, int n, int k);

/* c[m][n] = a[m][k] x b[n][k]^T, all row-major and dense, queued. scratch: at least
 * clblast_scratch floats. What p points to must last while a recorder may queue it again. */
status clblast_sgemm(device *d, const clblast_parameters *p, buf c, buf a, buf b, int m, int n,
                     int k, buf scratch);

/* Frees the programs that CLBlast built for this process, where this device ran one. CLBlast would
 * free them as the process ends, when a driver may already be gone. */
void clblast_close(device *d);

#endif
