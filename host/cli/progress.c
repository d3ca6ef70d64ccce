/* A progress bar. See progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

void progress_start(progress *p, const char *what, bool quiet)
{
    *p = (progress){.what = what, .shown = !quiet && isatty(STDERR_FILENO)};
    p->started = clock_seconds();
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

void progress_update(void *context, int done, int total)
{
    enum { CELLS = 30 };
    progress *p = context;
    double now = clock_seconds(), spent = now - p->started;
    char bar[CELLS + 1], left[32] = "";
    if (!p->shown || (done < total && done > 0 && now - p->drawn < 0.1)) return;
    p->drawn = now;
    for (int i = 0; i < CELLS; i++) bar[i] = i < done * CELLS / total ? '#' : '.';
    bar[CELLS] = 0;
    if (done) print_seconds(left, sizeof left, spent / done * (total - done));
    fprintf(stderr, "\r%s [%s] %d/%d", p->what, bar, done, total);
    if (done) fprintf(stderr, "  %.2f s each, %s left ", spent / done, left);
    fprintf(stderr, "\033[K");
    fflush(stderr);
}

void progress_say(progress *p, const char *line)
{
    if (p->shown) fprintf(stderr, "\r%s: %s\033[K", p->what, TEXT_SHOWN(line));
}

void progress_end(progress *p)
{
    if (p->shown) fprintf(stderr, "\r\033[K");
    p->shown = false;
}
