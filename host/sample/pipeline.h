/* A run: labels and a seed -> latents -> pictures, on one device.
 *
 * All pictures advance together, step by step, in batches that fit the device. The noise is drawn
 * as if all were one batch, so batch sizes do not change it. */
#ifndef DITCL_SAMPLE_PIPELINE_H
#define DITCL_SAMPLE_PIPELINE_H

#include "model/dit.h"
#include "model/vae.h"
#include "sample/noise.h"
#include "sample/schedule.h"

typedef struct {
    const int *labels; /* of the n pictures */
    int n;
    uint64_t seed;
    rng_source source; /* the generator to follow; zero: PyTorch's on the CPU */
    /* null, or [n]: see noise.h */
    const uint64_t *seeds;
    const int *picks; /* in a series of `series` pictures */
    int series;
    const char *steps;
    sampler_kind sampler;
    double eta, guidance;
    int guided_channels; /* latent channels that guidance acts on */
    /* Guidance only for timesteps (as the network gets them) between two limits, both included. The
     * other steps compute one prediction. */
    bool guided_within;
    double guided_from, guided_to;
    bool invert;              /* from picture to noise */
    diffusion_form diffusion; /* of the sde sampler */
    /* standard normal noise or, with first_step or invert, the latents at that step; null: drawn */
    const float *initial_latents;
    const float *given_noise; /* noise of the steps, [steps][n][C][size][size]; null: drawn */
    /* null, or [steps][n][C][size][size] for the noise that was used, 0 where a step used none */
    float *kept_noise;
    int first_step; /* earlier steps are left out */
    /* null, or the latents [C][size][size] of the picture that all samples begin with. They are
     * noised to first_step's level with initial_latents as the noise. See image.h */
    const float *image;
    const float *mask;      /* null, or [size][size]: 0 where the picture is kept, else 1 */
    const label_mix *mixes; /* labels after the null class, see dit_run */
    int n_mixes;
    int batch; /* pictures computed at once; 0: as many as fit */
    /* called after each step, and before the first with step 0; may be null */
    void (*progress)(void *context, int step, int n_steps);
    /* ERR_CANCELLED, or the failure, ends the run before its next step; may be null */
    status (*goes_on)(void *context);
    void *progress_context; /* of both */
    /* null, or asked in each step (from 0) whether the network's estimate of the finished latents
     * is wanted. take_estimate then gets it, [n][C][size][size], when the step is done. */
    bool (*wants_estimate)(void *context, int step, int n_steps);
    status (*take_estimate)(void *context, const float *latents, int step, int n_steps);
    void *estimate_context;
} run_request;

typedef struct {
    device *d;
    model *m;
    run_request request;
    schedule plan;
    dit network;
    bool guided;
    int batch, n_groups; /* pictures of a batch; number of batches */
    int *classes;        /* distinct labels, then the null class if guided */
    int n_classes;
    bool by_group; /* a chunk is one step of one group, since there are too many labels for more */
    int chunk_steps;
    int *host_rows; /* [groups][samples of a batch]: index of the sample's label in the chunk */
    float *chunk_timesteps;
    int *chunk_labels;
    int modulated_from, modulated_to; /* steps whose modulation is on the device */
    buf latents, kept, prediction, noise, table, rows, flag;
    op_plan clear_flag, keep_image;
    op_plan updates[2][2][2];     /* [last group][guided][learned variance] */
    buf image, image_noise, mask; /* see image.h */
    float *estimates, *outputs;   /* see estimate.h; null: none is wanted */
    bool estimating;              /* in this step */
    /* Noise of this step and of the next. An upload may still read one buffer while the next is
     * drawn. The first one also holds the starting noise. */
    float *host_noise[2];
    int noise_at;     /* index of the buffer that is, or will be, drawn into */
    bool noise_drawn; /* the noise of the next step that draws is in that buffer */
    noise_stream stream;
} run;

/* True if this guidance scale needs two predictions per step: diffusers guides only above 1, the
 * original program for every scale but 1. */
bool run_is_guided(compat arithmetic, double guidance);

/* True if the request wants guidance in the step with this timestep. */
bool run_guides_at(const run_request *request, double timestep);

/* What bench measures and info counts: one guided picture, in so many steps. */
#define RUN_TYPICAL_STEPS "50"
run_request run_typical(const model *m);

/* Fails unless the random source defines every draw of the run. */
status run_check_source(const model *m, const run_request *request, const schedule *plan);

/* The schedule of a request for a model. */
status run_schedule(schedule *s, const model *m, const run_request *request);

/* Loads the network and everything else that the run needs. Nothing is allocated, and no file read,
 * later. On the device of a dry run (device_dry) it only counts the memory. */
status run_open(run *r, device *d, model *m, const run_request *request);
void run_close(run *r);

/* The parts of run_sample, for benchmarks: return to the starting noise; compute the modulation of
 * all steps; run one step (which computes its modulation if it is missing). */
status run_restart(run *r);
status run_modulate(run *r);
status run_step(run *r, int step);

/* Samples. r->latents = the result [n][C][size][size]. If a value is not finite, the run stops with
 * the step's number. The network's memory is freed at the end, to make room for decoding. */
status run_sample(run *r);

#endif
