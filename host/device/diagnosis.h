/* What stands between this machine and its OpenCL devices: drivers, platforms, GPUs without a
 * driver, folders. */
#ifndef DITCL_DEVICE_DIAGNOSIS_H
#define DITCL_DEVICE_DIAGNOSIS_H

#include "device/device.h"

enum { FINDING_SUBJECT = 160, FINDING_TEXT = 600 };

typedef struct {
    bool good;
    char group[16];                /* driver, platform, gpu or folder */
    char subject[FINDING_SUBJECT]; /* what was looked at */
    char what[FINDING_TEXT];       /* what was found */
    char fix[FINDING_TEXT];        /* what to do about it, for this distribution; or "" */
} finding;

typedef struct {
    finding *items;
    int n;
} diagnosis;

/* Looks at everything that decides whether OpenCL has a device. list: from device_list_init, which
 * may have found none. */
status diagnosis_make(diagnosis *g, const device_list *list);
void diagnosis_free(diagnosis *g);

#endif
