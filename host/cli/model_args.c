/* Model arguments: a model, or a network of the paper. */
#include "cli/cli.h"
#include "model/dit.h"
#include "model/vae.h"

status cli_check_model_args(const char *verb, const model_args *s)
{
    if (s->words.n > 1)
        return fail(ERR_USAGE, "%s: ditcl %s takes only one MODEL", s->words.items[1], verb);
    if (s->words.n == 0 && !s->arch) {
        fail(ERR_USAGE, "%s: no MODEL and no --arch", verb);
        fail_hint("for example: ditcl %s --arch DiT-XL/2", verb);
        return ERR_USAGE;
    }
    if (s->words.n == 1 && s->arch)
        return fail(ERR_USAGE, "--arch %s: cannot be combined with the MODEL %s", s->arch,
                    s->words.items[0]);
    if (!s->arch && s->image_size >= 0)
        return fail(ERR_USAGE, "--image-size: applies only to --arch");
    const struct {
        bool is_set;
        const char *name;
    } only[] = {{s->vae, "vae"},
                {s->heads, "heads"},
                {s->n_classes, "num-classes"},
                {s->which.weights, "weights"},
                {s->which.variant, "variant"}};
    for (size_t i = 0; s->arch && i < sizeof only / sizeof *only; i++)
        if (only[i].is_set) return fail(ERR_USAGE, "--%s: applies only to a MODEL", only[i].name);
    return OK;
}

status cli_open_model(model *m, const model_args *s, vae_need need)
{
    if (s->arch) return paper_model(m, s->arch, s->image_size == PAPER_512 ? 512 : 256);
    status st = model_open(m, &(model_request){.name = s->words.items[0],
                                               .vae = s->vae,
                                               .heads = s->heads,
                                               .n_classes = s->n_classes,
                                               .forced = -1,
                                               .need_dit = true,
                                               .weights = s->which.weights,
                                               .variant = s->which.variant,
                                               .vae_use = need});
    if (st == OK) st = dit_check(m);
    return st == OK && m->has_vae ? vae_check(m) : st;
}
