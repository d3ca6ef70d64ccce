/* Model folders. See find.h. */
#include "checkpoint/find.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* *d = the open folder; null if it does not exist. */
static status open_folder(DIR **d, const char *path)
{
    *d = opendir(path);
    if (*d || errno == ENOENT || errno == ENOTDIR) return OK;
    return fail(errno == ENOMEM ? ERR_MEMORY : ERR_FILE, "%s: cannot read this folder: %s", path,
                errno == ENOMEM ? "out of memory" : strerror(errno));
}

static bool has(const char *folder, const char *name)
{
    char path[FIND_PATH_BYTES];
    return file_join(path, sizeof path, folder, name) == OK && file_exists(path);
}

/* ---- the cache of a model hub ---- */

enum { MOST_NAME = 200 };

/* True for NAME/NAME with the characters that a hub allows. */
bool find_is_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash || slash == name || !slash[1] || strlen(name) > MOST_NAME) return false;
    if (strchr(slash + 1, '/') || name[0] == '.' || slash[1] == '.') return false;
    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && !(*c >= '0' && *c <= '9') && !strchr("-_./", *c)) return false;
    }
    return true;
}

/* Where huggingface_hub keeps its cache. */
static const struct {
    const char *variable, *below;
} hub_caches[] = {{"HF_HUB_CACHE", ""},
                  {"HUGGINGFACE_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/huggingface/hub"}};
enum { N_HUB_CACHES = sizeof hub_caches / sizeof *hub_caches };

/* out = the folder of cache i; false if its variable is not set. */
static bool hub_cache(char out[FIND_PATH_BYTES], int i)
{
    const char *folder = getenv(hub_caches[i].variable);
    if (!folder || !*folder) return false;
    int n = snprintf(out, FIND_PATH_BYTES, "%s%s", folder, hub_caches[i].below);
    return n > 0 && n < FIND_PATH_BYTES;
}

bool find_in_hub_cache(char out[FIND_PATH_BYTES], const char *name)
{
    char cache[FIND_PATH_BYTES];
    if (!find_is_hub_name(name)) return false;
    int owner = (int)strcspn(name, "/");
    for (int i = 0; i < N_HUB_CACHES; i++) {
        if (!hub_cache(cache, i)) continue;
        int n = snprintf(out, FIND_PATH_BYTES, "%s/models--%.*s--%s", cache, owner, name,
                         name + owner + 1);
        if (n > 0 && n < FIND_PATH_BYTES && file_is_folder(out)) return true;
    }
    return false;
}

/* out = folder/snapshots/NAME for the NAME in refs/main. False if either is missing. */
static bool main_snapshot(char out[FIND_PATH_BYTES], const char *folder)
{
    char path[FIND_PATH_BYTES], *name = NULL;
    bool found = false;
    int n = snprintf(path, sizeof path, "%s/refs/main", folder);
    if (n < 0 || n >= (int)sizeof path || !file_exists(path)) return false;
    if (file_read_text(&name, path, MOST_NAME) == OK) {
        name[strcspn(name, "\r\n ")] = 0;
        n = snprintf(out, FIND_PATH_BYTES, "%s/snapshots/%s", folder, name);
        found = *name && *name != '.' && !strchr(name, '/') && n > 0 && n < FIND_PATH_BYTES &&
                file_is_folder(out);
    } else {
        fail_clear();
    }
    free(name);
    return found;
}

/* out = the newest folder in folder/snapshots. *found: there is one. */
static status newest_snapshot(char out[FIND_PATH_BYTES], bool *found, const char *folder)
{
    char path[FIND_PATH_BYTES];
    struct stat info;
    struct timespec newest = {0};
    DIR *d = NULL;
    *found = false;
    int n = snprintf(path, sizeof path, "%s/snapshots", folder);
    status st = n > 0 && n < (int)sizeof path ? open_folder(&d, path) : OK;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        n = snprintf(path, sizeof path, "%s/snapshots/%s", folder, e->d_name);
        if (n < 0 || n >= (int)sizeof path || stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
            continue;
        bool newer = info.st_mtim.tv_sec != newest.tv_sec ? info.st_mtim.tv_sec > newest.tv_sec
                                                          : info.st_mtim.tv_nsec > newest.tv_nsec;
        if (*found && !newer) continue;
        newest = info.st_mtim;
        text_copy(out, FIND_PATH_BYTES, path);
        *found = true;
    }
    if (d) closedir(d);
    return st;
}

