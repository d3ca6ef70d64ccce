/* Outputs stay in a hidden folder beside their final names until they are complete. The folder is
 * called .ditcl-partial-BOOT-XXXXXX; BOOT is the beginning of the kernel's boot id.
 *
 * The process holds a lock (flock) on the folder as long as it needs it. A killed run holds no
 * lock, so the next run that writes there removes its folder. Everything that the process makes
 * is also registered, so that an interrupt removes it. */
#ifndef DITCL_BASE_PARTIAL_H
#define DITCL_BASE_PARTIAL_H

#include <signal.h>
#include <stdbool.h>

#include "base/status.h"

typedef struct partial partial;

/* *p = the process's hidden folder in `folder`; the first call makes it, later calls share it.
 * Removes folders of killed runs. shown: the output's name in messages. */
status partial_open(partial **p, const char *folder, const char *shown);
/* Ends one use. The last one removes the folder, which must be empty. Null is allowed. */
void partial_close(partial *p);
const char *partial_path(const partial *p);

/* For complete files that could not get their final names: gives the folder a visible name, which
 * partial_path then returns, and does not remove it. */
void partial_keep(partial *p);
bool partial_is_kept(const partial *p);

/* An interrupt removes this file or folder until partial_forget. The caller owns path. Call both
 * with signals held back. */
status partial_register(char *path);
void partial_forget(const char *path);

/* Holds back the guarded signals while files are made or renamed. */
sigset_t signals_hold(void);
void signals_release(sigset_t before);

#endif
