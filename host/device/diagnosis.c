/* See diagnosis.h. Everything is read from files and from the list of devices; nothing is changed.
 */
#include "device/diagnosis.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "device/driver_needs.h"

enum { PATH_BYTES = 4096, MOST_TEXT = 65536 };

static status add(diagnosis *g, bool good, const char *group, const char *subject)
{
    size_t capacity = (size_t)g->n;
    status st = memory_grow(&g->items, &capacity, capacity + 1, sizeof *g->items);
    if (st != OK) return st;
    g->items[g->n] = (finding){.good = good};
    text_copy(g->items[g->n].group, sizeof g->items->group, group);
    text_copy(g->items[g->n].subject, sizeof g->items->subject, subject);
    g->n++;
    return OK;
}

/* The finding that was added last. */
static finding *last(const diagnosis *g)
{
    return &g->items[g->n - 1];
}

/* ---- the distribution ---- */

/* The system's files are below this folder; tests have one of their own. */
static const char *system_folder(void)
{
    const char *named = getenv("DITCL_SYSTEM");
    return named ? named : "";
}

static const struct {
    const char *distribution, *install, *again, *owner;
} distributions[] = {
    {"debian", "apt install", "apt install --reinstall", "dpkg -S"},
    {"fedora", "dnf install", "dnf reinstall", "rpm -qf"},
    {"arch", "pacman -S", "pacman -S", "pacman -Qo"},
};
enum { N_DISTRIBUTIONS = sizeof distributions / sizeof *distributions };

/* Which of them this system is, or is like: ID and ID_LIKE of os-release(5). -1: none. */
static int distribution(void)
{
    char path[PATH_BYTES], *words = NULL;
    int found = -1;
    snprintf(path, sizeof path, "%s/etc/os-release", system_folder());
    if (file_read_text(&words, path, MOST_TEXT) != OK) {
        fail_clear();
        return -1;
    }
    for (char *save = words, *line; found < 0 && (line = strsep(&save, "\n"));)
        for (int i = 0; i < N_DISTRIBUTIONS && found < 0; i++)
            if (!strncmp(line, "ID", 2) && strstr(line, distributions[i].distribution)) found = i;
    free(words);
    return found;
}

/* fix = how to install the driver for `what`, which cl/devices names: cpu or pci=VENDOR. False if
 * no file has it. */
static bool install_fix(char fix[FINDING_TEXT], const char *what)
{
    int on = distribution();
    char package[CONF_PACKAGE];
    const char *name = on < 0 ? NULL : distributions[on].distribution;
    if (!conf_install(package, what, name)) return false;
    if (*package)
        snprintf(fix, FINDING_TEXT, "%s %s", distributions[on].install, package);
    else
        snprintf(fix, FINDING_TEXT, "install the vendor's OpenCL driver");
    return true;
}

/* ---- drivers ---- */

/* The first line of an .icd file names a library. */
static status add_driver(diagnosis *g, const char *path)
{
    char *library = NULL;
    int on = distribution();
    status st = add(g, false, "driver", path);
    if (st != OK) return st;
    if (file_read_text(&library, path, MOST_TEXT) != OK) {
        text_copy(last(g)->what, FINDING_TEXT, "cannot be read");
        fail_clear();
        return OK;
    }
    library[strcspn(library, "\r\n")] = 0;
    void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    last(g)->good = opened != NULL;
    if (opened) {
        snprintf(last(g)->what, FINDING_TEXT, "%.200s can be loaded", library);
        dlclose(opened);
    } else {
        snprintf(last(g)->what, FINDING_TEXT, "cannot be loaded: %s", dlerror());
        if (on < 0)
            snprintf(last(g)->fix, FINDING_TEXT, "install the driver again, or remove this file");
        else
            snprintf(last(g)->fix, FINDING_TEXT, "%s %s names its package: %s, or remove this file",
                     distributions[on].owner, path, distributions[on].again);
    }
    free(library);
    return OK;
}

static status look_at_drivers(diagnosis *g)
{
    char folder[PATH_BYTES], pattern[PATH_BYTES + 8], why[FINDING_TEXT];
    glob_t found = {0};
    status st = OK;
    driver_needs_vendors(folder, sizeof folder);
    snprintf(pattern, sizeof pattern, "%s/*.icd", folder);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && st == OK; i++)
            st = add_driver(g, found.gl_pathv[i]);
    } else {
        driver_needs_no_platform(why, sizeof why);
        st = add(g, false, "driver", folder);
        if (st == OK) text_copy(last(g)->what, FINDING_TEXT, why);
        if (st == OK) install_fix(last(g)->fix, "cpu");
    }
    globfree(&found);
    return st;
}

/* ---- platforms ---- */

