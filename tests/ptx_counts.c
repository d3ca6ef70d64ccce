/* Counts the wavefronts of shared memory. It has 32 banks of 4 bytes; a wavefront serves one word
 * of each bank, to any number of lanes. The lanes of an access are served together if each has up
 * to 4 bytes, in halves of the warp with 8 bytes, in quarters with 16 (NVIDIA, "CUDA C++
 * Programming Guide", "Shared Memory", and "Nsight Compute", "Shared Memory Tables"). ldmatrix
 * reads a matrix of 8 rows of 16 bytes at a time, which is a quarter too. */
#include "ptx_machine.h"

enum { BANKS = 32, BANK_BYTES = 4 };

/* Wavefronts of some lanes: the most different words of one bank. */
static unsigned wavefronts_of(const uint64_t at[PTX_LANES], uint32_t lanes, size_t bytes)
{
    uint64_t seen[BANKS][PTX_LANES];
    unsigned n[BANKS] = {0}, most = 0;
    EACH_OF(lanes)
    for (uint64_t w = at[lane] / BANK_BYTES; w <= (at[lane] + bytes - 1) / BANK_BYTES; w++) {
        unsigned bank = (unsigned)(w % BANKS), known = 0;
        while (known < n[bank] && seen[bank][known] != w) known++;
        if (known < n[bank]) continue;
        seen[bank][n[bank]++] = w;
        if (n[bank] > most) most = n[bank];
    }
    return most;
}

void ptx_count_shared(ptx_counts *c, const uint64_t at[PTX_LANES], uint32_t lanes, size_t bytes)
{
    unsigned together = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
    uint32_t some = together == 32 ? ~0u : (1u << together) - 1u;
    for (unsigned first = 0; first < PTX_LANES; first += together)
        if (lanes & some << first) c->wavefronts += wavefronts_of(at, lanes & some << first, bytes);
    c->shared_bytes += bytes * (unsigned)__builtin_popcount(lanes);
}
