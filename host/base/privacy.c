/* Removes paths, host names and user names from a text. See privacy.h. */
#include "base/privacy.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Environment variables with folders or names of this user. */
static const char *const folder_variables[] = {"HOME",
                                               "PWD",
                                               "OLDPWD",
                                               "DITCL_CL_DIR",
                                               "DITCL_MODELS",
                                               "TMPDIR",
                                               "XDG_CACHE_HOME",
                                               "XDG_CONFIG_HOME",
                                               "OCL_ICD_VENDORS",
                                               "OPENCL_VENDOR_PATH",
                                               "HF_HOME",
                                               "HF_HUB_CACHE"};
static const char *const name_variables[] = {"USER", "LOGNAME", "SUDO_USER", "HOSTNAME"};

enum { MOST_KNOWN = 20, KNOWN_BYTES = 1024 };

typedef struct {
    char items[MOST_KNOWN][KNOWN_BYTES];
    int n;
} known;

static void add_known(known *k, const char *what)
{
    if (what && strlen(what) > 1 && k->n < MOST_KNOWN)
        text_copy(k->items[k->n++], KNOWN_BYTES, what);
}

static void add_folders(known *k)
{
    char here[KNOWN_BYTES];
    add_known(k, getcwd(here, sizeof here));
    for (size_t i = 0; i < sizeof folder_variables / sizeof *folder_variables; i++)
        add_known(k, getenv(folder_variables[i]));
}

static void add_names(known *k)
{
    char host[KNOWN_BYTES] = "";
    const struct passwd *user = getpwuid(getuid());
    if (gethostname(host, sizeof host - 1) != 0) *host = 0;
    add_known(k, host);
    host[strcspn(host, ".")] = 0;
    add_known(k, host);
    if (user) add_known(k, user->pw_name);
    for (size_t i = 0; i < sizeof name_variables / sizeof *name_variables; i++)
        add_known(k, getenv(name_variables[i]));
}

/* Bytes of the longest known name that s begins with, or 0. */
static size_t begins_known(const known *k, const char *s, bool whole_word)
{
    size_t most = 0;
    for (int i = 0; i < k->n; i++) {
        size_t n = strlen(k->items[i]);
        if (strncmp(s, k->items[i], n) != 0 || (whole_word && isalnum((unsigned char)s[n])))
            continue;
        if (n > most) most = n;
    }
    return most;
}

static bool contains_name(const known *names, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((i == 0 || !isalnum((unsigned char)s[i - 1])) && begins_known(names, s + i, true))
            return true;
    return false;
}

/* Characters that end a path. */
static const char breaks[] = " \t\n\"'`()[]{}<>,;|=:";

static bool is_path(const char *s, size_t n)
{
    size_t slashes = 0, digits = 0;
    for (size_t i = 0; i < n; i++) {
        slashes += s[i] == '/' || s[i] == '\\';
        digits += isdigit((unsigned char)s[i]) != 0;
    }
    if (n < 2 || slashes + digits == n) return slashes > 0 && *s == '/' && n > 1;
    return slashes > 1 || *s == '/' || (slashes && (*s == '~' || *s == '.'));
}

/* The last part of a path of a kernel source or a library, else "". */
static status append_path(text *out, const known *names, const char *s, size_t n)
{
    static const char *const kept_endings[] = {".cl", ".clh", ".so"};
    size_t at = n;
    while (at > 0 && s[at - 1] != '/' && s[at - 1] != '\\') at--;
    const char *last = s + at;
    size_t size = n - at;
    bool kept = false;
    for (size_t i = 0; i < sizeof kept_endings / sizeof *kept_endings; i++) {
        size_t ending = strlen(kept_endings[i]);
        kept |= size > ending && !strncmp(last + size - ending, kept_endings[i], ending);
    }
    kept = kept && !contains_name(names, last, size);
    return text_append(out, kept ? "[path]/%.*s" : "[path]", (int)size, last);
}

static status append_all(text *out, const known *folders, const known *names, const char *s)
{
    status st = text_append(out, "%s", "");
    for (size_t i = 0; s[i] && st == OK;) {
        bool begins = i == 0 || strchr(breaks, s[i - 1]);
        size_t n = strcspn(s + i, breaks), known_bytes = begins_known(folders, s + i, false);
        if (known_bytes) { /* a known folder may contain blanks */
            size_t rest = strcspn(s + i + known_bytes, breaks);
            st = append_path(out, names, s + i, known_bytes + rest);
            i += known_bytes + rest;
        } else if (begins && is_path(s + i, n)) {
            st = append_path(out, names, s + i, n);
            i += n;
        } else if ((i == 0 || !isalnum((unsigned char)s[i - 1])) &&
                   (known_bytes = begins_known(names, s + i, true)) > 0) {
            st = text_append(out, "[name]");
            i += known_bytes;
        } else {
            st = text_append(out, "%c", s[i++]);
        }
    }
    return st;
}

status privacy_append(text *out, const char *words)
{
    known folders = {.n = 0}, names = {.n = 0};
    char shown[TEXT_SHOWN_BYTES];
    add_folders(&folders);
    add_names(&names);
    return append_all(out, &folders, &names, text_printable(shown, sizeof shown, words));
}
