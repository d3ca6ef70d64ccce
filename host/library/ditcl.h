/* libditcl: pictures of classes by diffusion transformers, on any OpenCL device.
 *
 *     ditcl *c = ditcl_create();
 *     ditcl_model *model = NULL;
 *     ditcl_device *device = NULL;
 *     ditcl_pictures *pictures = NULL;
 *     ditcl_request request;
 *     ditcl_request_init(&request, sizeof request);
 *     request.classes = (const char *const[]){"cat", "heart"};
 *     request.n_classes = 2;
 *     if (ditcl_model_open(c, &model, "emoji", NULL) ||
 *         ditcl_device_open(c, &device, NULL) ||
 *         ditcl_sample(model, device, &request, &pictures))
 *         fprintf(stderr, "%s\n", ditcl_error(c));
 *     else
 *         use(ditcl_pictures_rgb(pictures, 0), ditcl_pictures_width(pictures));
 *     ditcl_pictures_free(pictures);
 *     ditcl_device_close(device);
 *     ditcl_model_close(model);
 *     ditcl_destroy(c);
 *
 * Threads. A context, with its devices and models, is used by one thread at a time; only
 * ditcl_cancel may be called from any thread. Contexts are independent of each other. Callbacks run
 * on the thread that made the call, and may call only ditcl_cancel. Pictures belong to no context.
 *
 * Errors. A function that can fail returns a code, 0 for success. ditcl_error then has one line.
 * On failure a new handle is null.
 *
 * Structs. Each begins with its size, which its ditcl_..._init function sets, with the defaults of
 * all other members. Later versions append members, so programs run with them unchanged.
 *
 * Manners. The library never prints, ends the process, sets a signal handler or changes the
 * environment. It reads the environment variables that docs/environment.md lists for users. Drivers
 * do what they want; docs/library.md says which variables a program may set for them before its
 * first call. */
#ifndef DITCL_H
#define DITCL_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define DITCL_API __attribute__((visibility("default")))
#else
#define DITCL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The values never change. Later versions may add some. */
typedef enum {
    DITCL_OK = 0,
    DITCL_ERROR_USAGE = 1,     /* arguments that contradict each other, the model or the device */
    DITCL_ERROR_FILE = 2,      /* a file cannot be read */
    DITCL_ERROR_FORMAT = 3,    /* a file's content is wrong */
    DITCL_ERROR_MEMORY = 4,    /* host memory ran out */
    DITCL_ERROR_DEVICE = 5,    /* a driver's call failed, or there is no such device */
    DITCL_ERROR_RESOURCES = 6, /* the device ran out of memory or resources */
    DITCL_ERROR_LOST = 7,      /* the device failed for good: end the process soon */
    DITCL_ERROR_BUILD = 8,     /* a kernel did not compile */
    DITCL_ERROR_LIMIT = 9,     /* a size exceeds what the device or the library can handle */
    DITCL_CANCELLED = 10       /* ditcl_cancel was called */
} ditcl_code;

typedef struct ditcl ditcl; /* a context: the devices, the last error */
typedef struct ditcl_device ditcl_device;
typedef struct ditcl_model ditcl_model;
typedef struct ditcl_pictures ditcl_pictures;

/* ---- contexts ---- */

/* The version of the library, such as "0.2". */
DITCL_API const char *ditcl_version(void);

/* Null if memory ran out. */
DITCL_API ditcl *ditcl_create(void);
/* The context lives on until its devices and models are closed. All functions that close or free
 * accept null. */
DITCL_API void ditcl_destroy(ditcl *c);

/* Why the last call failed: what, where, found, expected. "" after a success. The text is valid
 * until the next call. */
DITCL_API const char *ditcl_error(const ditcl *c);
/* What to do about it, or "". */
DITCL_API const char *ditcl_error_hint(const ditcl *c);

typedef enum { DITCL_LOG_NOTE = 0, DITCL_LOG_WARNING = 1 } ditcl_log_level;
typedef void (*ditcl_log_function)(void *context, ditcl_log_level level, const char *line);
/* From now on log receives lines about what happens; null: nobody does. */
DITCL_API void ditcl_set_log(ditcl *c, ditcl_log_function log, void *context);

