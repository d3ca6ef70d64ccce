/* The commands. They parse arguments, call the layers below and print; they compute nothing. */
#ifndef DITCL_CLI_CLI_H
#define DITCL_CLI_CLI_H

#include "base/status.h"
#include "checkpoint/model.h"
#include "cli/options.h"
#include "device/device.h"
#include "model/paper.h"

/* argc, argv: the arguments after the name of the command. */
status cli_devices(int argc, char **argv);
status cli_doctor(int argc, char **argv);
status cli_sample(int argc, char **argv);
status cli_decode(int argc, char **argv);
status cli_encode(int argc, char **argv);
status cli_convert(int argc, char **argv);
status cli_info(int argc, char **argv);
status cli_init(int argc, char **argv);
status cli_check(int argc, char **argv);
status cli_bench(int argc, char **argv);
status cli_tune(int argc, char **argv);
status cli_completion(int argc, char **argv);
/* Child processes of this program; not for users. */
status cli_tune_worker(int argc, char **argv);
status cli_check_worker(int argc, char **argv);
status cli_report_worker(int argc, char **argv);

/* The device and its settings. */
typedef struct {
    const char *selector;
    int kernels, precision;    /* kernel_family, precision */
    const char *max_launch_ms; /* null: not on the command line */
    bool no_cache, verbose;
    bool bare;       /* do not use stored configurations */
    bool profiled;   /* the queue records times */
    bool measured;   /* a new device is measured first (tune/fit.c) */
    bool checked;    /* first use is checked, as it is with `measured` */
    bool remembered; /* do not use what earlier checks struck out */
    bool unprobed;   /* do not probe features */
} device_choice;

/* Table rows of options that several commands have. where: a device_choice. */
/* clang-format off */
#define OPTION_PRECISION(where)                                                                    \
    {"precision", 0, OPTION_CHOICE, &(where)->precision, "P",                                      \
     "arithmetic type: auto, fp32, bf16 or fp16 [auto]\n"                                          \
     "What the inputs of matrix products are rounded to; sums are fp32. auto: the fastest "        \
     "that is as accurate as fp32. bf16 and fp16 are errors if the device has no such "            \
     "kernels.", 0, 0, precision_names}
#define OPTION_KERNELS(where)                                                                      \
    {"kernels", 0, OPTION_CHOICE, &(where)->kernels, "FAMILY",                                     \
     "kernel family: cpu, gpu, or auto: by the device [auto]", 0, 0,                               \
     kernel_family_names}
#define OPTIONS_DEVICE(where)                                                                      \
    {"device", 0, OPTION_TEXT, &(where)->selector, "SEL",                                          \
     "index in `ditcl devices`, gpu, cpu, or part of a name\n"                                     \
     "The default is DITCL_DEVICE if it is set, otherwise the best device. SEL may also be "       \
     "P:D, the numbers of platform and device, or accelerator. A name may be the platform's "      \
     "or the device's.", 0, 0, NULL},                                                              \
    OPTION_PRECISION(where),                                                                       \
    OPTION_KERNELS(where),                                                                         \
    {"max-launch-ms", 0, OPTION_TEXT, &(where)->max_launch_ms, "N",                                \
     "split launches over N ms; 0: never [100; on a CPU 0]\n"                                      \
     "Systems and drivers reset a device that computes for too long without a pause. So a "        \
     "launch that is predicted to take more than N milliseconds is split. The results are "        \
     "the same.",                                                                                  \
     0, 0, NULL},                                                                                  \
    {"no-cache", 0, OPTION_FLAG, &(where)->no_cache, NULL,                                         \
     "build all kernels from source; store none on disk", 0, 0, NULL}
#define OPTION_QUIET(where)                                                                        \
    {"quiet", 'q', OPTION_FLAG, where, NULL, "print errors only", 0, 0, NULL}
/* clang-format on */
/* For commands that measure. */
/* clang-format off */
#define OPTION_QUIET_RESULTS(where)                                                                \
    {"quiet", 'q', OPTION_FLAG, where, NULL, "print results and errors only", 0, 0, NULL}
#define OPTION_VERBOSE(where)                                                                      \
    {"verbose", 'v', OPTION_FLAG, where, NULL, "print each stage and its time", 0, 0, NULL}
#define OPTION_JSON(where)                                                                         \
    {"json", 0, OPTION_FLAG, where, NULL, "print JSON", 0, 0, NULL}
/* For commands that take long: see events.h. */
#define OPTION_EVENTS(where)                                                                       \
    {"json", 0, OPTION_FLAG, where, NULL,                                                          \
     "print JSON while it runs: one object per line\n"                                             \
     "Each object has \"event\", its kind. The last one is \"done\" or \"failed\".", 0, 0, NULL}
/* clang-format on */

/* What a single DiT file does not contain. */
/* clang-format off */
#define OPTION_VAE(where)                                                                          \
    {"vae", 0, OPTION_TEXT, where, "PATH",                                                         \
     "VAE of a single DiT file: a folder or a file", 0, 0, NULL}
