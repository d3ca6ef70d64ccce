/* This program again, as a child that answers lines with lines: what may crash or hang runs there.
 * A child dies with its parent, however that ends. */
#ifndef DITCL_BASE_WORKER_H
#define DITCL_BASE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

/* WORKER_REPLIES: the descriptor that the child writes to. */
enum { WORKER_LINE = 512, WORKER_REPLIES = 3 };

typedef struct {
    pid_t pid; /* 0: none */
    int to, from;
    char pending[WORKER_LINE]; /* read, and not a whole line yet */
    size_t n_pending;
} worker;

/* args: behind the program's name; ends with null. The child's output goes nowhere. */
status worker_start(worker *w, const char *const *args);
/* Kills it. Accepts zero and twice. */
void worker_stop(worker *w);

/* false: it is gone. */
bool worker_say(worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

typedef enum { WORKER_SAID, WORKER_DIED, WORKER_HUNG } worker_answer;
/* The next line, for which it has so many seconds. */
worker_answer worker_hear(worker *w, char line[WORKER_LINE], double seconds);

#endif
