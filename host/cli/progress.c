/* A progress bar. See progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/colour.h"
#include "cli/events.h"

/* The bar that is shown now; null: none. */
static progress *current;

void progress_start(progress *p, const char *what, bool quiet)
{
    progress_make_room();
    *p = (progress){.what = what, .shown = !quiet && isatty(STDERR_FILENO)};
    p->started = clock_seconds();
    current = p->shown ? p : NULL;
}

static void print_seconds(char *out, size_t size, double seconds)
{
    if (seconds < 60)
        snprintf(out, size, "%.0f s", seconds);
    else if (seconds < 3600)
        snprintf(out, size, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(out, size, "%d:%02d h", (int)seconds / 3600, (int)seconds / 60 % 60);
}

/* Columns that a line may have. The last column stays free, since some terminals break the line
 * there. */
static int columns(void)
{
    enum { USUAL = 80, LEAST = 20, MOST = 400 };
    struct winsize size;
    int n = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : USUAL;
    return (n < LEAST ? LEAST : n > MOST ? MOST : n) - 1;
}

/* The bytes of a line of UTF-8 that fit into n columns. Characters from U+1100 on may take two. */
static int fitting(const char *line, int n)
{
    const unsigned char *c = (const unsigned char *)line;
    while (*c) {
        n -= *c >= 0xe1 ? 2 : 1;
        if (n < 0) break;
        do {
            c++;
        } while ((*c & 0xc0) == 0x80);
    }
    return (int)((const char *)c - line);
}

/* Prints a line in the place of the last one, with n bytes from `at` on coloured. */
static void draw(const char *line, int at, int n)
{
    int all = fitting(line, columns());
    if (at + n > all) at = n = 0;
    fprintf(stderr, "\r%.*s", at, line);
    if (n)
        fprintf(stderr, "%s%.*s%s", colour_on(stderr, COLOUR_GOOD), n, line + at,
                colour_off(stderr));
    fprintf(stderr, "%.*s\033[K", all - at - n, line + at + n);
    fflush(stderr);
}

/* "what [####....] 3/50  0.53 s each, 25 s left", with as much of it as fits. */
void progress_update(void *context, int done, int total)
{
    enum { LEAST_CELLS = 6, MOST_CELLS = 40 };
    progress *p = context;
    double now = clock_seconds(), spent = now - p->started;
    char count[40], each[40] = "", left[48] = "", bar[MOST_CELLS + 4] = "", line[512];
    if (!p->shown || (done < total && done > 0 && now - p->drawn < 0.1)) return;
    p->drawn = now;
    snprintf(count, sizeof count, " %d/%d", done, total);
    if (done) {
        char time[32];
        print_seconds(time, sizeof time, spent / done * (total - done));
        snprintf(each, sizeof each, "  %.2f s each,", spent / done);
        snprintf(left, sizeof left, " %s left", time);
    }
    int room = columns() - (int)(strlen(p->what) + strlen(count));
    if (room < (int)(strlen(each) + strlen(left)) + LEAST_CELLS + 3) *each = 0;
    int cells = room - (int)(strlen(each) + strlen(left)) - 3;
    if (cells > MOST_CELLS) cells = MOST_CELLS;
    if (cells >= LEAST_CELLS) {
        memcpy(bar, " [", 2);
        for (int i = 0; i < cells; i++) bar[2 + i] = i < done * (double)cells / total ? '#' : '.';
        memcpy(bar + 2 + cells, "]", 2);
    }
    snprintf(line, sizeof line, "%s%s%s%s%s", p->what, bar, count, each, left);
    draw(line, (int)strlen(p->what) + (int)strcspn(bar, "#"),
         (int)strspn(bar + strcspn(bar, "#"), "#"));
}

void progress_say(progress *p, const char *words)
{
    char line[512];
    if (!p->shown) return;
    snprintf(line, sizeof line, "%s: %s", p->what, TEXT_SHOWN(words));
    draw(line, 0, 0);
}

void progress_end(progress *p)
{
    if (p->shown) fprintf(stderr, "\r\033[K");
    p->shown = false;
    if (current == p) current = NULL;
}

void progress_make_room(void)
{
    if (!current) return;
    fprintf(stderr, "\r\033[K");
    current->drawn = 0;
}

void progress_building(const char *file)
{
    char words[128];
    if (events_on()) event_building(file);
    if (!current) return;
    snprintf(words, sizeof words, "building kernel %d, cl/%s", ++current->built, file);
    progress_say(current, words);
}
