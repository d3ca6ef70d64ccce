/* cp.async: copies from global to shared memory that run beside their lane. PTX 9.7.8.22. The bytes
 * of a copy may be neither read nor written before its lane has waited for it. Then only this lane
 * sees them; a barrier shows them to the others. */
#include <stdlib.h>
#include <string.h>

#include "ptx_machine.h"

static bool add_copy(machine *m, warp *w, const ptx_instruction *i, async_copy c)
{
    if (w->n_copies == w->capacity) {
        int capacity = w->capacity ? 2 * w->capacity : 64;
        async_copy *grown = realloc(w->copies, (size_t)capacity * sizeof *grown);
        if (!grown) return ptx_complain(m, i, "no memory");
        w->copies = grown;
        w->capacity = capacity;
    }
    w->copies[w->n_copies++] = c;
    return true;
}

bool ptx_async(machine *m, int number, const ptx_instruction *i, uint32_t lanes)
{
    warp *w = &m->warps[number];
    uint64_t at[PTX_LANES];
    size_t bytes = (size_t)i->bytes;
    EACH_OF(lanes)
    {
        uint32_t n = i->sources[2] == SLOT_NONE ? (uint32_t)bytes : words(w, i->sources[2])[lane];
        uint64_t from = ptx_address(w, i, 1, lane);
        async_copy c = {NULL,           at[lane] = ptx_address(w, i, 0, lane),
                        (uint8_t)bytes, (uint8_t)n,
                        (uint8_t)lane,  w->groups[lane]};
        if (n > bytes) return ptx_complain(m, i, "%u bytes of %zu", n, bytes);
        if (n && !(c.from = ptx_global(m, i, from, n, bytes, false))) return false;
        if (!ptx_shared(m, number, lane, i, c.to, bytes, ACCESS_COPY)) return false;
        if (!add_copy(m, w, i, c)) return false;
        m->counts.global_read += n;
    }
    ptx_count_shared(&m->counts, at, lanes, bytes);
    return true;
}

void ptx_commit(warp *w, uint32_t lanes)
{
    EACH_OF(lanes) w->groups[lane]++;
}

static void complete(machine *m, int number, const async_copy *c)
{
    uint8_t *to = m->shared + c->to;
    memset(to, 0, c->bytes);
    if (c->n) memcpy(to, c->from, c->n);
    for (uint64_t n = c->to / 2; n < (c->to + c->bytes) / 2; n++) {
        shared_mark *s = &m->marks[n];
        s->in_flight = false;
        s->written = m->phase;
        s->writer = (uint8_t)number;
        s->lane = c->lane;
    }
}

void ptx_wait(machine *m, int number, uint32_t lanes, int pending)
{
    warp *w = &m->warps[number];
    int kept = 0;
    for (int n = 0; n < w->n_copies; n++) {
        const async_copy *c = &w->copies[n];
        /* groups that the lane has committed, from the copy's own on */
        uint32_t since = w->groups[c->lane] - c->group;
        if ((lanes >> c->lane & 1) && (pending < 0 || since > (uint32_t)pending))
            complete(m, number, c);
        else
            w->copies[kept++] = *c;
    }
    w->n_copies = kept;
}

bool ptx_is_copied(const machine *m, const uint8_t *at, size_t bytes)
{
    for (int number = 0; number < m->n_warps; number++)
        for (int n = 0; n < m->warps[number].n_copies; n++) {
            const async_copy *c = &m->warps[number].copies[n];
            if (c->n && at < c->from + c->n && c->from < at + bytes) return true;
        }
    return false;
}
