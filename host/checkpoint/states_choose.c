/* Chooses a group and describes the choice. See states_parts.h. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/states_parts.h"

const state_kind state_dit = {
    .what = "DiT",
    .anchors = {"x_embedder.proj.weight", "pos_embed.proj.weight"},
    .known = name_is_dit,
    .dotless = name_from_dotless,
    .skipped = "projectors.",
    .skipped_why = "REPA's, for training only",
};
const state_kind state_vae = {
    .what = "VAE",
    /* a file may have only one of them */
    .anchors = {"decoder.conv_in.weight", "encoder.conv_in.weight"},
    .known = name_is_vae,
};

/* ---- the meaning of keys ---- */

/* True if the word, of n bytes, is in the list; case is ignored. */
static bool is_word(const char *word, size_t n, const char *const *list)
{
    for (; *list; list++) {
        size_t i = 0;
        while (i < n && (*list)[i] && tolower((unsigned char)word[i]) == (*list)[i]) i++;
        if (i == n && !(*list)[i]) return true;
    }
    return false;
}

static state_class_name word_class(const char *word, size_t n)
{
    static const char *const never[] = {"optimizer", "optimizers", "optim",     "opt",
                                        "adam",      "momentum",   "momentums", "gradients",
                                        "grad",      "grads",      "exp",       NULL};
    static const char *const raw[] = {"online", "raw",    "non",     "no",
                                      "noema",  "nonema", "current", NULL};
    static const char *const averaged[] = {"swa",      "avg",    "average", "averages",
                                           "averaged", "shadow", "polyak",  NULL};
    static const char *const ema[] = {"ema", NULL};
    static const char *const schema[] = {"schema", NULL};
    if (is_word(word, n, never)) return STATE_NEVER;
    if (is_word(word, n, raw)) return STATE_RAW;
    if (is_word(word, n, averaged)) return STATE_AVERAGED;
    if (n < 3 || is_word(word, n, schema)) return STATE_PLAIN;
    bool named = is_word(word, 3, ema) || is_word(word + n - 3, 3, ema);
    return named ? STATE_AVERAGED : STATE_PLAIN;
}

/* True if a word of a key begins at i, as in model_ema, ModelEma, EMAModel. */
static bool begins_word(const char *key, size_t i, size_t n)
{
    unsigned char before = (unsigned char)key[i - 1], c = (unsigned char)key[i];
    unsigned char after = i + 1 < n ? (unsigned char)key[i + 1] : 0;
    if (!isalnum(before) || !isalnum(c)) return true;
    return isupper(c) && (islower(before) || (isupper(before) && islower(after)));
}

/* The class of one key. "non_ema" is raw. */
static state_class_name key_class(const char *key, size_t n)
{
    state_class_name found = STATE_PLAIN;
    for (size_t start = 0, end; start < n; start = end) {
        for (end = start + 1; end < n && !begins_word(key, end, n); end++) continue;
        state_class_name class = word_class(key + start, end - start);
        if (class == STATE_NEVER || class == STATE_RAW) return class;
        if (class == STATE_AVERAGED) found = class;
    }
    return found;
}

state_class_name state_class_of(const char *key, size_t length)
{
    state_class_name found = STATE_PLAIN;
    for (size_t end = length + 1; end > 0;) {
        size_t start = end - 1;
        while (start > 0 && key[start - 1] != '.') start--;
        state_class_name class = key_class(key + start, end - 1 - start);
        if (class == STATE_NEVER) return class;
        if (found == STATE_PLAIN) found = class;
        end = start;
    }
    return found;
}

/* Programs that store averaged weights where others store raw ones. A tensor that only the program
 * writes identifies it. */
static const struct {
    const char *tensor, *key; /* key: at the top level, or null */
    const char *averaged, *raw;
} programs[] = {
    /* Lightning's WeightAveraging */
    {"averaging_state.n_averaged", NULL, "state_dict", "current_model_state"},
    /* MMEngine's EMAHook swaps the two when it saves */
    {"ema_state_dict.steps", "message_hub", "state_dict", "ema_state_dict"},
};

static bool has_key(const tensor_file *file, const char *key)
{
    for (size_t i = 0; i < file->n_keys; i++)
        if (file->keys[i].top && strcmp(file->keys[i].path, key) == 0) return true;
    return false;
}

static bool begins_with_key(const char *path, const char *key)
{
    size_t n = strlen(key);
    return strncmp(path, key, n) == 0 && (path[n] == 0 || path[n] == '.');
}

