/* Runs a parsed kernel: work-groups one after the other, their warps in a chosen order from barrier
 * to barrier. See ptx.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_machine.h"

bool ptx_complain(machine *m, const ptx_instruction *i, const char *format, ...)
{
    va_list args;
    size_t used =
        (size_t)snprintf(m->why, PTX_WHY, "%s, work-group %u,%u,%u, \"%.120s\": ", m->k->name,
                         m->group[0], m->group[1], m->group[2], i->text);
    if (used >= PTX_WHY) return false;
    va_start(args, format);
    vsnprintf(m->why + used, PTX_WHY - used, format, args);
    va_end(args);
    return false;
}

/* ---- instructions ---- */

/* Puts lanes of `from` into a register of `bytes` a lane, 0 for predicates. */
static void set_lanes(uint8_t *to, const uint8_t *from, int bytes, uint32_t lanes)
{
    if (bytes == 0) {
        uint32_t *old = (void *)to;
        *old = (*old & ~lanes) | (*(const uint32_t *)(const void *)from & lanes);
        return;
    }
    if (lanes == (uint32_t)EVERY_LANE) {
        memcpy(to, from, (size_t)bytes * PTX_LANES);
        return;
    }
    EACH_OF(lanes)
    memcpy(to + lane * (uint32_t)bytes, from + lane * (uint32_t)bytes, (size_t)bytes);
}

static void run_lane_op(warp *w, const ptx_instruction *i, uint32_t lanes)
{
    uint64_t result[PTX_LANES];
    const uint8_t *sources[3] = {NULL, NULL, NULL};
    for (int s = 0; s < i->op->sources; s++) sources[s] = w->file + i->sources[s];
    i->op->f(result, sources[0], sources[1], sources[2]);
    set_lanes(w->file + i->results[0], (uint8_t *)result, i->op->result, lanes);
}

static void run_select(warp *w, const ptx_instruction *i, uint32_t lanes)
{
    uint32_t first = *words(w, i->sources[2]);
    uint64_t result[PTX_LANES];
    memcpy(result, w->file + i->sources[1], (size_t)i->bytes * PTX_LANES);
    set_lanes((uint8_t *)result, w->file + i->sources[0], i->bytes, first);
    set_lanes(w->file + i->results[0], (uint8_t *)result, i->bytes, lanes);
}

static bool run_mma(machine *m, const warp *w, const ptx_instruction *i, uint32_t lanes)
{
    float *d[4];
    const float *c[4];
    const uint32_t *a[4], *b[2];
    const slot *source = i->sources;
    if (lanes != (uint32_t)EVERY_LANE) return ptx_complain(m, i, "lanes %#x of the warp", lanes);
    for (int n = 0; n < 4; n++) d[n] = (float *)(void *)words(w, i->results[n]);
    for (int n = 0; n < i->depth / 4; n++) a[n] = words(w, *source++);
    for (int n = 0; n < i->depth / 8; n++) b[n] = words(w, *source++);
    for (int n = 0; n < 4; n++) c[n] = (const float *)(const void *)words(w, *source++);
    ptx_mma(d, a, b, c, i->depth, i->bf16);
    m->half_mma += (unsigned)i->depth / 8;
    return true;
}

/* A lane must not return before it has waited for its asynchronous copies. */
static bool run_return(machine *m, warp *w, const ptx_instruction *i, uint32_t lanes)
{
    for (int n = 0; n < w->n_copies; n++)
        if (lanes >> w->copies[n].lane & 1)
            return ptx_complain(m, i, "an asynchronous copy to byte %llu is in flight",
                                (unsigned long long)w->copies[n].to);
    w->alive &= ~lanes;
    return true;
}

/* ---- a warp ---- */

static bool run_instruction(machine *m, int number, const ptx_instruction *i, uint32_t lanes)
{
    warp *w = &m->warps[number];
    switch (i->kind) {
    case PTX_LANE_OP: run_lane_op(w, i, lanes); return true;
    case PTX_SELECT: run_select(w, i, lanes); return true;
    case PTX_COPY:
        set_lanes(w->file + i->results[0], w->file + i->sources[0], i->bytes, lanes);
        return true;
    case PTX_LOAD:
    case PTX_STORE: return ptx_memory(m, number, i, lanes);
    case PTX_ATOMIC_OR: return ptx_atomic_or(m, w, i, lanes);
    case PTX_MMA: return run_mma(m, w, i, lanes);
    case PTX_LDMATRIX: return ptx_ldmatrix(m, number, i, lanes);
    case PTX_ASYNC: return ptx_async(m, number, i, lanes);
    case PTX_COMMIT: ptx_commit(w, lanes); return true;
    case PTX_WAIT: ptx_wait(m, number, lanes, i->pending); return true;
    case PTX_BRANCH: EACH_OF(lanes) w->block[lane] = i->target; return true;
    case PTX_BARRIER:
        if (lanes == w->alive) return true;
        return ptx_complain(m, i, "lanes %#x of %#x reach the barrier", lanes, w->alive);
    case PTX_RETURN: return run_return(m, w, i, lanes);
    }
    return ptx_complain(m, i, "an unknown kind");
}

/* The block to run next, and the lanes that are at this block. */
static int next_block(uint32_t *lanes, const ptx_kernel *k, const warp *w)
{
    int found = -1;
    EACH_OF(w->alive)
    if (found < 0 || k->blocks[w->block[lane]].rank < k->blocks[found].rank) found = w->block[lane];
    *lanes = 0;
    EACH_OF(w->alive)
    if (w->block[lane] == found) *lanes |= 1u << lane;
    return found;
}

