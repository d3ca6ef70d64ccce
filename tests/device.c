/* Finds the devices that a run of the device tests must use. See device.h. */
#include "device.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static device_list wanted;
static int looked;

static void forget(void)
{
    device_list_free(&wanted);
}

const device_list *wanted_devices(void)
{
    const char *platform = getenv("DITCL_TEST_PLATFORM");
    if (!platform) platform = "";
    if (!looked) {
        looked = 1;
        ck_assert_msg(device_list_init(&wanted) == OK, "%s", fail_line());
        atexit(forget);
        int kept = 0;
        for (int i = 0; i < wanted.n; i++)
            if (text_contains_nocase(wanted.items[i].platform, platform))
                wanted.items[kept++] = wanted.items[i];
        wanted.n = kept;
        for (int i = 0; i < kept; i++)
            printf("device %d: %s (%s, %s)\n", i, wanted.items[i].name, wanted.items[i].platform,
                   wanted.items[i].version);
    }
    ck_assert_msg(wanted.n > 0, "no OpenCL device on a platform called \"%s\"", platform);
    return &wanted;
}

bool emulated(void)
{
    const char *small = getenv("DITCL_TEST_SMALL");
    return small && *small == '1';
}

void claim_matrix_unit(const char *unit)
{
    char features[80] = "-mma,-mma_k8,-dpas8,-dpas16,-wmma,-wmma2,-mfma,-mfma1";
    size_t none = strlen(features);
    if (unit && *unit) snprintf(features + none, sizeof features - none, ",+%s", unit);
    if (unit)
        setenv("DITCL_FEATURES", features, 1);
    else
        unsetenv("DITCL_FEATURES");
}
