/* Asks whoever checks on the device. See first_use.h. */
#include "ops/first_use.h"

#include "ops/impl.h"

status first_use_check(device *d, const first_use *what, bool *right)
{
    *right = true;
    return d->checks && !d->dry ? d->checks->check(d->checks, d, what, right) : OK;
}

status first_use_strike(device *d, const first_use *what, const char *why, bool died)
{
    return d->checks ? d->checks->strike(d->checks, d, what, why, died) : OK;
}

bool first_use_struck(const device *d, const op_impl *t, const int *values, const int *shape)
{
    const first_use what = {.op = t->op, .t = t, .values = values, .shape = shape};
    return d->checks && d->checks->struck(d->checks, d, &what);
}

status first_use_finish(device *d)
{
    return d->checks && d->checks->finish ? d->checks->finish(d->checks, d) : OK;
}

status first_use_plain(device *d, const char *op, const int shape[SHAPE_SIZES])
{
    const first_use what = {.op = op, .shape = shape};
    bool right;
    status st = first_use_check(d, &what, &right);
    if (st != OK || right) return st;
    fail(ERR_DEVICE, "%s cannot be used on device %d (%s): %s", op, d->info.index, d->info.name,
         d->checks->why);
    fail_hint("please report the device: ditcl check --report FILE.json; another device or driver "
              "may work (ditcl devices)");
    return ERR_DEVICE;
}

status first_use_none(const device *d, const char *op, const int shape[SHAPE_SIZES])
{
    char sizes[SHAPE_TEXT];
    bool cut = d->info.quirk.has[QUIRK_LOOPS_ARE_CUT];
    const char *why = d->checks ? d->checks->why : "";
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
