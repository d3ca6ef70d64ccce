/* Options of the sampler: its name and settings, the steps, the guidance. */
#ifndef DITCL_CLI_SAMPLER_ARGS_H
#define DITCL_CLI_SAMPLER_ARGS_H

#include "cli/cli.h"
#include "sample/drawing.h"

/* Parts of the help. The list of samplers begins after its first ", ". */
#define SAMPLER_LISTED(constant, name, ...) ", " name
#define SAMPLER_DESCRIBED(constant, name, original, diffusers, sit, scheduler, traits, what)       \
    name ": " what ". "
#define DIFFUSION_LISTED(constant, name) name ", "

/* where: a drawing_request. */
/* clang-format off */
#define OPTIONS_SAMPLER(where)                                                                     \
    {"steps", 0, OPTION_TEXT, &(where)->steps, "K",                                                \
     "denoising steps [50, or by the model]\n"                                                     \
     "With --compat original, ddimK takes the spacing of DDIM. A,B,C divides the timesteps into "  \
     "equal sections, from picture to noise, and takes A, B and C steps in them. For SiT, K "      \
     "counts points of the path, both ends included.", 0, 0, NULL},                                \
    {"sampler", 0, OPTION_CHOICE, &(where)->sampler, "NAME",                                       \
     &(SAMPLERS(SAMPLER_LISTED) " [by the model]\n"                                                \
       SAMPLERS(SAMPLER_DESCRIBED)                                                                 \
       "The default is what the model recommends, else the folder's scheduler, ddpm for original " \
       "files, and heun for SiT.")[2],                                                             \
     0, 0, sampler_names},                                                                         \
    {"eta", 0, OPTION_DOUBLE, &(where)->eta, "E", "noise of ddim, 0 to 1 [0]", 0, 1, NULL},        \
    {"cfg", 0, OPTION_DOUBLE, &(where)->guidance, "G",                                             \
     "classifier-free guidance scale; 1: none [4]\n"                                               \
     "The default is what the model recommends (ditcl info MODEL), or 1 for a model without a "    \
     "null class.", 0, 1000, NULL},                                                                \
    {"cfg-channels", 0, OPTION_CHOICE, &(where)->guided_channels, "N",                             \
     "guided latent channels: 3 or all [by --compat]\n"                                            \
     "The default is 3 with --compat original, otherwise all.", 0, 0, guided_channels_names},      \
    {"guidance-interval", 0, OPTION_TEXT, &(where)->interval, "LO,HI",                             \
     "guide only steps with a timestep in this range [all]\n"                                      \
     "The timestep is the network's input. DiT: 999 is noise, 0 the picture. SiT: 0 is noise, 1 "  \
     "the picture. Other steps make one prediction instead of two.", 0, 0, NULL},                  \
    {"invert", 0, OPTION_FLAG, &(where)->invert, NULL,                                             \
     "go from the latents of a picture to its noise\n"                                             \
     "Runs the steps backwards, from --latents-in to --latents-out, and writes no picture. The "   \
     "default sampler is ddim, or heun for SiT. With --cfg 1 in both directions the noise gives "  \
     "nearly the same picture again.", 0, 0, NULL},                                                \
    {"diffusion", 0, OPTION_CHOICE, &(where)->diffusion, "FORM",                                   \
     "form of sde's noise: sigma, constant, ... [sigma]\n"                                         \
     "One of " DIFFUSION_FORMS(DIFFUSION_LISTED) "as SiT's program names them.", 0, 0,             \
     diffusion_names}
/* clang-format on */

#endif
