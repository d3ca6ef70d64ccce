/* The commands: each speaks to people and computes nothing. */
#ifndef DITCL_CLI_CLI_H
#define DITCL_CLI_CLI_H

#include "base/status.h"
#include "checkpoint/model.h"
#include "cli/options.h"
#include "device/device.h"
#include "model/paper.h"

/* A command: its words behind its name. */
status cli_devices(int argc, char **argv);
status cli_sample(int argc, char **argv);
status cli_decode(int argc, char **argv);
status cli_encode(int argc, char **argv);
status cli_convert(int argc, char **argv);
status cli_info(int argc, char **argv);
status cli_init(int argc, char **argv);
status cli_check(int argc, char **argv);
status cli_bench(int argc, char **argv);
status cli_kernels(int argc, char **argv);
status cli_tune(int argc, char **argv);
/* Children of this program; not for people. */
status cli_tune_worker(int argc, char **argv);
status cli_check_worker(int argc, char **argv);
status cli_report_worker(int argc, char **argv);

/* Which device, and how it computes. */
typedef struct {
    const char *selector;
    int kernels, precision;    /* kernel_family, precision */
    const char *max_launch_ms; /* null: not given */
    bool no_cache, verbose;
    bool bare;     /* without what was measured before */
    bool profiled; /* the queue keeps times */
    bool measured; /* the command is worth measuring what suits the device, where that is unknown */
    bool checked;  /* and worth checking what is used for the first time; so is a measured one */
    bool remembered; /* what was struck out is not used */
    bool unprobed;   /* features are left as claimed */
} device_choice;

/* Options that several commands have, as table rows. where: a device_choice. */
/* clang-format off */
#define OPTIONS_DEVICE(where)                                                                      \
    {"device", 0, OPTION_TEXT, &(where)->selector, "SEL",                                          \
     "index in `ditcl devices`, gpu, cpu, or part of a name\n"                                     \
     "The default is the best device. Also P:D (platform and device number) or accelerator. A "    \
     "name may be the platform's or the "                                                          \
     "device's. The environment variable DITCL_DEVICE sets the default.", 0, 0, NULL},             \
    {"precision", 0, OPTION_CHOICE, &(where)->precision, "P",                                      \
     "of matrix products: auto, fp32, bf16 or fp16 [auto]\n"                                       \
     "auto: the fastest that is as accurate as fp32. bf16 and fp16: 16-bit inputs and fp32 sums; " \
     "an error if the device has no such kernels.", 0, 0, precision_names},                        \
    {"kernels", 0, OPTION_CHOICE, &(where)->kernels, "FAMILY",                                     \
     "kernel family: auto (by the device), cpu or gpu [auto]", 0, 0,                               \
     kernel_family_names},                                                                         \
    {"max-launch-ms", 0, OPTION_TEXT, &(where)->max_launch_ms, "N",                                \
     "split longer kernel launches; 0: none [100; CPU: 0]\n"                                       \
     "Systems and drivers reset a device that computes for too long without a pause. Launches "    \
     "that are predicted to take more than N milliseconds are split. Results are the same.",       \
     0, 0, NULL},                                                                                  \
    {"no-cache", 0, OPTION_FLAG, &(where)->no_cache, NULL,                                         \
     "build all kernels from source; store none on disk", 0, 0, NULL}
#define OPTION_QUIET(where)                                                                        \
    {"quiet", 'q', OPTION_FLAG, where, NULL, "print errors only", 0, 0, NULL}
/* clang-format on */
/* For a command that measures. */
/* clang-format off */
#define OPTION_QUIET_RESULTS(where)                                                                \
    {"quiet", 'q', OPTION_FLAG, where, NULL, "print results and errors only", 0, 0, NULL}
#define OPTION_VERBOSE(where)                                                                      \
    {"verbose", 'v', OPTION_FLAG, where, NULL, "print each stage and its time", 0, 0, NULL}
#define OPTION_JSON(where)                                                                         \
    {"json", 0, OPTION_FLAG, where, NULL, "print JSON", 0, 0, NULL}
/* clang-format on */

/* A single DiT file lacks these. */
/* clang-format off */
#define OPTION_VAE(where)                                                                          \
    {"vae", 0, OPTION_TEXT, where, "PATH",                                                         \
     "VAE of a single DiT file: a folder or a file", 0, 0, NULL}
