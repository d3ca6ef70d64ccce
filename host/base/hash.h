/* A 128-bit hash: the first half of SHA-256 (FIPS 180-4). */
#ifndef DITCL_BASE_HASH_H
#define DITCL_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_BYTES = 16, HASH_TEXT = 2 * HASH_BYTES + 1 };

typedef struct {
    unsigned char bytes[HASH_BYTES];
} hash128;

/* For data in pieces: hash_start, then hash_add any number of times, then hash_end. */
typedef struct {
    uint32_t state[8];
    unsigned char block[64];
    uint64_t length; /* bytes so far */
} hash_work;

void hash_start(hash_work *w);
void hash_add(hash_work *w, const void *bytes, size_t n);
hash128 hash_end(hash_work *w);

/* Adds the string and its NUL, so that "ab", "c" and "a", "bc" differ. */
void hash_add_text(hash_work *w, const char *s);

hash128 hash_bytes(const void *bytes, size_t n);
bool hash_equal(hash128 a, hash128 b);

/* 32 lower-case hexadecimal digits. */
void hash_text(char out[HASH_TEXT], hash128 h);

#endif
