/* A drawing: what a user asks for -> pictures in 8 bits. The order of the calls that make a picture
 * is here alone: the caller parses options, reads and writes files, and speaks to people.
 *
 *   drawing_plan(&g, &request, m)   needs no device: labels, the sampler, the schedule
 *   ... the inputs are set in the request: their shapes follow from the plan
 *   drawing_check(&g)               needs no device: inputs that exclude each other
 *   drawing_run(&g, d, &listener)   loads all, samples, decodes
 *   drawing_close(&g) */
#ifndef DITCL_SAMPLE_DRAWING_H
#define DITCL_SAMPLE_DRAWING_H

#include "base/text.h"
#include "sample/picture.h"
#include "sample/pipeline.h"
#include "sample/preview.h"

/* Initialise it with DRAWING_DEFAULTS. A negative number and null steps stand for the model's
 * default. */
typedef struct {
    const model_request *of; /* how the model was opened, for the note */
    /* ---- what to draw ---- */
    char *const *classes; /* [n_classes] as a user types them (checkpoint/classes.h); none: all */
    int n_classes, per_class;
    int frames; /* of an interpolation between two classes or two seeds; 0: none */
    bool has_seed_to;
    uint64_t seed_to; /* of the last frame */
    /* ---- sampling ---- */
    const char *steps;
    int sampler;
    double eta, guidance;
    int guided_channels;  /* index in guided_channels_names */
    const char *interval; /* "LO,HI": the timesteps that are guided; "all"; null: by the model */
    bool invert;
    int diffusion;
    int batch;       /* 0: as many as fit */
    double strength; /* the part of the steps that an image runs through */
    /* ---- noise ---- */
    uint64_t seed;
    const uint64_t *seeds; /* null, or [per_class]: each picture of a class has its own generator */
    const int *picks;      /* null, or [n_picks]: only these pictures of the series, from 0 */
    int n_picks;
    const char *rng; /* see rng_source_parse */
    /* ---- inputs, null if there are none; set before drawing_check ---- */
    const png *image, *mask; /* of the model's size; the mask's white part is drawn */
    const float *latents;    /* [n][C][h][w]: see run_request.initial_latents */
    const float *noise;      /* [rows of the schedule][n][C][h][w], of the steps */
    float *kept_noise;       /* where the noise that was used goes, like noise */
    /* ---- previews; they change nothing in the pictures ---- */
    int preview_every;                     /* steps from one preview to the next; 0: none */
    bool preview_exact;                    /* by the VAE; false: by a linear map */
    int states;                            /* of the first picture as it becomes clear; 0: none */
    const char *latents_name, *noise_name; /* of the files of latents and noise, for the note */
} drawing_request;

#define DRAWING_DEFAULTS                                                                           \
    .per_class = 1, .sampler = -1, .guidance = -1, .guided_channels = -1, .diffusion = -1,         \
    .strength = -1, .rng = "torch-cpu"

extern const char *const guided_channels_names[]; /* "3", "all", null */

typedef struct {
    const drawing_request *q;
    model *m;
    int *labels;     /* [n] of the pictures */
    int n, series;   /* pictures to draw; those of the series that they belong to */
    uint64_t *seeds; /* null, or [n] */
    schedule plan;
    double guidance, strength; /* with the defaults filled in, as the next two */
    const char *steps, *interval;
    run_request request;
    /* only for an interpolation */
    label_mix *mixes;
    float *frame_noise;
    /* only with an image */
    float *image_latents, *mask;
    /* while drawing_run works, and until drawing_close */
    run r;
    vae v;
    preview shown;
    const struct drawing_listener *to;
    text note; /* all that is needed to draw the pictures again; set when decoding begins */
} drawing;

/* Loading reads all weights. */
typedef enum { DRAWING_LOADS, DRAWING_SAMPLES, DRAWING_DECODES } drawing_phase;

/* Functions that are called while a drawing runs; each may be null. */
typedef struct drawing_listener {
    void *context;
    void (*begins)(void *context, const drawing *g, drawing_phase phase);
    void (*progress)(void *context, int done, int total); /* of the phase */
    /* The pictures [height][width][3] come one by one, in order. */
    status (*picture)(void *context, const unsigned char *rgb);
    /* The first n pictures [n][height][width][3] as the network now expects them, at most
     * PREVIEW_MOST; after `step` of n_steps. */
    status (*preview)(void *context, const unsigned char *rgb, int n, int step, int n_steps);
    /* States 0, 1, ... of the first picture, [height][width][3]; the last one is the picture. */
    status (*state)(void *context, const unsigned char *rgb, int state);
    /* Asked before each step, each picture, and parts of the loading. A failure ends the drawing.
     */
    status (*goes_on)(void *context);
} drawing_listener;

/* The request must stay until drawing_close, which is due even on failure. ERR_USAGE if it
 * contradicts itself or the model. */
status drawing_plan(drawing *g, const drawing_request *q, model *m);

/* The number of rows of the schedule that are guided; 0 without guidance. */
int drawing_guided_steps(const drawing *g);

/* Adds the inputs of the request. ERR_USAGE if they exclude each other, or if the random source
 * does not define every draw. */
status drawing_check(drawing *g);

/* With --invert it makes only latents. */
status drawing_run(drawing *g, device *d, const drawing_listener *to);

/* out [n][C][h][w] = the latents of a drawing that ran. */
status drawing_latents(const drawing *g, float *out);

void drawing_close(drawing *g);

/* The states of the first picture that the listener gets: at most one a step, and the picture. */
int drawing_states(const drawing *g);

/* For drawing.c, if previews are wanted: makes the run give estimates, and fits the linear map,
 * before the run takes its memory; allocates memory after loading. */
status drawing_want_previews(drawing *g, device *d, const drawing_listener *to);
status drawing_prepare_previews(drawing *g);

/* For drawing.c: appends the note, after sampling. */
status drawing_note(text *note, const drawing *g);

#endif