status find_snapshot(char path[FIND_PATH_BYTES])
{
    static const char inner[] = "/snapshots";
    char folder[FIND_PATH_BYTES], found[FIND_PATH_BYTES], below[FIND_PATH_BYTES];
    size_t n = strlen(path), m = sizeof inner - 1;
    text_copy(folder, sizeof folder, path);
    if (n > m && strcmp(path + n - m, inner) == 0) folder[n - m] = 0;
    if (file_join(below, sizeof below, folder, "snapshots") != OK || !file_is_folder(below)) {
        fail_clear();
        return OK;
    }
    /* the folder of a trainer may contain snapshots too */
    if (has(folder, "model_index.json") || has(folder, "transformer") || find_has_weights(folder))
        return OK;
    bool there = main_snapshot(found, folder);
    status st = there ? OK : newest_snapshot(found, &there, folder);
    if (st != OK) return st;
    if (!there) {
        if (strncmp(file_last_part(folder), "models--", 8) && !has(folder, "refs") &&
            !has(folder, "blobs"))
            return OK; /* not in the layout of a hub's cache */
        fail(ERR_FILE, "%s: has no snapshot of a model", below);
        fail_hint("the download may have been interrupted: run it again");
        return ERR_FILE;
    }
    text_copy(path, FIND_PATH_BYTES, found);
    return OK;
}

/* ---- the weights in a folder ---- */

enum { MOST_FILES = 64, VARIANT_BYTES = 40 };

typedef struct {
    char name[256], variant[VARIANT_BYTES];
    int base, format;
} weights_file;

static const char *const bases[] = {"diffusion_pytorch_model", "model", "pytorch_model"};
enum { N_BASES = sizeof bases / sizeof *bases };
enum { FORMAT_SAFETENSORS, FORMAT_SAFETENSORS_INDEX, FORMAT_BIN, FORMAT_BIN_INDEX };

/* Parses BASE[.VARIANT].EXT, BASE.EXT.index[.VARIANT].json or BASE[.VARIANT].EXT.index.json, the
 * names that diffusers, transformers and accelerate use. */
static bool parse_name(weights_file *f, const char *name)
{
    bool safetensors = false, bin = false, index = false, json = false;
    const char *rest = NULL;
    *f = (weights_file){0};
    if (strlen(name) >= sizeof f->name) return false;
    for (int i = 0; i < N_BASES; i++) {
        size_t n = strlen(bases[i]);
        if (strncmp(name, bases[i], n) || name[n] != '.') continue;
        f->base = i;
        rest = name + n;
    }
    while (rest && *rest) {
        const char *word = ++rest;
        size_t n = strcspn(word, ".");
        bool *flag = n == 11 && !strncmp(word, "safetensors", n) ? &safetensors
                     : n == 3 && !strncmp(word, "bin", n)        ? &bin
                     : n == 5 && !strncmp(word, "index", n)      ? &index
                     : n == 4 && !strncmp(word, "json", n)       ? &json
                                                                 : NULL;
        rest += n;
        if (!flag && (*f->variant || n == 0 || n >= VARIANT_BYTES)) return false;
        if (!flag && strstr(word, "-of-")) return false; /* a shard, which the index names */
        if (flag)
            *flag = true;
        else
            memcpy(f->variant, word, n);
        if (!*rest && !flag) return false; /* a variant is never the last part */
    }
    if (!rest || safetensors == bin || index != json) return false;
    f->format = (safetensors ? FORMAT_SAFETENSORS : FORMAT_BIN) + index;
    text_copy(f->name, sizeof f->name, name);
    return true;
}

static int variant_rank(const char *variant)
{
    static const char *const order[] = {"", "ema", "fp32", "fp16", "bf16"};
    enum { N = sizeof order / sizeof *order };
    for (int i = 0; i < N; i++)
        if (!strcmp(variant, order[i])) return i;
    return !strcmp(variant, "non_ema") || !strcmp(variant, "non-ema") ? N + 1 : N;
}

static bool is_raw(const weights_file *f)
{
    return variant_rank(f->variant) == variant_rank("non_ema");
}

static bool is_averaged(const weights_file *f)
{
    return variant_rank(f->variant) == variant_rank("ema");
}

static int by_preference(const void *a, const void *b)
{
    const weights_file *x = a, *y = b;
    int rank = variant_rank(x->variant) - variant_rank(y->variant);
    if (!rank) rank = strcmp(x->variant, y->variant);
    if (!rank) rank = x->base - y->base;
    return rank ? rank : x->format - y->format;
}

