/* The parent's side of first-use checks. See checker.h. */
#include "check/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/worker.h"
#include "check/verdicts.h"
#include "device/clblast.h"
#include "device/probe.h"
#include "device/source.h"
#include "ops/first_use.h"
#include "ops/impl.h"

/* MOST_STRUCK: configurations of an implementation at one shape that may be struck out.
 * MOST_DEATHS: children that an implementation may end. Beyond them the implementation is struck
 * out as a whole. */
enum { MOST_STRUCK = 4, MOST_DEATHS = 2 };

enum { CHILD_WORDS = 12 };

typedef struct {
    first_use_checks face; /* must be first, since it is cast to checker */
    checker_level level;
    void (*say)(const char *line);  /* may be null */
    const char *words[CHILD_WORDS]; /* the command line of a child */
    char index[16], limit[16];
    verdicts known;
    worker child;
    bool ready;       /* the child has the features and replies */
    bool used;        /* the child has had a request since it started */
    char clblast[32]; /* the CLBlast implementation that the child has used; it can use only one */
    bool begun;
    int n_checked, n_struck;
    double started;
    /* how many verdicts of `known` are not `right`; if 0, a lookup of struck configurations ends
     * at once */
    int n_struck_known;
} checker;

static checker *checker_of(first_use_checks *c)
{
    return (checker *)(void *)c;
}

/* ---- keys ---- */

/* A hash of the device, its driver, this version, CLBlast's, all kernels, and what overrides the
 * device's features. */
static status hash_device(hash128 *out, const device_info *info)
{
    const char *claims = getenv("DITCL_FEATURES");
    const char *const parts[] = {
        "ditcl " DITCL_VERSION, info->platform, info->vendor,    info->name,
        info->driver,           info->version,  clblast_version, claims ? claims : ""};
    char *source = NULL;
    hash_work w;
    hash_start(&w);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) hash_add_text(&w, parts[i]);
    for (const embedded_file *f = embedded_files; f->name; f++) {
        status st = source_read(&source, f->name);
        if (st == ERR_MEMORY) return st;
        if (st == OK)
            hash_add_text(&w, source);
        else
            fail_clear(); /* a folder of edited kernels may lack the file */
        free(source);
    }
    *out = hash_end(&w);
    return OK;
}

static void add_number(hash_work *w, int number)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%d", number);
    hash_add_text(w, digits);
}

/* use -1: for any fused operations. */
static hash128 checker_key(const device *d, const first_use *what, int use)
{
    hash_work w;
    hash_start(&w);
    add_number(&w, (int)d->family);
    add_number(&w, (int)d->settings.precision);
    add_number(&w, d->subgroups.size);
    for (int i = 0; i < N_FEATURES; i++) add_number(&w, d->feature[i]);
    hash_add_text(&w, what->op);
    hash_add_text(&w, what->impl ? what->impl->name : "");
    for (int i = 0; what->impl && i < what->impl->n; i++) add_number(&w, what->config[i]);
    for (int i = 0; i < SHAPE_SIZES; i++) add_number(&w, what->shape[i]);
    add_number(&w, use);
    return hash_end(&w);
}

static hash128 key_of_text(const device *d, const char *what)
{
    hash_work w;
    hash_start(&w);
    add_number(&w, (int)d->family);
    add_number(&w, (int)d->settings.precision);
    hash_add_text(&w, what);
    return hash_end(&w);
}

/* Writes the prefix of the verdicts on this implementation, such as "gpu auto gemm gpu_mma ".
 * Returns its length. */
static int describe_implementation(char *out, size_t size, const device *d, const first_use *what)
{
    return snprintf(out, size, "%s %s %s %s ", kernel_family_names[d->family],
                    precision_names[d->settings.precision], what->op,
                    what->impl ? what->impl->name : "-");
}

/* "gpu auto gemm gpu_mma 512x3456x1152 MT=64 NT=64" */
static void describe_use(char *out, size_t size, const device *d, const first_use *what)
{
    char sizes[SHAPE_TEXT], words[CONFIG_OPTIONS] = "";
    shape_text(sizes, what->shape);
    if (what->impl) configuration_words(words, what->impl, what->config);
    int n = describe_implementation(out, size, d, what);
    snprintf(out + n, size - (size_t)n, "%s%s", sizes, words);
}

/* ---- verdicts ---- */

static void count_struck(checker *c)
{
    c->n_struck_known = 0;
    for (size_t i = 0; i < c->known.n; i++)
        c->n_struck_known += c->known.items[i].kind != VERDICT_RIGHT;
}

