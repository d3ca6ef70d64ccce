/* The devices that the device tests run on. */
#ifndef DITCL_TESTS_DEVICE_H
#define DITCL_TESTS_DEVICE_H

#include "device/device.h"

/* All devices of the platforms whose name contains DITCL_TEST_PLATFORM [all platforms]. Without
 * any, the test fails. The list is made once and lives until the program ends. */
const device_list *wanted_devices(void);

/* DITCL_TEST_SMALL=1: the device is an emulator, about a thousand times slower than a CPU. */
bool emulated(void);

/* From now on, opened devices have this matrix unit ("mma", ...: host/device/mma.c) and no other;
 * it is emulated if the device has none. "": they have no matrix unit. Null: they have their own
 * again. */
void claim_matrix_unit(const char *unit);

#endif
