/* Texts of drivers and compilers may say whose machine it is; a report that is sent must not. */
#ifndef DITCL_BASE_PRIVACY_H
#define DITCL_BASE_PRIVACY_H

#include "base/text.h"

/* Appends words to out without paths ("[path]"; of kernel sources and libraries the last part
 * stays) and without the names of this host and user ("[name]"). What is not shown (text.h) becomes
 * '?'. */
status privacy_append(text *out, const char *words);

#endif
