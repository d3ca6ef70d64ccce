/* Features are probed: a small kernel must give exact results before a feature is used. */
#ifndef DITCL_DEVICE_PROBE_H
#define DITCL_DEVICE_PROBE_H

#include "base/status.h"
#include "device/device.h"

/* Runs a small kernel for each feature of an open device that its settings can use. A feature whose
 * kernel does not compile or gives other results is removed. */
status probe_features(device *d);

/* The same in two parts. probe_list: the features that the device claims and its settings can use,
 * in the order of the probes; returns their number. probe_feature: probes one. */
int probe_list(feature_id out[N_FEATURES], const device *d);
status probe_feature(device *d, feature_id which);

/* Options for kernels with vectors of bfloat16 pairs. */
extern const char probe_pair_options[];

/* Options for kernels with sub-groups: "-DSUBGROUPS ..."; they define SG_SIZE. They have -cl-std
 * only for drivers that need it, since others hang or fail with it. */
enum { PROBE_OPTIONS = 96 };
void probe_subgroup_options(char out[PROBE_OPTIONS], const device *d);

/* Options for kernels with AMX tiles: "-DVEC=16 -DTILES ...". */
const char *probe_tile_options(const device *d);

#endif