state_class_name state_class(const tensor_file *file, const char *key)
{
    char name[1100];
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (!tensor_find(file, programs[i].tensor)) continue;
        if (programs[i].key && !has_key(file, programs[i].key)) continue;
        if (begins_with_key(key, programs[i].averaged)) return STATE_AVERAGED;
        if (begins_with_key(key, programs[i].raw)) return STATE_RAW;
    }
    state_class_name class = state_class_of(key, strlen(key));
    if (class != STATE_PLAIN) return class;
    /* torch.optim.swa_utils.AveragedModel stores a counter beside the weights */
    snprintf(name, sizeof name, "%.1000s%sn_averaged", key, *key ? "." : "");
    return tensor_find(file, name) ? STATE_AVERAGED : STATE_PLAIN;
}

static const char *const usual_keys[] = {"model",
                                         "state_dict",
                                         "model_state_dict",
                                         "module",
                                         "net",
                                         "network",
                                         "diffusion_model",
                                         "transformer",
                                         "dit",
                                         "first_stage_model",
                                         "vae",
                                         "autoencoder",
                                         ""};
enum { N_USUAL = sizeof usual_keys / sizeof *usual_keys };

int state_rank(const char *key)
{
    const char *last = strrchr(key, '.');
    last = last ? last + 1 : key;
    int rank = 0;
    while (rank < N_USUAL && strcmp(usual_keys[rank], last) != 0) rank++;
    return rank;
}

/* ---- messages ---- */

/* out = a key as in messages; "." is the top of the file. */
static void show_key(char out[80], const char *key)
{
    size_t n = strlen(key);
    if (n == 0) key = ".";
    snprintf(out, 80, n > 76 ? "%.76s..." : "%s", key);
    for (char *c = out; *c; c++)
        if (*c < 0x20 || *c > 0x7e) *c = '?';
}

/* Appends "a", "b" (averaged weights) and "c": all groups but one. */
static status list_groups(text *t, const states *s, const state_group *but)
{
    char key[80];
    size_t left = s->n_groups - (but != NULL);
    status st = OK;
    for (size_t i = 0; i < s->n_groups && st == OK; i++) {
        if (&s->groups[i] == but) continue;
        show_key(key, s->groups[i].key);
        st = text_append(t, "\"%s\"%s%s%s", key, *s->groups[i].key ? "" : " (the top)",
                         s->groups[i].class == STATE_AVERAGED ? " (averaged weights)" : "",
                         left > 2    ? ", "
                         : left == 2 ? " and "
                                     : "");
        left--;
    }
    return st;
}

bool state_is_offered(const states *s, const state_entry *e)
{
    for (size_t i = 0; i < s->n_groups; i++)
        if (e->known && strlen(s->groups[i].key) == e->group &&
            !memcmp(s->groups[i].key, e->full, e->group))
            return true;
    return false;
}

/* True for settings of an average, which are no weights. */
static bool is_setting(const char *path)
{
    static const char *const words[] = {"config", "cfg", "args", "decay", "rate", "scheduler"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_contains_nocase(path, words[i])) return true;
    return false;
}

/* True if the key holds averages. The state of an optimizer may also contain them, under their own
 * key. */
static bool is_averages(const char *path)
{
    const char *dot = strrchr(path, '.'), *last = dot ? dot + 1 : path;
    return state_class_of(path, strlen(path)) == STATE_AVERAGED ||
           key_class(last, strlen(last)) == STATE_AVERAGED;
}

/* Finds averaged weights that cannot be read: their key, and the reason. */
static bool find_unread(const states *s, char key[80], char why[100])
{
    const tensor_file *f = s->file;
    for (size_t i = 0; i < f->n_keys; i++) {
        const tensor_key *k = &f->keys[i];
        if (!is_averages(k->path) || is_setting(k->path)) continue;
        show_key(key, k->path);
        if (k->kind == KEY_NAMELESS)
            snprintf(why, 100, "a list of tensors without names");
        else if (k->kind == KEY_OBJECT)
            snprintf(why, 100, "a pickled %s", k->class);
        else
            continue;
        return true;
    }
    for (size_t i = 0; i < s->n; i++) {
        const state_entry *e = &s->entries[i];
        const char *last = strrchr(e->full, '.');
        size_t n = last ? (size_t)(last - e->full) : 0;
        if (e->taken || f->tensors[e->at].count < 2 || state_is_offered(s, e)) continue;
        if (state_class_of(e->full, n) != STATE_AVERAGED) continue;
        /* averages in a VAE's file usually belong to another network */
        if (s->kind == &state_vae && !strstr(e->full, "decoder")) continue;
        show_key(key, e->full);
        snprintf(why, 100, "of another network, or incomplete");
        return true;
    }
    return false;
}