#define OPTION_HEADS(where)                                                                        \
    {"heads", 0, OPTION_INT, where, "H",                                                           \
     "attention heads of a single DiT file [by its width]\n"                                       \
     "Needed only if the width is none of the paper's.", 1, 1024, NULL}
/* clang-format on */

/* Which weights to use if a file or folder has several. where: a model_request. */
/* clang-format off */
#define OPTIONS_WEIGHTS(where)                                                                     \
    {"weights", 0, OPTION_TEXT, &(where)->weights, "KEY",                                          \
     "which weights of a file: raw, ema, KEY [ema, if any]\n"                                      \
     "A file may have several copies. raw: the trained weights. ema: their average, the "          \
     "default if there is one. KEY: a name in the file, such as model or ema.shadow.",             \
     0, 0, NULL},                                                                                  \
    {"variant", 0, OPTION_TEXT, &(where)->variant, "NAME",                                         \
     "which files of a folder: fp16, bf16, ... [no variant]\n"                                     \
     "The variant is a part of the file's name, such as fp16 in model.fp16.safetensors.",          \
     0, 0, NULL}
/* clang-format on */

/* The type of a single file, which its tensors do not tell. */
typedef struct {
    int type, path, prediction;
} type_choice;

/* clang-format off */
#define OPTIONS_TYPE(where)                                                                        \
    {"model-type", 0, OPTION_CHOICE, &(where)->type, "TYPE",                                       \
     "type of a single file: dit or sit [dit]\n"                                                   \
     "DiT and SiT have the same tensors, so the file cannot say which it is.", 0, 0,               \
     cli_model_types},                                                                             \
    {"path", 0, OPTION_CHOICE, &(where)->path, "PATH",                                             \
     "path of a single SiT file: Linear, GVP, VP [Linear]", 0, 0, flow_path_names},                \
    {"prediction", 0, OPTION_CHOICE, &(where)->prediction, "WHAT",                                 \
     "output of a single SiT file: velocity, noise, score\n"                                       \
     "The default is velocity.", 0, 0, flow_prediction_names}
/* clang-format on */
extern const char *const cli_model_types[];

/* Adds the choice to a request. */
status cli_apply_type(model_request *request, const type_choice *choice);

/* Model arguments: MODEL with the options of a single file, or a network of the paper. */
typedef struct {
    text_list words;
    const char *arch, *vae;
    int image_size; /* index in paper_image_sizes; -1: not on the command line */
    int heads, n_classes;
    model_request which; /* weights and variant only */
} model_args;

/* clang-format off */
#define OPTIONS_MODEL(where)                                                                       \
    {"arch", 0, OPTION_TEXT, &(where)->arch, "NAME",                                               \
     "network of the paper instead of MODEL: DiT-XL/2, ...\n"                                      \
     "DiT-S, B, L or XL with patches of 2, 4 or 8. The design is adaLN-Zero unless the name "      \
     "ends in -in-context, -cross-attention or -adaLN. The VAE is Stable Diffusion's. The "        \
     "weights are generated.",                                                                     \
     0, 0, NULL},                                                                                  \
    {"image-size", 0, OPTION_CHOICE, &(where)->image_size, "N",                                    \
     "pixels per side of --arch: 256 or 512 [256]", 0, 0, paper_image_sizes},                      \
    OPTION_VAE(&(where)->vae),                                                                     \
    OPTION_HEADS(&(where)->heads),                                                                 \
    OPTION_CLASSES(&(where)->n_classes),                                                           \
    OPTIONS_WEIGHTS(&(where)->which)
/* clang-format on */

/* ERR_USAGE unless there is either MODEL or --arch, and only options that apply to it. */
status cli_check_model_args(const char *verb, const model_args *s);
/* Opens the model and checks its tensors. */
status cli_open_model(model *m, const model_args *s, vae_need need);

/* Decides whether the last row of a single file's label table is a class or the null class. */
/* clang-format off */
#define OPTION_CLASSES(where)                                                                      \
    {"num-classes", 0, OPTION_INT, where, "N",                                                     \
     "classes of a single DiT file [by its label table]\n"                                         \
     "The default is what the file says. If it says nothing, the last row of the label "           \
     "table is the null class, and every other row a class. If N is the number of rows, "          \
     "there is no null class.",                                                                    \
     1, 10000000, NULL}
/* clang-format on */

/* Unless quiet: prints a note if nothing but the default makes the last row the null class. */
void cli_note_labels(const model *m, bool quiet);

/* Unless quiet: prints which of several weights are used, and what the model lacks. */
void cli_note_weights(const model *m, bool quiet);
/* With -v: prints what is assumed of a VAE without a configuration, and if weights could not be
 * mapped. */
void cli_note_vae(const model *m, bool verbose);

/* Opens the device that the selector or, without one, DITCL_DEVICE names. Prints an automatic
 * choice on stderr unless quiet. */
status cli_open_device(device *d, const device_choice *choice, bool quiet);

/* Unless quiet: warns in one line of layers that stay in fp32 because their weights are too large
 * for fp16. */
void cli_note_wide(const device *d, bool quiet);

/* Prints "ditcl: warning: ..." on stderr. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