static status look_at_platforms(diagnosis *g, const device_list *list)
{
    status st = OK;
    for (int i = 0; i < list->n && st == OK; i++) {
        const device_info *d = &list->items[i];
        if (i && d->platform_handle == list->items[i - 1].platform_handle) continue;
        int n = 0;
        for (int j = i; j < list->n; j++) n += list->items[j].platform_handle == d->platform_handle;
        st = add(g, true, "platform", d->platform);
        if (st == OK)
            snprintf(last(g)->what, FINDING_TEXT, "%d device%s, the first is %s", n,
                     n > 1 ? "s" : "", d->name);
    }
    for (int i = 0; i < list->n_empty && st == OK; i++) {
        const empty_platform *e = &list->empty[i];
        st = add(g, false, "platform", e->name);
        if (st != OK) break;
        snprintf(last(g)->what, FINDING_TEXT, "shows no device%s%s", e->failed ? ": " : "",
                 e->failed ? e->advice : "");
        if (!e->failed) text_copy(last(g)->fix, FINDING_TEXT, e->advice);
    }
    return st;
}

/* ---- GPUs ---- */

/* The hexadecimal number in a file of sysfs; -1: there is none. */
static long read_number(const char *folder, const char *name)
{
    char path[PATH_BYTES], *words = NULL;
    long number = -1;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path &&
        file_read_text(&words, path, MOST_TEXT) == OK)
        number = strtol(words, NULL, 16);
    fail_clear();
    free(words);
    return number;
}

/* Whether a GPU of this vendor is among the devices. */
static bool shown(const device_list *list, unsigned vendor)
{
    for (int i = 0; i < list->n; i++)
        if (list->items[i].kind == DEVICE_GPU && list->items[i].vendor_id == vendor) return true;
    return false;
}

/* GPUs are PCI devices of class 3, display controllers. Only vendors that cl/devices knows count:
 * others are the plain controllers of servers. */
static status look_at_gpus(diagnosis *g, const device_list *list)
{
    char pattern[PATH_BYTES], what[32], subject[FINDING_SUBJECT], fix[FINDING_TEXT];
    glob_t found = {0};
    status st = OK;
    snprintf(pattern, sizeof pattern, "%s/sys/bus/pci/devices/*", system_folder());
    if (glob(pattern, 0, NULL, &found) != 0) found.gl_pathc = 0;
    for (size_t i = 0; i < found.gl_pathc && st == OK; i++) {
        const char *folder = found.gl_pathv[i];
        long class = read_number(folder, "class"), vendor = read_number(folder, "vendor");
        if (class >> 16 != 3 || vendor < 0) continue;
        snprintf(what, sizeof what, "pci=%04lx", vendor);
        if (!install_fix(fix, what)) continue;
        snprintf(subject, sizeof subject, "%s (%04lx:%04lx)", file_last_part(folder), vendor,
                 read_number(folder, "device") & 0xffff);
        bool there = shown(list, (unsigned)vendor);
        st = add(g, there, "gpu", subject);
        if (st != OK) break;
        text_copy(last(g)->what, FINDING_TEXT,
                  there ? "an OpenCL platform shows GPUs of this vendor"
                        : "no OpenCL platform shows a GPU of this vendor");
        if (!there) text_copy(last(g)->fix, FINDING_TEXT, fix);
    }
    globfree(&found);
    return st;
}

/* ---- folders ---- */

static status look_at_folder(diagnosis *g, user_folder which, const char *holds)
{
    char folder[PATH_BYTES] = "";
    status st = file_user_folder(folder, sizeof folder, which);
    bool named = st == OK, works = named && driver_needs_folder_works(folder);
    int code = errno;
    fail_clear();
    st = add(g, works, "folder", named ? folder : "HOME");
    if (st != OK) return st;
    if (works)
        snprintf(last(g)->what, FINDING_TEXT, "%s can be kept", holds);
    else
        snprintf(last(g)->what, FINDING_TEXT, "%s cannot be kept: %s", holds,
                 named ? strerror(code) : "HOME is not set");
    if (!works)
        snprintf(last(g)->fix, FINDING_TEXT, "make it writable, or let %s name another folder",
                 which == FOLDER_CACHE ? "XDG_CACHE_HOME" : "XDG_CONFIG_HOME");
    return OK;
}

static status look_at_folders(diagnosis *g, const device_list *list)
{
    quirks known = {0};
    status st = conf_apply_embedded(&known, &(conf_subject){"", "", "", "", ""});
    if (st == OK) st = look_at_folder(g, FOLDER_CACHE, "built programs");
    if (st == OK) st = look_at_folder(g, FOLDER_CONFIG, "measurements");
    if (st != OK) return st;
    if (driver_needs_check(&known) != OK) {
        st = add(g, false, "folder", "of the driver");
        if (st == OK) text_copy(last(g)->what, FINDING_TEXT, fail_line());
        if (st == OK) text_copy(last(g)->fix, FINDING_TEXT, fail_hint_line());
        fail_clear();
    } else if (*list->note) {
        st = add(g, true, "folder", "of the driver");
        if (st == OK) text_copy(last(g)->what, FINDING_TEXT, list->note);
    }
    return st;
}

/* ---- all ---- */

status diagnosis_make(diagnosis *g, const device_list *list)
{
    status st = OK;
    *g = (diagnosis){0};
    TRY(look_at_drivers(g));
    TRY(look_at_platforms(g, list));
    TRY(look_at_gpus(g, list));
    TRY(look_at_folders(g, list));
done:
    if (st != OK) diagnosis_free(g);
    return st;
}

void diagnosis_free(diagnosis *g)
{
    free(g->items);
    *g = (diagnosis){0};
}
