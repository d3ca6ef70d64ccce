/* The parent: assembles the messages of the children. See report.h and send.h. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "base/worker.h"
#include "device/properties.h"
#include "report/send.h"

enum { FORMAT = 1 }; /* the version of the report's format */

/* ---- the head ---- */

static void put_date(json_build *b, json_t *in)
{
    char date[40] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts)) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_put_text(b, in, "date", date);
}

/* The line of os-release(5) that names the distribution, without its quotes; "" if there is
 * none. */
static void distribution(char *out, size_t size)
{
    char line[256];
    FILE *f = fopen("/etc/os-release", "r");
    *out = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "PRETTY_NAME=", 12) != 0) continue;
        char *value = line + 12 + (line[12] == '"');
        value[strcspn(value, "\"\n")] = 0;
        text_copy(out, size, value);
    }
    if (f) fclose(f);
}

static void put_system(json_build *b, json_t *in)
{
    struct utsname u;
    char words[256];
    json_t *all = json_put_object(b, in, "system");
    distribution(words, sizeof words);
    report_put(b, all, "os", words);
    if (uname(&u) == 0) { /* all but the host's name */
        report_put(b, all, "kernel", u.sysname);
        report_put(b, all, "kernel_version", u.release);
        report_put(b, all, "machine", u.machine);
    }
    properties_loader(words, sizeof words);
    if (*words)
        report_put(b, all, "icd_loader", words);
    else
        json_put_null(b, all, "icd_loader");
}

static void put_empty_platforms(json_build *b, json_t *in, const device_list *list)
{
    json_t *all = json_put_array(b, in, "platforms_without_device");
    for (int i = 0; i < list->n_empty; i++) {
        json_t *row = json_put_object(b, all, NULL);
        report_put(b, row, "platform", list->empty[i].name);
        report_put(b, row, list->empty[i].failed ? "failure" : "advice", list->empty[i].advice);
    }
}

status report_begin(report *r, const device_list *list)
{
    r->root = json_build_begin(&r->b);
    json_put_int(&r->b, r->root, "ditcl_report", FORMAT);
    put_date(&r->b, r->root);
    json_put_text(&r->b, r->root, "version", DITCL_VERSION);
    if (*version_commit)
        json_put_text(&r->b, r->root, "commit", version_commit);
    else
        json_put_null(&r->b, r->root, "commit");
    put_system(&r->b, r->root);
    put_empty_platforms(&r->b, r->root, list);
    r->devices = json_put_array(&r->b, r->root, "devices");
    return r->b.st == OK ? OK : fail(r->b.st, "%s", r->b.line);
}

/* ---- a device ---- */

/* The messages of a child so far. object: the device. arrays: arrays in object, by name. */
enum { N_ARRAYS = 3 };
static const char *const array_names[N_ARRAYS] = {"checks", "models", "skipped"};
static const char *const value_names[] = {"properties", "settings",     "features",       "network",
                                          "peaks",      "convolutions", "largest_buffer", NULL};
typedef struct {
    json_build *b;
    json_t *object, *arrays[N_ARRAYS];
    text message; /* the pieces of the current message */
    char during[80];
    bool done;
    report_outcome *outcome;
} receiver;

static void begin_device(receiver *h, json_t *devices, const device_info *info)
{
    static const char *const kinds[] = {"cpu", "gpu", "accelerator"};
    json_build *b = h->b;
    h->object = json_put_object(b, devices, NULL);
    json_put_text(b, h->object, "id", info->id);
    report_put(b, h->object, "name", info->name);
    report_put(b, h->object, "platform", info->platform);
    report_put(b, h->object, "vendor", info->vendor);
    report_put(b, h->object, "driver", info->driver);
    report_put(b, h->object, "version", info->version);
    json_put_text(b, h->object, "type", kinds[info->kind]);
    json_put_bool(b, h->object, "passed", false);
    json_put_null(b, h->object, "ended");
    for (int i = 0; value_names[i]; i++) json_put_null(b, h->object, value_names[i]);
    for (int i = 0; i < N_ARRAYS; i++) h->arrays[i] = json_put_array(b, h->object, array_names[i]);
}

/* Adds "KEY JSON" to the device's object, or to one of its arrays. */
static void put_part(receiver *h, char *words, bool item)
{
    char *json = words + strcspn(words, " ");
    if (*json) *json++ = 0;
    for (int i = 0; item && i < N_ARRAYS; i++)
        if (!strcmp(words, array_names[i])) json_put_json(h->b, h->arrays[i], NULL, json);
    for (int i = 0; !item && value_names[i]; i++)
        if (!strcmp(words, value_names[i])) json_put_json(h->b, h->object, words, json);
}