static status remember(checker *c, verdict_kind kind, hash128 key, const char *words)
{
    status st = verdicts_add(&c->known, kind, key, words);
    count_struck(c);
    return st;
}

typedef struct {
    int right, struck, died;
} counts;

/* Counts the verdicts with this prefix. */
static counts count(const checker *c, const char *start)
{
    counts n = {0};
    size_t length = strlen(start);
    for (size_t i = 0; i < c->known.n; i++) {
        const verdict *v = &c->known.items[i];
        if (strncmp(v->text, start, length) != 0) continue;
        n.right += v->kind == VERDICT_RIGHT;
        n.struck += v->kind != VERDICT_RIGHT;
        n.died += v->kind == VERDICT_DIED;
    }
    return n;
}

/* True if an implementation is given up for all shapes. start: from describe_implementation. */
static bool implementation_given_up(const checker *c, const char *start)
{
    counts n = count(c, start);
    return n.died >= MOST_DEATHS || (n.struck >= 3 * MOST_STRUCK && !n.right);
}

/* True if an implementation is given up for this shape. */
static bool given_up(const checker *c, const device *d, const first_use *what)
{
    char start[160], sizes[SHAPE_TEXT];
    int n = describe_implementation(start, sizeof start, d, what);
    if (implementation_given_up(c, start)) return true;
    shape_text(sizes, what->shape);
    snprintf(start + n, sizeof start - (size_t)n, "%s ", sizes);
    return count(c, start).struck >= MOST_STRUCK;
}

/* Stores the reason of the latest verdict that struck this implementation out. */
static void recall_why(checker *c, const device *d, const first_use *what)
{
    char start[160];
    int n = describe_implementation(start, sizeof start, d, what);
    for (size_t i = c->known.n; i > 0; i--) {
        const verdict *v = &c->known.items[i - 1];
        const char *why = strstr(v->text, ": ");
        if (v->kind == VERDICT_RIGHT || strncmp(v->text, start, (size_t)n) != 0 || !why) continue;
        text_copy(c->face.why, sizeof c->face.why, why + 2);
        return;
    }
}

static bool struck(first_use_checks *face, const device *d, const first_use *what)
{
    checker *c = checker_of(face);
    if (!c->n_struck_known) return false;
    const verdict *v = verdicts_find(&c->known, checker_key(d, what, -1));
    if (!(v && v->kind != VERDICT_RIGHT) && !given_up(c, d, what)) return false;
    recall_why(c, d, what);
    return true;
}

/* ---- the child ---- */

static double limit(void)
{
    const char *given = getenv("DITCL_CHECK_SECONDS");
    double seconds;
    return given && text_to_double(given, &seconds) && seconds > 0 ? seconds : CHECKER_SECONDS;
}

static void stop_child(checker *c)
{
    worker_stop(&c->child);
    c->ready = false;
    *c->clblast = 0;
}

/* Says why a child did not reply. */
static void describe_end(char *out, size_t size, worker_answer how)
{
    if (how == WORKER_HUNG)
        snprintf(out, size, "it did not answer within %g seconds (DITCL_CHECK_SECONDS)", limit());
    else
        snprintf(out, size, "it ended the process that tried it");
}

/* Starts the child unless it runs, and sends the known features. */
static status start_child(checker *c, const device *d)
{
    char line[WORKER_LINE];
    status st = OK;
    if (c->ready) return OK;
    stop_child(c);
    TRY(worker_start(&c->child, c->words));
    worker_answer answer = worker_hear(&c->child, line, limit());
    if (answer != WORKER_SAID || strcmp(line, "ready") != 0) {
        fail(ERR_DEVICE, "the process that checks kernels could not open the device: %s",
             answer == WORKER_SAID   ? line
             : answer == WORKER_HUNG ? "it does not reply"
                                     : "it ended");
        fail_hint("DITCL_FIRST_USE=off checks nothing; a GPU must let two processes use it");
        TRY(ERR_DEVICE);
    }
    for (int i = 0; i < N_FEATURES; i++)
        if (d->feature[i])
            worker_say(&c->child, "feature %s %d %d", feature_name((feature_id)i),
                       d->subgroups.size, d->subgroups.required);
    c->ready = true;
    c->used = false;
done:
    if (st != OK) stop_child(c);
    return st;
}

/* Sends the configurations and implementations that are struck out. The tiny network has other
 * shapes, but must not use them either. */