/* Lists the contents of a file without the wanted state dictionary. */
static status list_keys(text *t, const states *s)
{
    enum { MOST = 12 };
    const tensor_file *f = s->file;
    char key[80];
    size_t n = 0, all = 0;
    status st = OK;
    for (size_t i = 0; i < f->n_keys; i++) all += f->keys[i].top;
    if (!f->n_keys) all = f->n_tensors;
    for (size_t i = 0; i < (f->n_keys ? f->n_keys : f->n_tensors) && n < MOST && st == OK; i++) {
        if (f->n_keys && !f->keys[i].top) continue;
        show_key(key, f->n_keys ? f->keys[i].path : f->tensors[i].name);
        st = text_append(t, "%s\"%s\"", n++ ? ", " : "", key);
        if (st == OK && f->n_keys && f->keys[i].kind == KEY_OBJECT)
            st = text_append(t, " (a pickled %s)", f->keys[i].class);
    }
    if (st == OK && all > n) st = text_append(t, " and %zu more", all - n);
    return st == OK && !all ? text_append(t, "nothing") : st;
}

static status fail_none(const states *s)
{
    const state_kind *k = s->kind;
    char key[80], why[100], anchors[100];
    text keys = {0};
    status st = OK;
    bool unread = find_unread(s, key, why);
    if (k->anchors[1])
        snprintf(anchors, sizeof anchors, "neither %s nor %s is in it", k->anchors[0],
                 k->anchors[1]);
    else
        snprintf(anchors, sizeof anchors, "%s is missing", k->anchors[0]);
    TRY(list_keys(&keys, s));
    st = fail(ERR_FORMAT, "%s: no %s: %s%s%s%s%s; it contains %s", s->file->path, k->what, anchors,
              unread ? "; \"" : "", unread ? key : "", unread ? "\" is " : "", unread ? why : "",
              keys.data);
    bool object = false;
    for (size_t i = 0; i < s->file->n_keys; i++) object |= s->file->keys[i].kind == KEY_OBJECT;
    if (k == &state_dit && tensor_find(s->file, state_vae.anchors[0]))
        fail_hint("it is a VAE: use --vae");
    else if (unread || object)
        fail_hint("expected tensors by name: torch.save(model.state_dict(), ...)");
done:
    text_free(&keys);
    return st;
}

/* Fails if the file has adapters: without them the picture would silently be another one. */
static status check_adapters(const states *s)
{
    static const char *const words[] = {"lora_", "base_layer.",      "lokr_",
                                        "hada_", "modules_to_save.", "original_module."};
    const state_entry *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const state_entry *e = &s->entries[i];
        bool found = false;
        if (e->known || state_class_of(e->full, strlen(e->full)) == STATE_NEVER) continue;
        for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
            const char *at = strstr(e->full, words[k]);
            found |= at && (at == e->full || at[-1] == '.');
        }
        if (found && n++ == 0) first = e;
    }
    if (!n) return OK;
    fail(ERR_FORMAT,
         "%s: contains tensors of an adapter (%zu, such as %.200s), which are not merged "
         "into the weights",
         s->file->path, n, first->full);
    fail_hint("merge them before saving: PEFT's merge_and_unload()");
    return ERR_FORMAT;
}

/* ---- the choice ---- */

static bool is_wanted(const states *s, const state_group *g)
{
    const char *wanted = s->wanted;
    if (!wanted || !strcmp(wanted, "ema")) return !wanted || g->class == STATE_AVERAGED;
    if (!strcmp(wanted, "raw")) return g->class != STATE_AVERAGED;
    if (!strcmp(wanted, ".")) return !*g->key;
    return begins_with_key(g->key, wanted) ||
           (*s->wanted_cleaned && begins_with_key(g->key, s->wanted_cleaned));
}

static status fail_wanted(const states *s)
{
    text held = {0};
    char key[80], why[100], unread[220] = "";
    status st = OK;
    bool ema = !strcmp(s->wanted, "ema");
    if (ema && find_unread(s, key, why))
        snprintf(unread, sizeof unread, " that can be taken, since \"%s\" is %s", key, why);
    TRY(list_groups(&held, s, NULL));
    if (ema || !strcmp(s->wanted, "raw"))
        st = fail(ERR_USAGE, "--weights %s: %s holds no %s weights%s; it contains %s", s->wanted,
                  s->file->path, ema ? "averaged" : "raw", unread, held.data);
    else
        st = fail(ERR_USAGE, "--weights %.100s: %s has no such key with a %s below; it contains %s",
                  s->wanted, s->file->path, s->kind->what, held.data);
done:
    text_free(&held);
    return st;
}