/* Runs the warp until it has returned or is at a barrier. */
static bool run_warp(machine *m, int number, bool *waits)
{
    const ptx_kernel *k = m->k;
    warp *w = &m->warps[number];
    *waits = false;
    while (w->alive && !*waits) {
        uint32_t lanes;
        int b = next_block(&lanes, k, w);
        EACH_OF(lanes) w->block[lane] = b + 1;
        for (int n = k->blocks[b].first; n < k->blocks[b].end; n++) {
            const ptx_instruction *i = &k->code[n];
            uint32_t active = lanes;
            if (i->guard != SLOT_NONE)
                active &= i->guard_not ? ~*words(w, i->guard) : *words(w, i->guard);
            if (i->kind == PTX_BARRIER) *waits = true;
            m->counts.instructions++;
            if (active || i->kind == PTX_BARRIER)
                if (!run_instruction(m, number, i, active)) return false;
        }
    }
    return true;
}

/* ---- a work-group ---- */

static uint64_t initial_value(const machine *m, const ptx_initial *o, unsigned item)
{
    const unsigned *local = m->l->local;
    unsigned id[3] = {item % local[0], item / local[0] % local[1], item / local[0] / local[1]};
    switch (o->kind) {
    case INITIAL_CONSTANT: return o->value;
    case INITIAL_ARGUMENT: return m->l->args[o->index];
    case INITIAL_LOCAL_ID: return id[o->index];
    case INITIAL_LOCAL_SIZE: return local[o->index];
    case INITIAL_GROUP_ID: return m->group[o->index];
    case INITIAL_GROUPS: return m->l->groups[o->index];
    case INITIAL_OFFSET: return m->l->offset[o->index];
    }
    return 0;
}

/* Registers begin with a bit pattern that is a NaN, so that a kernel which reads one before it
 * writes it fails. */
static void begin_warp(machine *m, int number)
{
    warp *w = &m->warps[number];
    unsigned items = m->l->local[0] * m->l->local[1] * m->l->local[2], first;
    first = (unsigned)number * PTX_LANES;
    memset(w->file, 0xff, m->k->file_bytes);
    memset(w->block, 0, sizeof w->block);
    memset(w->groups, 0, sizeof w->groups);
    w->n_copies = 0;
    w->alive = items - first >= PTX_LANES ? (uint32_t)EVERY_LANE : (1u << (items - first)) - 1u;
    for (int i = 0; i < m->k->n_initial; i++) {
        const ptx_initial *o = &m->k->initial[i];
        for (unsigned lane = 0; lane < PTX_LANES; lane++) {
            uint64_t value = initial_value(m, o, first + lane);
            memcpy(w->file + o->at + lane * (unsigned)o->bytes, &value, (size_t)o->bytes);
        }
    }
}

static void order_warps(machine *m, int order[MOST_WARPS])
{
    for (int i = 0; i < m->n_warps; i++)
        order[i] = m->l->order == PTX_BACKWARD ? m->n_warps - 1 - i : i;
    for (int i = m->n_warps - 1; i > 0 && m->l->order == PTX_SHUFFLED; i--) {
        m->random = m->random * 6364136223846793005u + 1442695040888963407u;
        int other = (int)(m->random >> 33) % (i + 1), moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}

static bool run_group(machine *m)
{
    int order[MOST_WARPS];
    for (int i = 0; i < m->n_warps; i++) begin_warp(m, i);
    memset(m->shared, 0xff, m->k->shared_bytes);
    m->first_phase = m->phase + 1;
    for (bool again = true; again;) {
        int waiting = 0, ended = 0;
        m->phase++;
        order_warps(m, order);
        for (int i = 0; i < m->n_warps; i++) {
            bool waits;
            if (!m->warps[order[i]].alive) continue;
            if (!run_warp(m, order[i], &waits)) return false;
            waiting += waits;
            ended += !waits;
        }
        again = waiting > 0;
        if (waiting && ended)
            return ptx_complain(m, &m->k->code[m->k->n - 1],
                                "%d warps wait at a barrier and %d have returned", waiting, ended);
    }
    return true;
}

static bool allocate(machine *m)
{
    unsigned items = m->l->local[0] * m->l->local[1] * m->l->local[2];
    m->n_warps = (int)((items + PTX_LANES - 1) / PTX_LANES);
    if (m->n_warps < 1 || m->n_warps > MOST_WARPS) return false;
    m->shared = malloc(m->k->shared_bytes + 1);
    m->marks = calloc(m->k->shared_bytes / 2 + 1, sizeof *m->marks);
    for (int i = 0; i < m->n_warps; i++)
        if (!(m->warps[i].file = malloc(m->k->file_bytes + 1))) return false;
    return m->shared && m->marks;
}

static void free_machine(machine *m)
{
    for (int i = 0; i < MOST_WARPS; i++) {
        free(m->warps[i].file);
        free(m->warps[i].copies);
    }
    free(m->shared);
    free(m->marks);
    free(m);
}

bool ptx_run(const ptx_kernel *k, const ptx_launch *l, ptx_counts *counts, char why[PTX_WHY])
{
    machine *m = calloc(1, sizeof *m);
    const unsigned *n = l->groups;
    snprintf(why, PTX_WHY, "no memory, or a work-group of too many work-items");
    if (!m) return false;
    m->k = k;
    m->l = l;
    m->why = why;
    m->random = l->seed;
    bool right = allocate(m);
    for (unsigned at = 0; right && at < n[0] * n[1] * n[2]; at++) {
        m->group[0] = at % n[0];
        m->group[1] = at / n[0] % n[1];
        m->group[2] = at / n[0] / n[1];
        right = run_group(m);
    }
    *counts = m->counts;
    counts->mma = m->half_mma / 2;
    free_machine(m);
    return right;
}
