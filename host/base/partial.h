/* Where outputs are until they are complete: a hidden folder beside each output's final name, which
 * is called .ditcl-partial-BOOT-XXXXXX. BOOT is the beginning of the kernel's boot id.
 *
 * This process holds a lock (flock) on the folder for as long as it needs it. A run that was killed
 * holds none, so the next run that writes beside it removes what was left. Everything that the
 * process makes is registered too, so that an interrupt removes it. */
#ifndef DITCL_BASE_PARTIAL_H
#define DITCL_BASE_PARTIAL_H

#include <signal.h>
#include <stdbool.h>

#include "base/status.h"

typedef struct partial partial;

/* *p = the process's hidden folder in `folder`, made for its first user. Left-overs of runs that
 * were killed are removed. shown: the output that messages are about. */
status partial_open(partial **p, const char *folder, const char *shown);
/* One user less: after the last one the folder is removed, which must be empty. Null is allowed. */
void partial_close(partial *p);
const char *partial_path(const partial *p);

/* What is in the folder is complete but has no final name: gives the folder a visible name, which
 * partial_path then says, and lets nobody remove it. */
void partial_keep(partial *p);
bool partial_is_kept(const partial *p);

/* A file or folder that an interrupt removes, until it is forgotten. The path stays the caller's.
 * With signals held back, as all that changes the table. */
status partial_register(char *path);
void partial_forget(const char *path);

/* Holds back the guarded signals while files are made or renamed. */
sigset_t signals_hold(void);
void signals_release(sigset_t before);

#endif
