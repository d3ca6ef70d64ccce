/* ditcl convert: writes a model in another layout. */
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "model/convert.h"
#include "model/dit.h"
#include "model/vae.h"

static bool ends_with(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n > m && text_equal_nocase(path + n - m, suffix);
}

/* *file = whether OUT is a file, not a folder. */
static status check_out(const char *out, bool *file, bool quiet)
{
    static const char *const others[] = {".pt", ".pth", ".bin", ".ckpt", ".json", ".png"};
    *file = ends_with(out, ".safetensors");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (ends_with(out, others[i]))
            return fail(ERR_USAGE, "%s: only .safetensors files and folders are written", out);
    if (*file) return output_check_one(out, quiet);
    folder_out folder = {0}; /* checked before any work, like a file */
    status st = folder_out_open(&folder, out);
    folder_out_discard(&folder);
    return st;
}

static status convert(const char *out, const model_request *in, const type_choice *what, dtype type,
                      bool quiet)
{
    model m = {0};
    bool file;
    status st = OK;
    TRY(check_out(out, &file, quiet));
    if (file && in->vae)
        return fail(ERR_USAGE, "--vae: a single DiT file holds no VAE; only a folder does");
    model_request of = *in;
    of.vae_use = file ? VAE_UNUSED : VAE_IF_THERE;
    TRY(cli_apply_type(&of, what));
    TRY(model_open(&m, &of));
    if (file && file_is_same(out, m.dit_weights.file.path))
        TRY(fail(ERR_USAGE, "%s: is the input file; expected another name", out));
    cli_note_weights(&m, quiet);
    TRY(dit_check(&m));
    cli_note_labels(&m, quiet);
    if (m.has_vae) TRY(vae_check(&m));
    TRY(file ? convert_to_file(&m, out, type) : convert_to_folder(&m, out, type));
done:
    model_close(&m);
    return st;
}

status cli_convert(int argc, char **argv)
{
    static const char *const types[] = {"fp32", "fp16", "bf16", "as-is", NULL};
    static const dtype by_choice[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_OTHER};
    const char *names[2] = {0}, *vae_path = NULL;
    int heads = 0, n_classes = 0, type = 3;
    bool quiet = false;
    model_request which = {0};
    type_choice what = {0};
    const option options[] = {
        OPTION_HEADING("Output"),
        {"vae", 0, OPTION_TEXT, &vae_path, "PATH", "VAE to write: a folder or a file", 0, 0, NULL},
        {"dtype", 0, OPTION_CHOICE, &type, "T",
         "type of the tensors: fp32, fp16, bf16 or as-is [as-is]\n"
         "as-is: each tensor keeps its type.",
         0, 0, types},
        OPTION_QUIET(&quiet),
        OPTION_HEADING("Input"),
        OPTION_HEADS(&heads),
        OPTION_CLASSES(&n_classes),
        OPTIONS_TYPE(&what),
        OPTIONS_WEIGHTS(&which),
        {0},
    };
    const char *const positional[] = {"IN", "OUT", NULL};
    const command c = {
        .name = "convert",
        .arguments = "IN OUT [--vae PATH] [--heads H] [--dtype T]",
        .summary =
            "Writes a model in another layout. IN: any model that sample reads. OUT: a new "
            "folder in diffusers' layout, or a .safetensors file with the transformer in the "
            "original program's naming. An existing file is replaced. OUT records whose "
            "arithmetic the model was made for, and draws what IN draws.",
        .positional = positional,
        .values = names,
        .details = "Examples:\n"
                   "  ditcl convert DiT-XL-2-256x256.pt DiT-XL-2-256 --vae vae.ckpt\n"
                   "  ditcl convert DiT-XL-2-256 DiT-XL-2-256.safetensors --dtype fp16\n",
        .options = options,
    };
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st != OK || helped) return st;
    const model_request in = {.name = names[0],
                              .vae = vae_path,
                              .heads = heads,
                              .n_classes = n_classes,
                              .forced = -1,
                              .weights = which.weights,
                              .variant = which.variant,
                              .need_dit = true};
    return convert(names[1], &in, &what, by_choice[type], quiet);
}
