/* A tiny network, built into the program, and what PyTorch computes with it: two guided steps and
 * their picture. The network runs every kernel that a usual model runs. */
#ifndef DITCL_CHECK_TINY_H
#define DITCL_CHECK_TINY_H

#include "device/device.h"

enum { TINY_WRONG = 200 };

/* Samples with the network. *error = the larger relative L2 of latents and picture. wrong = "", or
 * what is wrong. *bits = the hash of both; may be null. */
status tiny_check(device *d, double *error, char wrong[TINY_WRONG], hash128 *bits);

#endif
