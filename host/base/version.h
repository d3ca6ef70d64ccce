/* The build's commit; DITCL_VERSION is the version. */
#ifndef DITCL_BASE_VERSION_H
#define DITCL_BASE_VERSION_H

/* The commit that the program was built from, with -dirty if files differed; "" if unknown. Written
 * by scripts/commit.cmake. */
extern const char version_commit[];

#endif
