/* The one door to CLBlast. */
#ifndef DITCL_DEVICE_CLBLAST_H
#define DITCL_DEVICE_CLBLAST_H

#include "base/status.h"
#include "device/buffer.h"

/* Floats of scratch memory that clblast_sgemm wants for this shape; 0 where it needs none. */
status clblast_scratch(device *d, size_t *count, int m, int n, int k);

/* c[m][n] = a[m][k] x b[n][k]^T, all row-major and dense, queued. scratch: at least
 * clblast_scratch floats. */
status clblast_sgemm(device *d, buf c, buf a, buf b, int m, int n, int k, buf scratch);

#endif
