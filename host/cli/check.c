/* ditcl check: compares every kernel with its double-precision reference on the user's device, and
 * writes a report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/worker.h"
#include "cli/check_page.h"
#include "cli/cli.h"
#include "cli/colour.h"
#include "cli/environment.h"
#include "cli/events.h"
#include "cli/output.h"
#include "optest/optest.h"

typedef struct {
    device_choice on;
    int seed, silence, model_seconds;
    bool quick, all, whole, json;
    const char *report, *verify;
    text_list operators;
} check_options;

static const check_options defaults = {.seed = 1, .silence = 600, .model_seconds = 120};

/* ---- one device, in this process ---- */

/* One case: a line or, with --json, an event. */
static void tell_case(void *context, const optest_outcome *o)
{
    if (!events_on()) {
        colour_verdict(context, o->line);
        return;
    }
    event e = event_begin("case");
    json_put_text(&e.b, e.root, "operator", o->name);
    json_put_text(&e.b, e.root, "case", o->label);
    json_put_bool(&e.b, e.root, "ok", o->ok);
    json_put_real(&e.b, e.root, "error", o->err);
    json_put_real(&e.b, e.root, "tolerance", o->tol);
    json_put_text(&e.b, e.root, "line", o->line);
    event_end(&e);
}

/* The outcome of a device. why: how its process ended, or null. */
static status tell_checked(const device_info *info, int cases, int failed, const char *why)
{
    event e = event_begin("checked");
    json_put_int(&e.b, e.root, "device", info->index);
    json_put_name(&e.b, e.root, "name", info->name);
    json_put_int(&e.b, e.root, "cases", cases);
    json_put_int(&e.b, e.root, "failed", failed);
    if (why) json_put_name(&e.b, e.root, "ended", why);
    return event_end(&e);
}

static status check_here(check_options *q)
{
    device d = {0};
    optest_tally all = {0};
    const optest_listener to = {tell_case, stdout};
    status st = OK;
    TRY(cli_open_device(&d, &q->on, false));
    TRY(optest_check_all(&d, (const char *const *)q->operators.items, q->operators.n,
                         (unsigned)q->seed, q->quick, &to, &all));
    TRY(tell_checked(&d.info, all.cases, all.failed, NULL));
    if (all.failed) {
        st = fail(ERR_DEVICE, "%d of %d checks failed on device %d (%s)", all.failed, all.cases,
                  d.info.index, d.info.name);
        fail_hint("please report it: ditcl check --report FILE.json writes what to send");
    } else if (!q->json) {
        printf("%d checks passed\n", all.cases);
    }
done:
    device_close(&d);
    return st;
}

/* ---- devices in children ---- */

/* The arguments of a child, and the storage of those that are made here. */
typedef struct {
    char seed[16], seconds[16], operators[256];
    const char *words[24];
} child_words;

/* out = "gemm,conv": the requested operators, each once. */
static void join_operators(char *out, size_t size, const text_list *names)
{
    size_t used = 0;
    *out = 0;
    for (int i = 0; optests[i] && used < size; i++)
        for (int j = 0; j < names->n; j++) {
            if (strcmp(names->items[j], optests[i]->name) != 0) continue;
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "",
                                     optests[i]->name);
            break;
        }
}

static void child_arguments(child_words *a, const check_options *q, const device_info *info)
{
    int n = 0;
    snprintf(a->seed, sizeof a->seed, "%d", q->seed);
    snprintf(a->seconds, sizeof a->seconds, "%d", q->model_seconds);
    a->words[n++] = "report-worker";
    a->words[n++] = "--device", a->words[n++] = info->id;
    a->words[n++] = "--seed", a->words[n++] = a->seed;
    a->words[n++] = "--model-seconds", a->words[n++] = a->seconds;
    a->words[n++] = "--precision", a->words[n++] = precision_names[q->on.precision];
    a->words[n++] = "--kernels", a->words[n++] = kernel_family_names[q->on.kernels];
    if (q->quick) a->words[n++] = "--quick";
    if (q->report) a->words[n++] = "--whole";
    join_operators(a->operators, sizeof a->operators, &q->operators);
    if (*a->operators) a->words[n++] = "--operators", a->words[n++] = a->operators;
    a->words[n] = NULL;
}

/* A line of a child. */
static void tell_line(const char *line)
{
    if (events_on()) {
        event_name("line", "text", line);
        return;
    }
    colour_verdict(stdout, TEXT_SHOWN(line));
}

static void print_checked(const device_info *info, const report_outcome *o)
{
    if (o->ended)
        printf("device %d failed: %s\n", info->index, TEXT_SHOWN(o->why));
    else if (o->failed)
        printf("device %d failed: %d of %d checks\n", info->index, o->failed, o->cases);
    else
        printf("device %d: %d checks passed\n", info->index, o->cases);
}

