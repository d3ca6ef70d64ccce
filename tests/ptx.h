/* Runs PTX, the assembly language of NVIDIA's GPUs, on the host: what our kernels use of it, on one
 * work-group after the other. PTX means "PTX ISA 7.5", and its sections.
 *
 * It is stricter than a GPU. These end a launch with a message:
 * - an access outside of every buffer or of the kernel's shared memory, or not aligned;
 * - a read of shared memory that this work-group has not written;
 * - two warps that access the same shared memory between two barriers, one of them writing;
 * - an access of shared memory to which an asynchronous copy (cp.async) is in flight, and a write
 * of the global memory that it reads; a return before the wait for it;
 * - a barrier that not all work-items reach; a warp that is split at mma.sync or ldmatrix;
 * - an instruction that the parser does not know.
 * The order in which warps run between barriers can be chosen: results must not depend on it. */
#ifndef DITCL_TESTS_PTX_H
#define DITCL_TESTS_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PTX_LANES = 32, PTX_ARGUMENTS = 64, PTX_WHY = 400 };

typedef struct ptx_module ptx_module;
typedef struct ptx_kernel ptx_kernel;

/* Parses the text of a compiler. Null, and the reason, if the text has something that the parser
 * does not know. */
ptx_module *ptx_parse(const char *text, char why[PTX_WHY]);
void ptx_free(ptx_module *m);

/* Null: there is no kernel of this name. */
const ptx_kernel *ptx_find(const ptx_module *m, const char *name);
int ptx_arguments(const ptx_kernel *k);
/* Whether an argument is the address of a buffer. */
bool ptx_is_pointer(const ptx_kernel *k, int argument);
size_t ptx_shared_bytes(const ptx_kernel *k);

/* Memory that a kernel may access. Addresses are the host's. */
typedef struct {
    uintptr_t at;
    size_t bytes;
} ptx_buffer;

typedef enum { PTX_FORWARD, PTX_BACKWARD, PTX_SHUFFLED, N_PTX_ORDERS } ptx_order;

typedef struct {
    uint64_t args[PTX_ARGUMENTS]; /* the arguments' bits; for a buffer, its address */
    unsigned groups[3], local[3]; /* work-groups; work-items of one */
    unsigned offset[3];           /* of the range, in work-items */
    const ptx_buffer *buffers;
    int n_buffers;
    ptx_order order; /* of warps between two barriers */
    uint64_t seed;   /* of PTX_SHUFFLED */
} ptx_launch;

/* What a launch did. Bytes are those of all lanes, also where lanes read the same ones. */
typedef struct {
    uint64_t instructions, mma; /* of warps. An mma of 8 steps counts as half of one */
    uint64_t wavefronts;        /* of shared memory: ptx_counts.c */
    uint64_t shared_bytes, global_read, global_written;
} ptx_counts;

/* False, and the reason, if the kernel broke a rule above. */
bool ptx_run(const ptx_kernel *k, const ptx_launch *l, ptx_counts *counts, char why[PTX_WHY]);

#endif
