/* The manual page, in the man macros of roff. Its options are those of the tables that --help
 * reads. */
#ifndef DITCL_CLI_MAN_H
#define DITCL_CLI_MAN_H

#include "cli/options.h"

/* Prints the page up to the heading of the commands. */
void man_begin(void);

/* Prints one command: its usage, its summary, every option with all of its text, the details. */
void man_command(const command *c);

/* Prints what follows the commands: environment variables, files, exit codes. */
void man_end(void);

#endif
