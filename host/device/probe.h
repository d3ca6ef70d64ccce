/* A feature is believed when a small kernel has shown it. */
#ifndef DITCL_DEVICE_PROBE_H
#define DITCL_DEVICE_PROBE_H

#include "base/status.h"
#include "device/device.h"

/* Runs what the features of an open device are for, on data whose exact results are known; a
 * feature that does not build or gives anything else is taken away. Only features that the
 * device's settings can use are run. */
status probe_features(device *d);

/* The same in parts: what the device claims and its settings can use, in the order in which it is
 * to be shown; returns how many. And one of them. */
int probe_list(feature_id out[N_FEATURES], const device *d);
status probe_feature(device *d, feature_id which);

/* Options for kernels with vectors of bfloat16 pairs. */
extern const char probe_pair_options[];

/* Options for kernels with sub-groups: "-DSUBGROUPS ..."; they define SG_SIZE. -cl-std is among
 * them where the driver needs it, and nowhere else: others hang or fail with it. */
enum { PROBE_OPTIONS = 96 };
void probe_subgroup_options(char out[PROBE_OPTIONS], const device *d);

/* Options for kernels with matrix tiles: "-DVEC=16 -DTILES ...". */
const char *probe_tile_options(const device *d);

#endif