static status list_weights(weights_file files[MOST_FILES], int *n, const char *folder)
{
    char path[FIND_PATH_BYTES];
    DIR *d;
    *n = 0;
    status st = open_folder(&d, folder);
    for (struct dirent *e; d && *n < MOST_FILES && (e = readdir(d));) {
        if (!parse_name(&files[*n], e->d_name)) continue;
        if (file_join(path, sizeof path, folder, e->d_name) == OK && file_exists(path)) ++*n;
    }
    if (d) closedir(d);
    qsort(files, (size_t)*n, sizeof *files, by_preference);
    return st;
}

bool find_has_weights(const char *folder)
{
    weights_file files[MOST_FILES];
    int n;
    return list_weights(files, &n, folder) == OK && n > 0;
}

/* Appends each variant once, except `but`. */
static status list_variants(text *t, const weights_file *files, int n, const char *but)
{
    const char *last = NULL;
    status st = OK;
    for (int i = 0; i < n && st == OK; i++) {
        const char *each = files[i].variant;
        if ((last && !strcmp(last, each)) || (but && !strcmp(but, each))) continue;
        last = each;
        st = text_append(t, "%s%s", t->length ? ", " : "", *each ? each : files[i].name);
    }
    return st;
}

/* The index of the requested file in files[0..n); n > 0. -1 if the variant is missing, or if raw
 * weights are wanted and all files are averages. */
static int choose_file(find_request *q, const weights_file *files, int n)
{
    const char *wanted = q->wanted && !q->chosen ? q->wanted : "";
    bool want_raw = !strcmp(wanted, "raw"), want_ema = !strcmp(wanted, "ema"), raw = false;
    int taken = -1;
    for (int i = 0; i < n; i++) {
        const weights_file *f = &files[i];
        raw |= is_raw(f);
        if (q->variant && strcmp(f->variant, q->variant)) continue;
        if (want_raw && is_averaged(f)) continue;
        bool better = (want_raw && is_raw(f)) || (want_ema && is_averaged(f));
        q->chosen |= better;
        if (better || taken < 0) taken = i;
        if (better) break;
    }
    if (taken < 0 && q->may_lack) taken = 0;
    q->chosen |= want_ema && raw && taken >= 0 && !is_raw(&files[taken]);
    return taken;
}

static bool is_there(const weights_file *files, int n, const char *variant)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(files[i].variant, variant)) return true;
    return false;
}

static status note_choice(text *note, find_request *q, const char *folder,
                          const weights_file *files, int n, int taken)
{
    text others = {0};
    const char *variant = files[taken].variant;
    status st = OK;
    TRY(list_variants(&others, files, n, variant));
    q->several = others.length > 0;
    if (!others.length && (!*variant || q->variant)) goto done;
    TRY(text_append(note, "%s: takes %s", folder, files[taken].name));
    if (others.length)
        TRY(text_append(note, "; there is also %s%s", others.data,
                        q->variant || q->wanted ? "" : ": --variant NAME"));
    else
        TRY(text_append(note, ", the only variant"));
done:
    text_free(&others);
    return st;
}

status find_weights(char path[FIND_PATH_BYTES], text *note, const char *folder,
                    find_request *request)
{
    weights_file files[MOST_FILES];
    text there = {0};
    int n, taken;
    status st = list_weights(files, &n, folder);
    if (st != OK) return st;
    if (n == 0) {
        fail(ERR_FILE, "%s/%s.safetensors: no such file", folder, bases[0]);
        fail_hint("there is also no .bin file and no .index.json of several files");
        return ERR_FILE;
    }
    taken = choose_file(request, files, n);
    if (taken < 0) {
        TRY(list_variants(&there, files, n, NULL));
        if (request->variant && !is_there(files, n, request->variant))
            TRY(fail(ERR_USAGE, "--variant %.40s: %s does not have it; it has %s", request->variant,
                     folder, there.data));
        TRY(fail(ERR_USAGE, "--weights raw: %s has only averaged weights%s", folder,
                 request->variant ? " in this variant" : ""));
    }
    TRY(note_choice(note, request, folder, files, n, taken));
    TRY(file_join(path, FIND_PATH_BYTES, folder, files[taken].name));
done:
    text_free(&there);
    return st;
}

/* ---- suggestions for a folder without a model ---- */

typedef struct {
    char best[FIND_PATH_BYTES];
    /* depth: that of best. n: models found at this depth. left: directory entries that may still be
     * read */
    int depth, n, left;
} inside;

