/* A run: labels and a seed -> latents -> pictures, on one device.
 *
 * All pictures advance together, step by step, in batches that fit; so the noise is drawn as if
 * they were one batch, however they are split. */
#ifndef DITCL_SAMPLE_PIPELINE_H
#define DITCL_SAMPLE_PIPELINE_H

#include "model/dit.h"
#include "model/vae.h"
#include "sample/rng.h"
#include "sample/schedule.h"

typedef struct {
    const int *labels; /* of the n pictures */
    int n;
    uint64_t seed;
    rng_source source; /* whose numbers are drawn; zero: PyTorch's on the CPU */
    const char *steps;
    sampler_kind sampler;
    double eta, guidance;
    int guided_channels; /* how many of the latent channels guidance acts on */
    /* Guidance only from one timestep to another, as the network is told them, both included;
     * the other steps cost one prediction. */
    bool guided_within;
    double guided_from, guided_to;
    bool invert;              /* from picture to noise */
    diffusion_form diffusion; /* of the sde sampler */
    /* null: drawn. Standard normal noise; with first_step or invert, the latents there */
    const float *initial_latents;
    const float *given_noise; /* [steps][n][C][size][size], of the steps; null: drawn */
    float *kept_noise;        /* as much, for what was used: zeros where none was; or null */
    int first_step;           /* steps before it are left out */
    /* null, or the latents [C][size][size] of a picture that all begin as, noised to first_step's
     * level by the noise, which initial_latents are then too; see image.h */
    const float *image;
    const float *mask;      /* null, or [size][size]: 0 where the picture is kept, else 1 */
    const label_mix *mixes; /* labels behind the null class, see dit_run */
    int n_mixes;
    int batch; /* pictures computed at once; 0: what fits */
    /* called after each step, and with step 0 before the first; may be null */
    void (*progress)(void *context, int step, int n_steps);
    void *progress_context;
} run_request;

typedef struct {
    device *d;
    model *m;
    run_request request;
    schedule plan;
    dit network;
    bool guided, learned;
    int batch, n_groups; /* pictures of a batch; how many batches */
    int *classes;        /* distinct labels, the null class last when guided */
    int n_classes;
    bool by_group; /* a chunk is one step of one group: too many labels for more */
    int chunk_steps;
    int *host_rows; /* [groups][batch items]: which of the chunk's labels an item has */
    float *chunk_timesteps;
    int *chunk_labels;
    int modulated_from, modulated_to; /* steps whose modulation is on the device */
    buf latents, kept, prediction, noise, table, rows, flag;
    buf image, image_noise, mask; /* see image.h */
    /* The noise of a step, while one of the buffers may be read by an upload, and of the next; the
     * first also holds the starting noise. */
    float *host_noise[2];
    int noise_at;     /* which one is drawn into next, or has been */
    bool noise_drawn; /* the next step that draws finds its noise there */
    rng generator;
} run;

/* Whether this guidance scale means two predictions a step: diffusers guides above 1 only, the
 * original whenever the scale is not 1. */
bool run_is_guided(compat arithmetic, double guidance);

/* Whether the step with this timestep is one that the request wants guided. */
bool run_guides_at(const run_request *request, double timestep);

/* Whether every draw of the run is one that its source defines. */
status run_check_source(const model *m, const run_request *request, const schedule *plan);

/* The schedule that a request means for a model. */
status run_schedule(schedule *s, const model *m, const run_request *request);

/* Bytes that a run needs on the device, VAE included; of a plain one: no mask, no mixed labels, and
 * one embedder. */
double run_memory(const model *m, int n, int n_labels, int n_steps, bool guided, int batch);

/* Pictures computed at once when nothing is asked for. */
int run_default_batch(const device *d, const model *m, int n, bool guided);

/* Loads the network and everything the run needs; after this nothing is allocated. */
status run_open(run *r, device *d, model *m, const run_request *request);
void run_close(run *r);

/* The parts of run_sample, for measurements: back to the starting noise; the modulation of all
 * steps; one step, whose modulation is computed before when it is not there yet. */
status run_restart(run *r);
status run_modulate(run *r);
status run_step(run *r, int step);

/* Samples; r->latents then hold the result [n][C][size][size]. A value that is not finite stops
 * the run with the step's number. The network then leaves the device, to make room for decoding. */
status run_sample(run *r);

#endif
