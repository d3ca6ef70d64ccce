/* The devices that the device tests run on. */
#ifndef DITCL_TESTS_DEVICE_H
#define DITCL_TESTS_DEVICE_H

#include "device/device.h"

/* All devices whose platform's name contains DITCL_TEST_PLATFORM (all platforms without it). Fails
 * the test when there is none. The list is found once and lives until the program ends. */
const device_list *wanted_devices(void);

/* DITCL_TEST_SMALL=1: on an emulator, a thousand times slower. */
bool emulated(void);

/* Devices that are opened from here on have matrix units of this kind alone, emulated where they
 * are not there: "mma", ... (host/device/units.c); "": none. Null: as they are. */
void claim_matrix_unit(const char *kind);

#endif