/* on = 1: the call that samples or decodes now, or else the next one, returns DITCL_CANCELLED
 * soon: after a step, after a picture, or after a part of the loading. on = 0 takes this back. A
 * call that returns DITCL_CANCELLED takes it back, too. */
DITCL_API void ditcl_cancel(ditcl *c, int on);

/* ---- devices ---- */

typedef struct {
    size_t size;
    int index; /* over all platforms */
    const char *name, *platform, *driver;
    const char *type; /* "cpu", "gpu" or "accelerator" */
    unsigned compute_units;
    uint64_t memory_bytes;
} ditcl_device_info;
DITCL_API void ditcl_device_info_init(ditcl_device_info *info, size_t size);

/* *n = the number of OpenCL devices; 0 is no error. */
DITCL_API ditcl_code ditcl_device_count(ditcl *c, int *n);
/* Device i, 0 to n - 1. The texts are valid as long as the context. */
DITCL_API ditcl_code ditcl_device_describe(ditcl *c, int i, ditcl_device_info *info);

typedef struct {
    size_t size;
    const char *device; /* index, "gpu", "cpu", or part of a name; null: $DITCL_DEVICE, or best */
    const char *precision; /* "auto" [null], "fp32", "bf16", "fp16" */
    const char *kernels;   /* "auto" [null], "cpu", "gpu" */
    int no_cache;          /* 1: store no built programs on disk */
    /* 1 [default]: if the device is new, measure for seconds which kernels are fastest, and store
     * the result */
    int measure;
    /* 1 [default, unless DITCL_FIRST_USE is off]: what never ran on the device runs in a child
     * process first, since drivers crash, hang and compute wrong results. The child is the program
     * ditcl. 0: matrix units and the like are probed in this process, and kernels not checked. */
    int check;
    /* the program ditcl; null: the one that was installed with the library, or that lies beside the
     * library or the running program */
    const char *program;
} ditcl_device_options;
DITCL_API void ditcl_device_options_init(ditcl_device_options *options, size_t size);

/* options: null for the defaults. */
DITCL_API ditcl_code ditcl_device_open(ditcl *c, ditcl_device **device,
                                       const ditcl_device_options *options);
DITCL_API void ditcl_device_close(ditcl_device *device);

/* ---- models ---- */

typedef struct {
    size_t size;
    const char *vae;     /* VAE of a single DiT file: a folder or a file */
    const char *weights; /* which weights of a file: "raw", "ema", or a key */
    const char *variant; /* which files of a folder, such as "fp16" */
    const char *compat;  /* arithmetic: "original" or "diffusers"; null: by the files */
    /* of a single DiT file, which does not contain them */
    int heads;              /* 0: by its width */
    int n_classes;          /* 0: by its label table */
    const char *type;       /* "dit" [null] or "sit" */
    const char *path;       /* of a SiT: "Linear" [null], "GVP" or "VP" */
    const char *prediction; /* of a SiT: "velocity" [null], "noise" or "score" */
    int vae_only;           /* 1: only encode and decode; the model may be a VAE */
    /* 1: files are mapped. This takes less memory, but if another program shortens a file, the
     * process gets SIGBUS. 0: they are read into memory. */
    int map_files;
} ditcl_model_options;
DITCL_API void ditcl_model_options_init(ditcl_model_options *options, size_t size);

/* name: a name such as "emoji", a folder in diffusers' layout, or a DiT file. options: null for the
 * defaults. Any number of calls may use the model, one after the other. */
DITCL_API ditcl_code ditcl_model_open(ditcl *c, ditcl_model **model, const char *name,
                                      const ditcl_model_options *options);
DITCL_API void ditcl_model_close(ditcl_model *model);

typedef struct {
    size_t size;
    int n_classes;
    int has_null_class;                /* 1: guidance is possible */
    int width, height;                 /* of a picture; 0 without a DiT */
    int latent_channels, latent_scale; /* a picture's side is latent_scale times its latents' */
} ditcl_model_info;
DITCL_API void ditcl_model_info_init(ditcl_model_info *info, size_t size);

DITCL_API ditcl_code ditcl_model_describe(ditcl_model *model, ditcl_model_info *info);
/* The name of class i; null if it has none. */
DITCL_API const char *ditcl_model_class(const ditcl_model *model, int i);

/* ---- sampling ---- */

