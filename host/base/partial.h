/* Outputs stay in a hidden folder beside their final names until they are complete. The folder is
 * called .ditcl-partial-BOOT-XXXXXX; BOOT is the beginning of the kernel's boot id.
 *
 * The process holds a lock (flock) on the folder while it uses it. A killed process holds no
 * lock, so the next process that writes there removes its folder. Everything that the process
 * creates is also registered, so that an interrupt removes it. */
#ifndef DITCL_BASE_PARTIAL_H
#define DITCL_BASE_PARTIAL_H

#include <signal.h>
#include <stdbool.h>

#include "base/status.h"

typedef struct partial partial;

/* *p = this process's hidden folder in `folder`. The first call creates it, later calls share
 * it. Removes folders of killed processes. shown: the output's name in messages. */
status partial_open(partial **p, const char *folder, const char *shown);
/* Ends one use. The last call removes the folder, which must be empty. Accepts null. */
void partial_close(partial *p);
const char *partial_path(const partial *p);

/* Keeps the folder, for complete files that could not get their final names. It gets a visible
 * name, which partial_path then returns. */
void partial_keep(partial *p);
bool partial_is_kept(const partial *p);

/* From this call to partial_forget an interrupt removes this file or folder. The caller owns path.
 * Call both functions with signals held back. */
status partial_register(char *path);
void partial_forget(const char *path);

/* Holds back the guarded signals while files are created or renamed. */
sigset_t signals_hold(void);
void signals_release(sigset_t before);

#endif
