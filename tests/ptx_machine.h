/* A work-group that the PTX interpreter runs. See ptx.h and ptx_program.h. */
#ifndef DITCL_TESTS_PTX_MACHINE_H
#define DITCL_TESTS_PTX_MACHINE_H

#include "ptx_program.h"

enum { EVERY_LANE = -1, SEVERAL_WARPS = 254, MOST_WARPS = 64, NO_LANE = 255, COPY_BYTES = 16 };

/* Two bytes of shared memory: which warp wrote and read them last, in which phase. A phase is what
 * runs between two barriers of one work-group. */
typedef struct {
    uint32_t written, read; /* phases; 0: never */
    uint8_t writer, reader;
    uint8_t lane;   /* of the writer, whose asynchronous copy it was; NO_LANE: another write */
    bool in_flight; /* an asynchronous copy, for which its lane has not waited yet */
} shared_mark;

/* cp.async of a lane. A group is what one cp.async.commit_group of the lane ends. */
typedef struct {
    const uint8_t *from;    /* global memory */
    uint64_t to;            /* shared memory */
    uint8_t bytes, n, lane; /* n: bytes that are read; the others become 0 */
    uint32_t group;
} async_copy;

typedef struct {
    uint8_t *file;
    uint32_t alive; /* lanes that have not returned */
    int block[PTX_LANES];
    uint32_t groups[PTX_LANES]; /* that a lane has committed */
    async_copy *copies;         /* in flight */
    int n_copies, capacity;
} warp;

typedef struct {
    const ptx_kernel *k;
    const ptx_launch *l;
    unsigned group[3];
    int n_warps;
    warp warps[MOST_WARPS];
    uint8_t *shared;
    shared_mark *marks;
    uint32_t phase, first_phase; /* first_phase: where this work-group began */
    const ptx_buffer *last;      /* the buffer that was accessed last */
    uint64_t random;
    ptx_counts counts;
    uint64_t half_mma; /* an mma of 8 steps is one, of 16 two */
    char *why;
} machine;

/* False, after it has written the reason. */
bool ptx_complain(machine *m, const ptx_instruction *i, const char *format, ...);

#define EACH_OF(lanes)                                                                             \
    for (uint32_t left = (lanes), lane; left && (lane = (uint32_t)__builtin_ctz(left), true);      \
         left &= left - 1)

static inline uint32_t *words(const warp *w, slot s)
{
    return (uint32_t *)(void *)(w->file + s);
}

/* ---- ptx_memory.c ---- */

bool ptx_memory(machine *m, int number, const ptx_instruction *i, uint32_t lanes);
bool ptx_atomic_or(machine *m, const warp *w, const ptx_instruction *i, uint32_t lanes);
bool ptx_ldmatrix(machine *m, int number, const ptx_instruction *i, uint32_t lanes);

/* A lane's address operand: 0, or 1 of cp.async. */
uint64_t ptx_address(const warp *w, const ptx_instruction *i, int operand, uint32_t lane);

typedef enum { ACCESS_READ, ACCESS_WRITE, ACCESS_COPY } shared_access;

/* Null, after a message, if a lane must not access these bytes. Shared memory records which warp
 * accesses them in which phase. */
uint8_t *ptx_global(machine *m, const ptx_instruction *i, uint64_t at, size_t bytes, size_t align,
                    bool write);
uint8_t *ptx_shared(machine *m, int number, uint32_t lane, const ptx_instruction *i, uint64_t at,
                    size_t bytes, shared_access access);

/* ---- ptx_async.c ---- */

bool ptx_async(machine *m, int number, const ptx_instruction *i, uint32_t lanes);
void ptx_commit(warp *w, uint32_t lanes);
/* Completes all but the `pending` last groups of each lane; with `pending` < 0, all copies. */
void ptx_wait(machine *m, int number, uint32_t lanes, int pending);
/* True if a copy in flight reads these bytes of global memory. */
bool ptx_is_copied(const machine *m, const uint8_t *at, size_t bytes);

/* ---- ptx_counts.c ---- */

/* Adds an access of shared memory by these lanes, each of `bytes`. */
void ptx_count_shared(ptx_counts *c, const uint64_t at[PTX_LANES], uint32_t lanes, size_t bytes);

#endif
