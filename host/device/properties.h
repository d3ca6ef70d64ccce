/* What a driver reports about a device beyond device_info, for reports: a list of names and values.
 */
#ifndef DITCL_DEVICE_PROPERTIES_H
#define DITCL_DEVICE_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/device.h"

enum { PROPERTY_NUMBERS = 16 };

typedef struct {
    const char *name;
    enum { PROPERTY_BOOL, PROPERTY_NUMBER, PROPERTY_LIST, PROPERTY_TEXT, PROPERTY_WORDS } kind;
    uint64_t numbers[PROPERTY_NUMBERS]; /* n numbers of a list, else the first only */
    size_t n;
    char *text; /* as the driver wrote it; words are separated by blanks */
} property;

typedef struct {
    property *items;
    size_t n, capacity;
} property_list;

/* Leaves out what the driver refuses to answer. Fails if the driver or the host is out of memory.
 */
status properties_ask(property_list *list, const device_info *info);
void properties_free(property_list *list);

/* out = name and version of the OpenCL loader, or "" if the loader does not tell. */
void properties_loader(char *out, size_t size);

#endif