/* Fails: nothing distinguishes the two groups. */
static status fail_ambiguous(const states *s, const state_group *a, const state_group *b)
{
    char x[80], y[80];
    show_key(x, a->key);
    show_key(y, b->key);
    fail(ERR_FORMAT, "%s: contains two networks, %.200s and %.200s", s->file->path,
         s->file->tensors[s->entries[a->first].at].name,
         s->file->tensors[s->entries[b->first].at].name);
    fail_hint("choose: --weights %s or --weights %s", x, y);
    return ERR_FORMAT;
}

static bool same_dictionary(const states *s, const state_group *a, const state_group *b)
{
    return a->keys == b->keys &&
           !memcmp(s->entries[a->first].full, s->entries[b->first].full, a->keys);
}

status state_choose(states *s)
{
    const state_group *next = NULL;
    status st = s->kind == &state_dit ? check_adapters(s) : OK;
    if (st != OK) return st;
    if (s->n_groups == 0) return fail_none(s);
    for (size_t i = 0; i < s->n_groups; i++) {
        const state_group *g = &s->groups[i];
        if (!is_wanted(s, g)) continue;
        if (!s->taken)
            s->taken = g;
        else if (!next)
            next = g;
    }
    if (!s->taken) return fail_wanted(s);
    if (!next || s->taken->class != STATE_PLAIN || next->class != STATE_PLAIN) return OK;
    if (same_dictionary(s, s->taken, next) || s->taken->rank == next->rank)
        return fail_ambiguous(s, s->taken, next);
    return OK;
}

/* ---- the description ---- */

static status describe_others(text *t, const states *s)
{
    const state_group *other = NULL;
    status st = OK;
    if (s->n_groups < 2) return OK;
    for (size_t i = 0; i < s->n_groups; i++)
        if (&s->groups[i] != s->taken) other = &s->groups[i];
    TRY(text_append(t, "; it also contains "));
    TRY(list_groups(t, s, s->taken));
    if (s->wanted) goto done;
    bool averaged = s->taken->class == STATE_AVERAGED;
    bool raw = s->n_groups == 2 && averaged && other->class != STATE_AVERAGED;
    TRY(text_append(t, ": --weights %s", raw ? "raw" : "KEY"));
done:
    return st;
}

static status describe_rest(text *t, const states *s)
{
    char key[80], why[100];
    status st = OK;
    if (s->n_filled) {
        show_key(key, s->filled_from->key);
        TRY(text_append(t, "; %s", s->filled));
        if (s->n_filled > 1) TRY(text_append(t, " and %zu more", s->n_filled - 1));
        TRY(text_append(t, ", not averaged, from \"%s\"", key));
    }
    if (s->taken->class != STATE_AVERAGED && find_unread(s, key, why))
        TRY(text_append(t, "; averaged weights are not used: \"%s\" is %s", key, why));
    if (s->n_skipped)
        TRY(text_append(t, "; skips %s* (%zu tensor%s, %s)", s->kind->skipped, s->n_skipped,
                        s->n_skipped > 1 ? "s" : "", s->kind->skipped_why));
done:
    return st;
}

status state_describe(state_taken *taken, const states *s)
{
    const state_group *g = s->taken;
    char key[80];
    text note = {0}, rest = {0};
    status st = OK;
    show_key(key, g->key);
    taken->averaged = g->class == STATE_AVERAGED;
    taken->chosen = s->n_groups > 1 || s->wanted;
    TRY(memory_strdup(&taken->key, key));
    TRY(memory_alloc(&taken->others, s->n_groups, sizeof *taken->others));
    for (size_t i = 0; i < s->n_groups; i++) {
        if (&s->groups[i] == g) continue;
        show_key(key, s->groups[i].key);
        TRY(memory_strdup(&taken->others[taken->n_others], key));
        taken->n_others++;
    }
    TRY(describe_rest(&rest, s));
    bool unusual = g->rank == N_USUAL && g->class == STATE_PLAIN;
    if (s->n_groups < 2 && (s->wanted || !unusual) && !rest.length) goto done;
    TRY(text_append(&note, "%s: takes \"%s\"%s", s->file->path, taken->key,
                    taken->averaged ? " (averaged weights)" : ""));
    TRY(describe_others(&note, s));
    TRY(text_append(&note, "%s", rest.length ? rest.data : ""));
    taken->note = note.data;
    note = (text){0};
done:
    text_free(&note);
    text_free(&rest);
    return st;
}
