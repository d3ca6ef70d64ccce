/* Which program this is, beside DITCL_VERSION. */
#ifndef DITCL_BASE_VERSION_H
#define DITCL_BASE_VERSION_H

/* The commit that the program was built from, with -dirty if files differed; "" if it is not known.
 * Written by scripts/commit.cmake. */
extern const char version_commit[];

#endif
