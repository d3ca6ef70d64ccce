/* A progress bar with step time and ETA: on a terminal only, silent in a pipe. It fits the
 * terminal's width, also when that changes. */
#ifndef DITCL_CLI_PROGRESS_H
#define DITCL_CLI_PROGRESS_H

#include <stdbool.h>

typedef struct {
    const char *what;
    bool shown;
    double started, drawn;
    int built; /* kernels since the bar began */
} progress;

/* Only one bar is shown at a time. */
void progress_start(progress *p, const char *what, bool quiet);
/* Draws the bar for done of total, at most ten times a second, and always at the end. Has the type
 * of run_request.progress. */
void progress_update(void *p, int done, int total);
/* Prints a line instead of the bar. */
void progress_say(progress *p, const char *line);
/* Clears the bar. */
void progress_end(progress *p);

/* Clears the line of the bar that is shown, if any, so that a message can be printed there. The bar
 * comes back below the message when it is drawn next. */
void progress_make_room(void);
/* Says on the bar that is shown, if any, that a kernel of this file is built. */
void progress_building(const char *file);

#endif
