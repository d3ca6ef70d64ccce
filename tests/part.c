/* See part.h. */
#include "part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "suites.h"

static const optest *whole_now;
static int cases_now[PART_CASES];

const optest *part_whole(const char *op)
{
    int i = 0;
    while (optests[i] && strcmp(optests[i]->name, op) != 0) i++;
    ck_assert_msg(optests[i] != NULL, "no operator test is called %s", op);
    return optests[i];
}

static void describe(optest_case *c, int i)
{
    whole_now->describe(c, cases_now[i]);
}

static status prepare(optest_run *r, int i)
{
    return whole_now->prepare(r, cases_now[i]);
}

static status launch_case(optest_run *r, int i)
{
    return whole_now->queue(r, cases_now[i]);
}

static void expect(const optest_run *r, int i, int which, double *expected, double *scale)
{
    whole_now->expect(r, cases_now[i], which, expected, scale);
}

optest part_of(const optest *whole, const int *cases, int n)
{
    ck_assert_int_le(n, PART_CASES);
    whole_now = whole;
    memcpy(cases_now, cases, (size_t)n * sizeof *cases);
    return (optest){whole->name, n, describe, prepare, launch_case, expect, whole->release};
}

void part_shape(int shape[SHAPE_SIZES], double *total, const optest *whole, int i)
{
    optest_case c = {0};
    int n, h, w;
    whole->describe(&c, i);
    *total = c.flops + c.bytes;
    if (sscanf(c.label, "N=%d T=%d H=%d d=%d", &shape[0], &shape[1], &shape[2], &shape[3]) == 4)
        return;
    if (sscanf(c.label, "N=%d %dx%d C=%d->%d", &n, &h, &w, &shape[1], &shape[2]) == 5) {
        shape[0] = h * w;
        shape[3] = strstr(c.label, " up") ? 2 : 1;
        return;
    }
    ck_assert_int_eq(sscanf(c.label, "%dx%dx%d", &shape[0], &shape[1], &shape[2]), 3);
    shape[3] = 0;
}

/* DITCL_TEST_CONFIGS, or `small` if an emulator runs the kernels. */
static int one_in(int small)
{
    const char *value = getenv("DITCL_TEST_CONFIGS");
    return emulated() ? small : value && atoi(value) > 1 ? atoi(value) : 1;
}

bool part_takes(int n)
{
    return n == 0 || (n + (int)(test_seed % 997)) % one_in(24) == 0;
}

bool part_takes_unit(int n)
{
    return (n + (int)(test_seed % 997)) % one_in(12) == 0;
}
