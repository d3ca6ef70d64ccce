/* Pictures in terminals. See terminal.h. */
#include "cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/progress.h"
#include "files/png.h"

enum { CHUNK = 4096 }; /* the most bytes of base64 in one escape sequence */

/* Rows for a picture: few enough that the bar below it stays on the screen. */
static int choose_rows(void)
{
    enum { MOST = 16, LEAST = 2, BELOW = 3 };
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row;
    int rows = known ? size.ws_row - BELOW : MOST;
    return rows > MOST ? MOST : rows < LEAST ? LEAST : rows;
}

/* out = n bytes in base64, 4 characters for 3 bytes. Returns the number of characters. */
static size_t encode_base64(char *out, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        unsigned long value = (unsigned long)bytes[i] << 16;
        if (i + 1 < n) value |= (unsigned long)bytes[i + 1] << 8;
        if (i + 2 < n) value |= bytes[i + 2];
        for (int k = 0; k < 4; k++) out[used++] = digits[value >> (18 - 6 * k) & 63];
        if (i + 1 >= n) out[used - 2] = '=';
        if (i + 2 >= n) out[used - 1] = '=';
    }
    return used;
}

/* a=T: transmit and show. f=100: PNG. q=2: no reply. i, p: an image with this number replaces the
 * last one. C=1: the cursor stays. r: rows. m=1: more chunks follow. */
static void send(const unsigned char *bytes, size_t n, int rows)
{
    enum { BYTES = CHUNK / 4 * 3 };
    char encoded[CHUNK];
    for (size_t at = 0; at < n; at += BYTES) {
        size_t now = n - at < BYTES ? n - at : BYTES;
        int more = at + now < n;
        if (at == 0)
            fprintf(stderr, "\033_Ga=T,f=100,q=2,i=%ld,p=1,C=1,r=%d,m=%d;", (long)getpid(), rows,
                    more);
        else
            fprintf(stderr, "\033_Gm=%d;", more);
        fwrite(encoded, 1, encode_base64(encoded, bytes + at, now), stderr);
        fputs("\033\\", stderr);
    }
}

/* The rows are made by line ends, which scroll the screen if they must. */
static void show(terminal_place *at, const unsigned char *bytes, size_t n)
{
    progress_make_room();
    if (!at->rows) {
        at->rows = choose_rows();
        for (int i = 0; i < at->rows; i++) fputc('\n', stderr);
    }
    fprintf(stderr, "\r\033[%dA", at->rows);
    send(bytes, n, at->rows);
    fprintf(stderr, "\033[%dB", at->rows);
    fflush(stderr);
}

status terminal_show(terminal_place *at, const unsigned char *rgb, int width, int height)
{
    char *bytes = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&bytes, &n);
    status st = OK;
    if (!to) return fail(ERR_MEMORY, "--preview: out of memory");
    TRY(png_print(to, "--preview", rgb, width, height, NULL));
done:
    if (fclose(to) && st == OK) st = fail(ERR_MEMORY, "--preview: %s", strerror(errno));
    if (st == OK) show(at, (const unsigned char *)bytes, n);
    free(bytes);
    return st;
}
