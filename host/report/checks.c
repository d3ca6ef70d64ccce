/* Runs the operator tests, and reports the kernels that each one built. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "device/program.h"
#include "ops/choices.h"
#include "ops/op.h"
#include "report/send.h"

/* The programs of one kernel: their number, and the options that all of them share. Those are the
 * tunables; the other options are shapes. */
typedef struct {
    const char *file, *name;
    char options[512];
    int variants;
    double seconds, longest;
} built_kernel;

enum { MOST_KERNELS = 64 };
typedef struct {
    built_kernel items[MOST_KERNELS];
    int n;
    int at, end; /* at: the visited kernel; kernels from `end` on are older */
} built_list;

/* Removes words of options that are not among `others`. */
static void keep_common(char *options, const char *others)
{
    char kept[512] = "", all[600], *rest = options;
    snprintf(all, sizeof all, " %s ", others);
    for (char *word; (word = strsep(&rest, " "));) {
        char whole[520];
        size_t used = strlen(kept);
        snprintf(whole, sizeof whole, " %s ", word);
        if (*word && strstr(all, whole))
            snprintf(kept + used, sizeof kept - used, "%s%s", used ? " " : "", word);
    }
    text_copy(options, sizeof kept, kept);
}

static void add_kernel(void *context, const program_facts *p)
{
    built_list *list = context;
    int i = 0;
    if (list->at++ >= list->end) return;
    while (i < list->n &&
           (strcmp(list->items[i].file, p->file) != 0 || strcmp(list->items[i].name, p->name) != 0))
        i++;
    if (i == MOST_KERNELS) return;
    built_kernel *k = &list->items[i];
    if (i == list->n) {
        list->n++;
        *k = (built_kernel){.file = p->file, .name = p->name};
        text_copy(k->options, sizeof k->options, p->options);
    }
    keep_common(k->options, p->options);
    k->variants++;
    k->seconds += p->build_seconds;
    k->longest = fmax(k->longest, p->build_seconds);
}

static void count_kernel(void *context, const program_facts *p)
{
    (void)p;
    ++*(int *)context;
}

static int count_built(const device *d)
{
    int n = 0;
    program_each(d, count_kernel, &n);
    return n;
}

/* Reports the programs that were built after the first `before`. */
static void put_kernels(json_build *b, json_t *in, const device *d, int before)
{
    built_list list = {.end = count_built(d) - before};
    program_each(d, add_kernel, &list);
    json_t *all = json_put_array(b, in, "kernels");
    for (int i = list.n - 1; i >= 0; i--) {
        const built_kernel *k = &list.items[i];
        json_t *row = json_put_object(b, all, NULL);
        json_put_text(b, row, "name", k->name);
        json_put_text(b, row, "file", k->file);
        json_put_text(b, row, "configuration", k->options);
        json_put_int(b, row, "variants", k->variants);
        json_put_real(b, row, "build_seconds", k->seconds);
        json_put_real(b, row, "longest_build_seconds", k->longest);
    }
}

/* Reports the implementations of operators that have several. */
static void put_arithmetic(json_build *b, json_t *in, const device *d, const char *name)
{
    const operator* o = operator_find(name);
    unsigned ran = o && d->slot ? choices_of(d)->ran[o - operators] : 0;
    if (!ran) return;
    json_t *list = json_put_array(b, in, "arithmetic");
    for (int i = 0; i < N_ARITHS; i++)
        if (ran >> i & 1) json_put_text(b, list, NULL, arith_names[i]);
}

static status check_one(FILE *to, device *d, const optest *t, const report_request *q,
                        optest_tally *all)
{
    optest_tally tally;
    char doing[80];
    int before = count_built(d);
    snprintf(doing, sizeof doing, "checking %s", t->name);
    send_during(to, doing);
    if (d->slot) memset(choices_make(d)->ran, 0, sizeof choices_make(d)->ran);
    double start = clock_seconds();
    status checked = optest_check(d, t, q->seed, q->small, true, to, &tally);
    double seconds = clock_seconds() - start;
    if (checked == ERR_MEMORY) return checked;
    if (checked != OK) { /* the device may be able to run the next operator */
        tally.cases++;
        tally.failed++;
        fprintf(to, "%.400s\n", fail_line()); /* a worker's lines are short */
    }
    json_build b;
    json_t *row = json_build_begin(&b);
    json_put_text(&b, row, "operator", t->name);
    json_put_int(&b, row, "cases", tally.cases);
    json_put_int(&b, row, "failed", tally.failed);
    json_put_real(&b, row, "worst_error_over_tolerance", tally.worst);
    json_put_text(&b, row, "worst_case", tally.worst_case);
    if (tally.failed)
        report_put(&b, row, "first_failure",
                   *tally.first_failure ? tally.first_failure : fail_line());
    json_put_real(&b, row, "seconds", seconds);
    put_arithmetic(&b, row, d, t->name);
    put_kernels(&b, row, d, before);
    fail_clear();
    all->cases += tally.cases;
    all->failed += tally.failed;
    return send_item(to, "checks", &b);
}

static bool is_asked_for(const report_request *q, const char *name)
{
    bool asked = q->n_operators == 0;
    for (int i = 0; i < q->n_operators; i++) asked |= !strcmp(q->operators[i], name);
    return asked;
}

status report_checks(FILE *to, device *d, const report_request *q, optest_tally *all)
{
    status st = OK;
    for (int i = 0; optests[i]; i++) {
        if (is_asked_for(q, optests[i]->name))
            TRY(check_one(to, d, optests[i], q, all));
        else
            TRY(send_skipped(to, optests[i]->name, "only other operators were asked for"));
    }
done:
    return st;
}
