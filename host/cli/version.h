/* What `ditcl --version` prints: the version, the commit, the compiler and the libraries. */
#ifndef DITCL_CLI_VERSION_H
#define DITCL_CLI_VERSION_H

void version_print(void);

#endif
