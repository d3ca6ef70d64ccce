/* Options of the sampler: its name and settings, the steps, the guidance. */
#ifndef DITCL_CLI_SAMPLER_ARGS_H
#define DITCL_CLI_SAMPLER_ARGS_H

#include "cli/cli.h"
#include "sample/drawing.h"

/* where: a drawing_request. */
/* clang-format off */
#define OPTIONS_SAMPLER(where)                                                                     \
    {"steps", 0, OPTION_TEXT, &(where)->steps, "K",                                                \
     "denoising steps [50]\n"                                                                      \
     "With --compat original also ddimK, which takes the spacing of DDIM, and A,B,C, which "       \
     "divides the timesteps into equal sections, from picture to noise, and takes A, B and C "     \
     "steps in them. For SiT: points of the path, both ends included.", 0, 0, NULL},               \
    {"sampler", 0, OPTION_CHOICE, &(where)->sampler, "NAME",                                       \
     "ddpm, ddim, dpm++, euler, heun; SiT: euler, heun, sde\n"                                     \
     "dpm++ is DPM-Solver++ 2M, sde is Euler-Maruyama; heun makes two predictions a step. The "    \
     "default is the folder's scheduler, ddpm for original files, and heun for SiT.", 0, 0,        \
     sampler_names},                                                                               \
    {"eta", 0, OPTION_DOUBLE, &(where)->eta, "E", "noise of ddim, 0 to 1 [0]", 0, 1, NULL},        \
    {"cfg", 0, OPTION_DOUBLE, &(where)->guidance, "G",                                             \
     "classifier-free guidance scale; 1: none [4]\n"                                               \
     "The default is 1 for a model without a null class.", 0, 1000, NULL},                         \
    {"cfg-channels", 0, OPTION_CHOICE, &(where)->guided_channels, "N",                             \
     "guided latent channels: 3 or all [by --compat]\n"                                            \
     "The default is 3 with --compat original, otherwise all.", 0, 0, guided_channels_names},      \
    {"guidance-interval", 0, OPTION_TEXT, &(where)->interval, "LO,HI",                             \
     "guide only steps with a timestep in this range [all]\n"                                      \
     "The timestep is the network's input. DiT: 999 is noise, 0 the picture. SiT: 0 is noise, 1 "  \
     "the picture. Other steps make one prediction instead of two.", 0, 0, NULL},                  \
    {"invert", 0, OPTION_FLAG, &(where)->invert, NULL,                                             \
     "go from the latents of a picture to its noise\n"                                             \
     "Runs the steps of DDIM, or euler or heun of SiT, backwards, from --latents-in to "           \
     "--latents-out, and writes no picture. With --cfg 1 in both directions the noise gives "      \
     "nearly the same picture again.", 0, 0, NULL},                                                \
    {"diffusion", 0, OPTION_CHOICE, &(where)->diffusion, "FORM",                                   \
     "noise of sde: sigma, constant, linear, ... [sigma]\n"                                        \
     "The others are sbdm, decreasing and increasing-decreasing.", 0, 0, diffusion_names}
/* clang-format on */

#endif