static status tell_device(const device_info *info)
{
    event e = event_begin("device");
    json_put_int(&e.b, e.root, "device", info->index);
    json_put_name(&e.b, e.root, "name", info->name);
    json_put_name(&e.b, e.root, "platform", info->platform);
    return event_end(&e);
}

/* Checks one device and prints the result. *failed = whether a check failed. */
static status check_in_child(report *r, const check_options *q, const device_info *info,
                             bool *failed)
{
    child_words a;
    report_outcome o;
    child_arguments(&a, q, info);
    status st = OK;
    TRY(tell_device(info));
    if (!q->json)
        printf("device %d: %s (%s)\n", info->index, TEXT_SHOWN(info->name),
               TEXT_SHOWN(info->platform));
    TRY(report_add(r, info, a.words, q->silence, tell_line, &o));
    *failed = o.ended || o.failed;
    TRY(tell_checked(info, o.cases, o.failed, o.ended ? o.why : NULL));
    if (!q->json) print_checked(info, &o);
done:
    return st;
}

/* FILE.json or FILE.html */
static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && text_equal_nocase(path + n - m, ending);
}

static status write_report(report *r, const char *path)
{
    file_out file = {0};
    text all = {0};
    status st = OK;
    TRY(report_seal(r));
    TRY(report_text(r, &all));
    TRY(file_out_open(&file, path));
    if (ends_in(path, ".html"))
        check_page(r, file.stream);
    else
        fputs(all.data, file.stream);
    TRY(file_out_finish(&file));
    TRY(file_out_commit(&file, 1));
done:
    file_out_discard(&file);
    text_free(&all);
    return st;
}

static status fail_devices(const check_options *q, int n_failed, int n, const device_info *first)
{
    if (n == 1)
        fail(ERR_DEVICE, "device %d (%s) failed its check", first->index, first->name);
    else
        fail(ERR_DEVICE, "%d of %d devices failed their checks, the first is device %d (%s)",
             n_failed, n, first->index, first->name);
    if (q->report)
        fail_hint("please send %s", q->report);
    else
        fail_hint("please report it: ditcl check --report FILE.json writes what to send");
    return ERR_DEVICE;
}

/* *first, *n = the range of devices that the options select. */
static status choose_devices(const check_options *q, const device_list *list, int *first, int *n)
{
    const char *selector = q->on.selector ? q->on.selector : getenv("DITCL_DEVICE");
    *first = 0;
    *n = list->n;
    if (q->all && list->n) return OK;
    status st = device_choose(first, list, q->all ? NULL : selector);
    *n = 1;
    if (st == ERR_USAGE)
        fail_in(st, q->on.selector ? "--device %.200s" : "DITCL_DEVICE=%.200s", selector);
    return st;
}

static status check_devices(const check_options *q)
{
    device_list list = {0};
    report r = {0};
    const device_info *first_failed = NULL;
    int first, n, n_failed = 0;
    status st = OK;
    TRY(environment_check());
    if (q->report) TRY(output_check_one(q->report, false));
    TRY(device_list_init(&list));
    TRY(choose_devices(q, &list, &first, &n));
    TRY(report_begin(&r, &list));
    for (int i = first; i < first + n; i++) {
        bool failed;
        TRY(check_in_child(&r, q, &list.items[i], &failed));
        if (failed && !n_failed++) first_failed = &list.items[i];
    }
    if (q->report) TRY(write_report(&r, q->report));
    if (q->report && q->json) event_name("wrote", "path", q->report);
    if (q->report && !q->json) printf("%s is the report\n", TEXT_SHOWN(q->report));
    if (n_failed) st = fail_devices(q, n_failed, n, first_failed);
done:
    report_free(&r);
    device_list_free(&list);
    return st;
}

/* ---- the commands ---- */

static status check_words(const check_options *q)
{
    const optest *t;
    status st = OK;
    if (q->report && !ends_in(q->report, ".json") && !ends_in(q->report, ".html"))
        return fail(ERR_USAGE, "--report %s: expected a name that ends in .json or .html",
                    q->report);
    if (q->all && q->on.selector)
        return fail(ERR_USAGE, "--device %s: cannot be combined with --all", q->on.selector);
    for (int i = 0; i < q->operators.n && st == OK; i++)
        st = optest_find(&t, q->operators.items[i]);
    return st;
}

static const char details[] = "Examples:\n"
                              "  ditcl check gemm attention --device gpu\n"
                              "  ditcl check --all --report devices.json\n";

static const char more[] =
    "With --report or --all a process of its own examines each device, so a driver that\n"
    "crashes or hangs ends only that process. A report has what the driver says of the\n"
    "device; which features work; the configuration, build time and largest error of each\n"
    "kernel; whether two runs of a network agree; peaks; forward passes of DiT-S/2, B/2\n"
    "and XL/2; and the largest buffer. Host names, user names and paths are left out.\n";

