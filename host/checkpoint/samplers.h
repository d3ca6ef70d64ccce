/* The table of samplers. host/sample makes their schedules. */
#ifndef DITCL_CHECKPOINT_SAMPLERS_H
#define DITCL_CHECKPOINT_SAMPLERS_H

#include <stddef.h>

/* Every sampler, in the order of --help and of messages:
 *
 * X(constant, name,
 *   fill function for a DiT in original arithmetic, in diffusers' arithmetic, for a SiT,
 *   scheduler class of diffusers or NULL, traits, what --help says)
 *
 * host/sample/schedule_*.c define the fill functions. sampler_none: the sampler does not
 * serve such models. The original program has only DDPM and DDIM; the others sample its models as
 * diffusers does. */
#define SAMPLERS(X)                                                                                \
    X(DDPM, "ddpm", sampler_original, sampler_diffusers, sampler_none, "DDPMScheduler", 0,         \
      "DDPM, for DiT")                                                                             \
    X(DDIM, "ddim", sampler_original, sampler_diffusers, sampler_none, "DDIMScheduler",            \
      USES_ETA | INVERTS_DIT, "DDIM, for DiT, invertible")                                         \
    X(DPM, "dpm++", sampler_dpm, sampler_dpm, sampler_none, "DPMSolverMultistepScheduler", 0,      \
      "DPM-Solver++ 2M, for DiT")                                                                  \
    X(EULER, "euler", sampler_euler, sampler_euler, sampler_flow, "EulerDiscreteScheduler",        \
      INVERTS_SIT, "Euler's method, invertible for SiT")                                           \
    X(HEUN, "heun", sampler_heun, sampler_heun, sampler_flow, "HeunDiscreteScheduler",             \
      INVERTS_SIT, "Heun's method, two predictions a step, invertible for SiT")                    \
    X(SDE, "sde", sampler_none, sampler_none, sampler_flow, NULL, USES_DIFFUSION,                  \
      "Euler-Maruyama, for SiT")

#define SAMPLER_CONSTANT(constant, ...) SAMPLER_##constant,
typedef enum { SAMPLERS(SAMPLER_CONSTANT) N_SAMPLERS } sampler_kind;
#undef SAMPLER_CONSTANT

/* Bits: options that a sampler uses, models for which it runs from a picture to its noise. */
typedef enum { USES_ETA = 1, USES_DIFFUSION = 2, INVERTS_DIT = 4, INVERTS_SIT = 8 } sampler_trait;

typedef struct {
    const char *scheduler; /* class of diffusers; null: diffusers has none */
    unsigned traits;
} sampler_facts;

/* Both are indexed by sampler_kind. The names end with null. */
extern const char *const sampler_names[];
extern const sampler_facts samplers[];

/* A set of samplers: bit i stands for sampler i. */
typedef unsigned sampler_set;
sampler_set samplers_with(sampler_trait trait);
sampler_set samplers_of_diffusers(void); /* those with a scheduler class */

/* out = "ddpm, ddim or euler", the names of a set. Returns out. */
char *samplers_list(char *out, size_t size, sampler_set set);

/* The same for an argument of printf: the storage is in the enclosing block. */
#define SAMPLERS_LISTED(set) samplers_list((char[120]){0}, 120, set)

#endif
