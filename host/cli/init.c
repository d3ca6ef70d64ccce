/* ditcl init: writes a network with fresh weights for training. */
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "model/init.h"
#include "model/paper.h"

typedef struct {
    const char *out, *arch;
    int image_size, n_classes, type; /* image_size, type: indices of the choices */
    uint64_t seed;
    bool quiet;
} init_options;

static const char *const types[] = {"fp32", "fp16", "bf16", NULL};
static const dtype by_choice[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};

static status run_init(const init_options *q)
{
    model m = {0};
    progress bar = {0};
    size_t n = strlen(q->out), suffix = strlen(".safetensors");
    status st = OK;
    if (!q->arch) {
        fail(ERR_USAGE, "init: --arch NAME is missing");
        fail_hint("for example: ditcl init --arch DiT-B/4 --seed 1 DiT-B-4.safetensors");
        return ERR_USAGE;
    }
    if (n <= suffix || !text_equal_nocase(q->out + n - suffix, ".safetensors"))
        return fail(ERR_USAGE, "%s: only .safetensors files are written", q->out);
    TRY(output_check_one(q->out, q->quiet));
    TRY(paper_model(&m, q->arch, q->image_size == PAPER_512 ? 512 : 256));
    m.dit.n_classes = q->n_classes;
    progress_start(&bar, "writing", q->quiet);
    TRY(init_write(&m, q->out,
                   &(init_request){.seed = q->seed,
                                   .type = by_choice[q->type],
                                   .progress = progress_update,
                                   .progress_context = &bar}));
done:
    progress_end(&bar);
    model_close(&m);
    return st;
}

status cli_init(int argc, char **argv)
{
    init_options q = {.image_size = PAPER_256, .n_classes = 1000};
    const option options[] = {
        {"arch", 0, OPTION_TEXT, &q.arch, "NAME",
         "network of the paper: DiT-S/2 to DiT-XL/8\n"
         "The design is adaLN-Zero unless the name ends in -in-context, -cross-attention or "
         "-adaLN.",
         0, 0, NULL},
        {"seed", 0, OPTION_UINT64, &q.seed, "S", "random seed of the weights [0]", 0, 0, NULL},
        {"image-size", 0, OPTION_CHOICE, &q.image_size, "N",
         "pixels per side of the pictures: 256, 512 [256]", 0, 0, paper_image_sizes},
        {"num-classes", 0, OPTION_INT, &q.n_classes, "N", "classes, without the null class [1000]",
         1, 10000000, NULL},
        {"dtype", 0, OPTION_CHOICE, &q.type, "T", "type of the tensors: fp32, fp16 or bf16 [fp32]",
         0, 0, types},
        OPTION_QUIET(&q.quiet),
        {0},
    };
    const char *const positional[] = {"OUT.safetensors", NULL};
    const command c = {
        .name = "init",
        .arguments = "--arch NAME [--seed S] OUT.safetensors",
        .summary =
            "Writes a network with fresh weights to begin training with: one DiT file in the "
            "original program's naming. It replaces an existing file.",
        .positional = positional,
        .values = &q.out,
        .details = "The same seed gives the same weights. ditcl convert turns a file of the\n"
                   "published design into a folder.\n\n"
                   "Example:\n"
                   "  ditcl init --arch DiT-B/4-cross-attention --seed 1 new.safetensors\n",
        .options = options,
    };
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    return st == OK && !helped ? run_init(&q) : st;
}