static void send_struck(checker *c, const device *d)
{
    char family[64];
    int n = snprintf(family, sizeof family, "%s %s ", kernel_family_names[d->family],
                     precision_names[d->settings.precision]);
    for (size_t i = 0; i < c->known.n; i++) {
        char words[VERDICT_TEXT], op[32], implementation[32], start[160];
        const verdict *v = &c->known.items[i];
        const char *why = strstr(v->text, ": ");
        int used = 0;
        if (v->kind == VERDICT_RIGHT || strncmp(v->text, family, (size_t)n) != 0 || !why) continue;
        snprintf(words, sizeof words, "%.*s", (int)(why - v->text) - n, v->text + n);
        if (sscanf(words, "%31s %31s %*s%n", op, implementation, &used) != 2 || !used ||
            *implementation == '-')
            continue;
        snprintf(start, sizeof start, "%s%s %s ", family, op, implementation);
        worker_say(&c->child, "avoid %s %s%.300s", op, implementation,
                   implementation_given_up(c, start) ? "" : words + used);
    }
}

/* Sends a line and reads the child's reply. A child that died or hung is removed, and `why` says
 * so. */
static worker_answer ask_once(checker *c, const char *line, char answer[WORKER_LINE])
{
    worker_answer how = WORKER_DIED;
    if (worker_say(&c->child, "%s", line)) how = worker_hear(&c->child, answer, limit());
    if (how == WORKER_SAID && strncmp(answer, "lost ", 5) != 0) return how;
    if (how == WORKER_SAID) { /* after this reply the child ends */
        memmove(answer, answer + 5, strlen(answer + 5) + 1);
        how = WORKER_DIED;
    } else {
        describe_end(answer, WORKER_LINE, how);
    }
    stop_child(c);
    return how;
}

/* If a used child dies or hangs, an earlier request or other load on the machine may be the
 * cause. So a new child gets the request once more. twice: a new child gets it even if the first
 * child was unused. */
static worker_answer checker_ask(checker *c, const device *d, const char *line, bool twice,
                                 char answer[WORKER_LINE])
{
    bool used = c->used;
    c->used = true;
    worker_answer how = ask_once(c, line, answer);
    bool cannot = how == WORKER_SAID && !strncmp(answer, "cannot ", 7);
    if ((how != WORKER_DIED && !cannot) || !(used || twice)) return how;
    if (start_child(c, d) != OK) {
        fail_clear();
        return how;
    }
    if (!strcmp(line, "network")) send_struck(c, d);
    c->used = true;
    return ask_once(c, line, answer);
}

static void say_start(checker *c)
{
    if (c->begun) return;
    c->begun = true;
    c->started = clock_seconds();
    if (c->say) c->say("checking once, in a process of its own, that this device computes right");
}

/* ---- features ---- */

/* Reads "subgroups 16 1". */
static void take_feature(device *d, feature_id which, const char *words)
{
    int size = 0, required = 0;
    d->feature[which] = true;
    if (which != FEATURE_SUBGROUPS || sscanf(words, "%*s %d %d", &size, &required) != 2) return;
    d->subgroups.size = size;
    d->subgroups.required = required;
}

static status probe_one(checker *c, device *d, feature_id which)
{
    char line[WORKER_LINE], answer[WORKER_LINE], words[VERDICT_TEXT];
    snprintf(line, sizeof line, "probe %s", feature_name(which));
    hash128 key = key_of_text(d, line);
    const verdict *v = verdicts_find(&c->known, key);
    status st = OK;
    d->feature[which] = false;
    if (v) {
        if (v->kind == VERDICT_RIGHT) take_feature(d, which, v->text + strlen("probe "));
        if (c->ready && d->feature[which])
            worker_say(&c->child, "feature %s %d %d", feature_name(which), d->subgroups.size,
                       d->subgroups.required);
        return OK;
    }
    TRY(start_child(c, d));
    worker_answer how = checker_ask(c, d, line, false, answer);
    if (how == WORKER_SAID && !strncmp(answer, "cannot ", 7))
        TRY(fail(ERR_RESOURCES, "%s: %s", line, answer + 7));
    if (how == WORKER_SAID && !strncmp(answer, "yes ", 4)) {
        snprintf(words, sizeof words, "%.60s %.20s", line, answer + 4);
        take_feature(d, which, words + strlen("probe "));
        return remember(c, VERDICT_RIGHT, key, words);
    }
    snprintf(words, sizeof words, "%.60s: %.200s", line,
             how == WORKER_SAID && strchr(answer, ' ') ? strchr(answer, ' ') + 1 : answer);
    if (d->settings.note) d->settings.note(words);
    st = remember(c, how == WORKER_SAID ? VERDICT_STRUCK : VERDICT_DIED, key, words);
done:
    return st;
}

