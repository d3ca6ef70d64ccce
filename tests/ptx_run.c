/* Runs a parsed kernel: work-groups one after the other, their warps in a chosen order from barrier
 * to barrier. See ptx.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_program.h"

enum { EVERY_LANE = -1, SEVERAL_WARPS = 254, MOST_WARPS = 64 };

/* Two bytes of shared memory: which warp wrote and read them last, in which phase. A phase is what
 * runs between two barriers of one work-group. */
typedef struct {
    uint32_t written, read; /* phases; 0: never */
    uint8_t writer, reader;
} shared_mark;

typedef struct {
    uint8_t *file;
    uint32_t alive; /* lanes that have not returned */
    int block[PTX_LANES];
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
    char *why;
} machine;

static bool complain(machine *m, const ptx_instruction *i, const char *format, ...)
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

/* ---- registers ---- */

#define EACH_OF(lanes)                                                                             \
    for (uint32_t left = (lanes), lane; left && (lane = (uint32_t)__builtin_ctz(left), true);      \
         left &= left - 1)

static uint32_t *words(const warp *w, slot s)
{
    return (uint32_t *)(void *)(w->file + s);
}

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

/* ---- memory ---- */

static uint64_t address_of(const warp *w, const ptx_instruction *i, uint32_t lane)
{
    const uint8_t *base = w->file + i->sources[0];
    uint64_t at = i->wide ? ((const uint64_t *)(const void *)base)[lane]
                          : ((const uint32_t *)(const void *)base)[lane];
    return at + (uint64_t)i->offset;
}

/* Null, after a message, if a lane must not access these bytes of global memory. */
static uint8_t *global_memory(machine *m, const ptx_instruction *i, uint64_t at, size_t bytes)
{
    const ptx_buffer *b = m->last;
    if (at % bytes)
        return complain(m, i, "address %#llx, no multiple of %zu", (unsigned long long)at, bytes),
               NULL;
    for (int n = -1; n < m->l->n_buffers; n++) {
        if (n >= 0) b = &m->l->buffers[n];
        if (!b || at < b->at || at - b->at > b->bytes || bytes > b->bytes - (at - b->at)) continue;
        m->last = b;
        return (uint8_t *)(uintptr_t)at;
    }
    const ptx_buffer *nearest = NULL;
    for (int n = 0; n < m->l->n_buffers; n++)
        if (m->l->buffers[n].at <= at && (!nearest || m->l->buffers[n].at > nearest->at))
            nearest = &m->l->buffers[n];
    if (nearest)
        complain(m, i, "%zu bytes, %lld behind the begin of a buffer of %zu", bytes,
                 (long long)(at - nearest->at), nearest->bytes);
    else
        complain(m, i, "an address outside of every buffer");
    return NULL;
}

/* Null, after a message, if a lane must not access these bytes of shared memory. Records which
 * warp accesses them in which phase. */
static uint8_t *shared_memory(machine *m, int number, const ptx_instruction *i, uint64_t at,
                              size_t bytes)
{
    bool load = i->kind == PTX_LOAD;
    if (at % bytes || bytes < sizeof(uint16_t))
        return complain(m, i, "address %llu, no multiple of %zu", (unsigned long long)at, bytes),
               NULL;
    if (at > m->k->shared_bytes || bytes > m->k->shared_bytes - at)
        return complain(m, i, "%zu bytes at %llu of %zu", bytes, (unsigned long long)at,
                        m->k->shared_bytes),
               NULL;
    for (size_t n = at / 2; n < (at + bytes) / 2; n++) {
        shared_mark *s = &m->marks[n];
        if (load && s->written < m->first_phase)
            return complain(m, i, "shared byte %zu was not written", 2 * n), NULL;
        if (s->written == m->phase && s->writer != number)
            return complain(m, i,
                            "warp %d and warp %d: no barrier between a write and %s of byte %zu",
                            s->writer, number, load ? "a read" : "a write", 2 * n),
                   NULL;
        if (!load && s->read == m->phase && s->reader != number)
            return complain(
                       m, i,
                       "warp %d: no barrier between another warp's read and a write of byte %zu",
                       number, 2 * n),
                   NULL;
        if (load) {
            s->reader =
                s->read == m->phase && s->reader != number ? SEVERAL_WARPS : (uint8_t)number;
            s->read = m->phase;
        } else {
            s->writer = (uint8_t)number;
            s->written = m->phase;
        }
    }
    return m->shared + at;
}

