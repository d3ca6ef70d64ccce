/* PNG. See png.h.
 *
 * stb_image_write makes the picture in memory; the text chunks go in behind its IHDR, where readers
 * that stop at the pixels still see them. */
#include "files/png.h"

#include <assert.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* stb_image_write does not look at what its allocator returns everywhere. So every block it has is
 * in this list, and an allocation that fails leaves stb at once; nothing crashes, nothing leaks. */
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

/* Signature, then IHDR: length, name, 13 bytes, check sum. */
enum { HEAD_BYTES = 8 + 4 + 4 + 13 + 4, KEYWORD_MAX = 79, RAW_MAX = 1 << 29 };

/* CRC-32 of PNG's annex D, four bits a step; begins with and ends in the inverse. */
static uint32_t crc_add(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

static void write_32(FILE *stream, uint32_t value)
{
    unsigned char bytes[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                              (unsigned char)(value >> 8), (unsigned char)value};
    fwrite(bytes, 1, sizeof bytes, stream);
}

/* tEXt: keyword, NUL, text. */
static void write_note(FILE *stream, const char *keyword, const char *words)
{
    size_t n_keyword = strlen(keyword) + 1, n_words = strlen(words);
    assert(n_keyword > 1 && n_keyword <= KEYWORD_MAX + 1);
    if (n_words > UINT16_MAX) n_words = UINT16_MAX;
    uint32_t crc = crc_add(0xffffffffu, "tEXt", 4);
    crc = crc_add(crc, keyword, n_keyword);
    crc = crc_add(crc, words, n_words);
    write_32(stream, (uint32_t)(n_keyword + n_words));
    fwrite("tEXt", 1, 4, stream);
    fwrite(keyword, 1, n_keyword, stream);
    fwrite(words, 1, n_words, stream);
    write_32(stream, crc ^ 0xffffffffu);
}

/* Not inlined, so that no local of stb lives in the frame that longjmp comes back to. */
__attribute__((noinline)) static unsigned char *encode_or_leave(const unsigned char *rgb, int width,
                                                                int height, int *n_bytes)
{
    return stbi_write_png_to_mem(rgb, 3 * width, width, height, 3, n_bytes);
}

/* The picture as stb makes it, freed with stb_free; null when memory runs out. */
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
    assert(width > 0 && height > 0);
    if (width > RAW_MAX / 4 || height > RAW_MAX / (3 * width + 1)) /* stb counts bytes in int */
        return fail(ERR_LIMIT, "%s: a picture of %d x %d is too large for one file", out->shown,
                    width, height);
    int n_bytes = 0;
    unsigned char *bytes = encode(rgb, width, height, &n_bytes);
    if (!bytes)
        return fail(ERR_MEMORY, "%s: out of memory for a picture of %d x %d", out->shown, width,
                    height);
    /* the stream remembers a failed write; file_out_finish reports it */
    fwrite(bytes, 1, HEAD_BYTES, out->stream);
    for (const char *const *note = notes; note && *note; note += 2)
        write_note(out->stream, note[0], note[1]);
    fwrite(bytes + HEAD_BYTES, 1, (size_t)n_bytes - HEAD_BYTES, out->stream);
    stb_free(bytes);
    return OK;
}
