/* Loads and stores of the PTX interpreter. See ptx_machine.h. */
#include <string.h>

#include "ptx_machine.h"

uint64_t ptx_address(const warp *w, const ptx_instruction *i, int operand, uint32_t lane)
{
    const uint8_t *base = w->file + i->sources[operand];
    uint64_t at = i->wide[operand] ? ((const uint64_t *)(const void *)base)[lane]
                                   : ((const uint32_t *)(const void *)base)[lane];
    return at + (uint64_t)i->offset[operand];
}

uint8_t *ptx_global(machine *m, const ptx_instruction *i, uint64_t at, size_t bytes, size_t align,
                    bool write)
{
    const ptx_buffer *b = m->last;
    if (at % align)
        return ptx_complain(m, i, "address %#llx, no multiple of %zu", (unsigned long long)at,
                            align),
               NULL;
    for (int n = -1; n < m->l->n_buffers; n++) {
        if (n >= 0) b = &m->l->buffers[n];
        if (!b || at < b->at || at - b->at > b->bytes || bytes > b->bytes - (at - b->at)) continue;
        m->last = b;
        if (write && ptx_is_copied(m, (uint8_t *)(uintptr_t)at, bytes))
            return ptx_complain(m, i, "an asynchronous copy reads these bytes"), NULL;
        return (uint8_t *)(uintptr_t)at;
    }
    const ptx_buffer *nearest = NULL;
    for (int n = 0; n < m->l->n_buffers; n++)
        if (m->l->buffers[n].at <= at && (!nearest || m->l->buffers[n].at > nearest->at))
            nearest = &m->l->buffers[n];
    if (nearest)
        ptx_complain(m, i, "%zu bytes, %lld behind the begin of a buffer of %zu", bytes,
                     (long long)(at - nearest->at), nearest->bytes);
    else
        ptx_complain(m, i, "an address outside of every buffer");
    return NULL;
}

/* False, after a message, if a warp may not access two bytes of shared memory. */
static bool may_access(machine *m, int number, uint32_t lane, const ptx_instruction *i, size_t n,
                       shared_access access)
{
    const shared_mark *s = &m->marks[n];
    const char *what = access == ACCESS_READ ? "a read" : "a write";
    if (s->in_flight)
        return ptx_complain(m, i, "%s of byte %zu, to which an asynchronous copy is in flight",
                            what, 2 * n);
    if (access == ACCESS_READ && s->written < m->first_phase)
        return ptx_complain(m, i, "shared byte %zu was not written", 2 * n);
    if (s->written == m->phase && s->writer != number)
        return ptx_complain(m, i,
                            "warp %d and warp %d: no barrier between a write and %s of byte %zu",
                            s->writer, number, what, 2 * n);
    if (s->written == m->phase && s->lane != NO_LANE && s->lane != lane)
        return ptx_complain(m, i,
                            "no barrier between another lane's asynchronous copy and %s of byte "
                            "%zu",
                            what, 2 * n);
    if (access != ACCESS_READ && s->read == m->phase && s->reader != number)
        return ptx_complain(m, i,
                            "warp %d: no barrier between another warp's read and a write of byte "
                            "%zu",
                            number, 2 * n);
    return true;
}