static void take_message(receiver *h, char *message)
{
    char *words = message + strcspn(message, " ");
    if (*words) *words++ = 0;
    if (!strcmp(message, "during"))
        text_copy(h->during, sizeof h->during, words);
    else if (!strcmp(message, "value"))
        put_part(h, words, false);
    else if (!strcmp(message, "item"))
        put_part(h, words, true);
    else if (!strcmp(message, "failed"))
        text_copy(h->outcome->why, sizeof h->outcome->why, words);
    else if (!strcmp(message, "done"))
        h->done = sscanf(words, "%d %d", &h->outcome->cases, &h->outcome->failed) == 2;
}

static status receive_line(receiver *h, const char *line, void (*tell)(const char *line))
{
    status st = OK;
    if (*line != MESSAGE_PART && *line != MESSAGE_END) {
        tell(line);
        return OK;
    }
    st = text_append(&h->message, "%s", line + 1);
    if (st != OK || *line == MESSAGE_PART) return st;
    take_message(h, h->message.data);
    text_free(&h->message);
    return OK;
}

/* Describes how the child ended. The caller waits for the child. */
static void describe_end(char *out, size_t size, const worker *w, worker_answer last,
                         double silence)
{
    siginfo_t info = {0};
    if (last == WORKER_HUNG) {
        snprintf(out, size, "said nothing for %.0f s", silence);
        return;
    }
    if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOWAIT) != 0)
        snprintf(out, size, "ended");
    else if (info.si_code == CLD_EXITED)
        snprintf(out, size, "ended with exit code %d", info.si_status);
    else
        snprintf(out, size, "ended by signal %d (%s)", info.si_status, strsignal(info.si_status));
}

static void put_end(receiver *h, const char *how)
{
    report_outcome *o = h->outcome;
    o->ended = true;
    json_t *all = json_put_object(h->b, h->object, "ended");
    json_put_text(h->b, all, "during", h->during);
    json_put_text(h->b, all, "how", how);
    if (*o->why)
        report_put(h->b, all, "message", o->why);
    else
        snprintf(o->why, sizeof o->why, "%s: %s", h->during, how);
}

status report_add(report *r, const device_info *info, const char *const *args, double silence,
                  void (*tell)(const char *line), report_outcome *o)
{
    char line[WORKER_LINE], how[120];
    worker w = {0};
    worker_answer answer;
    receiver h = {.b = &r->b, .outcome = o, .during = "starting"};
    status st = OK;
    *o = (report_outcome){0};
    begin_device(&h, r->devices, info);
    TRY(worker_start(&w, args));
    while ((answer = worker_hear(&w, line, silence)) == WORKER_SAID)
        TRY(receive_line(&h, line, tell));
    if (!h.done) {
        describe_end(how, sizeof how, &w, answer, silence);
        put_end(&h, how);
    }
    json_put_bool(&r->b, h.object, "passed", !o->ended && !o->failed);
done:
    worker_stop(&w);
    text_free(&h.message);
    if (st == OK && r->b.st != OK) st = fail(r->b.st, "%s", r->b.line);
    return st;
}

/* ---- the seal ---- */

/* out = the hash of a report that has no hash yet: the hash of its compact text, with sorted keys
 * and reals of six digits. */
static status hash_of(char out[HASH_TEXT], json_build *b)
{
    text all = {0};
    status st = json_build_text(b, &all, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    if (st == OK) hash_text(out, hash_bytes(all.data, all.length));
    text_free(&all);
    return st;
}

status report_seal(report *r)
{
    char hash[HASH_TEXT];
    status st = hash_of(hash, &r->b);
    if (st == OK) json_put_text(&r->b, r->root, "hash", hash);
    return st;
}

status report_text(report *r, text *out)
{
    status st = json_build_text(&r->b, out, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    return st == OK ? text_append(out, "\n") : st;
}

void report_free(report *r)
{
    json_build_free(&r->b);
    *r = (report){0};
}

status report_verify(const char *path)
{
    enum { MOST = 1 << 24 };
    char *all = NULL, said[HASH_TEXT], found[HASH_TEXT];
    json_build b = {0};
    status st = OK;
    TRY(file_read_text(&all, path, MOST));
    TRY(json_build_read(&b, all, path, NULL));
    const char *hash = json_string_value(json_object_get(b.root, "hash"));
    if (!json_is_integer(json_object_get(b.root, "ditcl_report")) || !hash) {
        st = fail(ERR_FORMAT, "%s: is no report of ditcl check", path);
        goto done;
    }
    text_copy(said, sizeof said, hash);
    json_object_del(b.root, "hash");
    TRY(hash_of(found, &b));
    if (strcmp(said, found) != 0)
        st = fail(ERR_FORMAT, "%s: its hash is not that of its content: it was changed", path);
done:
    json_build_free(&b);
    free(all);
    return st;
}