/* One value of a lane, extended to the register. */
static void load_value(uint8_t *file, uint32_t lane, const uint8_t *from, const ptx_instruction *i)
{
    uint64_t value = 0, sign = (uint64_t)1 << (8 * i->bytes - 1);
    memcpy(&value, from, (size_t)i->bytes);
    if (i->is_signed) value = (value ^ sign) - sign;
    if (i->register_bits == 16) value &= 0xffff;
    if (i->register_bits == 64)
        memcpy(file + lane * 8, &value, 8);
    else
        memcpy(file + lane * 4, &value, 4);
}

static bool run_memory(machine *m, int number, const ptx_instruction *i, uint32_t lanes)
{
    warp *w = &m->warps[number];
    size_t bytes = (size_t)i->bytes * (size_t)i->vector;
    EACH_OF(lanes)
    {
        uint64_t at = address_of(w, i, lane);
        uint8_t *p =
            i->shared ? shared_memory(m, number, i, at, bytes) : global_memory(m, i, at, bytes);
        if (!p) return false;
        for (int v = 0; v < i->vector; v++, p += i->bytes) {
            if (i->kind == PTX_LOAD)
                load_value(w->file + i->results[v], lane, p, i);
            else
                memcpy(p, w->file + i->sources[1 + v] + lane * (i->register_bits == 64 ? 8 : 4),
                       (size_t)i->bytes);
        }
    }
    return true;
}

static bool run_atomic_or(machine *m, const warp *w, const ptx_instruction *i, uint32_t lanes)
{
    EACH_OF(lanes)
    {
        uint32_t old, new;
        uint8_t *p = global_memory(m, i, address_of(w, i, lane), sizeof old);
        if (!p) return false;
        memcpy(&old, p, sizeof old);
        new = old | words(w, i->sources[1])[lane];
        memcpy(p, &new, sizeof new);
        words(w, i->results[0])[lane] = old;
    }
    return true;
}

/* ---- mma ---- */

static bool run_mma(machine *m, const warp *w, const ptx_instruction *i, uint32_t lanes)
{
    float *d[4];
    const float *c[4];
    const uint32_t *a[4], *b[2];
    if (lanes != (uint32_t)EVERY_LANE) return complain(m, i, "lanes %#x of the warp", lanes);
    for (int n = 0; n < 4; n++) {
        d[n] = (float *)(void *)words(w, i->results[n]);
        a[n] = words(w, i->sources[n]);
        c[n] = (const float *)(const void *)words(w, i->sources[6 + n]);
    }
    for (int n = 0; n < 2; n++) b[n] = words(w, i->sources[4 + n]);
    ptx_mma(d, a, b, c, i->bf16);
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
    case PTX_STORE: return run_memory(m, number, i, lanes);
    case PTX_ATOMIC_OR: return run_atomic_or(m, w, i, lanes);
    case PTX_MMA: return run_mma(m, w, i, lanes);
    case PTX_BRANCH: EACH_OF(lanes) w->block[lane] = i->target; return true;
    case PTX_BARRIER:
        if (lanes == w->alive) return true;
        return complain(m, i, "lanes %#x of %#x reach the barrier", lanes, w->alive);
    case PTX_RETURN: w->alive &= ~lanes; return true;
    }
    return complain(m, i, "an unknown kind");
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
            return complain(m, &m->k->code[m->k->n - 1],
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

bool ptx_run(const ptx_kernel *k, const ptx_launch *l, char why[PTX_WHY])
{
    machine *m = calloc(1, sizeof *m);
    const unsigned *n = l->groups;
    bool right = m != NULL;
    snprintf(why, PTX_WHY, "no memory, or a work-group of too many work-items");
    if (m) {
        m->k = k;
        m->l = l;
        m->why = why;
        m->random = l->seed;
        right = allocate(m);
    }
    for (unsigned at = 0; right && at < n[0] * n[1] * n[2]; at++) {
        m->group[0] = at % n[0];
        m->group[1] = at / n[0] % n[1];
        m->group[2] = at / n[0] / n[1];
        right = run_group(m);
    }
    for (int i = 0; m && i < MOST_WARPS; i++) free(m->warps[i].file);
    if (m) {
        free(m->shared);
        free(m->marks);
    }
    free(m);
    return right;
}