uint8_t *ptx_shared(machine *m, int number, uint32_t lane, const ptx_instruction *i, uint64_t at,
                    size_t bytes, shared_access access)
{
    if (at % bytes || bytes < sizeof(uint16_t))
        return ptx_complain(m, i, "address %llu, no multiple of %zu", (unsigned long long)at,
                            bytes),
               NULL;
    if (at > m->k->shared_bytes || bytes > m->k->shared_bytes - at)
        return ptx_complain(m, i, "%zu bytes at %llu of %zu", bytes, (unsigned long long)at,
                            m->k->shared_bytes),
               NULL;
    for (size_t n = at / 2; n < (at + bytes) / 2; n++) {
        shared_mark *s = &m->marks[n];
        if (!may_access(m, number, lane, i, n, access)) return NULL;
        if (access == ACCESS_READ) {
            s->reader =
                s->read == m->phase && s->reader != number ? SEVERAL_WARPS : (uint8_t)number;
            s->read = m->phase;
        } else if (access == ACCESS_WRITE) {
            s->writer = (uint8_t)number;
            s->written = m->phase;
            s->lane = NO_LANE;
        } else {
            s->in_flight = true;
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

bool ptx_memory(machine *m, int number, const ptx_instruction *i, uint32_t lanes)
{
    warp *w = &m->warps[number];
    size_t bytes = (size_t)i->bytes * (size_t)i->vector;
    bool load = i->kind == PTX_LOAD;
    uint64_t at[PTX_LANES];
    EACH_OF(lanes)
    {
        at[lane] = ptx_address(w, i, 0, lane);
        uint8_t *p = i->shared ? ptx_shared(m, number, lane, i, at[lane], bytes,
                                            load ? ACCESS_READ : ACCESS_WRITE)
                               : ptx_global(m, i, at[lane], bytes, bytes, !load);
        if (!p) return false;
        for (int v = 0; v < i->vector; v++, p += i->bytes) {
            if (load)
                load_value(w->file + i->results[v], lane, p, i);
            else
                memcpy(p, w->file + i->sources[1 + v] + lane * (i->register_bits == 64 ? 8 : 4),
                       (size_t)i->bytes);
        }
    }
    if (i->shared)
        ptx_count_shared(&m->counts, at, lanes, bytes);
    else
        *(load ? &m->counts.global_read : &m->counts.global_written) +=
            bytes * (unsigned)__builtin_popcount(lanes);
    return true;
}

bool ptx_atomic_or(machine *m, const warp *w, const ptx_instruction *i, uint32_t lanes)
{
    EACH_OF(lanes)
    {
        uint32_t old, new;
        uint8_t *p = ptx_global(m, i, ptx_address(w, i, 0, lane), sizeof old, sizeof old, true);
        if (!p) return false;
        memcpy(&old, p, sizeof old);
        new = old | words(w, i->sources[1])[lane];
        memcpy(p, &new, sizeof new);
        words(w, i->results[0])[lane] = old;
    }
    return true;
}

/* ldmatrix: matrices of 8 rows of 8 numbers of 16 bits. Lane 8 n + r has the address of row r of
 * matrix n. Lane l gets the numbers 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of each; transposed,
 * those of column l / 4. PTX 9.7.13.4.15. */
bool ptx_ldmatrix(machine *m, int number, const ptx_instruction *i, uint32_t lanes)
{
    enum { ROWS = 8 };
    warp *w = &m->warps[number];
    if (lanes != (uint32_t)EVERY_LANE) return ptx_complain(m, i, "lanes %#x of the warp", lanes);
    uint32_t loaded[MOST_RESULTS][PTX_LANES];
    for (int n = 0; n < i->vector; n++) {
        uint16_t matrix[ROWS][ROWS];
        uint64_t at[PTX_LANES];
        for (uint32_t row = 0; row < ROWS; row++) {
            uint32_t lane = (uint32_t)n * ROWS + row;
            at[lane] = ptx_address(w, i, 0, lane);
            const uint8_t *p =
                ptx_shared(m, number, lane, i, at[lane], sizeof matrix[row], ACCESS_READ);
            if (!p) return false;
            memcpy(matrix[row], p, sizeof matrix[row]);
        }
        ptx_count_shared(&m->counts, at, 0xffu << n * ROWS, sizeof matrix[0]);
        for (int lane = 0; lane < PTX_LANES; lane++) {
            int row = lane / 4, column = lane % 4 * 2;
            uint16_t low = i->transposed ? matrix[column][row] : matrix[row][column];
            uint16_t high = i->transposed ? matrix[column + 1][row] : matrix[row][column + 1];
            loaded[n][lane] = (uint32_t)high << 16 | low;
        }
    }
    for (int n = 0; n < i->vector; n++) memcpy(words(w, i->results[n]), loaded[n], sizeof *loaded);
    return true;
}
