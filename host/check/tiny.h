/* A tiny network, built into the program with what PyTorch computes with it: two guided steps and
 * their picture. It runs through every kernel that a usual model uses, as a whole model does. */
#ifndef DITCL_CHECK_TINY_H
#define DITCL_CHECK_TINY_H

#include "device/device.h"

enum { TINY_WRONG = 200 };

/* Draws it. *error = the largest relative L2 of latents and picture; wrong = "", or what is;
 * *bits = the hash of both, null: not wanted. */
status tiny_check(device *d, double *error, char wrong[TINY_WRONG], hash128 *bits);

#endif
