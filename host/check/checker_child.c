/* Runs first-use checks. See checker_child.h. */
#include "check/checker_child.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/worker.h"
#include "check/tiny.h"
#include "device/probe.h"
#include "device/program.h"
#include "ops/first_use.h"
#include "ops/impl.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "optest/workload.h"

enum { MOST_AVOIDED = 512 };

typedef struct {
    first_use_checks face; /* first, since it is cast to child */
    device *d;
    bool claimed[N_FEATURES];
    char *avoided[MOST_AVOIDED]; /* "gemm gpu", or "gemm gpu MT=64 NT=64" */
    int n_avoided;
} child;

/* allocating: the request failed while it only allocated memory */
static void answer_failure(status st, bool allocating, FILE *out)
{
    bool nothing = st == ERR_MEMORY || (allocating && (st == ERR_RESOURCES || st == ERR_LIMIT));
    fprintf(out, "%s %.300s\n",
            st == ERR_LOST ? "lost"
            : nothing      ? "cannot"
                           : "failed",
            fail_line());
    fail_clear();
}

/* ---- features ---- */

static void set_feature(child *c, const char *words)
{
    char name[32];
    int size, required;
    if (sscanf(words, "%31s %d %d", name, &size, &required) != 3) return;
    int i = feature_find(name, strlen(name));
    if (i < 0) return;
    c->d->feature[i] = true;
    if (i != FEATURE_SUBGROUPS) return;
    c->d->subgroups.size = size;
    c->d->subgroups.required = required;
}

static void child_probe(child *c, const char *name, FILE *out)
{
    int i = feature_find(name, strlen(name));
    if (i < 0) {
        fprintf(out, "no such feature\n");
        return;
    }
    c->d->feature[i] = c->claimed[i];
    status st = probe_feature(c->d, (feature_id)i);
    if (st != OK) {
        answer_failure(st, true, out);
    } else if (c->d->feature[i]) {
        fprintf(out, "yes %d %d\n", c->d->subgroups.size, c->d->subgroups.required);
    } else {
        fprintf(out, "no its probe did not build, or computed wrong\n");
    }
}

/* ---- operators ---- */

/* *allocating = whether all calls so far only allocated memory. */
static status run_check(device *d, const char *op, const int *shape, unsigned use,
                        const char **wrong, bool *allocating)
{
    workload w = {0};
    workload_entry e = {0};
    status st = OK;
    *allocating = true;
    TRY(workload_open(&w, d, op, shape, use));
    st = workload_enter(&w, &e, 1);
    *allocating = st != OK && !w.builds;
    if (st != OK) goto done;
    TRY(workload_check(&w, &e, wrong));
done:
    workload_leave(&w, &e);
    workload_close(&w);
    return st;
}

/* Operators that are checked once, for all shapes. */
static bool has_test_only(const char *op)
{
    static const char *const all[] = {"cross", "blend", "downsample", "condition"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i], op)) return true;
    return false;
}

static status run_test(device *d, const char *op, const char **wrong)
{
    optest_tally tally;
    status st = optest_check_all(d, &op, 1, 1, true, NULL, &tally);
    if (st == OK && tally.failed) *wrong = "its operator test fails";
    return st;
}

static void child_check(child *c, char *words, FILE *out)
{
    int shape[SHAPE_SIZES];
    candidate named;
    const char *wrong = NULL;
    char *save, *op = strtok_r(words, " ", &save), *sizes = strtok_r(NULL, " ", &save);
    char *use = strtok_r(NULL, " ", &save);
    bool allocating = false;
    status st = OK;
    if (!use || !shape_parse(shape, sizes)) TRY(fail(ERR_USAGE, "no such shape"));
    if (operator_find(op)) {
        if (!candidate_parse(&named, op, save) || !impl_fits(named.impl, c->d, named.config, shape))
            TRY(fail(ERR_USAGE, "no such configuration"));
        TRY(configuration_set(c->d, named.impl, shape, named.config));
    }
    if (has_test_only(op))
        TRY(run_test(c->d, op, &wrong));
    else
        TRY(run_check(c->d, op, shape, (unsigned)atoi(use), &wrong, &allocating));
    if (wrong)
        fprintf(out, "wrong %s\n", wrong);
    else
        fprintf(out, "right\n");
done:
    if (st != OK) answer_failure(st, allocating, out);
}

