/* Runs this program again as a child that answers lines with lines. Work that may crash or hang
 * runs in the child. The child dies with its parent, however the parent ends. */
#ifndef DITCL_BASE_WORKER_H
#define DITCL_BASE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

/* WORKER_REPLIES: the descriptor that the child writes to. */
enum { WORKER_LINE = 512, WORKER_REPLIES = 3, WORKER_ARGS = 64 };

typedef struct {
    pid_t pid; /* 0: no child */
    int to, from;
    char pending[WORKER_LINE]; /* bytes read that are not a whole line yet */
    size_t n_pending;
} worker;

/* From now on, worker_start of this thread starts this program; null: it finds one. The path must
 * stay valid. */
void worker_use_program(const char *path);

/* args: the arguments after the program's name, fewer than WORKER_ARGS, ended by null. The child's
 * own output is discarded. */
status worker_start(worker *w, const char *const *args);
/* Kills the child. Accepts a zero struct and a second call. */
void worker_stop(worker *w);

/* Sends a line. False if the child is gone. */
bool worker_say(worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

typedef enum { WORKER_SAID, WORKER_DIED, WORKER_HUNG } worker_answer;
/* Waits at most `seconds` for the next line. */
worker_answer worker_hear(worker *w, char line[WORKER_LINE], double seconds);

#endif