static bool is_weights_file(const char *name)
{
    static const char *const ends[] = {".safetensors", ".pt", ".pth", ".ckpt", ".bin"};
    static const char *const others[] = {"optimizer",     "scheduler", "training_args",
                                         "random_states", "scaler",    "rng_state"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strncmp(name, others[i], strlen(others[i]))) return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i]);
        if (n > m && !strcmp(name + n - m, ends[i])) return true;
    }
    return false;
}

/* Searches for model folders and files of weights. Keeps the one that is least deep; of equally
 * deep ones the last by name. */
static void search_folder(inside *found, const char *folder, int depth)
{
    enum { DEEPEST = 3 };
    char path[FIND_PATH_BYTES];
    DIR *d = opendir(folder);
    for (struct dirent *e; d && found->left > 0 && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        found->left--;
        if (file_join(path, sizeof path, folder, e->d_name) != OK) continue;
        bool below = file_is_folder(path);
        bool model = below ? has(path, "model_index.json") || has(path, "transformer") ||
                                 has(path, "snapshots") || find_has_weights(path)
                           : is_weights_file(e->d_name);
        if (model && (!found->n || depth <= found->depth)) {
            if (found->n && depth < found->depth) found->n = 0;
            if (!found->n || strcmp(path, found->best) > 0)
                text_copy(found->best, sizeof found->best, path);
            found->n++;
            found->depth = depth;
        } else if (below && !model && depth < DEEPEST) {
            search_folder(found, path, depth + 1);
        }
    }
    if (d) closedir(d);
}

status find_nothing(const char *folder)
{
    inside found = {.left = 2000};
    search_folder(&found, folder, 1);
    fail_clear();
    fail(ERR_FILE,
         "%s: is not a model: no transformer/config.json, and no weights with a usual name",
         folder);
    if (found.n > 1)
        fail_hint("it contains models: name one, such as %.300s (%d more)", found.best,
                  found.n - 1);
    else if (found.n)
        fail_hint("it contains a model: name %.300s", found.best);
    else
        fail_hint("MODEL is a folder with transformer/, vae/ and scheduler/, or a DiT file");
    return ERR_FILE;
}

/* ---- names ---- */

/* The places where a name is looked up, in this order: $DITCL_MODELS, ./models, the folder where
 * models are installed beside the running program, and the folder where a build tree links them;
 * then the same two beside the shared library, if this is one. */
enum { N_PLACES = 6, BESIDE_PROGRAM = 2, BESIDE_LIBRARY = 4 };

/* places[0..1] = the models that belong to the program or library of this path: installed, the
 * folder relative to its own, and that of a build tree. */
static void find_beside(char places[2][FIND_PATH_BYTES], const char *path, const char *installed)
{
    const char *const beside[] = {installed, "share/ditcl/models"};
    char folder[FIND_PATH_BYTES];
    text_copy(folder, sizeof folder, path);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    for (int i = 0; i < 2; i++)
        if (!slash || file_join(places[i], FIND_PATH_BYTES, folder, beside[i]) != OK)
            places[i][0] = 0;
}

static status find_places(char places[N_PLACES][FIND_PATH_BYTES])
{
    const char *own = getenv("DITCL_MODELS");
    char program[FIND_PATH_BYTES];
    Dl_info library;
    static const char here;
    if (own && *own && !file_is_folder(own))
        return fail(ERR_USAGE, "DITCL_MODELS=%.200s: no such folder", own);
    text_copy(places[0], FIND_PATH_BYTES, own ? own : "");
    text_copy(places[1], FIND_PATH_BYTES, "models");
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    find_beside(places + BESIDE_PROGRAM, program, DITCL_SHARED);
    find_beside(places + BESIDE_LIBRARY,
                dladdr(&here, &library) && library.dli_fname ? library.dli_fname : "",
                DITCL_SHARED_FROM_LIBRARY);
    return OK;
}

/* nearest = the name in the folder that is nearest to typed, if it is nearer than *distance. */
static void find_nearest(char nearest[256], int *distance, const char *folder, const char *typed)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && text_nearer(typed, e->d_name, distance))
            text_copy(nearest, 256, e->d_name);
    if (d) closedir(d);
}

