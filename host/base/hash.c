/* SHA-256. See hash.h. */
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 64, ROUNDS = 64 };

/* Fractions of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t round_constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static void absorb(uint32_t state[8], const unsigned char *p)
{
    uint32_t w[ROUNDS];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < ROUNDS; i++) {
        uint32_t near = w[i - 2], far = w[i - 15];
        w[i] = w[i - 16] + (rotate(far, 7) ^ rotate(far, 18) ^ far >> 3) + w[i - 7] +
               (rotate(near, 17) ^ rotate(near, 19) ^ near >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                         round_constants[i] + w[i];
        uint32_t second =
            (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    const uint32_t after[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += after[i];
}

void hash_start(hash_work *w)
{
    /* fractions of the square roots of the first 8 primes (5.3.3) */
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    *w = (hash_work){0};
    memcpy(w->state, start, sizeof start);
}

void hash_add(hash_work *w, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    while (n) {
        size_t held = w->length % BLOCK, take = BLOCK - held < n ? BLOCK - held : n;
        if (take == BLOCK) {
            absorb(w->state, p);
        } else {
            memcpy(w->block + held, p, take);
            if (held + take == BLOCK) absorb(w->state, w->block);
        }
        w->length += take;
        p += take;
        n -= take;
    }
}

void hash_add_text(hash_work *w, const char *s)
{
    hash_add(w, s, strlen(s) + 1);
}

hash128 hash_end(hash_work *w)
{
    static const unsigned char padding[BLOCK] = {0x80};
    uint64_t bits = w->length * 8;
    unsigned char length[8];
    hash128 h;
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
    hash_add(w, padding, 1 + (2 * BLOCK - 9 - w->length % BLOCK) % BLOCK);
    hash_add(w, length, sizeof length);
    for (int i = 0; i < HASH_BYTES; i++)
        h.bytes[i] = (unsigned char)(w->state[i / 4] >> (24 - 8 * (i % 4)));
    return h;
}

hash128 hash_bytes(const void *bytes, size_t n)
{
    hash_work w;
    hash_start(&w);
    hash_add(&w, bytes, n);
    return hash_end(&w);
}

bool hash_equal(hash128 a, hash128 b)
{
    return memcmp(a.bytes, b.bytes, HASH_BYTES) == 0;
}

void hash_text(char out[HASH_TEXT], hash128 h)
{
    for (int i = 0; i < HASH_BYTES; i++) snprintf(out + 2 * i, 3, "%02x", h.bytes[i]);
}