status cli_check(int argc, char **argv)
{
    check_options q = defaults;
    bool helped;
    const option options[] = {
        OPTION_HEADING("Checks"),
        {"seed", 's', OPTION_INT, &q.seed, "S", "random seed of the inputs [1]", 0, 2147483647,
         NULL},
        {"quick", 0, OPTION_FLAG, &q.quick, NULL, "small shapes only and no measurements", 0, 0,
         NULL},
        {"all", 0, OPTION_FLAG, &q.all, NULL, "check every device, one after the other", 0, 0,
         NULL},
        OPTION_HEADING("Report"),
        {"report", 0, OPTION_TEXT, &q.report, "FILE",
         "also measure; write a report: .json or .html", 0, 0, NULL},
        {"model-seconds", 0, OPTION_INT, &q.model_seconds, "T",
         "omit models that would take more than T seconds [120]", 0, 100000, NULL},
        {"silence", 0, OPTION_INT, &q.silence, "T",
         "stop a device after T seconds without progress [600]\n"
         "Applies with --report or --all.",
         1, 1000000, NULL},
        {"verify-report", 0, OPTION_TEXT, &q.verify, "FILE",
         "only verify that a report was not changed", 0, 0, NULL},
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q.on),
        OPTION_HEADING("Output"),
        OPTION_EVENTS(&q.json),
        {0},
    };
    const command c = {
        .name = "check",
        .arguments = "[OPERATOR...] [--device SEL | --all] [--report FILE]",
        .summary = "Compares the device's kernels with references in double precision: fresh "
                   "random inputs, poisoned outputs, odd sizes. OPERATOR: gemm, attention, conv, "
                   "...; without one, all are checked.",
        .details = details,
        .more = more,
        .options = options,
        .rest = true,
        .extra = &q.operators,
    };
    status st = OK;
    TRY(options_parse(&c, argc, argv, &helped));
    if (helped) goto done;
    q.on.no_cache = true; /* the compiler is checked too */
    TRY(check_words(&q));
    if (q.json && q.verify)
        TRY(fail(ERR_USAGE, "--json: does not go with --verify-report, which checks no kernels"));
    if (q.json) events_start();
    if (q.verify) TRY(report_verify(q.verify));
    if (q.verify)
        printf("%s is as it was written\n", TEXT_SHOWN(q.verify));
    else
        TRY(q.report || q.all ? check_devices(&q) : check_here(&q));
done:
    text_list_free(&q.operators);
    return events_finish(st);
}

/* The child: reports one device. First come the facts that need no open device. */
static status examine(FILE *to, const check_options *q)
{
    const report_request request = {(const char *const *)q->operators.items,
                                    q->operators.n,
                                    (unsigned)q->seed,
                                    q->quick,
                                    q->whole,
                                    q->model_seconds};
    device_list list = {0};
    device d = {0};
    int index = 0;
    status st = OK;
    TRY(device_list_init(&list));
    TRY(device_choose(&index, &list, q->on.selector));
    if (q->whole) TRY(report_send_info(to, &list.items[index]));
    TRY(cli_open_device(&d, &q->on, true));
    TRY(report_send_device(to, &d, &request));
done:
    device_close(&d);
    device_list_free(&list);
    return st;
}

status cli_report_worker(int argc, char **argv)
{
    check_options q = defaults;
    bool helped;
    FILE *replies = NULL;
    const option options[] = {
        {"seed", 0, OPTION_INT, &q.seed, "S", "", 0, 2147483647, NULL},
        {"operators", 0, OPTION_LIST, &q.operators, "LIST", "", 0, 0, NULL},
        {"quick", 0, OPTION_FLAG, &q.quick, NULL, "", 0, 0, NULL},
        {"whole", 0, OPTION_FLAG, &q.whole, NULL, "", 0, 0, NULL},
        {"model-seconds", 0, OPTION_INT, &q.model_seconds, "T", "", 0, 100000, NULL},
        OPTIONS_DEVICE(&q.on),
        {0},
    };
    const command c = {.name = "report-worker",
                       .arguments = "",
                       .summary = "A child of check.",
                       .options = options};
    status st = OK;
    TRY(options_parse(&c, argc, argv, &helped));
    replies = helped ? NULL : fdopen(WORKER_REPLIES, "w");
    if (!replies) TRY(fail(ERR_USAGE, "report-worker: only ditcl check starts it"));
    q.on.no_cache = true;
    q.on.bare = q.on.unprobed =
        true; /* report_send_device probes features, and uses no stored configurations */
    st = examine(replies, &q);
    if (st != OK) report_send_failure(replies);
done:
    if (replies) fclose(replies);
    text_list_free(&q.operators);
    return st;
}