/* The hub's name of published weights that a name seems to mean, or null. */
static const char *published(const char *name)
{
    static const char *const models[][2] = {{"DiT-XL-2-256", "facebook/DiT-XL-2-256"},
                                            {"DiT-XL-2-512", "facebook/DiT-XL-2-512"},
                                            {"DiT-XL/2", "facebook/DiT-XL-2-256"},
                                            {"sd-vae-ft-mse", "stabilityai/sd-vae-ft-mse"},
                                            {"sd-vae-ft-ema", "stabilityai/sd-vae-ft-ema"}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (text_contains_nocase(name, models[i][0])) return models[i][1];
    return NULL;
}

static status not_found(const char *name, char places[N_PLACES][FIND_PATH_BYTES])
{
    const char *slash = strrchr(name, '/');
    char nearest[256] = "", folder[FIND_PATH_BYTES];
    const char *known = published(name);
    int distance = TEXT_FAR, n = slash ? (int)(slash - name) + 1 : 0;
    snprintf(folder, sizeof folder, "%.*s", n, name);
    if (slash) find_nearest(nearest, &distance, folder, slash + 1);
    for (int i = 0; i < N_PLACES && !slash; i++) find_nearest(nearest, &distance, places[i], name);
    fail(ERR_FILE, "%s: no such model, file or folder", name);
    if (*nearest)
        fail_hint("did you mean %s%s?", folder, nearest);
    else if (known && strcmp(name, known) != 0)
        fail_hint("to download it from the hub: hf download %s; its name is then %s", known, known);
    else if (find_is_hub_name(name))
        fail_hint("to download it from the hub: hf download %s", name);
    else if (slash && file_is_folder(folder))
        fail_hint("the folder %s exists", folder);
    else if (!slash)
        fail_hint("looked in the current folder, $DITCL_MODELS, ./models and %s", places[2]);
    return ERR_FILE;
}

status find_model(char out[FIND_PATH_BYTES], const char *name)
{
    char places[N_PLACES][FIND_PATH_BYTES] = {""}, wanted[FIND_PATH_BYTES];
    if (!*name) return fail(ERR_USAGE, "MODEL is empty");
    if (strlen(name) >= FIND_PATH_BYTES) return fail(ERR_USAGE, "MODEL: %.60s...: too long", name);
    text_copy(wanted, sizeof wanted, name);
    for (size_t n = strlen(wanted); n > 1 && wanted[n - 1] == '/';) wanted[--n] = 0;
    text_copy(out, FIND_PATH_BYTES, wanted);
    if (file_exists(out) || find_in_hub_cache(out, wanted)) return find_snapshot(out);
    status st = strchr(wanted, '/') ? OK : find_places(places);
    for (int i = 0; i < N_PLACES && st == OK; i++) {
        if (!*places[i]) continue;
        st = file_join(out, FIND_PATH_BYTES, places[i], wanted);
        if (st == OK && file_exists(out)) return find_snapshot(out);
    }
    return st == OK ? not_found(wanted, places) : st;
}

/* The models in one cache of a hub: the folder models--a--b is a/b. */
static void visit_hub(void (*visit)(void *context, const char *name), void *context,
                      const char *folder)
{
    static const char before[] = "models--";
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char name[sizeof e->d_name];
        if (strncmp(e->d_name, before, sizeof before - 1) != 0) continue;
        text_copy(name, sizeof name, e->d_name + sizeof before - 1);
        char *dashes = strstr(name, "--");
        if (!dashes) continue;
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
        visit(context, name);
    }
    if (d) closedir(d);
}

/* Whether one of the first n places has this name, which hides it in later ones. */
static bool hidden(char places[N_PLACES][FIND_PATH_BYTES], int n, const char *name)
{
    char path[FIND_PATH_BYTES];
    for (int i = 0; i < n; i++)
        if (*places[i] && file_join(path, sizeof path, places[i], name) == OK && file_exists(path))
            return true;
    return false;
}

void find_names(void (*visit)(void *context, const char *name), void *context)
{
    char places[N_PLACES][FIND_PATH_BYTES] = {""}, path[FIND_PATH_BYTES];
    if (find_places(places) != OK) return;
    for (int i = 0; i < N_PLACES; i++) {
        DIR *d = *places[i] ? opendir(places[i]) : NULL;
        for (struct dirent *e; d && (e = readdir(d));)
            if (e->d_name[0] != '.' && !hidden(places, i, e->d_name) &&
                file_join(path, sizeof path, places[i], e->d_name) == OK && file_is_folder(path))
                visit(context, e->d_name);
        if (d) closedir(d);
    }
    for (int i = 0; i < N_HUB_CACHES; i++)
        if (hub_cache(path, i)) visit_hub(visit, context, path);
}
