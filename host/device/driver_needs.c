/* The process's environment, for drivers. See driver_needs.h.
 *
 * Only variables that the user did not set are set. */
#include "device/driver_needs.h"

#include <errno.h>
#include <glob.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "device/conf.h"

enum { PATH_BYTES = 4096 };

/* Makes CPU platforms pin their threads: two threads that wake up on one processor take twice as
 * long (measured). Not done if this process is confined to some processors, since the platform
 * would pin threads to others. */
static void pin_threads(void)
{
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) == 0 &&
        CPU_COUNT(&mine) == sysconf(_SC_NPROCESSORS_CONF))
        setenv("POCL_AFFINITY", "1", 0);
}

/* ---- a folder for the driver's cache ---- */

/* Tests it with a temporary folder. */
bool driver_needs_folder_works(const char *path)
{
    char folder[PATH_BYTES], probe[PATH_BYTES + 32];
    struct statvfs system;
    struct stat info;
    if ((size_t)snprintf(folder, sizeof folder, "%s", path) >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    while (stat(folder, &info) != 0) {
        char *slash = strrchr(folder, '/');
        /* the folder is a link to nowhere */
        if (errno != ENOENT || lstat(folder, &info) == 0) return false;
        if (!*folder || !strcmp(folder, ".")) return false;
        errno = ENOENT; /* lstat has changed errno */
        if (slash == folder) slash++;
        if (slash)
            *slash = 0;
        else
            strcpy(folder, ".");
    }
    if (!S_ISDIR(info.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    if (statvfs(folder, &system) == 0 && system.f_flag & ST_NOEXEC) {
        errno = EACCES; /* as dlopen reports */
        return false;
    }
    snprintf(probe, sizeof probe, "%s/.ditcl.XXXXXX", folder);
    return mkdtemp(probe) && rmdir(probe) == 0;
}

/* Makes a folder that only this user can write, now and later. Refuses a link and a folder that
 * somebody else made, since the driver loads and runs what lies in the folder. */
static bool make_private(const char *path, const char *above)
{
    struct stat info;
    if (stat(above, &info) != 0 || (info.st_mode & S_IWOTH && !(info.st_mode & S_ISVTX)))
        return false; /* others could replace the folder */
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return false;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
           !(info.st_mode & (S_IRWXG | S_IRWXO));
}

/* out = a folder for the driver's cache: in ditcl's own cache folder, else in one for temporary
 * files. */
static bool find_folder(char out[PATH_BYTES])
{
    const char *const places[] = {getenv("TMPDIR"), "/tmp", "/var/tmp"};
    char own[PATH_BYTES];
    failure kept;
    fail_keep(&kept);
    bool named = file_user_folder(own, sizeof own, FOLDER_CACHE) == OK &&
                 file_join(out, PATH_BYTES, own, "driver") == OK;
    fail_put_back(&kept);
    if (named && driver_needs_folder_works(out)) return true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i] || *places[i] != '/') continue;
        int n = snprintf(out, PATH_BYTES, "%s/ditcl-%lu", places[i], (unsigned long)geteuid());
        if (n < PATH_BYTES && driver_needs_folder_works(places[i]) &&
            make_private(out, places[i]) && driver_needs_folder_works(out))
            return true;
    }
    return false;
}

/* out = the folder where the driver would keep programs, found by the driver's own rule. */
static bool drivers_folder(char out[PATH_BYTES], const char *below)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && *cache ? snprintf(out, PATH_BYTES, "%s/%s", cache, below)
            : home          ? snprintf(out, PATH_BYTES, "%s/.cache/%s", home, below)
                            : snprintf(out, PATH_BYTES, "/tmp/%s", below);
    return n < PATH_BYTES;
}

static void choose_cache(char *note, size_t size)
{
    quirks known = {0};
    char folder[PATH_BYTES], other[PATH_BYTES];
    const char *variable = known.cache.variable;
    status st = conf_apply_embedded(&known, &(conf_subject){"", "", "", "", ""});
    if (st != OK || !*variable) return;
    const char *given = getenv(variable);
    bool chosen = given && *given;
    if (!chosen && !drivers_folder(folder, known.cache.below)) return;
    /* driver_needs_check tests a folder that the user chose */
    if (chosen || driver_needs_folder_works(folder)) return;
    const char *reason = strerror(errno);
    if (find_folder(other)) {
        setenv(variable, other, 1);
        snprintf(note, size, "the driver's cache is in %.400s, since %.400s cannot be used: %s",
                 other, folder, reason);
    } else {
        snprintf(note, size,
                 "%.400s, where the driver keeps programs, cannot be used: %s; "
                 "%s=FOLDER names another",
                 folder, reason, variable);
    }
}

status driver_needs_check(const quirks *q)
{
    const char *folder = *q->cache.variable ? getenv(q->cache.variable) : NULL;
    if (!folder || !*folder || driver_needs_folder_works(folder)) return OK;
    fail(ERR_DEVICE, "%s=%.500s: no programs can be kept in this folder: %s", q->cache.variable,
         folder, strerror(errno));
    fail_hint("name one that can be made and written, where libraries may be loaded");
    return ERR_DEVICE;
}

void driver_needs_prepare(char *note, size_t size)
{
    *note = 0;
    pin_threads();
    choose_cache(note, size);
}

/* ---- no platform ---- */

static size_t count_drivers(const char *folder)
{
    char pattern[PATH_BYTES];
    glob_t found;
    if (snprintf(pattern, sizeof pattern, "%s/*.icd", folder) >= PATH_BYTES) return 0;
    size_t n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

/* Which variable names the folder of .icd files; null: none, so it is the usual one. */
static const char *vendors_variable(void)
{
    static const char *const variables[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"};
    const char *variable = variables[getenv(variables[0]) ? 0 : 1], *named = getenv(variable);
    return named && *named ? variable : NULL;
}

void driver_needs_vendors(char *out, size_t size)
{
    const char *variable = vendors_variable();
    snprintf(out, size, "%s", variable ? getenv(variable) : "/etc/OpenCL/vendors");
}

void driver_needs_no_platform(char *out, size_t size)
{
    char folder[PATH_BYTES];
    const char *variable = vendors_variable();
    driver_needs_vendors(folder, sizeof folder);
    if (variable && !file_is_folder(folder)) {
        snprintf(out, size, "%s is %.500s, which is no folder of .icd files", variable, folder);
        return;
    }
    size_t n = count_drivers(folder);
    if (n == 0)
        snprintf(out, size, "%.500s lists no driver", folder);
    else
        snprintf(out, size, "none of the %zu drivers that %.500s lists can be loaded", n, folder);
}