#define OPTION_HEADS(where)                                                                        \
    {"heads", 0, OPTION_INT, where, "H",                                                           \
     "attention heads of a single DiT file [by its width]\n"                                       \
     "Needed only if the width is none of the paper's.", 1, 1024, NULL}
/* clang-format on */

/* Which weights to take when a file or folder holds several. where: a model_request. */
/* clang-format off */
#define OPTIONS_WEIGHTS(where)                                                                     \
    {"weights", 0, OPTION_TEXT, &(where)->weights, "KEY",                                          \
     "if a file has several: raw, ema, or a key [ema]\n"                                           \
     "ema: the averaged weights, the default if there are any. A key is a name in the file, "      \
     "such as model or ema.shadow.",                                                               \
     0, 0, NULL},                                                                                  \
    {"variant", 0, OPTION_TEXT, &(where)->variant, "NAME",                                         \
     "if a folder has several files: fp16, bf16, ...\n"                                            \
     "Or non_ema, ... The default is the file without a variant in its name.", 0, 0, NULL}
/* clang-format on */

/* What a single file is, where its tensors do not say it. */
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

/* Puts the choice into a request. */
status cli_settle_type(model_request *request, const type_choice *choice);

/* What is described or measured: MODEL, the only word, with the options of a single file; or a
 * network of the paper. */
typedef struct {
    text_list words;
    const char *arch, *vae;
    int image_size; /* an index of paper_image_sizes; -1: not given */
    int heads, n_classes;
    model_request which; /* weights and variant only */
} subject;

/* clang-format off */
#define OPTIONS_SUBJECT(where)                                                                     \
    {"arch", 0, OPTION_TEXT, &(where)->arch, "NAME",                                               \
     "network of the paper, DiT-S/2 to DiT-XL/8, not MODEL\n"                                      \
     "Its design is adaLN-Zero; a name that ends in -in-context, -cross-attention or -adaLN has "  \
     "another one. The VAE is Stable Diffusion's. The weights are generated.",                     \
     0, 0, NULL},                                                                                  \
    {"image-size", 0, OPTION_CHOICE, &(where)->image_size, "N",                                    \
     "pixels per side of --arch: 256 or 512 [256]", 0, 0, paper_image_sizes},                      \
    OPTION_VAE(&(where)->vae),                                                                     \
    OPTION_HEADS(&(where)->heads),                                                                 \
    OPTION_CLASSES(&(where)->n_classes),                                                           \
    OPTIONS_WEIGHTS(&(where)->which)
/* clang-format on */

/* ERR_USAGE unless there is a MODEL or --arch, not both, and only options that apply to it. */
status cli_check_subject(const char *verb, const subject *s);
/* Opens it and checks its tensors. */
status cli_open_subject(model *m, const subject *s, vae_need need);

/* Whether the last row of a single file's label table is the null class or a class. */
/* clang-format off */
#define OPTION_CLASSES(where)                                                                      \
    {"num-classes", 0, OPTION_INT, where, "N",                                                     \
     "classes of a single DiT file [by its label table]\n"                                         \
     "The default is what the file says, otherwise all rows of the label table but the last, "     \
     "which is then the null class. If N is the number of rows, there is no null class.",          \
     1, 10000000, NULL}
/* clang-format on */

/* Unless quiet: says that the last row is taken for the null class, when nothing says it. */
void cli_tell_labels(const model *m, bool quiet);

/* Unless quiet: says which weights were taken if there are several, and what the model lacks. */
void cli_tell_weights(const model *m, bool quiet);
/* With -v: says what is assumed of a bare VAE, and that weights could not be mapped. */
void cli_tell_vae(const model *m, bool verbose);

/* Opens the device that the selector, else DITCL_DEVICE, names; an automatic choice is named on
 * stderr unless quiet. */
status cli_open_device(device *d, const device_choice *choice, bool quiet);

/* Unless quiet: warns in one line of layers that stayed in fp32, as their weights are too large for
 * fp16. */
void cli_tell_wide(const device *d, bool quiet);

/* Prints "ditcl: warning: ..." on stderr. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
