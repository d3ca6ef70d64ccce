/* The classes in a label table. See labels.h. */
#include "checkpoint/labels.h"

#include "base/text.h"

const char *const labels_sources[] = {"its configuration", "its args",        "its id2label",
                                      "--num-classes",     "its label table", "nothing"};

/* False if a table of `rows` rows cannot have this many classes. */
static bool set_classes(dit_config *c, int rows, int64_t n_classes)
{
    if (n_classes < 1 || (n_classes != rows && n_classes != rows - 1)) return false;
    c->n_classes = (int)n_classes;
    c->has_null = n_classes == rows - 1;
    return true;
}

static status fail_contradiction(const tensor_file *file, const char *what, int64_t n_classes,
                                 int rows)
{
    if (rows > 1)
        return fail(ERR_FORMAT,
                    "%s: %s %lld, but the label table has %d rows, expected %d, or %d "
                    "and the null class",
                    file->path, what, (long long)n_classes, rows, rows, rows - 1);
    return fail(ERR_FORMAT, "%s: %s %lld, but the label table has one row, expected 1", file->path,
                what, (long long)n_classes);
}

/* Reads num_classes and class_dropout_prob of the training program. *known: the file has them.
 * `asked` overrides them if they contradict the table. */
static status read_args(dit_config *c, bool *known, const tensor_file *file, int rows, int asked)
{
    const char *classes = tensor_file_note(file, "args.num_classes");
    const char *dropout = tensor_file_note(file, "args.class_dropout_prob");
    int64_t n = 0;
    double p = 0;
    bool dropped = dropout && text_to_double(dropout, &p);
    *known = false;
    bool counted = classes && text_to_int(classes, &n);
    if (counted && n == 0 && rows == 1) { /* unconditional: the only class is the null class */
        *known = set_classes(c, rows, 1);
        return OK;
    }
    status st = OK;
    if (counted && !set_classes(c, rows, n))
        st = fail_contradiction(file, "its args say num_classes", n, rows);
    else if (counted && dropped && c->has_null != (p > 0))
        st = fail(ERR_FORMAT,
                  "%s: its args say num_classes %lld and class_dropout_prob %g, but "
                  "the label table has %d rows, expected %lld",
                  file->path, (long long)n, p, rows, (long long)n + (p > 0));
    else if (!counted && dropped && p > 0 && rows == 1)
        st = fail(ERR_FORMAT,
                  "%s: its args say class_dropout_prob %g, which needs a row for the "
                  "null class, but the label table has one row",
                  file->path, p);
    else
        *known = counted || (dropped && set_classes(c, rows, p > 0 ? rows - 1 : rows));
    if (st == OK) return OK;
    if (asked) {
        fail_clear();
        return OK;
    }
    fail_hint("--num-classes N overrides it");
    return st;
}

status labels_check(const dit_config *c, const char *path, labels_source source, int asked)
{
    if (!asked || asked == c->n_classes) return OK;
    return fail(ERR_USAGE, "--num-classes %d: %s has %d classes, as %s says", asked, path,
                c->n_classes, labels_sources[source]);
}

status labels_resolve(dit_config *c, labels_source *source, const tensor_file *file, int rows,
                      int n_named, int asked)
{
    bool known;
    status st = read_args(c, &known, file, rows, asked);
    if (st != OK) return st;
    *source = LABELS_BY_ARGS;
    if (!known) {
        *source = LABELS_BY_NAMES;
        known = set_classes(c, rows, n_named);
    }
    if (known) return labels_check(c, file->path, *source, asked);
    *source = LABELS_BY_USER;
    if (asked && !set_classes(c, rows, asked)) {
        fail_contradiction(file, "--num-classes says", asked, rows);
        return ERR_USAGE;
    }
    if (asked) return OK;
    *source = rows == 1 ? LABELS_BY_SIZE : LABELS_ASSUMED;
    set_classes(c, rows, rows == 1 ? 1 : rows - 1);
    return OK;
}