typedef enum { DITCL_LOADING = 0, DITCL_SAMPLING = 1, DITCL_DECODING = 2 } ditcl_phase;

/* Texts have the values of the options of `ditcl sample`. */
typedef struct {
    size_t size;
    const char *const *classes; /* n_classes names or numbers, "null" or "all"; none: all */
    int n_classes, per_class;   /* per_class: pictures of each class [1] */
    uint64_t seed;
    const uint64_t *seeds; /* per_class seeds, each picture of a class its own; null: seed */
    const char *rng;       /* [null: "torch-cpu"] */
    /* null, or a negative guidance: what the model recommends, else the default of ditcl sample */
    const char *sampler;
    const char *steps;
    double guidance;
    const char *interval;        /* "LO,HI": the timesteps that are guided; "all" */
    const char *guided_channels; /* "3" or "all" [null: by the model] */
    double eta;                  /* of ddim [0] */
    const char *diffusion;       /* of sde [null: "sigma"] */
    int batch;                   /* pictures at once; 0 [default]: as many as fit */
    /* 0 [default], or frames of an interpolation between two classes, or two seeds of one class */
    int frames;
    const uint64_t *seed_to; /* of the last frame; null: seed */
    /* The picture to begin with, and a mask whose white part is drawn; both have the model's width
     * and height, and 3 bytes a pixel. */
    const unsigned char *image, *mask;
    double strength;      /* part of the steps that the image runs through; negative [default]: 0.6,
                           * or 1 with a mask */
    const float *latents; /* noise to begin with, [pictures][channels][height][width], or null */
    /* ---- callbacks; each may be null ---- */
    void *context;
    void (*progress)(void *context, ditcl_phase phase, int done, int total);
    /* After every preview_every steps [10] and the last one, for each picture, at most 64: the
     * picture as the network now expects it, with 3 bytes a pixel. rgb is valid during the call. */
    void (*preview)(void *context, int step, int picture, const unsigned char *rgb, int width,
                    int height);
    int preview_every;
    int preview_exact; /* 1: decode previews with the VAE, which takes longer */
} ditcl_request;
DITCL_API void ditcl_request_init(ditcl_request *request, size_t size);

/* *bytes = the memory that the request takes on the device. device: null for any GPU. */
DITCL_API ditcl_code ditcl_memory(ditcl_model *model, ditcl_device *device,
                                  const ditcl_request *request, uint64_t *bytes);

/* *pictures = new pictures, the same as those of `ditcl sample` with these options on this
 * device. The model and the device belong to one context. */
DITCL_API ditcl_code ditcl_sample(ditcl_model *model, ditcl_device *device,
                                  const ditcl_request *request, ditcl_pictures **pictures);

/* ---- the VAE ---- */

/* latents [channels][height / scale][width / scale] = the encoded picture (the mean), on the
 * sampler's scale. rgb: 3 bytes a pixel; the sides are multiples of the scale. */
DITCL_API ditcl_code ditcl_encode(ditcl_model *model, ditcl_device *device,
                                  const unsigned char *rgb, int width, int height, float *latents);

/* *pictures = decoded latents [n][channels][height][width]. */
DITCL_API ditcl_code ditcl_decode(ditcl_model *model, ditcl_device *device, const float *latents,
                                  int n, int width, int height, ditcl_pictures **pictures);

/* ---- pictures ---- */

DITCL_API void ditcl_pictures_free(ditcl_pictures *pictures);
DITCL_API int ditcl_pictures_count(const ditcl_pictures *pictures);
DITCL_API int ditcl_pictures_width(const ditcl_pictures *pictures);
DITCL_API int ditcl_pictures_height(const ditcl_pictures *pictures);
/* Picture i, [height][width][3] bytes, valid until ditcl_pictures_free; null if there is none. */
DITCL_API const unsigned char *ditcl_pictures_rgb(const ditcl_pictures *pictures, int i);
/* Its latents, [channels][height / scale][width / scale]; null for pictures of ditcl_decode. */
DITCL_API const float *ditcl_pictures_latents(const ditcl_pictures *pictures, int i);
/* How the pictures were drawn, in one line; "" for pictures of ditcl_decode. */
DITCL_API const char *ditcl_pictures_note(const ditcl_pictures *pictures);

#ifdef __cplusplus
}
#endif

#endif