/* ---- the network ---- */

static bool avoided(first_use_checks *face, const device *d, const first_use *what)
{
    const child *c = (const child *)(const void *)face;
    char config[CONFIG_OPTIONS], words[WORKER_LINE];
    (void)d;
    configuration_words(config, what->impl, what->config);
    int prefix = snprintf(words, sizeof words, "%s %s", what->op, what->impl->name);
    snprintf(words + prefix, sizeof words - (size_t)prefix, "%s", config);
    for (int i = 0; i < c->n_avoided; i++) {
        const char *a = c->avoided[i];
        if (!strcmp(a, words) || (!strncmp(a, words, (size_t)prefix) && !a[prefix])) return true;
    }
    return false;
}

static status accept_all(first_use_checks *face, device *d, const first_use *what, bool *right)
{
    (void)face, (void)d, (void)what;
    *right = true;
    return OK;
}

static void avoid(child *c, const char *words)
{
    for (int i = 0; i < c->n_avoided; i++)
        if (!strcmp(c->avoided[i], words)) return;
    if (c->n_avoided < MOST_AVOIDED && memory_strdup(&c->avoided[c->n_avoided], words) == OK)
        c->n_avoided++;
}

static void network(child *c, FILE *out)
{
    char wrong[200] = "";
    double error;
    status st = first_use_set(c->d, &c->face);
    if (st == OK) st = tiny_check(c->d, &error, wrong, NULL);
    first_use_set(c->d, NULL);
    if (st == ERR_FILE || st == ERR_FORMAT) {
        fprintf(out, "absent %.300s\n", fail_line());
        fail_clear();
    } else if (st != OK) {
        answer_failure(st, st == ERR_RESOURCES, out);
    } else if (*wrong) {
        fprintf(out, "wrong %s\n", wrong);
    } else {
        fprintf(out, "right %.1e\n", error);
    }
}

static void handle_line(child *c, char *line, FILE *out)
{
    if (!strncmp(line, "feature ", 8))
        set_feature(c, line + 8);
    else if (!strncmp(line, "probe ", 6))
        child_probe(c, line + 6, out);
    else if (!strncmp(line, "check ", 6))
        child_check(c, line + 6, out);
    else if (!strncmp(line, "avoid ", 6))
        avoid(c, line + 6);
    else if (!strcmp(line, "network"))
        network(c, out);
    else
        fprintf(out, "failed no such line\n");
    fflush(out);
}

status checker_serve(device *d, FILE *in, FILE *out)
{
    static const char *const forced[] = {"DITCL_GEMM", "DITCL_ATTENTION", "DITCL_CONV"};
    child c = {.face = {.check = accept_all, .struck = avoided}, .d = d};
    char line[WORKER_LINE];
    text_copy(c.face.why, sizeof c.face.why, "nothing else is left");
    /* the parent decides the implementation, not these variables */
    for (size_t i = 0; i < sizeof forced / sizeof *forced; i++) unsetenv(forced[i]);
    memcpy(c.claimed, d->feature, sizeof c.claimed);
    memset(d->feature, 0, sizeof d->feature);
    d->tries = true;
    fprintf(out, "ready\n");
    fflush(out);
    while (!device_is_lost(d) && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        handle_line(&c, line, out);
        if (!device_is_lost(d))
            program_store_all(d); /* so that the parent does not build them again */
    }
    for (int i = 0; i < c.n_avoided; i++) free(c.avoided[i]);
    return OK;
}
