/* The versions of what ditcl was built with, and the OpenCL loader that it uses. */
#ifndef DITCL_DEVICE_VERSIONS_H
#define DITCL_DEVICE_VERSIONS_H

#include <stddef.h>

extern const char opencl_headers_version[]; /* the latest OpenCL that the headers describe */

/* out = the file of the loader, links followed; its name has the loader's version. Loads no
 * driver. "" if it is unknown. */
void opencl_loader_file(char *out, size_t size);

#endif
