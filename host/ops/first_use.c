/* Asks whoever checks on the device. See first_use.h. */
#include "ops/first_use.h"

#include "ops/choices.h"

status first_use_set(device *d, first_use_checks *c)
{
    choices *all = choices_make(d);
    if (!all) return ERR_MEMORY;
    all->checks = c;
    return OK;
}

first_use_checks *first_use_checker(const device *d)
{
    return d->slot ? choices_of(d)->checks : NULL;
}

status first_use_check(device *d, const first_use *what, bool *right)
{
    first_use_checks *c = first_use_checker(d);
    *right = true;
    return c && !d->dry ? c->check(c, d, what, right) : OK;
}

status first_use_strike(device *d, const first_use *what, const char *why, bool died)
{
    first_use_checks *c = first_use_checker(d);
    return c ? c->strike(c, d, what, why, died) : OK;
}

bool first_use_struck(const device *d, const op_impl *impl, const int *config, const int *shape)
{
    first_use_checks *c = first_use_checker(d);
    const first_use what = {.op = impl->op, .impl = impl, .config = config, .shape = shape};
    return c && c->struck(c, d, &what);
}

status first_use_finish(device *d)
{
    first_use_checks *c = first_use_checker(d);
    return c && c->finish ? c->finish(c, d) : OK;
}

status first_use_plain(device *d, const char *op, const int shape[SHAPE_SIZES], unsigned use)
{
    const first_use what = {.op = op, .shape = shape, .use = use};
    bool right;
    status st = first_use_check(d, &what, &right);
    if (st != OK || right) return st;
    fail(ERR_DEVICE, "%s cannot be used on device %d (%s): %s", op, d->info.index, d->info.name,
         first_use_checker(d)->why);
    fail_hint("please report the device: ditcl check --report FILE.json; another device or driver "
              "may work (ditcl devices)");
    return ERR_DEVICE;
}

status first_use_none(const device *d, const char *op, const int shape[SHAPE_SIZES])
{
    char sizes[SHAPE_TEXT];
    bool cut = d->info.quirk.has[QUIRK_LOOPS_ARE_CUT];
    const first_use_checks *c = first_use_checker(d);
    const char *why = c ? c->why : "";
    shape_text(sizes, shape);
    if (!*why)
        return fail(ERR_LIMIT, "%s %s does not fit this device%s", op, sizes,
                    cut ? ", whose driver cuts long loops short" : "");
    fail(ERR_DEVICE, "%s %s: no implementation works on device %d (%s): %s", op, sizes,
         d->info.index, d->info.name, why);
    fail_hint("please report the device: ditcl check --report FILE.json; another device or driver "
              "may work (ditcl devices)");
    return ERR_DEVICE;
}
