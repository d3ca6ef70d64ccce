/* How pictures are drawn: the steps, the sampler and its settings, the guidance. */
#ifndef DITCL_CLI_METHOD_H
#define DITCL_CLI_METHOD_H

#include "cli/cli.h"
#include "sample/pipeline.h"

/* -1: this option was not given. */
typedef struct {
    const char *steps, *interval;
    int sampler, cfg_channels, diffusion;
    double eta, guidance;
    bool invert;
} method;

/* No guidance scale was given: method_guidance sets 4, or 1 if the model has no null class. */
enum { METHOD_UNGIVEN = -1 };

#define METHOD_DEFAULT                                                                             \
    {                                                                                              \
        .steps = "50", .sampler = -1, .cfg_channels = -1, .diffusion = -1,                         \
        .guidance = METHOD_UNGIVEN                                                                 \
    }

/* clang-format off */
#define OPTIONS_METHOD(where)                                                                      \
    {"steps", 0, OPTION_TEXT, &(where)->steps, "K",                                                \
     "denoising steps [50]; original arithmetic also takes ddimK, that spacing, and A,B,C: so "    \
     "many in each of equal sections of the timesteps, from picture to noise; for SiT: points "    \
     "of the path, both ends included", 0, 0, NULL},                                               \
    {"sampler", 0, OPTION_CHOICE, &(where)->sampler, "NAME",                                       \
     "ddpm, ddim, dpm++ (DPM-Solver++ 2M), euler or heun (two predictions a step); for SiT "       \
     "euler, heun or sde (Euler-Maruyama) [the folder's scheduler; ddpm for original files; "      \
     "heun for SiT]", 0, 0, sampler_names},                                                        \
    {"eta", 0, OPTION_DOUBLE, &(where)->eta, "E", "ddim's noise, 0 to 1 [0]", 0, 1, NULL},         \
    {"cfg", 0, OPTION_DOUBLE, &(where)->guidance, "G",                                             \
     "classifier-free guidance scale; 1 is none [4; 1 for a model without a null class]", 0,       \
     1000, NULL},                                                                                  \
    {"cfg-channels", 0, OPTION_CHOICE, &(where)->cfg_channels, "3|all",                            \
     "latent channels that are guided [3 in original arithmetic, else all]", 0, 0,                 \
     method_channels},                                                                             \
    {"guidance-interval", 0, OPTION_TEXT, &(where)->interval, "LO,HI",                             \
     "guidance only in steps whose timestep, as the network is told it, is in LO..HI (DiT: "       \
     "999 is noise, 0 the picture; SiT: 0 is noise, 1 the picture); the others take one "          \
     "prediction instead of two [all steps]", 0, 0, NULL},                                         \
    {"invert", 0, OPTION_FLAG, &(where)->invert, NULL,                                             \
     "from picture to noise: DDIM's steps, or SiT's euler or heun, backwards, from "               \
     "--latents-in to --latents-out; makes no picture. What is drawn from that noise comes "       \
     "near the picture with --cfg 1 both ways", 0, 0, NULL},                                       \
    {"diffusion", 0, OPTION_CHOICE, &(where)->diffusion, "FORM",                                   \
     "noise of the sde sampler: sigma, constant, sbdm, linear, decreasing or "                     \
     "increasing-decreasing [sigma]", 0, 0, diffusion_names}
/* clang-format on */
extern const char *const method_channels[];

/* Sets the default guidance scale. ERR_USAGE if guidance is asked for without a null class. */
status method_guidance(method *q, const model *m);

/* Puts the method into a request; options that were not given come from the model. ERR_USAGE if
 * options do not fit together. */
status method_request(const method *q, run_request *request, const model *m);

#endif
