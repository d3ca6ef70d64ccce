/* Texts of drivers and compilers may name the machine and its user. A report must not. */
#ifndef DITCL_BASE_PRIVACY_H
#define DITCL_BASE_PRIVACY_H

#include "base/text.h"

/* Appends words to out. Paths become "[path]", but the last part of paths of kernel sources and
 * libraries stays. The names of this host and user become "[name]". Characters that are not shown
 * (text.h) become '?'. */
status privacy_append(text *out, const char *words);

#endif