/* Probes the features one after the other. The child gets those that were probed before. */
static status checker_probe(checker *c, device *d)
{
    feature_id all[N_FEATURES];
    int n = probe_list(all, d);
    status st = OK;
    for (int i = 0; i < n; i++) d->feature[all[i]] = false;
    for (int i = 0; i < n && st == OK; i++) st = probe_one(c, d, all[i]);
    if (c->level != CHECK_ALL) stop_child(c);
    return st;
}

/* ---- operators ---- */

/* CLBlast has one set of parameters per process: its own, or overridden ones. So a child that used
 * CLBlast with other parameters is replaced. */
static void replace_clblast_child(checker *c, const first_use *what)
{
    if (!what->impl || strncmp(what->impl->name, "clblast", 7) != 0) return;
    if (*c->clblast && strcmp(c->clblast, what->impl->name) != 0) stop_child(c);
}

static void request_line(char line[WORKER_LINE], const first_use *what)
{
    char sizes[SHAPE_TEXT], words[CANDIDATE_TEXT] = "";
    shape_text(sizes, what->shape);
    if (what->impl) {
        const candidate c = candidate_of(what->impl, what->config);
        candidate_text(words, &c);
    }
    snprintf(line, WORKER_LINE, "check %s %s %u %s", what->op, sizes, what->use, words);
}

/* Strikes out a configuration for this run and later ones. */
static status strike_out(checker *c, device *d, const first_use *what, const char *why,
                         verdict_kind how)
{
    char words[VERDICT_TEXT], line[VERDICT_TEXT + 80], prefix[160];
    describe_use(words, sizeof words - 160, d, what);
    size_t n = strlen(words);
    snprintf(words + n, sizeof words - n, ": %.150s", why);
    text_copy(c->face.why, sizeof c->face.why, why);
    if (what->impl) {
        describe_implementation(prefix, sizeof prefix, d, what);
        bool first = !count(c, prefix).struck; /* warn once for each implementation */
        void (*tell)(const char *) = first ? d->settings.warn : d->settings.note;
        snprintf(line, sizeof line, "not used on this device: %s", words);
        if (tell) tell(line);
    }
    c->n_struck++;
    return remember(c, how, checker_key(d, what, what->impl ? -1 : (int)what->use), words);
}

static status strike(first_use_checks *face, device *d, const first_use *what, const char *why,
                     bool died)
{
    return strike_out(checker_of(face), d, what, why, died ? VERDICT_DIED : VERDICT_STRUCK);
}

/* Applies the child's reply. */
static status strike_by(checker *c, device *d, const first_use *what, const char *answer,
                        worker_answer how)
{
    bool said = how == WORKER_SAID;
    const char *why = said ? answer + strcspn(answer, " ") : answer;
    while (*why == ' ') why++;
    return strike_out(c, d, what, why, said ? VERDICT_STRUCK : VERDICT_DIED);
}

static status checker_check(first_use_checks *face, device *d, const first_use *what, bool *right)
{
    checker *c = checker_of(face);
    char line[WORKER_LINE], answer[WORKER_LINE], words[VERDICT_TEXT];
    hash128 key = checker_key(d, what, (int)what->use);
    const verdict *v = verdicts_find(&c->known, key);
    status st = OK;
    *right = v ? v->kind == VERDICT_RIGHT : c->level != CHECK_ALL;
    if (v && !*right) {
        const char *why = strstr(v->text, ": ");
        text_copy(c->face.why, sizeof c->face.why, why ? why + 2 : v->text);
    }
    if (v || *right) return OK;
    say_start(c);
    c->n_checked++;
    replace_clblast_child(c, what);
    TRY(start_child(c, d));
    if (what->impl && !strncmp(what->impl->name, "clblast", 7))
        text_copy(c->clblast, sizeof c->clblast, what->impl->name);
    request_line(line, what);
    worker_answer how = checker_ask(c, d, line, false, answer);
    *right = how == WORKER_SAID && !strcmp(answer, "right");
    if (how == WORKER_SAID && !strncmp(answer, "cannot ", 7)) {
        describe_use(words, sizeof words, d, what);
        fail(ERR_RESOURCES, "%s: no memory for its check beside the loaded model: %.200s", words,
             answer + 7);
        fail_hint("try fewer pictures at once (--batch 1); DITCL_FIRST_USE=off checks nothing");
        TRY(ERR_RESOURCES);
    }
    if (!*right) return strike_by(c, d, what, answer, how);
    describe_use(words, sizeof words, d, what);
    st = remember(c, VERDICT_RIGHT, key, words);
done:
    return st;
}

/* ---- open and finish ---- */

