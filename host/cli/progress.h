/* A progress bar with step time and ETA: on a terminal only, silent in a pipe. */
#ifndef DITCL_CLI_PROGRESS_H
#define DITCL_CLI_PROGRESS_H

#include <stdbool.h>

typedef struct {
    const char *what;
    bool shown;
    double started, drawn;
} progress;

void progress_start(progress *p, const char *what, bool quiet);
/* Draws the bar for done of total, at most ten times a second, and always at the end. Has the type
 * of run_request.progress. */
void progress_update(void *p, int done, int total);
/* Prints a line instead of the bar. */
void progress_say(progress *p, const char *line);
/* Clears the bar. */
void progress_end(progress *p);

#endif
