/* Writes PNG. See png.h.
 *
 * stb_image_write encodes the picture in memory. Text chunks are inserted directly after IHDR, so
 * that readers that stop at the pixels find them. */
#include "files/png.h"

#include <assert.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"

/* stb_image_write does not check every allocation. So this file keeps all of stb's blocks in a
 * list, and a failed allocation leaves stb by longjmp and frees them. */
typedef struct block {
    struct block *next, *before;
    max_align_t data[];
} block;

static _Thread_local block *blocks;
static _Thread_local jmp_buf out_of_memory;

static void *stb_realloc(void *data, size_t size)
{
    block *old = data ? (block *)((char *)data - offsetof(block, data)) : NULL;
    block *b = size <= SIZE_MAX - sizeof *b ? realloc(old, sizeof *b + size) : NULL;
    if (!b) longjmp(out_of_memory, 1);
    if (!old) {
        b->before = NULL;
        b->next = blocks;
    }
    if (b->next) b->next->before = b;
    if (b->before)
        b->before->next = b;
    else
        blocks = b;
    return b->data;
}

static void stb_free(void *data)
{
    if (!data) return;
    block *b = (block *)((char *)data - offsetof(block, data));
    if (b->next) b->next->before = b->before;
    if (b->before)
        b->before->next = b->next;
    else
        blocks = b->next;
    free(b);
}

#define STBIW_MALLOC(size) stb_realloc(NULL, size)
#define STBIW_REALLOC(data, size) stb_realloc(data, size)
#define STBIW_FREE(data) stb_free(data)
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

/* Signature, then IHDR: length, name, 13 bytes, checksum. */
enum { HEAD_BYTES = 8 + 4 + 4 + 13 + 4, KEYWORD_MAX = 79, RAW_MAX = 1 << 29 };

static void write_32(FILE *stream, uint32_t value)
{
    unsigned char bytes[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                              (unsigned char)(value >> 8), (unsigned char)value};
    fwrite(bytes, 1, sizeof bytes, stream);
}

static void write_chunk(FILE *stream, const char *name, const unsigned char *data, size_t n)
{
    uint32_t crc = (uint32_t)crc32(crc32(0, (const unsigned char *)name, 4), data, (uInt)n);
    write_32(stream, (uint32_t)n);
    fwrite(name, 1, 4, stream);
    fwrite(data, 1, n, stream);
    write_32(stream, crc);
}

/* ---- text ---- */

/* The next character of UTF-8 text: U+FFFD for a byte that begins none, '?' for a control character
 * other than a line end. */
static uint32_t next_character(const unsigned char **p)
{
    enum { REPLACEMENT = 0xfffd };
    static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
    uint32_t c = *(*p)++;
    int more = c < 0x80 ? 0 : c < 0xc0 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf8 ? 3 : -1;
    if (more < 0) return REPLACEMENT;
    if (more > 0) c &= 0x3fu >> more;
    for (int i = 0; i < more; i++) {
        if (((*p)[i] & 0xc0) != 0x80) return REPLACEMENT; /* also at the end of the text */
        c = c << 6 | ((*p)[i] & 0x3fu);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return REPLACEMENT;
    *p += more;
    return (c < 0x20 && c != '\n') || (c >= 0x7f && c <= 0x9f) ? '?' : c;
}

/* Writes a character as UTF-8. Returns the number of bytes, 1 to 4. */
static size_t put_utf8(unsigned char *out, uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3f));
    out[0] = (unsigned char)(first[n] | c);
    return n;
}

/* tEXt: keyword, NUL, Latin-1. iTXt: keyword, NUL, not compressed, method 0, no language, no
 * translated keyword, UTF-8. A text is cut at 65535 bytes, between characters. */
static status write_note(FILE *stream, const char *keyword, const char *words)
{
    enum { MOST = UINT16_MAX, CHARACTER = 4, LATIN_HEAD = 1, UTF8_HEAD = 5 };
    bool latin = *keyword != *PNG_AS_UTF8;
    if (!latin) keyword++;
    size_t n = strlen(keyword);
    unsigned char *data;
    assert(n > 0 && n <= KEYWORD_MAX);
    for (const unsigned char *p = (const unsigned char *)words; *p;)
        if (next_character(&p) > 0xff) latin = false;
    status st = memory_alloc(&data, n + UTF8_HEAD + MOST + CHARACTER, 1);
    if (st != OK) return st;
    memcpy(data, keyword, n);
    n += latin ? LATIN_HEAD : UTF8_HEAD; /* the bytes in between are 0, as allocated */
    size_t end = n + MOST;
    for (const unsigned char *p = (const unsigned char *)words; *p && n < end;) {
        uint32_t c = next_character(&p);
        size_t more = latin ? 1 : put_utf8(data + n, c);
        if (latin) data[n] = (unsigned char)c;
        if (n + more > end) break;
        n += more;
    }
    write_chunk(stream, latin ? "tEXt" : "iTXt", data, n);
    free(data);
    return OK;
}

/* Not inlined, so that the frame that longjmp returns to has no local variable of stb. */
__attribute__((noinline)) static unsigned char *encode_or_leave(const unsigned char *rgb, int width,
                                                                int height, int *n_bytes)
{
    return stbi_write_png_to_mem(rgb, 3 * width, width, height, 3, n_bytes);
}

/* The picture as stb encodes it, freed with stb_free; null if memory runs out. */
static unsigned char *encode(const unsigned char *rgb, int width, int height, int *n_bytes)
{
    blocks = NULL;
    if (setjmp(out_of_memory)) {
        while (blocks) stb_free(blocks->data);
        return NULL;
    }
    return encode_or_leave(rgb, width, height, n_bytes);
}

status png_write(file_out *out, const unsigned char *rgb, int width, int height,
                 const char *const *notes)
{
    return png_print(out->stream, out->shown, rgb, width, height, notes);
}

status png_print(FILE *to, const char *name, const unsigned char *rgb, int width, int height,
                 const char *const *notes)
{
    assert(width > 0 && height > 0);
    if (width > RAW_MAX / 4 || height > RAW_MAX / (3 * width + 1)) /* stb counts bytes in an int */
        return fail(ERR_LIMIT, "%s: a picture of %d x %d is too large for one file", name, width,
                    height);
    int n_bytes = 0;
    unsigned char *bytes = encode(rgb, width, height, &n_bytes);
    if (!bytes)
        return fail(ERR_MEMORY, "%s: out of memory for a picture of %d x %d", name, width, height);
    /* the stream remembers a failed write; file_out_finish reports it */
    fwrite(bytes, 1, HEAD_BYTES, to);
    status st = OK;
    for (const char *const *note = notes; st == OK && note && *note; note += 2)
        st = write_note(to, note[0], note[1]);
    fwrite(bytes + HEAD_BYTES, 1, (size_t)n_bytes - HEAD_BYTES, to);
    stb_free(bytes);
    return st;
}
