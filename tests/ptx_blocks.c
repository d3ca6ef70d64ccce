/* Basic blocks of a PTX kernel, and the order in which a split warp runs them. See ptx_program.h.
 *
 * If lanes of a warp took different branches, the lanes whose block comes first run first,
 * until they meet the others. The order of blocks is a reverse postorder of the flow graph in
 * which all blocks of a loop come before the blocks after the loop. */
#include <stdlib.h>
#include <string.h>

#include "ptx_program.h"

typedef struct {
    const ptx_kernel *k;
    bool *dominates; /* [block][dominator] */
    int *depth;      /* of loops around a block */
    bool *seen, *body;
    int next_rank;
} flow;

/* Blocks that may run after block b; returns how many. */
static int successors(int next[2], const ptx_kernel *k, int b)
{
    const ptx_instruction *last = &k->code[k->blocks[b].end - 1];
    int n = 0;
    bool always = last->guard == SLOT_NONE;
    if (last->kind == PTX_BRANCH) next[n++] = last->target;
    if (always && (last->kind == PTX_BRANCH || last->kind == PTX_RETURN)) return n;
    if (b + 1 < k->n_blocks) next[n++] = b + 1;
    return n;
}

/* dominates[b][a]: every path from the start to b goes through a. */
static void find_dominators(flow *f)
{
    int n = f->k->n_blocks;
    memset(f->dominates, 1, (size_t)n * (size_t)n);
    for (int a = 1; a < n; a++) f->dominates[a] = false;
    for (bool changed = true; changed;) {
        changed = false;
        for (int b = 0; b < n; b++) {
            int next[2], count = successors(next, f->k, b);
            for (int i = 0; i < count; i++) {
                bool *row = f->dominates + (size_t)next[i] * (size_t)n;
                const bool *from = f->dominates + (size_t)b * (size_t)n;
                for (int a = 0; a < n; a++)
                    if (row[a] && !from[a] && a != next[i]) {
                        row[a] = false;
                        changed = true;
                    }
            }
        }
    }
}

/* Marks the blocks from which a path leads to b without passing the loop's head, which is marked
 * already. */
static void mark_body(flow *f, int b)
{
    if (f->body[b]) return;
    f->body[b] = true;
    for (int a = 0; a < f->k->n_blocks; a++) {
        int next[2], count = successors(next, f->k, a);
        for (int i = 0; i < count; i++)
            if (next[i] == b) mark_body(f, a);
    }
}

/* Finds loops. The head of a loop is a block that dominates a block that jumps back to it; both
 * and all blocks between them are the loop. */
static void find_loops(flow *f)
{
    int n = f->k->n_blocks;
    for (int head = 0; head < n; head++) {
        bool is_loop = false;
        memset(f->body, 0, (size_t)n * sizeof *f->body);
        f->body[head] = true;
        for (int b = 0; b < n; b++) {
            int next[2], count = successors(next, f->k, b);
            for (int i = 0; i < count; i++) {
                if (next[i] != head || !f->dominates[(size_t)b * (size_t)n + (size_t)head])
                    continue;
                is_loop = true;
                mark_body(f, b);
            }
        }
        for (int b = 0; b < n && is_loop; b++) f->depth[b] += f->body[b];
    }
}

/* Postorder that visits the blocks outside of the loop first, so that they get the largest
 * ranks. */
static void visit(flow *f, int b)
{
    int next[2], n = successors(next, f->k, b);
    f->seen[b] = true;
    if (n == 2 && f->depth[next[1]] < f->depth[next[0]]) {
        int other = next[0];
        next[0] = next[1];
        next[1] = other;
    }
    for (int i = 0; i < n; i++)
        if (!f->seen[next[i]]) visit(f, next[i]);
    f->k->blocks[b].rank = f->next_rank--;
}

static bool rank_blocks(ptx_kernel *k)
{
    size_t n = (size_t)k->n_blocks;
    flow f = {.k = k, .next_rank = k->n_blocks};
    f.dominates = calloc(n * n, sizeof *f.dominates);
    f.depth = calloc(n, sizeof *f.depth);
    f.seen = calloc(n, sizeof *f.seen);
    f.body = calloc(n, sizeof *f.body);
    bool done = f.dominates && f.depth && f.seen && f.body;
    if (done) {
        find_dominators(&f);
        find_loops(&f);
        visit(&f, 0);
    }
    free(f.dominates);
    free(f.depth);
    free(f.seen);
    free(f.body);
    return done;
}

static bool ends_block(const ptx_instruction *i)
{
    return i->kind == PTX_BRANCH || i->kind == PTX_BARRIER || i->kind == PTX_RETURN;
}

bool ptx_make_blocks(ptx_kernel *k, bool *leaders)
{
    int *block_of = calloc((size_t)k->n + 1, sizeof *block_of);
    k->blocks = calloc((size_t)k->n + 1, sizeof *k->blocks);
    if (!block_of || !k->blocks || k->n == 0) {
        free(block_of);
        return false;
    }
    for (int i = 0; i < k->n; i++) {
        if (i == 0 || leaders[i] || ends_block(&k->code[i - 1])) k->blocks[k->n_blocks++].first = i;
        k->blocks[k->n_blocks - 1].end = i + 1;
        block_of[i] = k->n_blocks - 1;
    }
    for (int i = 0; i < k->n; i++)
        if (k->code[i].kind == PTX_BRANCH) k->code[i].target = block_of[k->code[i].target];
    free(block_of);
    return rank_blocks(k);
}
