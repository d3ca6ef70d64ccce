/* A parsed kernel, for the files of the PTX interpreter. See ptx.h. */
#ifndef DITCL_TESTS_PTX_PROGRAM_H
#define DITCL_TESTS_PTX_PROGRAM_H

#include "ptx.h"

/* The registers of a warp lie in one array, its register file. A slot is the byte where a
 * register begins. A register has 32 lanes of 4 bytes, or of 8 bytes for 64-bit types. A
 * predicate is one word with a bit for each lane. 16-bit values take 4 bytes, with zeros above.
 * Constants and special registers have slots, too. */
typedef int slot;

enum { SLOT_NONE = -1, MOST_SOURCES = 10, MOST_RESULTS = 4 };

/* An operation on one lane after the other: r[i] = f(a[i], b[i], c[i]). */
typedef void lane_function(void *r, const void *a, const void *b, const void *c);

typedef struct {
    const char *name; /* "add.s32" */
    lane_function *f;
    int result; /* bytes of a lane of the result; 0: a predicate */
    int sources;
} lane_op;

/* Null: there is none. */
const lane_op *lane_op_find(const char *name);

typedef enum {
    PTX_LANE_OP, /* op->f */
    PTX_SELECT,  /* selp */
    PTX_COPY,    /* mov, ld.param */
    PTX_LOAD,
    PTX_STORE,
    PTX_ATOMIC_OR,
    PTX_MMA,      /* m16n8k16 or m16n8k8, of fp16 or bf16, fp32 sums */
    PTX_LDMATRIX, /* vector: its matrices */
    PTX_ASYNC,    /* cp.async; sources: shared address, global address, bytes that are read */
    PTX_COMMIT,   /* cp.async.commit_group */
    PTX_WAIT,     /* cp.async.wait_group, wait_all */
    PTX_BRANCH,
    PTX_BARRIER,
    PTX_RETURN
} ptx_kind;

typedef struct {
    ptx_kind kind;
    const lane_op *op;
    int bytes;         /* bytes of a lane that are copied, selected, loaded or stored */
    int vector;        /* 1, 2 or 4: consecutive values of a lane */
    int register_bits; /* bits of a loaded or stored register: 16, 32 or 64 */
    bool is_signed;    /* a load extends the sign */
    bool shared;       /* shared memory; otherwise global */
    bool bf16;         /* mma multiplies bf16; otherwise fp16 */
    int depth;         /* steps of an mma: 8 or 16 */
    bool transposed;   /* ldmatrix.trans */
    int pending;       /* groups that wait_group leaves in flight; -1: wait_all */
    slot guard;        /* the predicate of "@%p1", or SLOT_NONE */
    bool guard_not;    /* "@!%p1" */
    slot results[MOST_RESULTS], sources[MOST_SOURCES];
    bool wide[2];      /* the addresses, sources 0 and 1, are of 64 bits */
    int64_t offset[2]; /* added to the addresses */
    int target;        /* block of a branch */
    const char *text;  /* for messages */
} ptx_instruction;

typedef struct {
    int first, end; /* instructions */
    int rank;       /* blocks of smaller rank run first: ptx_blocks.c */
} ptx_block;

/* The value of a slot before a warp begins. */
typedef enum {
    INITIAL_CONSTANT,
    INITIAL_ARGUMENT,
    INITIAL_LOCAL_ID,
    INITIAL_LOCAL_SIZE,
    INITIAL_GROUP_ID,
    INITIAL_GROUPS,
    INITIAL_OFFSET /* of the range: %envreg3 to 5, where NVIDIA's OpenCL keeps it */
} initial_kind;

typedef struct {
    slot at;
    int bytes;
    initial_kind kind;
    int index;      /* number of the argument, or of the dimension */
    uint64_t value; /* of a constant */
} ptx_initial;

struct ptx_kernel {
    char *name;
    ptx_instruction *code;
    int n;
    ptx_block *blocks;
    int n_blocks;
    ptx_initial *initial;
    int n_initial;
    int n_args;
    bool pointers[PTX_ARGUMENTS]; /* which arguments are buffers */
    size_t file_bytes;            /* of a warp's registers */
    size_t shared_bytes;
};

/* Cuts the code into blocks, and ranks the blocks. A block begins at a leader (leaders: a flag
 * for each instruction) and behind a branch, return or barrier. Targets of branches become
 * blocks. False: no memory. */
bool ptx_make_blocks(ptx_kernel *k, bool *leaders);

/* d [16][8] = a [16][depth] x b [depth][8] + c, all in the lanes' fragments. A lane has depth / 4
 * words of a, depth / 8 of b. */
void ptx_mma(float *const d[4], const uint32_t *const a[4], const uint32_t *const b[2],
             const float *const c[4], int depth, bool bf16);

#endif
