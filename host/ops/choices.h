/* What the operators keep with an open device, in its slot (device/device.h): the configurations
 * that were stored for it, who checks first use on it, and what ran, for messages. device_close
 * frees all of it. */
#ifndef DITCL_OPS_CHOICES_H
#define DITCL_OPS_CHOICES_H

#include "ops/first_use.h"
#include "ops/impl.h"

/* A configuration that was stored or set for the device. */
typedef struct chosen {
    struct chosen *next; /* an older one */
    candidate is;
    int shape[SHAPE_SIZES]; /* zeros: any */
    bool serves;            /* the implementation serves every shape */
} chosen;

typedef struct {
    device_slot slot; /* must be the first field: devices keep a pointer to it */
    chosen *newest;
    first_use_checks *checks;  /* null: nobody checks */
    unsigned ran[N_OPERATORS]; /* arithmetics that ran, as bits */
    struct { /* layers that stayed in fp32, since fp16 cannot hold their weights */
        int n;
        char first[160];
        float largest; /* largest weight of the first */
    } wide;
} choices;

/* The choices of the device; null if it has none yet. */
static inline const choices *choices_of(const device *d)
{
    return (const choices *)(const void *)d->slot;
}

/* The same. Makes the choices if the device has none; null if memory ran out. */
choices *choices_make(device *d);

#endif