static status check_network(checker *c, device *d)
{
    char answer[WORKER_LINE], words[VERDICT_TEXT];
    hash128 key = key_of_text(d, "network");
    const verdict *v = verdicts_find(&c->known, key);
    status st = OK;
    if (v && v->kind == VERDICT_RIGHT) return OK;
    if (!v) {
        say_start(c);
        TRY(start_child(c, d));
        send_struck(c, d);
        worker_answer how = checker_ask(c, d, "network", true, answer);
        bool right = how == WORKER_SAID && !strncmp(answer, "right ", 6);
        if (how == WORKER_SAID && !strncmp(answer, "absent ", 7)) {
            snprintf(words, sizeof words, "not all kernels could be checked: %.250s", answer + 7);
            if (d->settings.warn) d->settings.warn(words);
            goto done;
        }
        if (how == WORKER_SAID && !strncmp(answer, "cannot ", 7))
            TRY(fail(ERR_RESOURCES, "the tiny network cannot be drawn: %s", answer + 7));
        snprintf(words, sizeof words, "network%s%.250s", right ? " " : ": ",
                 right                ? answer + 6
                 : how == WORKER_SAID ? answer + strcspn(answer, " ") + 1
                                      : answer);
        TRY(remember(c,
                     right                ? VERDICT_RIGHT
                     : how == WORKER_SAID ? VERDICT_STRUCK
                                          : VERDICT_DIED,
                     key, words));
        v = verdicts_find(&c->known, key);
        if (right) goto done;
    }
    st = fail(ERR_DEVICE, "device %d (%s) draws a tiny network wrong: %s", d->info.index,
              d->info.name, v->text + strlen("network: "));
    fail_hint("ditcl check --device %d says which kernel; please report the device: ditcl check "
              "--report FILE.json. After a change, ditcl tune --forget has it tried again",
              d->info.index);
done:
    return st;
}

static void say_end(const checker *c, const device *d)
{
    char line[200];
    const verdict *v = verdicts_find(&c->known, key_of_text(d, "network"));
    if (!c->begun || !c->say) return;
    int n = snprintf(line, sizeof line, "checked %d kernels in %.1f s: %d cannot be used",
                     c->n_checked, clock_seconds() - c->started, c->n_struck);
    if (v)
        snprintf(line + n, sizeof line - (size_t)n,
                 "; a tiny network is drawn as PyTorch draws it (relative error%.20s)",
                 v->text + strcspn(v->text, " "));
    c->say(line);
}

/* Runs a tiny network, unless it has a verdict, to check the kernels that all runs share. Then ends
 * the child. */
static status finish(first_use_checks *face, device *d)
{
    checker *c = checker_of(face);
    if (c->level != CHECK_ALL) return OK;
    status st = check_network(c, d);
    if (st == OK) say_end(c, d);
    stop_child(c);
    c->begun = false;
    c->n_checked = c->n_struck = 0;
    return st;
}

static void checker_close(first_use_checks *face)
{
    checker *c = checker_of(face);
    stop_child(c);
    verdicts_close(&c->known);
    free(c);
}

status checker_open(device *d, checker_level level, void (*say)(const char *line))
{
    checker *c = NULL;
    const char *edited = getenv("DITCL_CL_DIR");
    const device_settings *settings = &d->settings;
    hash128 key;
    status st = OK;
    TRY(memory_alloc(&c, 1, sizeof *c));
    c->face = (first_use_checks){.check = checker_check,
                                 .strike = strike,
                                 .struck = struck,
                                 .finish = finish,
                                 .close = checker_close};
    c->level = level;
    c->say = say;
    snprintf(c->index, sizeof c->index, "%d", d->info.index);
    snprintf(c->limit, sizeof c->limit, "%d",
             settings->max_launch_ms < 0 ? 0 : settings->max_launch_ms);
    const char *words[CHILD_WORDS] = {"check-worker",
                                      "--device",
                                      c->index,
                                      "--kernels",
                                      kernel_family_names[settings->family],
                                      "--precision",
                                      precision_names[settings->precision]};
    int n = 7;
    if (settings->no_cache) words[n++] = "--no-cache";
    if (settings->max_launch_ms) words[n++] = "--max-launch-ms", words[n++] = c->limit;
    memcpy(c->words, words, sizeof words);
    TRY(hash_device(&key, &d->info));
    TRY(verdicts_open(&c->known, key));
    c->known.kept = !settings->no_cache && !(edited && *edited);
    count_struck(c);
    TRY(checker_probe(c, d));
    if (level == CHECK_FEATURES) goto done;
    TRY(first_use_set(d, &c->face));
    return OK;
done:
    if (c) checker_close(&c->face);
    return st == OK ? OK : fail_in(st, "device %d (%s)", d->info.index, d->info.name);
}
